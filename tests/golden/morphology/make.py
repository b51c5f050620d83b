"""Makes the golden files of tests/it/morphology_oracle.rs: galaxies, segmentation maps, and what statmorph measures.

Written with statmorph 0.7.2, photutils 3.0.0, astropy 8.0.2, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6, pyarrow 26.0.1
on Python 3.11:

    lucarne run tests/golden/morphology/galaxies.yaml -o RUN
    python tests/golden/morphology/make.py RUN ../shared/data/cosmos_hst/real_galaxy_images_extension.fits

galaxies.gz   for each galaxy 100 x 100 pixels of float32 (little-endian, row by row), then 100 x 100 of uint8: the
              segmentation map that both sides are given (1 the galaxy, 2 other sources).
galaxies.csv  what statmorph measures of them.
cosmos.csv    the same of the COSMOS stamps. Their pixels are not here: the segmentation map is made by the recipe below on
              both sides, and `area` and `checksum` say that it is the same.
"""

import gzip
import pathlib
import sys
import warnings

import numpy as np
import pyarrow.parquet as pq
import scipy.ndimage as ndi
import statmorph
from astropy.io import fits
from astropy.stats import sigma_clipped_stats
from statmorph.statmorph import SourceMorphology

warnings.simplefilter("ignore")
# Electrons per unit of the stamps: a number to compare with, not that of the camera.
COSMOS_GAIN = 2000.0
HERE = pathlib.Path(__file__).parent
STATISTICS = (
    "flag gini m20 concentration asymmetry smoothness gini_m20_bulge gini_m20_merger rpetro_circ rpetro_ellip "
    "rhalf_circ rhalf_ellip r20 r80 sn_per_pixel xc_asymmetry yc_asymmetry"
).split()
# Nothing of the Sersic fit is compared, and it takes most of the time.
SKIPPED = [name for name in statmorph.statmorph._quantity_names if "sersic" in name or name in ("multimode", "intensity")]
statmorph.statmorph._quantity_names = [name for name in statmorph.statmorph._quantity_names if name not in SKIPPED]


def segments(image, n_sigma, background=None):
    """The recipe of `segmentation: { sigma: N }`: sources of 5 pixels or more above N sigma, in an image that a Gaussian
    of FWHM 3 pixels has smoothed; the one at the centre, or nearest to it, is 1, all others 2."""
    _, median, sigma = sigma_clipped_stats(image, sigma=3.0, maxiters=5)
    if background is not None:
        median, sigma = background
    smooth = ndi.gaussian_filter(image - median, 3.0 / np.sqrt(8 * np.log(2)), mode="constant", truncate=4.0)
    labels, count = ndi.label(smooth > n_sigma * sigma, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    labels[areas[labels] < 5] = 0
    y, x = np.nonzero(labels)
    if len(y) == 0:
        return None
    height, width = image.shape
    nearest = np.argmin((y - height // 2) ** 2 + (x - width // 2) ** 2)
    own = labels[y[nearest], x[nearest]]
    return np.where(labels == 0, 0, np.where(labels == own, 1, 2)).astype(np.uint8)


def measured(image, segmap, gain):
    if segmap is None:
        return [4] + [""] * (len(STATISTICS) - 1)
    found = SourceMorphology(image, segmap.astype(int), 1, gain=gain)
    values = [found[name] for name in STATISTICS]
    return [values[0]] + ["" if value == -99.0 or not np.isfinite(value) else f"{value:.9g}" for value in values[1:]]


def checksum(segmap):
    """Sum over the pixels of (place from 1) * label, modulo 2^32."""
    flat = segmap.ravel().astype(np.int64)
    return int((flat * np.arange(1, flat.size + 1)).sum() % 2**32)


def simulated(run):
    table = pq.read_table(run + "/objects")
    rows, blob = [], bytearray()
    for index in range(table.num_rows):
        # One of the three views of each galaxy: ten years, one year, without noise.
        view = ["y10", "y1", "y10", "clean"][index // 3 % 4]
        pixels = table[view].combine_chunks().storage.flatten().to_numpy().reshape(-1, 100, 100)[index]
        if view != "clean":
            pixels = np.round(pixels)
        image = pixels.astype(np.float32).astype(np.float64)
        # Without noise the threshold is that of ten years' sky.
        segmap = segments(image, 1.5, (0.0, 356.7) if view == "clean" else None)
        blob += pixels.astype("<f4").tobytes()
        blob += (np.zeros((100, 100), np.uint8) if segmap is None else segmap).tobytes()
        rows.append([table["label"][index].as_py(), view] + measured(image, segmap, 1.0))
    (HERE / "galaxies.gz").write_bytes(gzip.compress(bytes(blob), 9, mtime=0))
    write("galaxies.csv", ["label", "view"], rows)


def cosmos(path):
    rows = []
    for index, hdu in enumerate(fits.open(path)):
        image = hdu.data.astype(np.float32).astype(np.float64)
        segmap = segments(image, 1.5)
        known = [0, 0] if segmap is None else [int((segmap == 1).sum()), checksum(segmap)]
        rows.append([index, *known] + measured(image, segmap, COSMOS_GAIN))
    write("cosmos.csv", ["hdu", "area", "checksum"], rows)


def write(name, head, rows):
    lines = [",".join(head + STATISTICS)] + [",".join(map(str, row)) for row in rows]
    (HERE / name).write_text("\n".join(lines) + "\n")


simulated(sys.argv[1])
cosmos(sys.argv[2])
