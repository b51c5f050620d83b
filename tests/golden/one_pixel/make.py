"""An independent one-pixel attack, and what it does to the tiny model of `../onnx`. Run it in this folder.

Versions: Python 3.11.7, onnxruntime 1.31.1, numpy 2.4.6. The draws are those of `survey/noise.rs` (Philox4x32-10 under
SHA-256 of seed, id and label), so that the same evolution is followed here and there, candidate by candidate.
"""

import hashlib
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime

HERE = Path(__file__).parent
MASK = 0xFFFFFFFF


class Draws:
    def __init__(self, seed, name, label):
        data = seed.to_bytes(8, "little") + len(name.encode()).to_bytes(8, "little") + (name + label).encode()
        words = np.frombuffer(hashlib.sha256(data).digest()[:16], "<u4")
        self.key, self.high, self.block, self.words, self.spare = words[:2], words[2:], 0, [], None

    def word(self):
        if not self.words:
            c = [self.block & MASK, self.block >> 32, int(self.high[0]), int(self.high[1])]
            k = [int(self.key[0]), int(self.key[1])]
            for _ in range(10):
                a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
                c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
                k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
            self.words, self.block = c, self.block + 1
        return self.words.pop(0)

    def uniform(self):
        low = self.word()
        return ((self.word() << 32 | low) >> 11) * 2.0**-53

    def normal(self):
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        while True:
            x = 2 * self.uniform() - 1
            y = 2 * self.uniform() - 1
            square = x * x + y * y
            if 0 < square < 1:
                scale = math.sqrt(-2 * math.log(square) / square)
                self.spare = y * scale
                return x * scale


MUTANTS = {  # how many others, and the mutant of parent x, best b, factor f
    "best1": (2, lambda x, b, f, r: b + f * (r[0] - r[1])),
    "rand1": (3, lambda x, b, f, r: r[0] + f * (r[1] - r[2])),
    "rand2": (5, lambda x, b, f, r: r[0] + f * (r[1] + r[2] - r[3] - r[4])),
    "currenttobest1": (2, lambda x, b, f, r: x + f * (b - x + r[0] - r[1])),
}
PAPER = dict(n=60, mutant="rand1", cross="bin", f=(0.5, 0.5), cr=1.0, maxiter=60, tolerance=None, first="normal")


def evolve(energy, met, d, is_value, draw, n, mutant, cross, f, cr, maxiter, tolerance, first):
    """The best vector, generations after the first population, vectors tried, why it stopped."""
    u = draw.uniform
    if first == "normal":
        genes = [[min(max(0.5 + 0.5 * draw.normal(), 0.0), 1.0) if is_value(g) else u() for g in range(d)] for _ in range(n)]
        genes = np.array(genes)
    else:
        genes = np.zeros((n, d))
        for axis in range(d):
            column = [(i + u()) / n for i in range(n)]
            for last in range(n - 1, 0, -1):
                swap = int(u() * (last + 1))
                column[last], column[swap] = column[swap], column[last]
            genes[:, axis] = column
    energies, iterations, queries = energy(genes), 0, n
    others, make = MUTANTS[mutant]
    while True:
        best = int(np.argmin(energies))
        if met(energies[best]):
            return genes[best], iterations, queries, "success"
        if iterations >= maxiter:
            return genes[best], iterations, queries, "maxiter"
        if tolerance is not None and np.std(energies) <= tolerance * abs(np.mean(energies)):
            return genes[best], iterations, queries, "converged"
        factor = f[0] + (f[1] - f[0]) * u() if f[0] < f[1] else f[0]
        children = np.zeros_like(genes)
        for parent in range(n):
            taken = []
            while len(taken) < others:
                other = int(u() * n)
                if other != parent and other not in taken:
                    taken.append(other)
            begin, chances = int(u() * d), [u() for _ in range(d)]
            if cross == "bin":
                crosses = [chance < cr for chance in chances]
                crosses[begin] = True
            else:
                crosses, i = [False] * d, 0
                while i < d and (i == 0 or chances[i] < cr):
                    crosses[(begin + i) % d] = True
                    i += 1
            mutant_of = make(genes[parent], genes[best], factor, genes[taken])
            child = np.where(crosses, mutant_of, genes[parent])
            children[parent] = [gene if 0 <= gene <= 1 else u() for gene in child]
        tried = energy(children)
        better = tried < energies
        genes, energies = np.where(better[:, None], children, genes), np.where(better, tried, energies)
        iterations, queries = iterations + 1, queries + n


def attack(session, image, target, before, settings, draw, pixels, low, high, threshold):
    """Attacks one image, into `target` or out of `before`."""
    bands, height, width = image.shape
    each = 2 + bands
    changed = {}

    def candidates(genes):
        images = np.repeat(image[None], len(genes), axis=0)
        for one, genome in zip(images, genes):
            for p in genome.reshape(pixels, each):
                row, column = min(int(p[0] * height), height - 1), min(int(p[1] * width), width - 1)
                one[:, row, column] = (low + p[2:] * (high - low)).astype(np.float32)
        return images

    def probability(images):
        logits = session.run(["logits"], {"image": images})[0].astype(np.float64)
        powers = [[math.exp(l - max(row)) for l in row] for row in logits]
        return np.array([power[before if target is None else target] / sum(power) for power in powers])

    sign = 1.0 if target is None else -1.0
    met = (lambda e: e < threshold) if target is None else (lambda e: -e > threshold)
    energy = lambda genes: sign * probability(candidates(genes))
    best, iterations, queries, why = evolve(energy, met, pixels * each, lambda g: g % each >= 2, draw, **settings)
    genome = best.reshape(pixels, each)
    changed["row"] = [min(int(p[0] * height), height - 1) for p in genome]
    changed["column"] = [min(int(p[1] * width), width - 1) for p in genome]
    changed["values"] = (low + genome[:, 2:] * (high - low)).astype(np.float32).ravel().tolist()
    p = float(probability(candidates(best[None]))[0])
    return {**changed, "p_after": p, "success": bool(met(sign * p)), "iterations": iterations, "queries": queries, "stop_reason": why}


CASES = {
    "paper": dict(settings=PAPER, pixels=1, low=-6.0, high=7.0, threshold=0.5, targets="each"),
    "scipy": dict(
        settings=dict(n=75, mutant="best1", cross="bin", f=(0.5, 1.0), cr=0.7, maxiter=40, tolerance=0.01, first="hypercube"),
        pixels=1, low=-9.0, high=9.0, threshold=0.2, targets=None,
    ),
    "two_pixels": dict(
        settings=dict(n=30, mutant="rand2", cross="exp", f=(0.4, 0.8), cr=0.6, maxiter=25, tolerance=None, first="normal"),
        pixels=2, low=-5.0, high=5.0, threshold=0.2, targets=None,
    ),
    "current_to_best": dict(
        settings=dict(n=20, mutant="currenttobest1", cross="bin", f=(0.7, 0.7), cr=0.9, maxiter=30, tolerance=1e-4, first="hypercube"),
        pixels=1, low=-12.0, high=12.0, threshold=0.5, targets="each",
    ),
}  # fmt: skip


def main():
    session = onnxruntime.InferenceSession(str(HERE / "../onnx/tiny.onnx"), providers=["CPUExecutionProvider"])
    images = np.array(json.loads((HERE / "../onnx/golden.json").read_text())["images"], np.float32).reshape(-1, 3, 8, 8)
    classes = ["spiral", "elliptical", "merger"]
    before = session.run(["logits"], {"image": images})[0].argmax(axis=1)
    cases = {}
    for name, case in CASES.items():
        rows = []
        for i, image in enumerate(images):
            targets = [k for k in range(3) if k != before[i]] if case["targets"] else [None]
            for target in targets:
                label = "untargeted" if target is None else classes[target]
                draw = Draws(2112, f"galaxy-{i}", f"{name}/{label}")
                rest = {key: case[key] for key in ("settings", "pixels", "low", "high", "threshold")}
                row = attack(session, image, target, int(before[i]), draw=draw, **rest)
                rows.append({"object": i, "target": None if target is None else classes[target], **row})
        cases[name] = rows
        print(name, sum(row["success"] for row in rows), "of", len(rows), [row["iterations"] for row in rows])
    value = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
    value |= {"classes": [classes[k] for k in before], "cases": cases}
    (HERE / "golden.json").write_text(json.dumps(value) + "\n")


main()
