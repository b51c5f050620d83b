"""Makes models with every kind of head and of input, and their answers. Versions: onnx 1.23.2, onnxruntime 1.31.1, numpy 2.4.6,
scipy 1.17.1, pyarrow 26.0.1.

Every model sees 3x6x8 images (`inputs.json`); some take a second image or two columns too.
`heads.parquet` has for each the bytes of the model, its card, the settings of the score beside the card, and for every column that a
score adds what Python's onnxruntime (and scipy, for the moments of votes) answers. Run it in this folder.
"""

import json
import os
import pathlib

import numpy as np
import onnx
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import dirichlet

BANDS, HEIGHT, WIDTH, LATENT, ROWS = 3, 6, 8, 5, 7
FLOAT = TensorProto.FLOAT
node, value = helper.make_node, helper.make_tensor_value_info
BASE = {"format": 3, "bands": ["g", "r", "i"], "size": [HEIGHT, WIDTH], "pixel_scale_arcsec": "any", "unit": "stretched"}


def weights(outputs, extra=0):
    rng = np.random.default_rng(29)
    draw = lambda *shape: rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
    return {
        "conv_w": draw(4, BANDS, 3, 3),
        "latent_w": 3 * draw(LATENT, 4 * (HEIGHT // 2) * (WIDTH // 2)),
        "head_w": 2 * draw(outputs, LATENT + extra),
        "head_b": rng.normal(0, 0.3, outputs).astype(np.float32),
    }


def trunk(image="image", end="latent"):
    return [
        node("Conv", [image, "conv_w"], [f"{end}_conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", [f"{end}_conv"], [f"{end}_relu"]),
        node("MaxPool", [f"{end}_relu"], [f"{end}_pool"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", [f"{end}_pool"], [f"{end}_flat"]),
        node("Gemm", [f"{end}_flat", "latent_w"], [end], transB=1),
    ]


SUMS = node("Gemm", ["latent", "head_w", "head_b"], ["sums"], transB=1)


def model(nodes, initial, outputs, inputs=(), domains=()):
    used = {name for each in nodes for name in each.input}
    image = value("image", FLOAT, ["n", BANDS, HEIGHT, WIDTH])
    graph = helper.make_graph(
        nodes,
        "heads",
        [image, *inputs],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in initial.items() if name in used],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(*domain) for domain in domains)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="make.py")
    onnx.checker.check_model(made)
    return made


def forms(images, templates, columns, counts):
    """(name, model, card, settings, answers) of every model; `answers` maps the outputs to columns."""
    out = lambda name, *shape: value(name, FLOAT, ["n", *shape])
    images_only = {"image": images}

    labels = [*trunk(), SUMS, node("Sigmoid", ["sums"], ["labels"])]
    card = {**BASE, "head": "multilabel", "classes": ["ring", "bar", "tidal, tail"], "latent": "latent"}
    yield "multilabel", model(labels, weights(3), [out("labels", 3), out("latent", LATENT)]), card, {}, images_only, (
        lambda o: {"probability": o["labels"], "latent": o["latent"]}
    )

    constants = {"scale": np.float32(100), "one": np.float32(1)}
    votes = [*trunk(), SUMS, node("Sigmoid", ["sums"], ["p"]), node("Mul", ["p", "scale"], ["s"]), node("Add", ["s", "one"], ["votes"])]
    questions = [{"name": "smooth", "answers": ["smooth", "featured", "artifact"]}, {"name": "bar", "answers": ["bar", "no_bar"]}]
    card = {**BASE, "head": "dirichlet", "questions": questions, "logits": "votes"}

    def fractions(o):
        moments = [(dirichlet(q).mean(), np.sqrt(dirichlet(q).var())) for row in o["votes"].astype(float) for q in (row[:3], row[3:])]
        return {"fraction": np.concatenate([m for m, _ in moments]), "fraction_std": np.concatenate([s for _, s in moments])}

    yield "dirichlet", model(votes, {**weights(5), **constants}, [out("votes", 5)]), card, {}, images_only, fractions

    values = [*trunk(), SUMS, node("Softplus", ["sums"], ["error"])]
    card = {**BASE, "head": "regression", "classes": ["redshift", "log_mass"], "logits": "sums", "errors": "error"}
    yield "regression", model(values, weights(2), [out("error", 2), out("sums", 2)]), card, {}, images_only, (
        lambda o: {"value": o["sums"], "error": o["error"]}
    )

    by_hand = [
        *trunk(), SUMS, node("Exp", ["sums"], ["odds"]), node("ReduceSum", ["odds", "axis"], ["sum"], keepdims=1),
        node("Div", ["odds", "sum"], ["p"]),
    ]
    card = {**BASE, "classes": ["a", "b", "c"], "output": "probabilities"}
    yield "softmax by hand", model(by_hand, {**weights(3), "axis": np.int64([1])}, [out("p", 3)]), card, {}, images_only, (
        lambda o: {"probability": o["p"]}
    )

    log = [*trunk(), SUMS, node("LogSoftmax", ["sums"], ["log_p"], axis=1)]
    card = {**BASE, "classes": ["a", "b", "c"]}
    yield "log softmax", model(log, weights(3), [out("log_p", 3)]), card, {}, images_only, (
        lambda o: {"probability": np.exp(o["log_p"].astype(float))}
    )

    deep = [*trunk(), SUMS, node("Softmax", ["sums"], ["p"], axis=1), node("Reshape", ["p", "shape"], ["deep"])]
    yield "four axes", model(deep, {**weights(3), "shape": np.int64([-1, 3, 1, 1])}, [out("deep", 3, 1, 1)]), card, {}, images_only, (
        lambda o: {"probability": o["deep"]}
    )

    flat = [*trunk(), SUMS, node("Squeeze", ["sums", "axis"], ["logit"])]
    card = {**BASE, "head": "sigmoid", "classes": ["bogus", "real"], "logits": "logit"}

    def of_logit(o):
        p = 1 / (1 + np.exp(-o["logit"].astype(float)))
        return {"probability": np.stack([1 - p, p], axis=1)}

    yield "flat logit", model(flat, {**weights(1), "axis": np.int64([1])}, [value("logit", FLOAT, ["n"])]), card, {}, images_only, of_logit

    zipped = [*trunk(), SUMS, node("Softmax", ["sums"], ["p"]), node("ZipMap", ["p"], ["map"], domain="ai.onnx.ml", classlabels_strings=["a", "b", "c"])]
    map_type = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, [])))
    card = {**BASE, "classes": ["a", "b", "c"], "logits": "map"}
    made = model(zipped, weights(3), [helper.make_value_info("map", map_type)], domains=[("ai.onnx.ml", 3)])
    yield "class map", made, card, {}, images_only, lambda o: {"probability": np.array([[row[k] for k in "abc"] for row in o["map"]])}

    several = [
        node("Transpose", ["template"], ["template_planes"], perm=[0, 3, 1, 2]), *trunk(), *trunk("template_planes", "other"),
        node("Concat", ["latent", "other", "meta"], ["all"], axis=1),
        node("Gemm", ["all", "head_w", "head_b"], ["sums"], transB=1), node("Sigmoid", ["sums"], ["score"]),
    ]
    inputs = [value("template", FLOAT, ["n", HEIGHT, WIDTH, BANDS]), value("meta", FLOAT, ["n", 2])]
    card = {
        **BASE, "head": "sigmoid", "classes": ["bogus", "real"], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3],
        "images": [{"input": "template", "bands": ["g", "r", "i"], "size": [HEIGHT, WIDTH], "unit": "nJy"}],
        "columns": [{"input": "meta", "columns": ["magnitude", "age_days"], "mean": [20, 100], "std": [2, 50]}],
    }
    scaled = (columns - np.array([20, 100])) / np.array([2, 50])
    mean, std = (np.float32(card[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    feeds = {"image": (images - mean) / std, "template": templates.transpose(0, 2, 3, 1).copy(), "meta": scaled.astype(np.float32)}
    settings = {"images": {"template": "template_image"}, "columns": {"age_days": "age"}}
    yield "three inputs", model(several, weights(1, extra=LATENT + 2), [out("score", 1)], inputs), card, settings, feeds, (
        lambda o: {"probability": np.concatenate([1 - o["score"], o["score"]], axis=1)}
    )

    for name, element in [("int64", TensorProto.INT64), ("int8", TensorProto.INT8)]:
        # Each number matters: its last bit, its sign.
        nodes = [
            *trunk(), node("Cast", ["counts"], ["whole"], to=FLOAT), node("Concat", ["latent", "whole"], ["all"], axis=1),
            node("Gemm", ["all", "head_w", "head_b"], ["sums"], transB=1),
        ]
        card = {
            **BASE, "head": "regression", "classes": ["mass"],
            "columns": [{"input": "counts", "columns": ["visits", "offset"]}],
        }
        made = model(nodes, weights(1, extra=2), [out("sums", 1)], [value("counts", element, ["n", 2])])
        feeds = {"image": images, "counts": counts.astype(name)}
        yield f"{name} columns", made, card, {}, feeds, lambda o: {"value": o["sums"]}


def main():
    rng = np.random.default_rng(5)
    images, templates = (rng.uniform(0, 1, (ROWS, BANDS, HEIGHT, WIDTH)).astype(np.float32) for _ in range(2))
    columns = np.stack([rng.uniform(17, 23, ROWS), rng.uniform(0, 300, ROWS)], axis=1)
    counts = rng.integers(-128, 128, (ROWS, 2))
    rows = []
    for name, made, card, settings, feeds, answers in forms(images, templates, columns, counts):
        session = onnxruntime.InferenceSession(made.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        found = answers(dict(zip(names, session.run(None, feeds))))
        expected = {column: np.asarray(numbers, dtype=np.float32).ravel().tolist() for column, numbers in found.items()}
        row = {"card": card, "settings": settings, "expected": expected}
        rows.append({"name": name, "model": made.SerializeToString(), **{key: json.dumps(item) for key, item in row.items()}})
    pq.write_table(pa.Table.from_pylist(rows), "heads.parquet", compression="zstd")
    inputs = {"images": images.reshape(ROWS, -1), "templates": templates.reshape(ROWS, -1), "columns": columns, "counts": counts}
    pathlib.Path("inputs.json").write_text(json.dumps({name: array.tolist() for name, array in inputs.items()}) + "\n")


main()
