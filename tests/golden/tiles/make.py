"""Cutouts of overlapping tiles by astropy: `python make.py > golden.json`, in this folder (versions are in the file).

Each case has tiles in two bands, written by the test from their cards. `rows` and `columns` of a tile, and the pixel `at` of the
cutout where they begin, are what `Cutout2D` with `mode="partial"` takes from the tile that the rule chooses: one with the whole
cutout, then the one whose centre is nearest on the sky. `rice` are cutouts of
`rice.fits`, a tile-compressed file that astropy wrote.
"""

import json
import random
import warnings

import astropy
import numpy
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS, FITSFixedWarning, _wcs

warnings.simplefilter("ignore", FITSFixedWarning)
draw = random.Random(17)
SIDE = 0.263 / 3600
SHAPE = (45, 60)


def cards(code, crval, crpix, angle):
    """A tile of a detector whose field has its centre at `crval`."""
    cos, sin = numpy.cos(numpy.radians(angle)), numpy.sin(numpy.radians(angle))
    code_sip = "TAN-SIP" if code == "SIP" else code
    found = {
        "CTYPE1": f"RA---{code_sip}", "CTYPE2": f"DEC--{code_sip}",
        "CRVAL1": crval[0], "CRVAL2": crval[1], "CRPIX1": crpix[0], "CRPIX2": crpix[1],
        "CD1_1": -SIDE * cos, "CD1_2": SIDE * sin, "CD2_1": SIDE * sin, "CD2_2": SIDE * cos,
    }
    if code == "SIP":
        # Up to a pixel at the edge of a tile.
        found |= {"A_ORDER": 3, "B_ORDER": 3, "A_2_0": 4e-4, "A_0_2": -2e-4, "B_1_1": 3e-4, "B_0_3": 2e-6}
    if code == "TPV":
        found |= {"PV1_0": 1e-4, "PV1_1": 1.001, "PV1_2": 2e-4, "PV1_4": 0.5, "PV2_1": 0.999, "PV2_6": -0.8, "PV2_7": 40.0}
    return found


def wcs_of(found):
    return WCS(fits.Header(found))


DATA = numpy.arange(SHAPE[0] * SHAPE[1], dtype=float).reshape(SHAPE)


def has(wcs, x, y):
    return -0.5 <= x < SHAPE[1] - 0.5 and -0.5 <= y < SHAPE[0] - 0.5


def section(cutout):
    """What a cutout has of its tile."""
    (rows, columns), (to_rows, to_columns) = cutout.slices_original, cutout.slices_cutout
    return {"rows": [rows.start, rows.stop], "columns": [columns.start, columns.stop], "at": [to_rows.start, to_columns.start]}


def cut(tiles, sky, size):
    """The tile and its cutout; None if no tile has the position."""
    best = None
    for number, wcs in tiles:
        x, y = (float(value) for value in wcs.all_world2pix(sky.ra.deg, sky.dec.deg, 0))
        if not has(wcs, x, y):
            continue
        cutout = Cutout2D(DATA, (x, y), (size, size), mode="partial", fill_value=numpy.nan)
        whole = not numpy.isnan(cutout.data).any()
        middle = wcs.all_pix2world((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 0)
        away = sky.separation(SkyCoord(*middle, unit="deg")).deg
        rank = (not whole, away)
        if best is None or rank < best[0]:
            # `Cutout2D` counts from the rounded position; what it took is compared by its pixels.
            best = (rank, number, cutout)
    return best


cases = []
for code in ["TAN", "SIP", "TPV"]:
    for angle, crval in [(0.0, (150.0, 2.2)), (37.0, (0.001, -45.0)), (180.0, (210.0, 60.0))]:
        case = {"code": code, "angle": angle, "bands": {}, "positions": []}
        tiles, number = {}, 0
        for band, shift in [("g", (0.0, 0.0)), ("r", (2.37, -1.61))]:
            tiles[band] = []
            case["bands"][band] = []
            for column in range(2):
                # The second tile is 42 pixels to the right of the first one: they have 18 columns in common.
                crpix = (50.3 + shift[0] - 42 * column, 22.8 + shift[1])
                found = cards(code, crval, crpix, angle)
                tiles[band].append((number, wcs_of(found)))
                case["bands"][band].append({"number": number, "cards": found})
                number += 1
        first = tiles["g"][0][1]
        for _ in range(40):
            x, y = draw.uniform(-4, 108), draw.uniform(-4, 49)
            ra, dec = (float(value) for value in first.all_pix2world(x, y, 0))
            sky, size = SkyCoord(ra, dec, unit="deg"), 11
            row = {"ra": ra, "dec": dec}
            for band in ["g", "r"]:
                best = cut(tiles[band], sky, size)
                row[band] = None if best is None else {"tile": best[1]} | section(best[2])
            case["positions"].append(row)
        cases.append(case)

# Integers, which Rice keeps exactly; tiles of 16 by 16 pixels.
found = cards("TPV", (150.0, 2.2), (30.2, 22.7), 12.0) | {"FILTER": "r"}
image = fits.CompImageHDU(DATA.astype("int32"), fits.Header(found), compression_type="RICE_1", tile_shape=(16, 16), name="SCI")
mask = (numpy.arange(SHAPE[0] * SHAPE[1], dtype="int32").reshape(SHAPE) * 7919) % (1 << 30)
planes = fits.CompImageHDU(mask.astype("int32"), compression_type="RICE_1", tile_shape=(16, 16), name="MASK")
fits.HDUList([fits.PrimaryHDU(), image, planes]).writeto("rice.fits", overwrite=True)
wcs, rows = wcs_of(found), []
for _ in range(12):
    x, y = draw.uniform(0, 59), draw.uniform(0, 44)
    ra, dec = (float(value) for value in wcs.all_pix2world(x, y, 0))
    pixel = tuple(float(value) for value in wcs.all_world2pix(ra, dec, 0))
    rows.append({"ra": ra, "dec": dec} | section(Cutout2D(DATA, pixel, (11, 11), mode="partial")))

print(json.dumps({
    "versions": {"astropy": astropy.__version__, "wcslib": _wcs.WCSLIB_VERSION, "numpy": numpy.__version__},
    "shape": SHAPE, "size": 11, "cases": cases,
    "rice": rows,
}))
