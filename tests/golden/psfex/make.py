"""PSFs of PSFEx files by GalSim and by numpy: `python make.py > golden.json`, in this folder (versions are in the file).

Each case is a small PSFEx file that is written here: `quadratic.psf` (degree 2, 15 x 15 samples, less than a pixel of the image from
one to the next), `cubic.psf` (degree 3, 25 x 25), `coarse.psf` (degree 1, 9 x 9, more than a pixel) and `constant.psf` (`POLNAXIS` 0,
which GalSim does not read).

`galsim` is what `DES_PSFEx` draws at a position with `method="no_pixel"`, divided by its sum. `numpy` is the same as a direct sum in
double precision: the kernel sinc(x) sinc(x/3) around each pixel, divided by the sum of its six weights along an axis (GalSim
approaches that division by a series, and looks the kernel up in a table).
"""

import json

import astropy
import galsim
import numpy
from astropy.io import fits
from astropy.wcs import WCS
from galsim.des import DES_PSFEx

ZERO, SCALE = (60.5, 100.25), (58.0, 99.5)
# A tile of 200 rows and 120 columns.
CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.2, "CRPIX1": 55.3, "CRPIX2": 101.8,
    "CD1_1": -7.3e-05, "CD1_2": 2e-06, "CD2_1": 2e-06, "CD2_2": 7.3e-05,
}


def moffat(side, step, fwhm, e1=0.0, shift=(0.0, 0.0)):
    """Samples of a Moffat profile, `step` pixels of the image apart."""
    y, x = (numpy.indices((side, side)) - side // 2) * step
    x, y = x - shift[0], y - shift[1]
    core = fwhm / 2 / numpy.sqrt(2 ** (1 / 3.5) - 1)
    profile = (1 + (x**2 * (1 - e1) + y**2 * (1 + e1) + 0.2 * x * y) / core**2) ** -3.5
    return profile / profile.sum()


def components(side, step, fwhm, degree):
    """The mean, and for each further term what a difference of two profiles has."""
    mean, found = moffat(side, step, fwhm, 0.05), []
    for y in range(degree + 1):
        for x in range(degree + 1 - y):
            other = moffat(side, step, fwhm * (1 + 0.05 * x - 0.08 * y), 0.1 * y, (0.11 * x, -0.07 * y * x))
            found.append(mean if x + y == 0 else 0.6 * (other - mean) / (x + y))
    return numpy.array(found, dtype=numpy.float32)


def write(name, masks, step, degree):
    terms, side, _ = masks.shape
    column = fits.Column("PSF_MASK", f"{masks.size}E", dim=f"({side},{side},{terms})", array=masks[numpy.newaxis])
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    header = table.header
    header["POLNAXIS"] = 0 if degree is None else 2
    if degree is not None:
        for axis, key in enumerate(["X_IMAGE", "Y_IMAGE"]):
            header[f"POLGRP{axis + 1}"] = 1
            header[f"POLNAME{axis + 1}"] = key
            header[f"POLZERO{axis + 1}"] = ZERO[axis]
            header[f"POLSCAL{axis + 1}"] = SCALE[axis]
        header["POLNGRP"] = 1
        header["POLDEG1"] = degree
    header["PSF_FWHM"] = 3.0
    header["PSF_SAMP"] = step
    header["PSFNAXIS"] = 3
    for axis, size in enumerate([side, side, terms]):
        header[f"PSFAXIS{axis + 1}"] = size
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(name, overwrite=True)


def at_position(masks, degree, x, y):
    """The samples at a position, by pixel numbers from 1."""
    if degree is None:
        return masks[0].astype(float)
    u, v = (x - ZERO[0]) / SCALE[0], (y - ZERO[1]) / SCALE[1]
    powers = [u**i * v**j for j in range(degree + 1) for i in range(degree + 1 - j)]
    return sum(power * mask.astype(float) for power, mask in zip(powers, masks, strict=True))


def weights(side, output, step):
    """The weights of the samples of an axis in each pixel."""
    found = numpy.zeros((output, side))
    for pixel in range(output):
        at = (pixel - output // 2) / step + side // 2
        around = numpy.arange(numpy.floor(at) - 2, numpy.floor(at) + 4)
        away = at - around
        kernel = numpy.where(numpy.abs(away) < 3, numpy.sinc(away) * numpy.sinc(away / 3), 0)
        kernel /= kernel.sum()
        for sample, weight in zip(around.astype(int), kernel, strict=True):
            if 0 <= sample < side:
                found[pixel, sample] += weight
    return found


def listed(pixels):
    """Rounded: the largest are about 0.1."""
    return [round(float(pixel), 10) for pixel in (pixels / pixels.sum()).ravel()]


cases = []
for name, side, step, degree, fwhm in [
    ("quadratic.psf", 15, 0.55, 2, 2.6), ("cubic.psf", 25, 0.7, 3, 3.4), ("coarse.psf", 9, 1.25, 1, 3.9),
    ("constant.psf", 15, 0.6, None, 2.8),
]:
    masks = components(side, step, fwhm, degree or 0)
    write(name, masks, step, degree)
    # The largest odd number of pixels in the samples.
    output = int(side * step + 1e-9)
    output -= 1 - output % 2
    case = {"file": name, "side": output, "positions": []}
    for x, y in [(60.5, 100.25), (2.0, 3.0), (119.0, 198.5), (30.75, 181.2)][: 1 if degree is None else 4]:
        axis = weights(side, output, step)
        direct = axis @ at_position(masks, degree, x, y) @ axis.T
        ra, dec = (float(value) for value in WCS(fits.Header(CARDS)).all_pix2world(x, y, 1))
        row = {"x": x, "y": y, "ra": ra, "dec": dec, "numpy": listed(direct)}
        if degree is not None:
            psf = DES_PSFEx(name).getPSF(galsim.PositionD(x, y))
            image = psf.drawImage(nx=output, ny=output, scale=1.0, method="no_pixel", dtype=float).array
            row["galsim"] = listed(image)
        case["positions"].append(row)
    cases.append(case)

print(json.dumps({
    "versions": {"galsim": galsim.__version__, "astropy": astropy.__version__, "numpy": numpy.__version__},
    "cards": CARDS, "cases": cases,
}))
