"""Makes the golden files of tests/it/observe_oracle.rs: parametric galaxies, and what GalSim's PSF makes of them.

Written with galsim 2.8.5, numpy 2.x on Python 3.11: python tests/golden/observe/make.py
Files are little-endian float32 in C order, [band, y, x] for the bands g, r, i.
"""
import pathlib

import galsim
import numpy as np

HERE = pathlib.Path(__file__).parent
BANDS = [(0.73, 4789.98), (0.70, 6199.52), (0.67, 7528.51)]  # zenith FWHM in arcsec, wavelength in angstrom
AIRMASS = 1.2


def sersic(y, x, y0, x0, radius, n, ratio, angle):
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * (x - x0) + s * (y - y0), (c * (y - y0) - s * (x - x0)) / ratio
    b = 2 * n - 1 / 3 + 0.009876 / n
    return np.exp(-b * ((np.hypot(u, v) ** 2 + 0.25) / radius**2) ** (0.5 / n))


def galaxies(height, width):
    """One galaxy a band, in nJy: a spheroid, a disc with arms and knots, two bodies with a point source."""
    y, x = np.mgrid[:height, :width].astype(float)
    cy, cx, r = (height - 1) / 2 + 1.3, (width - 1) / 2 - 0.7, min(height, width) / 12
    spheroid = sersic(y, x, cy, cx, r, 4.0, 0.7, 0.4)
    disc = sersic(y, x, cy, cx, r, 1.0, 0.6, 1.1)
    angle, distance = np.arctan2(y - cy, x - cx), np.hypot(y - cy, x - cx) + 1
    arms = disc * np.exp(2.5 * (np.cos(2 * (angle - np.log(distance) / 0.35)) - 1))
    knots = sum(
        np.exp(-0.5 * ((y - cy - r * np.sin(t)) ** 2 + (x - cx - 2 * r * np.cos(t)) ** 2) / 0.8**2) for t in range(6)
    )
    pair = sersic(y, x, cy - r, cx - r, r, 1.0, 0.5, 0.2) + 0.4 * sersic(y, x, cy + r, cx + 1.5 * r, r / 2, 2.5, 0.8, 2.0)
    star = np.zeros_like(pair)
    star[height // 5, width // 4] = 5.0
    planes = np.stack([spheroid, disc + 2 * arms + 0.3 * knots, pair + star])
    return (2000 * planes / planes.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def observed(image, scale):
    """The oracle: convolved with Kolmogorov and obscured Airy, sampled at the same pixels."""
    gsp = galsim.GSParams(
        folding_threshold=1e-4, kvalue_accuracy=1e-8, maxk_threshold=1e-6, maximum_fft_size=16384
    )
    planes = []
    for plane, (zenith, wavelength) in zip(image, BANDS):
        psf = galsim.Convolve(
            [
                galsim.Kolmogorov(fwhm=zenith * AIRMASS**0.6, gsparams=gsp),
                galsim.Airy(lam=wavelength / 10, diam=8.36, obscuration=0.6401, gsparams=gsp),
            ],
            gsparams=gsp,
        )
        inner = galsim.Image(plane.astype(np.float64), scale=scale)
        inner = galsim.InterpolatedImage(inner, x_interpolant="quintic", normalization="flux", gsparams=gsp)
        height, width = plane.shape
        drawn = galsim.Convolve([inner, psf], gsparams=gsp).drawImage(
            nx=width, ny=height, scale=scale, method="no_pixel", dtype=np.float64
        )
        planes.append(drawn.array)
    return np.stack(planes).astype(np.float32)


for height, width, scales in [(100, 100, [0.2, 0.339]), (48, 61, [0.2])]:
    image = galaxies(height, width)
    image.astype("<f4").tofile(HERE / f"image_{height}x{width}.f32")
    for scale in scales:
        observed(image, scale).astype("<f4").tofile(HERE / f"observed_{height}x{width}_{scale}.f32")
