"""Outputs of a real network with a sigmoid. Versions: onnx 1.23.2, onnxruntime 1.31.1, numpy 2.4.6.

`reliability.json`: Rubin's real/bogus network of DP1 (see `../shared/data/rubin_reliability`) on images that the test makes by the
same formula. Run it in this folder, with the path of the ONNX file.
"""

import json
import os
import pathlib
import sys

import numpy as np
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime

ROWS, SHAPE = 6, (3, 51, 51)


def images():
    """Difference, science, template in nJy: a pattern, and a bright disc that grows from image to image. Exact in float32."""
    i = np.arange(ROWS * np.prod(SHAPE), dtype=np.int64)
    images = (((i * 7919 + (i // 51) * 104729) % 2003 - 1001) / 16).reshape(ROWS, *SHAPE)
    y, x = np.mgrid[:51, :51]
    disc = np.maximum(0, 64 - (y - 25) ** 2 - (x - 25) ** 2) / 4
    for row in range(ROWS):
        images[row, 0] += disc * row
        images[row, 1] += 2 * disc * row
    return images.astype(np.float32)


def main():
    session = onnxruntime.InferenceSession(sys.argv[1])
    score, logit, latent = session.run(["score", "logit", "latent"], {"image": images()})
    out = {"score": score.tolist(), "logit": logit.ravel().tolist(), "latent": latent.ravel().tolist()}
    pathlib.Path("reliability.json").write_text(json.dumps(out) + "\n")


main()
