"""The peers of the benches: the code that a user would write today with GalSim, fitsio, astropy, fastavro, onnxruntime and pyarrow.

`peers.py WORK INPUT [options]` does one piece of work on one thread and prints one JSON line: objects, CPU seconds, wall
seconds. The input is a folder of FITS cutouts (float32 cubes [band, y, x] in nJy, 0.2 arcsec); for `score` and `parquet` an
array in a .npy file, for `tiles` a folder with images of the sky and a catalogue, for `alerts_*` a folder of container files
(`night.py`). With `--out FILE` it stores the result (.npy; for `parquet` and `chain` Parquet), so that the results of
both sides are compared before their times. Imports, loading of models and first calls are not counted.
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
    """Yields the name and the pixels of each file."""
    from astropy.io import fits

    for path in paths:
        with fits.open(path) as hdus:
            yield hdus[0].header["OBJECT"], np.asarray(hdus[0].data, np.float32)


def read_fitsio(paths: list[str]):
    import fitsio

    for path in paths:
        yield fitsio.read(path)


class Survey:
    """LSST in GalSim. `accurate` takes the settings of the oracle tests instead of GalSim's defaults, which are faster."""

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
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def card(path: str) -> dict:
    return json.loads(session(path).get_modelmeta().custom_metadata_map["lucarne_card"])


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def lists(values: np.ndarray):
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


class Chain:
    """FITS -> observe twice -> stretch -> score twice -> Parquet, by the libraries' ordinary calls.

    The two exposures share one blur, which takes most of the time of GalSim: a hand-written chain would do the same.
    """

    DOMAINS = {"y10": 10.0, "y1": 1.0}

    def __init__(self, model: str | None, batch: int):
        self.survey = Survey()
        self.rng = self.survey.galsim.BaseDeviate(1)
        self.batch = batch
        self.session = session(model) if model else None
        self.card = card(model) if model else {"domains": {"y10": {"lo": -1136, "hi": 23822}, "y1": {"lo": -367, "hi": 2388}}}

    def run(self, paths: list[str], out: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = []
        for start in range(0, len(paths), self.batch):
            batch = paths[start : start + self.batch]
            images = {domain: [] for domain in self.DOMAINS}
            names = []
            for name, image in read_astropy(batch):
                names.append(name)
                blurred = self.survey.blur(image)
                for domain, years in self.DOMAINS.items():
                    clips = self.card["domains"][domain]
                    images[domain].append(stretch(self.survey.expose(blurred, years, self.rng), clips["lo"], clips["hi"]))
            columns = {"object_id": pa.array(names), "origin": pa.array(batch)}
            for domain, stack in images.items():
                pixels = np.stack(stack)
                if self.session:
                    latent, logits = self.session.run(["latent", "logits"], {"image": pixels})
                    columns[f"da_{domain}_class"] = pa.array([self.card["classes"][k] for k in logits.argmax(1)])
                    columns[f"da_{domain}_probability"] = lists(softmax(logits))
                    columns[f"da_{domain}_latent"] = lists(latent)
            tables.append(pa.table(columns))
        pq.write_table(pa.concat_tables(tables), out, compression="zstd", compression_level=1)


def versions() -> str:
    import importlib.metadata
    import platform

    names = ("galsim", "fitsio", "astropy", "fastavro", "numpy", "onnxruntime", "pyarrow", "scikit-learn")
    return ", ".join([f"Python {platform.python_version()}"] + [f"{n} {importlib.metadata.version(n)}" for n in names])


class Clock:
    """CPU and wall seconds since it was made."""

    def __init__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        return {"cpu_seconds": time.process_time() - self.cpu, "wall_seconds": time.perf_counter() - self.wall}


def read_files(args, paths):
    if args.work == "fits":
        read = read_fitsio
    else:
        read = lambda paths: (image for _, image in read_astropy(paths))  # noqa: E731
    list(read(paths[:64]))
    clock = Clock()
    total = 0.0
    for image in read(paths):
        total += float(image[0, 0, 0])
    spent = clock.read()
    return len(paths), spent, np.stack(list(read(paths))) if args.out else None


def observe(args, paths):
    images = list(read_fitsio(paths))
    survey = Survey(args.accurate == "yes")
    rng = survey.galsim.BaseDeviate(1)
    survey.observe(images[0], 10, rng)
    results = []
    clock = Clock()
    for image in images:
        results.append(survey.blur(image) if args.work == "blur" else survey.observe(image, 10, rng))
    return len(images), clock.read(), np.stack(results)


def score(args, _):
    images = np.load(args.input)
    model = session(args.model)
    model.run(None, {"image": images[: args.batch]})
    results = []
    clock = Clock()
    for start in range(0, len(images), args.batch):
        latent, logits = model.run(["latent", "logits"], {"image": images[start : start + args.batch]})
        results.append(logits)
    return len(images), clock.read(), np.concatenate(results)


def candidates(args, _):
    """Whole images with one pixel replaced, in batches."""
    images, changes = np.load(args.input), np.load(args.changes)
    model = session(args.model)
    model.run(None, {"image": images[: args.batch]})
    results = []
    clock = Clock()
    for image, rows in zip(images, changes):
        for start in range(0, len(rows), args.batch):
            batch = rows[start : start + args.batch]
            results.append(model.run(["logits"], {"image": with_pixels(image, batch[:, 0].astype(int), batch[:, 1:])})[0])
    return changes.shape[0] * changes.shape[1], clock.read(), np.concatenate(results)


def with_pixels(image: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Copies of an image `[band, y, x]`, each with one pixel replaced in all bands."""
    copies = np.repeat(image[None], len(places), axis=0)
    copies.reshape(len(places), len(image), -1)[np.arange(len(places)), :, places] = values
    return copies


def windows(args, _):
    """The class on a plane of 221 x 221 points through three latents, of an affine head."""
    latents, head = np.load(args.input).astype(np.float64), np.load(args.changes).astype(np.float64)
    weights, bias = head[:, :-1], head[:, -1]
    axis = (np.arange(221) - 110) * 0.01

    def window(z0, z1, z2):
        origin, across, up = weights @ z0 + bias, weights @ (z1 - z0), weights @ (z2 - z0)
        return (origin + axis[:, None, None] * up + axis[None, :, None] * across).argmax(axis=2)

    window(*latents[0])
    clock = Clock()
    results = [window(*each) for each in latents]
    return len(latents), clock.read(), np.stack(results)


def samples(args) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two samples, and the permuted groups: rows of indices of the pooled sample that make the second one."""
    pooled, groups = np.load(args.input).astype(np.float64), np.load(args.changes).astype(int)
    return pooled[: -groups.shape[1]], pooled[-groups.shape[1] :], groups


def mmd(args, _):
    """Unbiased MMD^2 of two samples and of permuted groups: one kernel matrix, and one product with all groups."""
    x, y, groups = samples(args)
    variances = [float(s) for s in args.variances.split(",")]

    def kernel(z):
        squares = (z * z).sum(1)
        distances = np.maximum(squares[:, None] + squares[None] - 2 * z @ z.T, 0)
        k = sum(np.exp(distances / (-2 * s)) for s in variances)
        np.fill_diagonal(k, 0)
        return k

    def statistics():
        k = kernel(np.concatenate([x, y]))
        inside = np.zeros((len(k), len(groups) + 1))
        inside[len(x) :, 0] = 1
        for column, group in enumerate(groups):
            inside[group, column + 1] = 1
        sums = k @ inside
        n, m = len(x), len(y)
        within = (sums * inside).sum(0)
        across = sums.sum(0) - within
        outside = k.sum() - within - 2 * across
        return within / (m * (m - 1)) + outside / (n * (n - 1)) - 2 * across / (m * n)

    clock = Clock()
    result = statistics()
    return 1, clock.read(), result


def alibi(args, _):
    """The same test by alibi-detect, with permutations of its own and one kernel."""
    import torch
    from alibi_detect.cd import MMDDrift
    from alibi_detect.utils.pytorch import GaussianRBF

    torch.set_num_threads(1)
    x, y, groups = samples(args)
    # Its kernel is exp(-d^2 / (2 sigma^2)).
    sigma = torch.tensor([float(args.variances) ** 0.5], dtype=torch.float32)
    x, y = x.astype(np.float32), y.astype(np.float32)
    detector = MMDDrift(x, backend="pytorch", kernel=GaussianRBF, sigma=sigma.numpy(), n_permutations=len(groups), device="cpu")
    detector.predict(y[:64])
    clock = Clock()
    found = detector.predict(y)
    return 1, clock.read(), np.array([found["data"]["distance"]])


def isomap(args, _):
    """An embedding in two dimensions by scikit-learn, five neighbours."""
    from sklearn.manifold import Isomap

    points = np.load(args.input).astype(np.float64)
    Isomap(n_neighbors=5).fit_transform(points[:200])
    clock = Clock()
    result = Isomap(n_neighbors=5).fit_transform(points)
    return 1, clock.read(), result


def attack(args, _):
    """The authors' algorithm: 400 candidates, x1 + 0.5 (x2 - x3), at most 80 generations, every wrong class in order until one
    succeeds. Candidates are made and scored in batches; all else is vectorised over the population."""
    images = np.load(args.input)
    model = session(args.model)
    model.run(None, {"image": images[: args.batch]})
    rng = np.random.default_rng(1)
    population, generations = 400, 80

    def fitness(image, genes, target):
        side = image.shape[-1]
        rows, columns = np.minimum((genes[:, :2] * side).astype(int), side - 1).T
        odds = []
        for start in range(0, len(genes), args.batch):
            part = slice(start, start + args.batch)
            batch = with_pixels(image, (rows * side + columns)[part], genes[part, 2:].astype(np.float32))
            odds.append(softmax(model.run(["logits"], {"image": batch})[0])[:, target])
        return np.concatenate(odds)

    def flips(image):
        before = int(model.run(["logits"], {"image": image[None]})[0].argmax())
        for target in (k for k in range(3) if k != before):
            genes = rng.random((population, 5))
            genes[:, 2:] = np.clip(rng.normal(0.5, 0.5, (population, 3)), 0, 1)
            fit = fitness(image, genes, target)
            for _ in range(generations):
                if fit.max() > 0.5:
                    return True
                # Three others, all different, none the member itself.
                others = np.argsort(rng.random((population, population - 1)), axis=1)[:, :3]
                others += others >= np.arange(population)[:, None]
                children = genes[others[:, 0]] + 0.5 * (genes[others[:, 1]] - genes[others[:, 2]])
                outside = (children < 0) | (children > 1)
                children[outside] = rng.random(outside.sum())
                tried = fitness(image, children, target)
                better = tried > fit
                genes[better], fit[better] = children[better], tried[better]
            if fit.max() > 0.5:
                return True
        return False

    clock = Clock()
    result = [flips(image) for image in images]
    return len(images), clock.read(), np.array(result, np.float32)


def write_parquet(args, _):
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = np.load(args.input)
    table = pa.table({"object_id": pa.array([f"{row:06}" for row in range(len(values))]), "latent": lists(values)})
    pq.write_table(table.slice(0, 64), args.out, compression="zstd", compression_level=1)
    clock = Clock()
    pq.write_table(table, args.out, compression="zstd", compression_level=1)
    return len(values), clock.read(), None


TILE_SIDE, CUTOUT, TILE_SCALE = 5000, 64, 0.2 / 3600


def make_tiles(args, _):
    """Images of the sky in three bands, plain and compressed by tiles of 100 by 100 pixels, and positions in no order."""
    from astropy.io import fits
    from astropy.wcs import WCS

    rng = np.random.default_rng(1)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [TILE_SIDE / 2 + 0.5] * 2, [-TILE_SCALE, TILE_SCALE]
    for band in BANDS:
        header = wcs.to_header()
        header["FILTER"], header["BUNIT"] = band, "nJy"
        pixels = rng.normal(0, 10, (TILE_SIDE, TILE_SIDE)).astype(np.float32)
        fits.writeto(os.path.join(args.input, f"plain_{band}.fits"), pixels, header)
        rice = fits.CompImageHDU(pixels, header, compression_type="RICE_1", tile_shape=(100, 100), quantize_level=16, dither_seed=1)
        rice.writeto(os.path.join(args.input, f"rice_{band}.fits"))
    places = rng.uniform(CUTOUT, TILE_SIDE - CUTOUT, (args.limit, 2))
    sky = wcs.pixel_to_world_values(places)
    rows = "".join(f"{row},{ra!r},{dec!r}\n" for row, (ra, dec) in enumerate(np.asarray(sky).tolist()))
    with open(os.path.join(args.input, "positions.csv"), "w") as file:
        file.write("id,ra,dec\n" + rows)
    return args.limit, Clock().read(), None


def cut_tiles(args, _):
    """Cutouts by `Cutout2D`, of arrays that are mapped into memory, or of compressed images by their sections.

    `cutout2d` gives it each position and the world coordinates; `cutout2d_pixels` pixels that one call computed for all positions.
    """
    from astropy.coordinates import SkyCoord
    from astropy.io import fits
    from astropy.nddata import Cutout2D
    from astropy.wcs import WCS

    kind = "rice" if args.work == "cutout2d_rice" else "plain"
    catalogue = np.loadtxt(os.path.join(args.input, "positions.csv"), delimiter=",", skiprows=1, usecols=(1, 2))
    catalogue = catalogue[: args.limit]
    opened = [fits.open(os.path.join(args.input, f"{kind}_{band}.fits")) for band in BANDS]
    images = [hdus[1].section if kind == "rice" else hdus[0].data for hdus in opened]
    systems = [WCS(hdus[-1].header) for hdus in opened]

    def by_position(rows):
        for ra, dec in rows:
            position = SkyCoord(ra, dec, unit="deg")
            cutouts = [Cutout2D(image, position, CUTOUT, wcs=wcs) for image, wcs in zip(images, systems)]
            yield np.stack([cutout.data for cutout in cutouts])

    def by_pixel(rows):
        places = [np.transpose(wcs.world_to_pixel_values(rows[:, 0], rows[:, 1])).tolist() for wcs in systems]
        for of_bands in zip(*places):
            yield np.stack([Cutout2D(image, place, CUTOUT).data for image, place in zip(images, of_bands)])

    cut = by_position if args.work == "cutout2d" else by_pixel
    list(cut(catalogue[:32]))
    clock = Clock()
    total = 0.0
    for image in cut(catalogue):
        total += float(image[0, 0, 0])
    spent = clock.read()
    return len(catalogue), spent, np.stack(list(cut(catalogue))) if args.out else None


def cut_by_cutana(args, _):
    """Cutouts by cutana in this process, from files that are mapped into memory, without resizing.

    Its cutouts of an even size begin one pixel before those of `Cutout2D` in y and x: without its first row and column, a result is
    theirs without the last ones.
    """
    import pandas as pd
    from cutana import create_cutouts_direct, get_default_config

    paths = [os.path.join(args.input, f"plain_{band}.fits") for band in BANDS]
    rows = pd.read_csv(os.path.join(args.input, "positions.csv"), nrows=args.limit)
    catalogue = pd.DataFrame({"SourceID": rows.id.astype(str), "RA": rows.ra, "Dec": rows.dec})
    catalogue["diameter_pixel"], catalogue["fits_file_paths"] = CUTOUT, str(paths)
    settings = get_default_config()
    settings.do_only_cutout_extraction, settings.apply_flux_conversion, settings.target_resolution = True, False, CUTOUT
    create_cutouts_direct(catalogue[:32], settings, 1)
    clock = Clock()
    results = create_cutouts_direct(catalogue, settings, 1)
    spent = clock.read()
    cutouts = np.concatenate([np.stack(result["cutouts"]) for result in results])
    return len(catalogue), spent, np.moveaxis(cutouts, -1, 1)[:, :, 1:, 1:] if args.out else None


def run_chain(args, paths):
    chain = Chain(args.model, args.batch)
    chain.run(paths[:2], args.out)
    clock = Clock()
    chain.run(paths, args.out)
    return len(paths), clock.read(), None


STAMPS = ("cutoutDifference", "cutoutScience", "cutoutTemplate")


def packets(folder: str):
    """Yields the records of all container files."""
    import fastavro

    for path in sorted(glob.glob(os.path.join(folder, "*.avro"))):
        with open(path, "rb") as file:
            yield from fastavro.reader(file)


def tensor(packet: dict) -> np.ndarray:
    """The three stamps, with 0 for pixels that are not known."""
    import io

    from astropy.io import fits

    planes = []
    for name in STAMPS:
        with fits.open(io.BytesIO(packet[name])) as hdus:
            planes.append(np.nan_to_num(np.asarray(hdus[0].data, np.float32), nan=0.0))
    return np.stack(planes)


def alerts(args, _):
    """Packets, decoded; with their stamps; with scores; into Parquet."""
    stage = ["alerts_decode", "alerts_stamps", "alerts_scores", "alerts_chain"].index(args.work)
    model = session(args.model) if stage >= 2 else None
    if stage == 3:
        import pyarrow as pa
        import pyarrow.parquet as pq

    def run(limit=None):
        count, results, tables = 0, [], []
        batch, rows = [], []

        def flush():
            images = np.stack(batch)
            found = model.run(["score", "latent"], {"image": images})
            results.append(found[0])
            if stage == 3:
                columns = {key: pa.array([row[key] for row in rows]) for key in rows[0]}
                columns["rb_probability"] = lists(np.stack([1 - found[0], found[0]], axis=1))
                columns["rb_latent"] = lists(found[1])
                tables.append(pa.table(columns))
            batch.clear()
            rows.clear()

        for packet in packets(args.input):
            source = packet["diaSource"]
            if stage == 0:
                results.append((source["ra"], source["dec"], source["midpointMjdTai"], source["psfFlux"]))
            elif stage == 1:
                image = tensor(packet)
                # All of them would not fit in memory: they are kept only to be compared.
                results.append(image if args.out else image[:, 0, 0])
            else:
                batch.append(tensor(packet))
                rows.append({**{key: source[key] for key in ALERT_COLUMNS}, "object_id": str(source["diaSourceId"])})
                if len(batch) == args.batch:
                    flush()
            count += 1
            if count == limit:
                break
        if batch:
            flush()
        if stage == 3:
            pq.write_table(pa.concat_tables(tables), args.out, compression="zstd", compression_level=1)
        return count, results

    run(args.batch)
    clock = Clock()
    count, results = run(args.limit)
    spent = clock.read()
    if stage == 3 or not args.out:
        return count, spent, None
    return count, spent, np.concatenate(results) if stage == 2 else np.array(results)


ALERT_COLUMNS = ("ra", "dec", "diaObjectId", "visit", "detector", "band", "midpointMjdTai", "psfFlux", "psfFluxErr", "snr", "reliability")
WORKS = {
    "alerts_decode": alerts,
    "alerts_stamps": alerts,
    "alerts_scores": alerts,
    "alerts_chain": alerts,
    "fits": read_files,
    "astropy": read_files,
    "blur": observe,
    "observe": observe,
    "score": score,
    "parquet": write_parquet,
    "candidates": candidates,
    "windows": windows,
    "mmd": mmd,
    "alibi": alibi,
    "isomap": isomap,
    "attack": attack,
    "chain": run_chain,
    "make_tiles": make_tiles,
    "cutout2d": cut_tiles,
    "cutout2d_pixels": cut_tiles,
    "cutout2d_rice": cut_tiles,
    "cutana": cut_by_cutana,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=[*WORKS, "versions"])
    parser.add_argument("input")
    parser.add_argument("--model")
    parser.add_argument("--changes", help="for `candidates`: place and values of a pixel, [image, candidate, 1 + band]; for `windows`: the head, [class, D + 1]; for `mmd`: permuted groups, [group, index]")
    parser.add_argument("--variances", help="for `mmd` and `alibi`: of the Gaussian kernels, separated by commas")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--accurate", choices=["yes", "no"], default="no", help="GalSim with the oracle's settings")
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.work == "versions":
        return print(versions())
    paths = sorted(glob.glob(os.path.join(args.input, "*.fits")))[: args.limit]
    objects, spent, result = WORKS[args.work](args, paths)
    if args.out and result is not None:
        np.save(args.out, np.ascontiguousarray(result, np.float32))
    print(json.dumps({"work": args.work, "objects": objects, **spent}))


if __name__ == "__main__":
    main()
