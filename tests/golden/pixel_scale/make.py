"""Pixel scales of generated headers by astropy: `python make.py > golden.json` (versions are in the file).

Every case is a header and the sides of its pixel in arcsec, by `proj_plane_pixel_scales` of the celestial axes.
"""

import json
import math
import random
import warnings

import astropy
import numpy
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales

warnings.simplefilter("ignore", FITSFixedWarning)
draw = random.Random(16)
UNITS = {"deg": 1.0, "arcsec": 3600.0, "arcmin": 60.0, "rad": math.radians(1.0), "mas": 3.6e6}
SKIES = [("RA---TAN", "DEC--TAN"), ("GLON-TAN", "GLAT-TAN"), ("ELON-STG", "ELAT-STG"), ("RA---SIN", "DEC--SIN"),
         ("RA---ZEA", "DEC--ZEA"), ("RA---TPV", "DEC--TPV"), ("RA---TAN-SIP", "DEC--TAN-SIP")]


def cards(form):
    """A header with pixels of a known side, rotation and parity in one of the forms of the standard."""
    side = 10 ** draw.uniform(-2, 1.5) / 3600.0
    angle = draw.choice([0.0, 90.0, 180.0, -90.0, draw.uniform(-180, 180)])
    parity = draw.choice([-1.0, 1.0])
    unit = draw.choice(["deg"] * 3 + list(UNITS)) if form != "crota" else "deg"
    lon, lat = draw.choice(SKIES)
    order = draw.choice([[1, 2]] * 4 + [[2, 1]])
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # Rows: longitude, latitude. Columns: x, y.
    matrix = [[parity * side * cos, -side * sin], [parity * side * sin, side * cos]]
    factor = UNITS[unit]
    header = {f"CTYPE{order[0]}": lon, f"CTYPE{order[1]}": lat, f"CRVAL{order[0]}": 150.0 * factor, f"CRVAL{order[1]}": 2.0 * factor,
              "CRPIX1": 10.5, "CRPIX2": 10.5}
    if unit != "deg" or draw.random() < 0.3:
        header["CUNIT1"] = header["CUNIT2"] = unit
    leave_out = draw.random() < 0.5
    if form == "cd":
        for row, axis in zip(matrix, order):
            for column, term in enumerate(row, 1):
                if not (leave_out and abs(term) < 1e-9 * side):
                    header[f"CD{axis}_{column}"] = term * factor
        if draw.random() < 0.3:
            header["CDELT1"] = header["CDELT2"] = 1.0
    elif form in ("pc", "pc_one", "pc_old"):
        for row, axis in zip(matrix, order):
            step = 1.0 if form == "pc_one" else draw.choice([side, -side, 2 * side]) * factor
            header[f"CDELT{axis}"] = step
            for column, term in enumerate(row, 1):
                value = term * factor / step
                identity = 1.0 if axis == column else 0.0
                if not (leave_out and abs(value - identity) < 1e-12):
                    key = f"PC{axis:03d}{column:03d}" if form == "pc_old" else f"PC{axis}_{column}"
                    header[key] = value
        if form != "pc_one" and not any(key.startswith("PC") for key in header):
            header["PC1_1"] = 1.0
    else:
        header[f"CDELT{order[0]}"] = parity * side * factor
        header[f"CDELT{order[1]}"] = side * factor
        if form == "crota":
            header[f"CROTA{order[1]}"] = angle
    return header


def sides(header):
    made = fits.Header()
    made["NAXIS"] = 2
    made["NAXIS1"] = made["NAXIS2"] = 20
    made.update(header)
    celestial = WCS(made).celestial
    return [float(side) * 3600.0 for side in proj_plane_pixel_scales(celestial)]


print(f'{{"astropy": "{astropy.__version__}", "numpy": "{numpy.__version__}", "cases": [')
for number in range(120):
    header = cards(["cd", "pc", "pc_one", "pc_old", "cdelt", "crota"][number % 6])
    case = json.dumps({"cards": header, "sides_arcsec": sides(header)})
    print(case + ("," if number < 119 else ""))
print("]}")
