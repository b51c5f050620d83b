"""Makes models of every form and their outputs. Versions: onnx 1.23.2, onnxruntime 1.31.1, numpy 2.4.6, pyarrow 26.0.1.

One small network (conv, relu, max pool, latent, head) on 3x6x8 images, as exporters write it: channels first or last, float32,
float16 or uint8 pixels, the head of a classifier with its softmax inside or not, of a sigmoid, or none; an open batch or one of 4;
weights inside or beside the file. `matrix.parquet` has for each the bytes of the model, those of the file beside it, its card, and
what Python's onnxruntime answers for `images`. Run it in this folder.
"""

import itertools
import json
import os
import pathlib
import tempfile

import numpy as np
import onnx
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

BANDS, HEIGHT, WIDTH, LATENT, CLASSES, ROWS, FIXED = 3, 6, 8, 5, 3, 7, 4
ELEMENTS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def weights(rng, head):
    def draw(*shape):
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)

    outputs = 1 if head == "sigmoid" else CLASSES
    return {
        "conv_w": draw(4, BANDS, 3, 3),
        "conv_b": rng.normal(0, 0.1, 4),
        "latent_w": 3 * draw(LATENT, 4 * (HEIGHT // 2) * (WIDTH // 2)),
        "latent_b": rng.normal(0, 0.1, LATENT),
        "head_w": 4 * draw(outputs, LATENT),
        "head_b": rng.normal(0, 0.3, outputs),
    }


def model(layout, element, head, batch):
    kind = np.float16 if element == "float16" else np.float32
    initial = {name: array.astype(kind) for name, array in weights(np.random.default_rng(17), head).items()}
    node, nodes, pixels = helper.make_node, [], "pixels"
    if element == "uint8":
        initial["full"] = np.float32(255)
        nodes += [node("Cast", [pixels], ["cast"], to=TensorProto.FLOAT), node("Div", ["cast", "full"], ["unit"])]
        pixels = "unit"
    if layout == "nhwc":
        nodes.append(node("Transpose", [pixels], ["planes"], perm=[0, 3, 1, 2]))
        pixels = "planes"
    nodes += [
        node("Conv", [pixels, "conv_w", "conv_b"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["relu"]),
        node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool"], ["flat"]),
        node("Gemm", ["flat", "latent_w", "latent_b"], ["latent"], transB=1),
    ]
    inside = {"softmax": "Softmax", "sigmoid": "Sigmoid"}.get(head)
    if head != "embedding":
        nodes.append(node("Gemm", ["latent", "head_w", "head_b"], ["sums" if inside else "answer"], transB=1))
    if inside:
        nodes.append(node(inside, ["sums"], ["answer"]))
    out = TensorProto.FLOAT16 if element == "float16" else TensorProto.FLOAT
    value = helper.make_tensor_value_info
    outputs = [value("latent", out, [batch, LATENT])]
    if head != "embedding":
        outputs.insert(0, value("answer", out, [batch, 1 if head == "sigmoid" else CLASSES]))
    axes = [BANDS, HEIGHT, WIDTH] if layout == "nchw" else [HEIGHT, WIDTH, BANDS]
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes,
        "matrix",
        [value("pixels", ELEMENTS[element], [batch, *axes])],
        outputs,
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in initial.items() if name in used],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="make.py")
    onnx.checker.check_model(made)
    return made


def card(layout, element, head):
    card = {
        "format": 3,
        "head": "softmax" if head == "logits" else head,
        "bands": ["g", "r", "i"],
        "size": [HEIGHT, WIDTH],
        "pixel_scale_arcsec": "any",
        "unit": "stretched",
        "latent": "latent",
    }
    if head != "embedding":
        card["classes"] = ["bogus", "real"] if head == "sigmoid" else ["a, b", "c", "d"]
        card["logits"] = "answer"
    if element == "uint8":
        card["scale"] = 255
    return card


def run(session, pixels, batch):
    """The outputs of all rows, in batches that the graph takes."""
    size = 1 if batch == "n" else batch
    padded = np.concatenate([pixels, np.zeros_like(pixels[: -len(pixels) % size])]) if len(pixels) % size else pixels
    parts = [session.run(None, {"pixels": padded[i : i + size]}) for i in range(0, len(padded), size)]
    return [np.concatenate(part)[: len(pixels)] for part in zip(*parts)]


def answers(head, outputs):
    """Probabilities and latents, in float32."""
    latent = outputs[-1].astype(np.float32)
    if head == "embedding":
        return None, latent
    answer = outputs[0].astype(np.float64)
    if head == "logits":
        odds = np.exp(answer - answer.max(axis=1, keepdims=True))
        answer = odds / odds.sum(axis=1, keepdims=True)
    if head == "sigmoid":
        answer = np.concatenate([1 - answer, answer], axis=1)
    return answer.astype(np.float32), latent


def main():
    images = np.random.default_rng(3).uniform(0, 1, (ROWS, BANDS, HEIGHT, WIDTH)).astype(np.float32)
    # Exact in all three types of pixels, so that rounding is not part of the comparison.
    images = (np.round(images * 255) / 255).astype(np.float32)
    rows = []
    forms = itertools.product(["nchw", "nhwc"], ELEMENTS, ["softmax", "logits", "sigmoid", "embedding"], ["n", FIXED], ["inside", "external"])
    for layout, element, head, batch, place in forms:
        made = model(layout, element, head, batch)
        beside = None
        if place == "external":
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "model.onnx"
                onnx.save(made, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
                data, beside = path.read_bytes(), (path.parent / "model.onnx.data").read_bytes()
                session = onnxruntime.InferenceSession(str(path))
        else:
            data = made.SerializeToString()
            session = onnxruntime.InferenceSession(data)
        pixels = {"float32": images, "float16": images.astype(np.float16), "uint8": np.round(images * 255).astype(np.uint8)}
        pixels = pixels[element] if layout == "nchw" else np.ascontiguousarray(pixels[element].transpose(0, 2, 3, 1))
        probabilities, latents = answers(head, run(session, pixels, batch))
        rows.append({
            "name": f"{layout} {element} {head} {'open' if batch == 'n' else 'fixed'} {place}",
            "model": data,
            "beside": beside,
            "card": json.dumps(card(layout, element, head)),
            "probabilities": None if probabilities is None else probabilities.ravel().tolist(),
            "latents": latents.ravel().tolist(),
        })
    schema = pa.schema([
        ("name", pa.string()),
        ("model", pa.binary()),
        ("beside", pa.binary()),
        ("card", pa.string()),
        ("probabilities", pa.list_(pa.float32())),
        ("latents", pa.list_(pa.float32())),
    ])
    pq.write_table(pa.Table.from_pylist(rows, schema), "matrix.parquet", compression="zstd")
    pathlib.Path("images.json").write_text(json.dumps(images.reshape(ROWS, -1).tolist()) + "\n")


main()
