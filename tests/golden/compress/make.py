"""An image of noise, gradient and sources put through tile-compressed FITS by other writers: python-fitsio (its own cfitsio)
for every case, and astropy's CompImageHDU, which agrees with it on all tiles of one row, and in a tile of two dimensions on a
given step without a scale (it finds another noise there).

Writes image.f32 (float32, little-endian) and golden.json; `versions` says what with.
"""

import io
import json
import sys
import tempfile
from pathlib import Path

import astropy
import fitsio
import numpy as np
from astropy.io import fits

here = Path(__file__).parent
shape = (2, 24, 31)
rng = np.random.default_rng(11)
y, x = np.mgrid[: shape[1], : shape[2]]
image = rng.normal(0, 20, shape) + 0.7 * x - 0.4 * y
image += 3000 * np.exp(-((x - 14.2) ** 2 + (y - 11.7) ** 2) / 18) * np.array([1.0, 0.3])[:, None, None]
image = image.astype("<f4")
image[1, 3, 4:9] = 0
image.tofile(here / "image.f32")

METHODS = {0: None, 1: "SUBTRACTIVE_DITHER_1", 2: "SUBTRACTIVE_DITHER_2"}


def by_fitsio(algorithm, level, scale, dither, seed):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/image.fits"
        tile = (1,) + shape[1:] if algorithm == "hcompress" else (1, 1, shape[2])
        with fitsio.FITS(path, "rw") as file:
            file.write(
                image, compress="HCOMPRESS" if algorithm == "hcompress" else "RICE", tile_dims=tile, qlevel=level,
                qmethod=METHODS[dither] or "NO_DITHER", dither_seed=seed, hcomp_scale=scale or None,
            )
        return fitsio.read(path).astype("<f4")


def by_astropy(algorithm, level, scale, dither, seed):
    tile = (1,) + shape[1:] if algorithm == "hcompress" else (1, 1, shape[2])
    hdu = fits.CompImageHDU(
        image, compression_type="HCOMPRESS_1" if algorithm == "hcompress" else "RICE_1", tile_shape=tile, quantize_level=level,
        quantize_method={0: -1}.get(dither, dither), dither_seed=seed, hcomp_scale=scale,
    )
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    file.seek(0)
    return fits.open(file)[1].data.astype("<f4")


cases, agree = [], []
for settings in [
    ("rice", 4.0, 0.0, 0, 1),
    ("rice", 16.0, 0.0, 0, 1),
    ("rice", 1.0, 0.0, 0, 1),
    ("rice", 0.25, 0.0, 0, 1),
    ("rice", -5.0, 0.0, 0, 1),
    ("rice", 4.0, 0.0, 1, 1),
    ("rice", 2.0, 0.0, 1, 9999),
    ("rice", 4.0, 0.0, 2, 321),
    ("hcompress", 4.0, 0.0, 0, 1),
    ("hcompress", 4.0, 2.0, 0, 1),
    ("hcompress", 4.0, -10.0, 0, 1),
    ("hcompress", 4.0, 1.0, 1, 50),
    ("hcompress", -5.0, 0.0, 0, 1),
    ("hcompress", -5.0, -10.0, 0, 1),
]:
    found = by_fitsio(*settings)
    agree.append(bool(np.array_equal(found, by_astropy(*settings))))
    bits = found.ravel().view("<u4")
    cases.append(
        dict(zip(("algorithm", "quantize_level", "hcompress_scale", "dither", "seed"), settings))
        | {
            "first": bits[:40].tolist(),
            "sum": int(bits.astype("u8").sum()),
            "worst": float(np.abs(image.astype("f8") - found.astype("f8")).max()),
            "astropy_has_the_same_bits": agree[-1],
        }
    )
versions = {
    "python": sys.version.split()[0], "fitsio": fitsio.__version__, "cfitsio": fitsio.cfitsio_version(),
    "astropy": astropy.__version__, "numpy": np.__version__,
}
(here / "golden.json").write_text(json.dumps({"versions": versions, "shape": shape, "cases": cases}, indent=1) + "\n")
print(versions, agree)
