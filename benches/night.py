"""A synthetic night of alert packets for `peers -- alerts`: `night.py FOLDER PACKETS`.

It writes `FOLDER/NNN.avro`, object container files of 500 packets without a codec, as archives keep them. A packet has the field names that the
preset `survey: lsst` reads, in records of our own that are as large as those of Rubin's schema 11.1 (a source of 100 fields, twelve earlier
ones, an object of 60), and three stamps: FITS files of 51 by 51 pixels with a variance, and the world coordinates of the source; 92 kB in
all. Stamps are Gaussians and noise; 200 different ones take turns, so that a night is made in seconds. All seeds are fixed.
"""

from __future__ import annotations

import io
import pathlib
import sys

import fastavro
import numpy as np
from astropy.io import fits

SIDE, FILE_PACKETS, DIFFERENT = 51, 500, 200
KNOWN = {
    "diaSourceId": "long",
    "visit": "long",
    "detector": "int",
    "diaObjectId": ["null", "long"],
    "midpointMjdTai": "double",
    "ra": "double",
    "dec": "double",
    "psfFlux": ["null", "float"],
    "psfFluxErr": ["null", "float"],
    "snr": ["null", "float"],
    "band": ["null", "string"],
    "reliability": ["null", "float"],
}


def record(name: str, known: dict, others: int) -> dict:
    """A record with these fields, and as many others as there are in all."""
    fields = [{"name": key, "type": kind} for key, kind in known.items()]
    kinds = (["null", "float"], ["null", "boolean"], ["null", "double"], ["null", "int"])
    fields += [{"name": f"other{i:02}", "type": kinds[i % 4]} for i in range(others - len(known))]
    return {"type": "record", "name": name, "fields": fields}


SCHEMA = {
    "type": "record",
    "name": "alert",
    "namespace": "lucarne.night.v11_1",
    "fields": [
        {"name": "diaSource", "type": record("source", KNOWN, 100)},
        {"name": "prvDiaSources", "type": ["null", {"type": "array", "items": "source"}]},
        {"name": "diaObject", "type": ["null", record("object", {"diaObjectId": "long"}, 60)]},
        *({"name": f"cutout{name}", "type": ["null", "bytes"]} for name in ("Difference", "Science", "Template")),
    ],
}


def values(fields: list[dict], rng: np.random.Generator) -> dict:
    """Numbers for the fields that no one reads."""
    made = {"float": rng.normal, "double": rng.normal, "boolean": lambda: bool(rng.random() < 0.5), "int": lambda: int(rng.integers(1000))}
    return {f["name"]: made[f["type"][1]]() if rng.random() < 0.8 else None for f in fields if f["name"].startswith("other")}


def stamp(rng: np.random.Generator, noise: float, flux: float, sky: tuple[float, float]) -> bytes:
    """A FITS file."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    image = fits.PrimaryHDU((flux * np.exp(-(y**2 + x**2) / 10) + rng.normal(0, noise, (SIDE, SIDE))).astype(np.float32))
    step, middle = 0.2 / 3600, SIDE // 2 + 1
    keys = {"BUNIT": "nJy", "WCSAXES": 2, "CRPIX1": middle, "CRPIX2": middle, "PC1_1": -step, "PC1_2": 0.0, "PC2_1": 0.0}
    for key, value in {**keys, "PC2_2": step, "CDELT1": 1.0, "CDELT2": 1.0, "CRVAL1": sky[0], "CRVAL2": sky[1]}.items():
        image.header[key] = value
    variance = fits.ImageHDU(np.full((SIDE, SIDE), noise**2, np.float32), name="UNCERT")
    out = io.BytesIO()
    fits.HDUList([image, variance]).writeto(out)
    return out.getvalue()


def packet(number: int) -> dict:
    """A packet."""
    rng = np.random.default_rng(number)
    fields = SCHEMA["fields"][0]["type"]["fields"]
    sky = (150 + rng.uniform(-1, 1), 2 + rng.uniform(-1, 1))

    def source(number: int) -> dict:
        known = {"diaSourceId": number, "visit": 2026112800000, "detector": number % 189, "diaObjectId": number // 2}
        known |= {"midpointMjdTai": 61372.1, "ra": sky[0], "dec": sky[1], "psfFlux": float(rng.normal()), "psfFluxErr": 45.0}
        return {**values(fields, rng), **known, "snr": 7.5, "band": "i", "reliability": float(rng.random())}

    flux = 400 * rng.random()
    return {
        "diaSource": source(number),
        "prvDiaSources": [source(number + i) for i in range(1, 13)],
        "diaObject": {**values(SCHEMA["fields"][2]["type"][1]["fields"], rng), "diaObjectId": number},
        "cutoutDifference": stamp(rng, 46, flux, sky),
        "cutoutScience": stamp(rng, 45, flux, sky),
        "cutoutTemplate": stamp(rng, 7, flux / 4, sky),
    }


def main() -> None:
    """Writes the night."""
    folder, packets = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    schema = fastavro.parse_schema(SCHEMA)
    different = [packet(1000 * number) for number in range(min(DIFFERENT, packets))]
    for start in range(0, packets, FILE_PACKETS):
        numbers = range(start, min(start + FILE_PACKETS, packets))
        records = ({**(made := different[n % DIFFERENT]), "diaSource": {**made["diaSource"], "diaSourceId": 10**17 + n}} for n in numbers)
        with open(folder / f"{start // FILE_PACKETS:03}.avro", "wb") as file:
            fastavro.writer(file, schema, records, sync_interval=100_000)


if __name__ == "__main__":
    main()
