"""Makes golden.json beside this file: what scikit-learn's Isomap makes of small sets of points.

Points are short numbers in single precision, worked on in double precision. `parts` is the number of parts of the graph of nearest
neighbours before they are joined; `placed` is what `transform` gives of other points. Versions are in golden.json. Run it here with no
arguments.
"""

import json
import warnings

import numpy as np
import scipy
import sklearn
from scipy.sparse.csgraph import connected_components
from sklearn.manifold import Isomap
from sklearn.neighbors import kneighbors_graph

warnings.filterwarnings("ignore", message="The number of connected components")
rng = np.random.default_rng(20000)


def short(x):
    return np.float32(np.round(x, 2)).astype(np.float64)


def roll(n):
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    return short(np.stack([t * np.cos(t), 21 * rng.random(n), t * np.sin(t)], 1))


def wide(n, dimension=64):
    """Few numbers behind many, with some noise and an offset."""
    hidden = rng.normal(size=(n, 4)) * [4, 3, 2, 1]
    return short(hidden @ np.random.default_rng(1).normal(size=(4, dimension)) + rng.normal(size=(n, dimension)) + 3)


def clusters(sizes, dimension):
    centres = 30 * np.arange(len(sizes))[:, None] * np.ones(dimension) + 5 * rng.normal(size=(len(sizes), dimension))
    return short(np.concatenate([c + rng.normal(size=(n, dimension)) for n, c in zip(sizes, centres)]))


def case(name, points, neighbours, components, others):
    isomap = Isomap(n_neighbors=neighbours, n_components=components).fit(points)
    graph = kneighbors_graph(points, neighbours, mode="distance")
    return {
        "name": name,
        "dimension": points.shape[1],
        "neighbours": neighbours,
        "components": components,
        "points": [round(x, 2) for x in points.ravel().tolist()],
        "parts": int(connected_components(graph)[0]),
        "coordinates": isomap.embedding_.ravel().tolist(),
        "others": [round(x, 2) for x in others.ravel().tolist()],
        "placed": isomap.transform(others).ravel().tolist(),
    }


# Every third point is there twice, and one four times.
twice = roll(60)
twice = np.concatenate([twice, twice[::3], twice[[7, 7, 7]]])

golden = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
    "cases": [
        case("swiss roll", roll(150), 5, 2, roll(12)),
        case("swiss roll in three", roll(240), 7, 3, roll(5)),
        case("wide", wide(70), 5, 3, wide(6)),
        case("two parts", clusters([25, 20], 4), 5, 2, clusters([3, 3], 4)),
        case("three parts", clusters([12, 30, 9], 3), 4, 2, clusters([2, 2, 2], 3)),
        case("twice", twice, 5, 2, twice[:9] + 0.25),
        case("few", roll(6), 3, 2, roll(2)),
    ],
}
with open("golden.json", "w") as out:
    json.dump(golden, out)
    out.write("\n")
