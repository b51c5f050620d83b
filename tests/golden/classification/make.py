"""Golden confusion matrices, rates and intervals. Versions: scikit-learn and scipy as printed into golden.json."""

import json

import numpy as np
import scipy
import sklearn
from scipy.stats import binomtest, norm
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

CLASSES = 3


def case(truth, predicted):
    def rates(average):
        found = precision_recall_fscore_support(
            truth, predicted, labels=range(CLASSES), average=average, zero_division=0
        )
        return [np.asarray(each).tolist() for each in found[: 3 if average else 4]]

    precision, recall, f1, support = rates(None)
    return {
        "truth": [int(t) for t in truth],
        "predicted": [int(p) for p in predicted],
        "confusion": confusion_matrix(truth, predicted, labels=range(CLASSES)).tolist(),
        "accuracy": float(accuracy_score(truth, predicted)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
        "weighted": rates("weighted"),
    }


rng = np.random.default_rng(6)
truth = rng.choice(CLASSES, 200, p=[0.5, 0.2, 0.3])
predicted = np.where(rng.random(200) < 0.7, truth, rng.integers(0, CLASSES, 200))
one_sided = np.full(200, 2)  # two classes are never predicted
absent = np.where(truth == 1, 0, truth)  # one class never occurs
wilson = []
for successes, trials, confidence in [(0, 10, 0.95), (10, 10, 0.95), (1, 3, 0.9), (563, 1320, 0.95), (1253, 1320, 0.99), (7, 9, 0.5)]:
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    wilson.append([successes, trials, confidence, float(interval.low), float(interval.high)])
golden = {
    "sklearn": sklearn.__version__,
    "scipy": scipy.__version__,
    "cases": [case(truth, predicted), case(truth, one_sided), case(absent, predicted)],
    "wilson": wilson,
    "quantile": [[p, float(norm.ppf(p))] for p in (0.5, 0.55, 0.8, 0.924, 0.926, 0.975, 0.995, 0.9999995, 1e-9)],
}
with open("golden.json", "w") as file:
    json.dump(golden, file)
    file.write("\n")
