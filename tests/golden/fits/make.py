"""Small FITS files of every kind of image, and their values as astropy reads them (expected.json).

`versions` in expected.json says what it was made with: Python 3.11.7, astropy 8.0.2, numpy 2.4.6. astropy scales float32
in float32; here that is done in float64, as the standard has no opinion and cfitsio does it so.
"""

import json
import sys
from pathlib import Path

import astropy
import numpy as np
from astropy.io import fits

here = Path(__file__).parent
rng = np.random.default_rng(7)
ints = (rng.normal(0, 40, (12, 17)).cumsum(axis=1)).round()
floats = rng.normal(0, 3, (2, 12, 17)).astype("f4")


def plain(name, data, **keys):
    hdu = fits.PrimaryHDU(data)
    for key, value in keys.items():
        hdu.header[key] = value
    hdu.writeto(here / name, overwrite=True)


plain("u8.fits", (ints.astype("i2") % 200).astype("u1"), BLANK=7)
plain("i16.fits", ints.astype("i2"), BSCALE=0.25, BZERO=-3.5, BLANK=int(ints[3, 4]))
plain("u16.fits", (ints + 2000).astype("u2"))
plain("i32.fits", (ints * 70001).astype("i4"), BLANK=int(ints[0, 1]) * 70001)
plain("i64.fits", (ints * 3e12).astype("i8"))
plain("f32.fits", np.where(rng.random(floats.shape) < 0.05, np.nan, floats).astype("f4"))
plain("f32_scaled.fits", floats, BSCALE=2.5, BZERO=0.1)
plain("f64.fits", floats.astype("f8") * np.pi)


def packed(name, data, method, **options):
    hdu = fits.CompImageHDU(data, compression_type=method, name="PACKED", **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(here / name, overwrite=True)


for width in ("u1", "i2", "i4"):
    data = (ints + 300).clip(0, 255 if width == "u1" else None).astype(width)
    packed(f"rice_{width}.fits", data, "RICE_1")
packed("rice_tiles.fits", ints.astype("i2"), "RICE_1", tile_shape=(5, 6))
packed("gzip1.fits", ints.astype("i4"), "GZIP_1")
packed("gzip2.fits", ints.astype("i2"), "GZIP_2")
packed("hcompress.fits", ints.astype("i2"), "HCOMPRESS_1", tile_shape=(12, 17))
packed("plio.fits", (ints > 0).astype("i2") * 3, "PLIO_1")
with_nan = floats.copy()
with_nan[0, 2, 3] = np.nan
packed("rice_float.fits", with_nan, "RICE_1", quantize_level=16, quantize_method=1, dither_seed=5)
packed("rice_dither2.fits", np.where(floats < -3, 0, floats).astype("f4"), "RICE_1", quantize_level=16, quantize_method=2, dither_seed=11)
packed("gzip_float.fits", with_nan, "GZIP_2", quantize_level=0)

expected = {"versions": {"astropy": astropy.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}, "files": {}}
for path in sorted(here.glob("*.fits")):
    with fits.open(path) as hdus:
        hdu = hdus[-1]
        data = hdu.data
        if path.name == "f32_scaled.fits":
            data = fits.getdata(path, do_not_scale_image_data=True).astype("f8") * 2.5 + 0.1
        expected["files"][path.name] = {
            "hdu": len(hdus) - 1,
            "shape": list(data.shape),
            "values": [None if np.isnan(x) else float(x) for x in data.astype("f8").ravel()],
        }
(here / "expected.json").write_text(json.dumps(expected) + "\n")
