"""Alert packets for `tests/it/alerts.rs`, and what fastavro, astropy and onnxruntime read in them.

    python -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/python make.py

`packets/` has small container files of our own, one for each codec, and one with a later version of the schema. `messages.bin` has 240
packets as a broker sends them, each behind its length (4 bytes, little-endian): every tenth is of version 2, and `schemas/` has both
schemas by their number. `expected.json` has
digests of every field and every stamp of the public packets in `../shared/data` (seen from the root of the project), which are not part of it.
"""

import glob
import gzip
import hashlib
import io
import json
import pathlib
import struct
import sys
import warnings

import astropy
import fastavro
import numpy as np
from astropy.io import fits

HERE = pathlib.Path(__file__).parent
SHARED = HERE.parents[2].parent / "shared" / "data"
STAMPS = {"difference": "cutoutDifference", "science": "cutoutScience", "template": "cutoutTemplate"}
# Sides that hold all stamps and PSFs of the public packets.
SIZES = {"lsst": 71, "ztf": 63}
PSF_SIZE = 77


def types_of(schema, named):
    """Remembers the named types of a schema."""
    if isinstance(schema, list):
        for one in schema:
            types_of(one, named)
    elif isinstance(schema, dict):
        if schema["type"] == "record":
            named[schema["name"]] = schema
            for field in schema["fields"]:
                types_of(field["type"], named)
        elif schema["type"] == "array":
            types_of(schema["items"], named)
        elif isinstance(schema["type"], (dict, list)):
            types_of(schema["type"], named)


def canonical(value, schema, named, out):
    """Appends a value as bytes that tell its type and all of its bits."""
    if isinstance(schema, list):
        others = [one for one in schema if one != "null"]
        if value is None:
            out.append(b"n;")
            return
        assert len(others) == 1, schema
        return canonical(value, others[0], named, out)
    if isinstance(schema, str) and schema in named:
        schema = named[schema]
    if isinstance(schema, dict) and schema["type"] not in ("record", "array"):
        return canonical(value, schema["type"], named, out)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "record":
        out.append(b"{")
        for field in schema["fields"]:
            canonical(value[field["name"]], field["type"], named, out)
        out.append(b"}")
    elif kind == "array":
        out.append(b"[")
        for item in value:
            canonical(item, schema["items"], named, out)
        out.append(b"]")
    elif kind == "boolean":
        out.append(b"t;" if value else b"f;")
    elif kind in ("int", "long"):
        out.append(b"i%d;" % value)
    elif kind == "float":
        out.append(b"4%s;" % struct.pack(">f", value).hex().encode())
    elif kind == "double":
        out.append(b"8%s;" % struct.pack(">d", value).hex().encode())
    elif kind == "string":
        out.append(b"s" + value.encode() + b";")
    elif kind == "bytes":
        out.append(b"b%d:" % len(value) + value + b";")
    else:
        raise ValueError(schema)


def digest(parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()


def placed(pixels, size):
    """Pixel n/2 stays pixel n/2; what is outside is not there."""
    out, there = np.zeros((size, size), np.float32), np.zeros((size, size), bool)
    start = [size // 2 - length // 2 for length in pixels.shape]
    where = tuple(slice(first, first + length) for first, length in zip(start, pixels.shape))
    out[where], there[where] = pixels.astype(np.float32), True
    return out, there


def stamp_digests(bytes_, size):
    """Of image, variance, mask and PSF: padded to `size`, with 0 at pixels that are not finite."""
    if bytes_[:2] == b"\x1f\x8b":
        bytes_ = gzip.decompress(bytes_)
    hdus = fits.open(io.BytesIO(bytes_))
    image, there = placed(hdus[0].data, size)
    variance = psf = None
    bad = ~there | ~np.isfinite(image)
    for hdu in hdus[1:]:
        if hdu.name == "UNCERT":
            assert hdu.header["UTYPE"] == "VarianceUncertainty"
            variance, _ = placed(hdu.data, size)
            bad |= ~np.isfinite(variance)
        if hdu.name == "PSFIMAGE":
            psf, _ = placed(hdu.data, PSF_SIZE)
    image[bad] = 0
    found = {"image": digest([image.astype("<f4").tobytes()]), "mask": digest([bad.astype("<u8").tobytes()])}
    if variance is not None:
        variance[bad] = 0
        found["variance"] = digest([variance.astype("<f4").tobytes()])
        found["psf"] = digest([psf.astype("<f4").tobytes()])
    return found


def public(survey, pattern):
    """Digests of the public packets of a survey, by file name."""
    found = {}
    for path in sorted(glob.glob(str(SHARED / f"alerts_{survey}" / pattern))):
        reader = fastavro.reader(open(path, "rb"))
        schema = reader.writer_schema
        (packet,) = list(reader)
        named = {}
        types_of(schema, named)
        fields = {}
        for field in schema["fields"]:
            out = []
            canonical(packet[field["name"]], field["type"], named, out)
            fields[field["name"]] = digest(out)
        stamps = {}
        for name, field in STAMPS.items():
            value = packet[field]
            stamps[name] = stamp_digests(value["stampData"] if isinstance(value, dict) else value, SIZES[survey])
        found[pathlib.Path(path).name] = {"fields": fields, "stamps": stamps}
    return found


def own_schema(version):
    """A schema of our own with names like Rubin's. Version 2 has wider types, another order, and a field more."""
    wide = version > 1
    source = {
        "type": "record",
        "name": f"own.v{version}_0.source",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "detector", "type": ["null", "long"] if wide else "int"},
            {"name": "snr", "type": ["null", "double"] if wide else ["null", "float"]},
            {"name": "band", "type": {"type": "enum", "name": f"own.v{version}_0.band", "symbols": ["g", "r", "i"]}},
            {"name": "flags", "type": {"type": "array", "items": "boolean"}},
            {"name": "when", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
    fields = [
        {"name": "source", "type": source},
        {"name": "earlier", "type": ["null", {"type": "array", "items": f"own.v{version}_0.source"}]},
        {"name": "stamp", "type": ["null", "bytes"]},
    ]
    if wide:
        fields = [{"name": "added", "type": "string"}] + fields[::-1]
        source["fields"] = source["fields"][::-1]
        # The first mention of a type has to define it.
        fields[2] = {"name": "earlier", "type": ["null", {"type": "array", "items": source}]}
        fields[3] = {"name": "source", "type": f"own.v{version}_0.source"}
    return {"type": "record", "name": f"own.v{version}_0.packet", "fields": fields}


def own_stamp(number):
    """A gzipped stamp, 5 by 6 pixels."""
    pixels = (np.arange(30, dtype=np.float32).reshape(5, 6) - 3.5) * (number + 1)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header["BUNIT"] = "nJy"
    out = io.BytesIO()
    hdu.writeto(out)
    return gzip.compress(out.getvalue(), mtime=0)


def own_packet(number):
    source = lambda number: {
        "id": 169298432598474793 + number,
        "detector": number,
        "snr": None if number % 4 == 3 else number + 0.25,
        "band": "gri"[number % 3],
        "flags": [True, False][: number % 3],
        "when": 1_757_000_000_000_000 + number,
    }
    return {
        "added": "new",
        "source": source(number),
        "earlier": None if number % 5 == 4 else [source(k) for k in range(number % 3)],
        "stamp": own_stamp(number),
    }


def main():
    warnings.simplefilter("ignore")
    packets = HERE / "packets"
    packets.mkdir(exist_ok=True)
    sync = bytes(range(16))
    for codec in ("null", "deflate", "bzip2", "snappy", "zstandard"):
        with open(packets / f"{codec}.avro", "wb") as out:
            records = [own_packet(number) for number in range(12)]
            fastavro.writer(out, own_schema(1), records, codec=codec, sync_marker=sync, sync_interval=1500)
    with open(packets / "version_2.avro", "wb") as out:
        fastavro.writer(out, own_schema(2), [own_packet(number) for number in range(12, 16)], sync_marker=sync)
    schemas = HERE / "schemas"
    schemas.mkdir(exist_ok=True)
    for version in (1, 2):
        (schemas / f"{version}.avsc").write_text(json.dumps(own_schema(version), indent=1) + "\n")
    with open(HERE / "messages.bin", "wb") as out:
        for number in range(240):
            version = 2 if number % 10 == 9 else 1
            record = io.BytesIO()
            fastavro.schemaless_writer(record, fastavro.parse_schema(own_schema(version)), own_packet(number))
            message = b"\0" + version.to_bytes(4, "big") + record.getvalue()
            out.write(len(message).to_bytes(4, "little") + message)
    expected = {
        "versions": {"fastavro": fastavro.__version__, "astropy": astropy.__version__, "numpy": np.__version__},
        "lsst": public("lsst", "1*.avro"),
        "ztf": public("ztf", "*.avro"),
    }
    assert (len(expected["lsst"]), len(expected["ztf"])) == (40, 36), sys.exit("the public packets are not there")
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
