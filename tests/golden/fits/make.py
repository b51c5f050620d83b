"""Small FITS files of every kind of image, and their values as astropy reads them (expected.json).

`versions` in expected.json says what it was made with: Python 3.11.7, astropy 8.0.2, numpy 2.4.6. astropy scales float32
in float32; here that is done in float64, as the standard has no opinion and cfitsio does it so.
"""

import gzip
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

# A stack of cutouts, one of whose planes cannot be quantised; integers with BLANK; what cfitsio does not write.
stack = rng.normal(0, 3, (3, 2, 8, 9)).astype("f4")
stack[1, 0] = 2.5
packed("rice_stack.fits", stack, "RICE_1", tile_shape=(1, 1, 8, 9), quantize_level=8, quantize_method=1, dither_seed=9999)
packed("hcompress_stack.fits", stack, "HCOMPRESS_1", tile_shape=(1, 1, 8, 9), quantize_level=8, hcomp_scale=2, hcomp_smooth=1)
packed("gzip2_stack.fits", np.where(stack > 5, np.nan, stack).astype("f4"), "GZIP_2", tile_shape=(2, 1, 3, 9), quantize_level=8)
packed("gzip_double.fits", with_nan[0].astype("f8") * np.pi, "GZIP_1", quantize_level=0)
blank = fits.CompImageHDU(ints.astype("i2"), compression_type="RICE_1", name="PACKED")
blank.header["BLANK"] = int(ints[3, 4])
fits.HDUList([fits.PrimaryHDU(), blank]).writeto(here / "rice_blank.fits", overwrite=True, output_verify="ignore")


def table(name, bitpix, shape, method, columns, **keys):
    """A table of tiles (a tile is a row of the image) from columns that are given."""
    hdu = fits.BinTableHDU.from_columns([fits.Column(name=key, format=form, array=array) for key, form, array in columns])
    axes = {"ZNAXIS": len(shape)} | {f"ZNAXIS{axis}": length for axis, length in enumerate(shape[::-1], 1)}
    axes |= {f"ZTILE{axis}": length if axis == 1 else 1 for axis, length in enumerate(shape[::-1], 1)}
    for key, value in ({"ZIMAGE": True, "ZCMPTYPE": method, "ZBITPIX": bitpix} | axes | keys).items():
        hdu.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(here / name, overwrite=True)


def streams(*tiles):
    array = np.empty(len(tiles), dtype=object)
    array[:] = [np.frombuffer(tile, "u1") if isinstance(tile, bytes) else np.asarray(tile) for tile in tiles]
    return array


def packed_bytes(numbers):
    return gzip.compress(numbers.tobytes(), mtime=0)


steps = np.array([[3, -1, 4, 1, -2147483647, 9], [2, 7, -7, -2147483647, 2, 8]], ">i4")
raw = np.array([1.5, np.nan, -2.25, 0, 1e-3, 7], ">f4")
nothing = np.array([], "f4")
for name, column in (
    ("uncompressed", ("UNCOMPRESSED_DATA", "QE()", streams(nothing, nothing, raw.astype("f4")))),
    ("unquantised", ("GZIP_COMPRESSED_DATA", "QB()", streams(b"", b"", packed_bytes(raw)))),
):
    columns = [
        ("ZZERO", "1D", np.array([10.0, -3.5, 0])),
        column,
        ("ZBLANK", "1J", np.array([-2147483647, -7, 0], "i4")),
        ("COMPRESSED_DATA", "QB()", streams(packed_bytes(steps[0]), packed_bytes(steps[1]), b"")),
        ("ZSCALE", "1D", np.array([0.1, 0.25, 0])),
    ]
    table(f"{name}.fits", -32, (3, 6), "GZIP_1", columns, ZQUANTIZ="NO_DITHER")

# Floats that are not normal, on which readers differ: `src/fits/cfitsio_tests.rs` compares them with cfitsio alone.
odd = np.array([np.inf, -np.inf, -0.0, 1e-45, -1e-310, np.nan, 1e-38, 2e300, -1.5])
for number, (form, keys) in enumerate((form, keys) for form in (">f4", ">f8") for keys in ({}, {"ZBLANK": 7}, {"BSCALE": 2.0, "BZERO": -0.5, "ZBLANK": 7})):
    with np.errstate(over="ignore"):
        tile = odd.astype(form)
    columns = [("COMPRESSED_DATA", "QB()", streams(packed_bytes(tile)))]
    table(f"odd_floats_{number}.fits", -8 * tile.itemsize, (1, 9), "GZIP_1", columns, **keys)

expected = {"versions": {"astropy": astropy.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}, "files": {}}
for path in sorted(set(here.glob("*.fits")) - set(here.glob("odd_*"))):
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
