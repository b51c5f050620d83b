"""What `match_exposure` makes of templates of the simulated packets, by numpy alone. Versions: astropy 8.0.2, fastavro 1.13.1, numpy 2.4.6.

    python tests/golden/alerts/match_exposure.py        # from the root of the project

It writes `match_exposure.json`: for three packets, pixels of the template that is blurred to the visit and of its variance (rows and
columns 0, 7, 14, 21, 28 of 29), and widths of the three point spreads, sqrt(1 / sum of squares). Everything is computed on a grid of
256 pixels, the convolution of the variance pixel by pixel.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import fastavro
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
SIDE, GRID, STEP = 29, 256, 7
PACKETS = (0, 20, 47)
Array = NDArray[np.float64]


def planes(stamp: bytes) -> tuple[Array, Array, Array]:
    """Pixels and variances about the source, and the point spread."""
    with fits.open(io.BytesIO(gzip.decompress(stamp))) as file:
        header = file[0].header
        y, x = (int(np.floor(header[key] - 0.5)) - SIDE // 2 for key in ("CRPIX2", "CRPIX1"))
        cut = [file[hdu].data[y : y + SIDE, x : x + SIDE].astype(np.float64) for hdu in (0, 1)]
        return cut[0], cut[1], file[2].data.astype(np.float64)


def transform(psf: Array) -> NDArray[np.complex128]:
    """Of a point spread of unit flux about its centroid."""
    psf = psf / psf.sum()
    rows, columns = np.mgrid[: psf.shape[0], : psf.shape[1]]
    waves = 2 * np.pi * np.fft.fftfreq(GRID)
    y = np.exp(-1j * np.outer(waves, np.arange(psf.shape[0]) - (psf * rows).sum()))
    x = np.exp(-1j * np.outer(np.arange(psf.shape[1]) - (psf * columns).sum(), waves))
    return y @ psf @ x


def width(psf: Array) -> float:
    """The width of a point spread, pixels."""
    return float(np.sqrt(psf.sum() ** 2 / (psf**2).sum()))


def matched(number: int, schema: dict[str, object]) -> dict[str, object]:
    """The values of a packet."""
    message = (ROOT / f"pipelines/alerts/messages/{number:04}.avro").read_bytes()
    record = fastavro.schemaless_reader(io.BytesIO(message[5:]), schema, None)
    (_, _, visit_psf), (pixels, variance, psf) = (planes(record[f"cutout{name}"]) for name in ("Science", "Template"))
    own, other = transform(psf), transform(visit_psf)
    known, wanted = np.abs(own), np.abs(other)
    # An amplitude of at most 1, without waves that the template hardly has, with the phase of the ratio.
    gain = known * np.minimum(wanted, known) / (known**2 + 1e-6) * np.exp(1j * (np.angle(other) - np.angle(own)))
    taps = np.fft.ifft2(gain).real
    blurred = np.fft.ifft2(np.fft.fft2(pixels, (GRID, GRID)) * gain).real[:SIDE, :SIDE]
    noise = np.zeros((SIDE, SIDE))
    for y in range(SIDE):
        for x in range(SIDE):
            squares = taps[np.ix_((np.arange(SIDE) - y) % GRID, (np.arange(SIDE) - x) % GRID)] ** 2
            noise += variance[y, x] * squares
    spread = np.zeros((GRID, GRID))
    spread[: psf.shape[0], : psf.shape[1]] = psf
    after = np.roll(np.fft.ifft2(np.fft.fft2(spread) * gain).real, (50, 50), axis=(0, 1))
    at = slice(0, SIDE, STEP)
    return {
        "object_id": str(record["diaSource"]["diaSourceId"]),
        "pixels": np.round(blurred[at, at], 4).ravel().tolist(),
        "variances": np.round(noise[at, at], 6).ravel().tolist(),
        "widths": {"template": width(psf), "visit": width(visit_psf), "blurred": width(after)},
    }


def main() -> None:
    """Writes the file."""
    schema = fastavro.parse_schema(json.loads((ROOT / "pipelines/alerts/schemas/1.avsc").read_text()))
    found = [matched(number, schema) for number in PACKETS]
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
