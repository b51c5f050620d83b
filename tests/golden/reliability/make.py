"""Makes golden.json beside this file: calibration of made-up scores by numpy's closed forms and scikit-learn.

Bins by numpy.histogram (left edges included, the last right edge too), Brier score and log loss by scikit-learn, which are
those of the closed forms. `versions` says what with. Run it here with no arguments.
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.metrics import brier_score_loss, log_loss


def case(probabilities, truth, bins):
    """Probabilities are float32 and taken as the doubles that they are."""
    p = np.asarray(probabilities, dtype=np.float32).astype(float)
    truth = np.asarray(truth)
    n, classes = p.shape
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth
    edges = np.arange(bins + 1) / bins
    counts = np.histogram(confidence, bins=edges)[0]
    correct = np.histogram(confidence[right], bins=edges)[0]
    sums = np.histogram(confidence, bins=edges, weights=confidence)[0]
    full = counts > 0
    gaps = np.abs(correct[full] / counts[full] - sums[full] / counts[full])
    kept = [confidence >= edge for edge in edges[:-1]]
    one_hot = np.eye(classes)[truth]
    brier = ((p - one_hot) ** 2).sum(axis=1).mean()
    of_truth = p[np.arange(n), truth]
    nll = -np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean()
    labels = list(range(classes))
    assert np.isclose(brier, brier_score_loss(truth, p, labels=labels, scale_by_half=False), rtol=1e-12)
    if of_truth.min() > 1e-12:
        assert np.isclose(nll, log_loss(truth, p / p.sum(axis=1, keepdims=True), labels=labels), rtol=1e-6)
    return {
        "classes": classes,
        "bins": bins,
        "probabilities": np.asarray(probabilities, dtype=np.float32).astype(float).ravel().tolist(),
        "truth": truth.tolist(),
        "n": counts.tolist(),
        "correct": correct.tolist(),
        "confidence": [s / c if c else None for s, c in zip(sums.tolist(), counts.tolist())],
        "coverage": [float(k.mean()) for k in kept],
        "kept_accuracy": [float(right[k].mean()) if k.any() else None for k in kept],
        "ece": float((counts[full] / n * gaps).sum()),
        "mce": float(gaps.max()),
        "brier": float(brier),
        "nll": float(nll),
    }


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


rng = np.random.default_rng(15)
cases = []
for n, classes, bins, sharpness in [(300, 3, 15, 2.0), (300, 3, 10, 6.0), (200, 2, 7, 1.0), (150, 5, 1, 3.0), (40, 3, 100, 1.5)]:
    logits = sharpness * rng.normal(size=(n, classes))
    truth = np.array([rng.choice(classes, p=row) for row in softmax(logits / 1.7)])
    cases.append(case(softmax(logits), truth, bins))
# On the edges of bins, sure, and wrong with a probability of nothing.
edges = [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.625, 0.375]]
cases.append(case(edges, [0, 1, 0, 1, 1, 1], 8))
versions = {"python": sys.version.split()[0], "numpy": np.__version__, "sklearn": sklearn.__version__}
with open("golden.json", "w") as file:
    json.dump({"versions": versions, "cases": cases}, file)
    file.write("\n")
