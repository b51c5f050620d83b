"""Where the pixels of cutouts lie on the sky, by astropy: `python make.py > golden.json` (versions are in the file).

Each case is a header, the shape of its image (rows, columns), the side of a cutout whose pixel n/2 is the pixel n/2 of the image,
and points `[x, y, ra_deg, dec_deg]` of the cutout, pixels from 0.
"""

import json
import math
import random
import warnings

import astropy
import numpy
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

warnings.simplefilter("ignore", FITSFixedWarning)
draw = random.Random(16)
SIDE_DEG = 0.2 / 3600


def turned(angle_deg, parity):
    sin, cos = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    return [[parity * SIDE_DEG * cos, -SIDE_DEG * sin], [parity * SIDE_DEG * sin, SIDE_DEG * cos]]


def header(code, crval, crpix, angle_deg, parity, form="cd", order=(1, 2)):
    cards = {f"CTYPE{order[0]}": f"RA---{code}", f"CTYPE{order[1]}": f"DEC--{code}", "CRPIX1": crpix[0], "CRPIX2": crpix[1]}
    cards |= {f"CRVAL{order[0]}": crval[0], f"CRVAL{order[1]}": crval[1]}
    for row, axis in zip(turned(angle_deg, parity), order):
        if form == "pc":
            cards[f"CDELT{axis}"] = SIDE_DEG
        for column, term in enumerate(row, 1):
            cards[f"{form.upper()}{axis}_{column}"] = term / SIDE_DEG if form == "pc" else term
    return cards


CASES = [
    # North up; turned and mirrored; the pixel of reference far away, as in cutouts of a large image.
    (header("TAN", (150.1, 2.2), (16.5, 16.5), 0, -1), (32, 32), 32),
    (header("TAN", (150.1, 2.2), (10.0, 21.0), 33, 1), (40, 41), 24),
    (header("TAN", (10.0, -45.0), (-8000.0, 5000.0), 200, -1, "pc"), (33, 33), 20),
    # Padded, across the meridian, near the pole, declination first.
    (header("TAN", (0.0, 30.0), (16.0, 16.0), -70, -1), (31, 31), 40),
    (header("TAN", (77.0, 89.99), (100.0, -300.0), 45, -1), (32, 32), 32),
    (header("TAN", (201.0, -11.0), (3.0, 4.0), 12, -1, order=(2, 1)), (30, 30), 15),
    # Other projections.
    (header("SIN", (60.0, 60.0), (2000.0, 2000.0), 5, -1), (32, 32), 32),
    (header("CAR", (60.0, 0.0), (500.0, -800.0), 0, -1), (32, 32), 32),
    (header("ZEA", (300.0, -70.0), (700.0, 40.0), 90, 1), (32, 32), 32),
]
sip = header("TAN-SIP", (150.0, 2.0), (1024.0, 1024.0), 30, -1)
sip |= {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-6, "A_1_1": -2e-6, "B_0_2": 4e-6, "B_1_1": 1e-6}
CASES.append((sip, (64, 64), 48))
tpv = header("TPV", (150.0, -30.0), (900.0, -400.0), 90, -1)
tpv |= {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": 0.02, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_4": -0.03}
CASES.append((tpv, (64, 64), 48))

cases = []
for cards, (rows, columns), size in CASES:
    head = fits.Header([("NAXIS", 2), ("NAXIS1", columns), ("NAXIS2", rows), *cards.items()])
    wcs = WCS(head)
    longitude = 0 if cards["CTYPE1"].startswith("RA") else 1
    first = [length // 2 - size // 2 for length in (columns, rows)]
    points = []
    corners = [(0, 0), (size - 1, 0), (0, size - 1), (size - 1, size - 1), ((size - 1) / 2, (size - 1) / 2)]
    for x, y in corners + [(draw.uniform(0, size - 1), draw.uniform(0, size - 1)) for _ in range(3)]:
        world = wcs.all_pix2world([[x + first[0], y + first[1]]], 0)[0]
        points.append([x, y, float(world[longitude]) % 360, float(world[1 - longitude])])
    cases.append({"cards": cards, "shape": [rows, columns], "size": size, "points": points})

versions = {"astropy": astropy.__version__, "numpy": numpy.__version__}
print(json.dumps({"versions": versions, "cases": cases}, indent=1))
