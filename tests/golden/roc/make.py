"""Makes ROC and precision-recall curves with scikit-learn. Versions: scikit-learn 1.9.1, numpy 2.4.6. Run it in this folder."""

import json
import pathlib

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score


def curve(seed, rows, shift):
    random = np.random.default_rng(seed)
    truth = random.random(rows) < 0.3
    odds = random.normal(shift * truth - 0.5, 1.0)
    scores = (np.floor(100 / (1 + np.exp(-odds))) + 0.5) / 100
    points = []
    for threshold in (0.1, 0.25, 0.5, 0.6):
        above = scores >= threshold
        rate = above[~truth].mean()
        numbers = [recall_score(truth, above), rate, precision_score(truth, above), f1_score(truth, above)]
        points.append([threshold, *map(float, numbers)])
    return {
        "scores": scores.tolist(),
        "truth": truth.tolist(),
        "auc": float(roc_auc_score(truth, scores)),
        "average_precision": float(average_precision_score(truth, scores)),
        "points": points,
    }


pathlib.Path("golden.json").write_text(json.dumps([curve(1, 300, 2.0), curve(2, 80, 0.5), curve(3, 500, -1.0)]) + "\n")
