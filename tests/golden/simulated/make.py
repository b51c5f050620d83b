"""Sersic and Gaussian profiles as GalSim integrates them over pixels: the oracle of `src/survey/galaxy/`.

GalSim 2.8.5, numpy 2.x. Photons are not shot: the profile is integrated over each pixel in real space.
Writes sersic.csv: one row a profile (settings, then 32x32 pixels of 0.2 arcsec, row by row from the bottom, flux 1).
"""

import os

import galsim
import numpy as np

GSP = galsim.GSParams(realspace_relerr=1e-6, realspace_abserr=1e-9, integration_relerr=1e-8, integration_abserr=1e-11)
SIZE, SCALE = 32, 0.2
# name, n (0: a Gaussian), half-light radius (sigma) and axis ratio, angle in radians, centre x and y; arcsec.
CASES = [
    ("exponential", 1.0, 1.1, 0.35, 0.4, 0.03, -0.07),
    ("bulge", 2.5, 0.6, 0.8, 2.0, -0.11, 0.04),
    ("de_vaucouleurs", 4.0, 1.5, 0.6, 1.1, 0.09, 0.1),
    ("steep", 5.5, 2.8, 0.5, 2.7, 0.0, 0.0),
    ("knot", 0.0, 0.13, 1.0, 0.0, 0.37, -0.52),
]
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "sersic.csv"), "w") as out:
    for name, n, radius, q, angle, x, y in CASES:
        if n:
            # No truncation: GalSim's half-light radius is then that of the endless profile.
            galaxy = galsim.Sersic(n, half_light_radius=radius, gsparams=GSP)
            galaxy = galaxy.shear(q=q, beta=angle * galsim.radians)
        else:
            galaxy = galsim.Gaussian(sigma=radius, gsparams=GSP)
        image = galaxy.shift(x, y).drawImage(nx=SIZE, ny=SIZE, scale=SCALE, dtype=float, method="real_space").array
        numbers = [n, radius, q, angle, x, y, *image.ravel()]
        out.write(name + "," + ",".join(f"{value:.8g}" for value in numbers) + "\n")
        print(name, image.sum(), image.max())
