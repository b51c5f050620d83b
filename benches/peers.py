"""The other side of the benches: what a user would write today with GalSim, fitsio, astropy, onnxruntime and pyarrow.

`peers.py WORK FOLDER [options]` reads the FITS cutouts of a folder (float32 cubes [band, y, x] in nJy, 0.2 arcsec), does one
piece of work on all of them on one thread, and prints one JSON line: objects, CPU seconds, wall seconds. With `--out FILE`
it stores what it made as .npy, so that both sides can be compared before their times are.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import time

os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})

import numpy as np

BANDS = "gri"
# LSST, seconds a year, electrons/s at AB 24, sky mag/arcsec2, zenith FWHM arcsec, wavelength nm (as src/survey/lsst.yaml).
PER_YEAR = {"g": 240.0, "r": 552.0, "i": 552.0}
ZERO_POINT = {"g": 50.70, "r": 43.70, "i": 32.36}
SKY = {"g": 22.3, "r": 21.2, "i": 20.5}
FWHM = {"g": 0.73, "r": 0.70, "i": 0.67}
WAVELENGTH_NM = {"g": 478.998, "r": 619.952, "i": 752.851}
MIRROR_M, OBSCURATION, AIRMASS, PIXEL = 8.36, 0.6401, 1.2, 0.2


def read_astropy(paths: list[str]):
    from astropy.io import fits

    for path in paths:
        with fits.open(path) as hdus:
            yield np.asarray(hdus[0].data, np.float32)


def read_fitsio(paths: list[str]):
    import fitsio

    for path in paths:
        yield fitsio.read(path)


class Survey:
    """LSST by GalSim. `accurate` is the oracle's setting; without it, GalSim's defaults, which are quicker."""

    def __init__(self, accurate: bool = False):
        import galsim

        self.galsim = galsim
        self.gsp = galsim.GSParams(maximum_fft_size=16384)
        if accurate:
            self.gsp = galsim.GSParams(
                folding_threshold=1e-4, kvalue_accuracy=1e-8, maxk_threshold=1e-6, maximum_fft_size=16384
            )
        self.psf = {
            band: galsim.Convolve(
                galsim.Kolmogorov(fwhm=FWHM[band] * AIRMASS**0.6, gsparams=self.gsp),
                galsim.Airy(lam=WAVELENGTH_NM[band], diam=MIRROR_M, obscuration=OBSCURATION, gsparams=self.gsp),
                gsparams=self.gsp,
            )
            for band in BANDS
        }

    def blur(self, image: np.ndarray) -> np.ndarray:
        galsim, out = self.galsim, np.empty_like(image)
        for plane, band in enumerate(BANDS):
            stamp = galsim.Image(image[plane].astype(np.float64), scale=PIXEL)
            drawn = galsim.InterpolatedImage(stamp, x_interpolant="quintic", normalization="flux", gsparams=self.gsp)
            seen = galsim.Convolve([drawn, self.psf[band]], gsparams=self.gsp)
            shape = image[plane].shape
            out[plane] = seen.drawImage(nx=shape[1], ny=shape[0], scale=PIXEL, method="no_pixel").array
        return out

    def observe(self, image: np.ndarray, years: float, rng) -> np.ndarray:
        blurred = self.blur(image)
        return self.expose(blurred, years, rng)

    def expose(self, blurred: np.ndarray, years: float, rng) -> np.ndarray:
        out = np.empty_like(blurred)
        for plane, band in enumerate(BANDS):
            seconds = PER_YEAR[band] * years
            gain = seconds * ZERO_POINT[band] * 10**-2.96
            sky = seconds * ZERO_POINT[band] * 10 ** (-0.4 * (SKY[band] - 24)) * PIXEL**2
            stamp = self.galsim.Image(blurred[plane].astype(np.float64) * gain + sky)
            stamp.addNoise(self.galsim.PoissonNoise(rng, sky_level=0.0))
            out[plane] = stamp.array - sky
        return out


def stretch(x: np.ndarray, lo: float, hi: float) -> np.ndarray:
    return ((np.arcsinh(0.85 / hi * np.clip(x, lo, hi)) + 1) / 2).astype(np.float32)


def session(path: str):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def card(path: str) -> dict:
    return json.loads(session(path).get_modelmeta().custom_metadata_map["lucarne_card"])


def chain(args, paths: list[str]) -> None:
    """FITS -> observe twice -> stretch -> score twice -> Parquet, by the libraries' ordinary calls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    survey = Survey()
    rng = survey.galsim.BaseDeviate(1)
    sessions = [session(model) for model in args.model]
    domains = card(args.model[0])["domains"] if args.model else {"y10": {"lo": -1136, "hi": 23822}, "y1": {"lo": -367, "hi": 2388}}
    writer = None
    for start in range(0, len(paths), args.batch):
        batch = paths[start : start + args.batch]
        images = {domain: [] for domain in ("y10", "y1")}
        for image in read_astropy(batch):
            for domain, years in (("y10", 10), ("y1", 1)):
                seen = survey.observe(image, years, rng)
                images[domain].append(stretch(seen, domains[domain]["lo"], domains[domain]["hi"]))
        columns = {"object_id": pa.array([os.path.basename(path) for path in batch])}
        for domain, stack in images.items():
            pixels = np.stack(stack)
            for number, model in enumerate(sessions):
                latent, logits = model.run(["latent", "logits"], {"image": pixels})
                flat = pa.array(latent.reshape(-1))
                columns[f"m{number}_{domain}_latent"] = pa.FixedSizeListArray.from_arrays(flat, latent.shape[1])
                columns[f"m{number}_{domain}_class"] = pa.array(logits.argmax(1))
            if not sessions:
                columns[f"{domain}_mean"] = pa.array(pixels.mean((1, 2, 3)))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(args.out or os.devnull, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["fits", "blur", "observe", "score", "chain"])
    parser.add_argument("folder")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--accurate", action="store_true", help="GalSim with the oracle's settings, for the comparison")
    parser.add_argument("--out")
    args = parser.parse_args()
    paths = sorted(glob.glob(os.path.join(args.folder, "*.fits")))[: args.limit]

    results: list[np.ndarray] | None = []
    if args.work == "fits":
        list(read_fitsio(paths[:64]))
        cpu, wall = time.process_time(), time.perf_counter()
        total = 0.0
        for image in read_fitsio(paths):
            total += float(image[0, 0, 0])
        results = None
    elif args.work in ("blur", "observe"):
        images = list(read_fitsio(paths))
        survey = Survey(args.accurate)
        rng = survey.galsim.BaseDeviate(1)
        survey.blur(images[0])
        cpu, wall = time.process_time(), time.perf_counter()
        for image in images:
            results.append(survey.blur(image) if args.work == "blur" else survey.observe(image, 10, rng))
    elif args.work == "score":
        domain = card(args.model[0])["domains"]["y10"]
        images = np.stack([stretch(image, domain["lo"], domain["hi"]) for image in read_fitsio(paths)])
        model = session(args.model[0])
        model.run(None, {"image": images[: args.batch]})
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, len(images), args.batch):
            results.append(model.run(["logits"], {"image": images[start : start + args.batch]})[0])
        results = [np.concatenate(results)]
    else:
        # Imports and plans are not counted: a short run first.
        short = argparse.Namespace(**{**vars(args), "out": None})
        chain(short, paths[:2])
        cpu, wall = time.process_time(), time.perf_counter()
        chain(args, paths)
        results = None
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    if args.out and results:
        np.save(args.out, np.stack(results) if len(results) > 1 else results[0])
    print(json.dumps({"work": args.work, "objects": len(paths), **spent}))


if __name__ == "__main__":
    main()
