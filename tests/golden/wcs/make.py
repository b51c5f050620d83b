"""World coordinates and cutouts of generated headers by astropy: `python make.py > golden.json` (versions are in the file).

`headers`: a header and points `[x, y, ra_deg, dec_deg]`, pixels from 0, by `WCS.all_pix2world`. That `WCS.all_world2pix` leads
back to the pixels within 1e-6 is checked here. `cutouts`: what `Cutout2D` with `mode="partial"` takes around sky positions.
"""

import json
import math
import random
import warnings

import astropy
import numpy
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS, FITSFixedWarning, InvalidTransformError, _wcs
from astropy.wcs.utils import wcs_to_celestial_frame

warnings.simplefilter("ignore", FITSFixedWarning)
draw = random.Random(64)
ZENITHAL = ["TAN", "SIN", "STG", "ARC", "ZEA"]
CYLINDRICAL = ["CAR", "CEA", "MER", "SFL", "AIT"]
UNITS = {"deg": 1.0, "arcsec": 3600.0, "arcmin": 60.0, "rad": math.radians(1.0)}


def matrix_cards(side, form, order, unit):
    """A pixel of a side (deg) in a form of the standard, with any rotation and parity."""
    angle = math.radians(draw.choice([0.0, 90.0, 180.0, -90.0, draw.uniform(-180, 180)]))
    parity, factor = draw.choice([-1.0, -1.0, 1.0]), UNITS[unit]
    stretch = draw.choice([1.0, 1.0, draw.uniform(0.9, 1.1)])
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = [[parity * side * cos, -side * sin * stretch], [parity * side * sin, side * cos * stretch]]
    cards = {}
    if form == "cd":
        for row, axis in zip(matrix, order):
            for column, term in enumerate(row, 1):
                cards[f"CD{axis}_{column}"] = term * factor
    elif form == "pc":
        for row, axis in zip(matrix, order):
            step = draw.choice([side, -side, 2 * side]) * factor
            cards[f"CDELT{axis}"] = step
            for column, term in enumerate(row, 1):
                cards[f"PC{axis}_{column}"] = term * factor / step
    else:
        cards[f"CDELT{order[0]}"] = parity * side * factor
        cards[f"CDELT{order[1]}"] = side * factor
        if form == "crota":
            cards[f"CROTA{order[1]}"] = math.degrees(angle)
    return cards


def celestial(code, crval, side, form=None, plain=False):
    """A header. A plain one has right ascension first, and degrees; that of a detector with TPV has `CD` too."""
    order = [1, 2] if plain else draw.choice([[1, 2]] * 5 + [[2, 1]])
    unit = "deg" if plain else draw.choice(["deg"] * 4 + list(UNITS))
    form = form or draw.choice(["cd", "cd", "pc", "cdelt", "crota"])
    if form == "crota":
        unit = "deg"
    cards = {f"CTYPE{order[0]}": f"RA---{code}", f"CTYPE{order[1]}": f"DEC--{code}"}
    cards[f"CRVAL{order[0]}"] = crval[0] * UNITS[unit]
    cards[f"CRVAL{order[1]}"] = crval[1] * UNITS[unit]
    cards["CRPIX1"] = round(draw.uniform(-500, 3000), 3)
    cards["CRPIX2"] = round(draw.uniform(-500, 3000), 3)
    if unit != "deg":
        cards["CUNIT1"] = cards["CUNIT2"] = unit
    cards.update(matrix_cards(side, form, order, unit))
    cards.update(draw.choice([{}, {"RADESYS": "ICRS"}, {"RADESYS": "FK5", "EQUINOX": 2000.0}, {"EQUINOX": 2000.0}]))
    return cards


def crval():
    """Anywhere, at the poles, and where right ascension wraps."""
    return draw.choice([
        (draw.uniform(0, 360), math.degrees(math.asin(draw.uniform(-1, 1)))),
        (draw.uniform(0, 360), draw.choice([90.0, -90.0, 89.999, -89.97])),
        (draw.choice([0.0, 360.0, 359.9999, 0.0001, -0.01]), draw.uniform(-80, 80)),
        (draw.uniform(0, 360), 0.0),
    ])


def scale():
    return 10 ** draw.uniform(-1.5, 0.8) / 3600.0


def near(cards, reach=3000.0):
    """Pixels around the reference."""
    return [(cards["CRPIX1"] + draw.uniform(-reach, reach), cards["CRPIX2"] + draw.uniform(-reach, reach)) for _ in range(4)]


def zenithal(number):
    cards = celestial(ZENITHAL[number % 5], crval(), scale())
    key = number // 5 % 4
    if key == 1:
        cards["LONPOLE"] = draw.choice([0.0, 180.0, 90.0, draw.uniform(-180, 180)])
    if key == 2:
        longitude = 1 if cards["CTYPE1"].startswith("RA") else 2
        cards[f"PV{longitude}_3"] = draw.uniform(-180, 180)
    if key == 3 and ZENITHAL[number % 5] == "SIN":
        latitude = 2 if cards["CTYPE1"].startswith("RA") else 1
        cards[f"PV{latitude}_1"] = draw.uniform(-0.3, 0.3)
        cards[f"PV{latitude}_2"] = draw.uniform(-0.3, 0.3)
    return cards, near(cards)


def wide(number):
    """Images of tens of degrees."""
    code = (ZENITHAL + CYLINDRICAL)[number % 10]
    cards = celestial(code, crval(), 0.02)
    return cards, near(cards, 600.0)


def cylindrical(number):
    code = CYLINDRICAL[number % 5]
    at = draw.choice([crval(), (draw.uniform(0, 360), 0.0)])
    cards = celestial(code, at, scale())
    if number // 5 % 3 == 1 and abs(at[1]) < 89:
        # The north pole is where such a latitude allows it.
        cards["LONPOLE"] = draw.choice([0.0, 180.0, draw.uniform(-20, 20) if abs(at[1]) < 60 else 0.0])
        cards["LATPOLE"] = draw.choice([90.0, -90.0, 0.0, 30.0])
    if code == "CEA" and number // 5 % 3 == 2:
        latitude = 2 if cards["CTYPE1"].startswith("RA") else 1
        cards[f"PV{latitude}_1"] = draw.uniform(0.3, 1.0)
    return cards, near(cards)


def zpn(number):
    """The polynomials of WFCAM and VISTA."""
    cards = celestial("ZPN", crval(), scale())
    latitude = 2 if cards["CTYPE1"].startswith("RA") else 1
    cards.update({f"PV{latitude}_1": 1.0, f"PV{latitude}_3": draw.choice([42.0, -50.0, 220.0])})
    if number % 2:
        cards[f"PV{latitude}_2"] = 0.0
        cards[f"PV{latitude}_5"] = draw.choice([-10000.0, -400.0])
    return cards, near(cards)


def sip(number):
    order = 2 + number % 4
    cards = celestial("TAN-SIP" if number % 7 else "SIN-SIP", crval(), scale(), plain=True)
    size = 2000.0
    for name in "AB":
        cards[f"{name}_ORDER"] = order
        for p in range(order + 1):
            for q in range(order + 1 - p):
                if p + q >= 2 or (number % 5 == 0 and p + q == 1):
                    cards[f"{name}_{p}_{q}"] = draw.uniform(-1, 1) * draw.choice([2.0, 20.0]) / size ** (p + q)
    if number // 4 % 2:
        for name in ["AP", "BP"]:
            cards[f"{name}_ORDER"] = order
            for p in range(order + 1):
                for q in range(order + 1 - p):
                    if p + q:
                        cards[f"{name}_{p}_{q}"] = draw.uniform(-1, 1) * 1e-3 / size ** (p + q - 1)
    return cards, near(cards, 1500.0)


def tpv(number):
    """A detector of a mosaic: far from the reference, with the terms that DECam's headers have, and radial ones."""
    code = "TPV" if number % 4 else "TAN"
    cards = celestial(code, crval(), draw.choice([0.263, 0.2, 1.0]) / 3600.0, "cd", plain=True)
    for axis in (1, 2):
        cards[f"PV{axis}_0"] = draw.uniform(-5e-3, 5e-3)
        cards[f"PV{axis}_1"] = 1 + draw.uniform(-2e-2, 2e-2)
        cards[f"PV{axis}_2"] = draw.uniform(-1e-2, 1e-2)
        highest = [10, 10, 16, 22, 38][number % 5]
        for term in range(4, highest + 1):
            if term not in (11, 23, 39):
                cards[f"PV{axis}_{term}"] = draw.uniform(-8e-3, 8e-3)
        if number % 3 == 0:
            for term in (3, 11, 23, 39):
                if term <= highest + 1:
                    cards[f"PV{axis}_{term}"] = draw.uniform(-2e-3, 2e-3)
    return cards, near(cards, 4000.0)


def made(cards):
    header = fits.Header()
    header["NAXIS"] = 2
    header["NAXIS1"] = header["NAXIS2"] = 2000
    header.update(cards)
    return header


class NoSolution(Exception):
    """All pixels lie outside of the projection."""


def valid(family, number):
    """A case of a family: drawn again where the reference cannot have such a pole."""
    while True:
        try:
            return solved(*family(number))
        except (NoSolution, InvalidTransformError):
            pass


def solved(cards, pixels):
    wcs = WCS(made(cards))
    pixels = [(round(x, 2), round(y, 2)) for x, y in pixels]
    sky = wcs.all_pix2world(numpy.array(pixels), 0)
    # Rows are in the order of the axes of the header.
    ra, dec = wcs.wcs.lng, wcs.wcs.lat
    good = numpy.isfinite(sky).all(axis=1)
    if not good.any():
        raise NoSolution
    sky, pixels = sky[good], [pixel for pixel, good in zip(pixels, good) if good]
    back = wcs.all_world2pix(sky, 0, tolerance=1e-9, maxiter=200)
    assert numpy.abs(back - pixels).max() < 1e-6, (cards, back - pixels)
    points = [[*pixel, float(row[ra]) % 360.0, float(row[dec])] for pixel, row in zip(pixels, sky)]
    return {"cards": cards, "points": points}


def cutout(number):
    height, width = draw.choice([(40, 50), (7, 30), (64, 64)])
    cards = celestial(draw.choice(["TAN", "STG"]), crval(), scale(), plain=True)
    cards.update({"CRPIX1": round(draw.uniform(0, width), 2), "CRPIX2": round(draw.uniform(0, height), 2)})
    wcs = WCS(made(cards))
    at = (draw.uniform(-5, width + 5), draw.uniform(-5, height + 5))
    if number % 4 == 0:
        # Where a cutout of odd or even sides changes its place.
        at = (round(at[0] * 2) / 2 + 1e-4, round(at[1] * 2) / 2 - 1e-4)
    ra, dec = (float(value) for value in wcs.all_pix2world([at], 0)[0])
    size = (draw.randint(1, 70), draw.randint(1, 70))
    case = {"cards": cards, "shape": [height, width], "ra_deg": ra, "dec_deg": dec, "size": list(size)}
    image = numpy.arange(height * width, dtype="f8").reshape(height, width)
    try:
        cut = Cutout2D(image, SkyCoord(ra, dec, unit="deg", frame=wcs_to_celestial_frame(wcs)), size, WCS(made(cards)), mode="partial")
    except astropy.nddata.NoOverlapError:
        return case | {"overlap": None}
    rows, columns = cut.slices_original
    inside_rows, inside_columns = cut.slices_cutout
    overlap = {"rows": [rows.start, rows.stop], "columns": [columns.start, columns.stop],
               "offset": [inside_rows.start, inside_columns.start], "crpix": [float(value) for value in cut.wcs.wcs.crpix]}
    return case | {"overlap": overlap}


headers = []
for family, count in [(zenithal, 60), (wide, 30), (cylindrical, 45), (zpn, 15), (sip, 48), (tpv, 42)]:
    headers += [valid(family, number) for number in range(count)]
cutouts = [cutout(number) for number in range(80)]
versions = {"astropy": astropy.__version__, "wcslib": _wcs.WCSLIB_VERSION, "numpy": numpy.__version__}
print("{" + f'"versions": {json.dumps(versions)}, "headers": [')
print(",\n".join(json.dumps(case) for case in headers))
print('], "cutouts": [')
print(",\n".join(json.dumps(case) for case in cutouts))
print("]}")
