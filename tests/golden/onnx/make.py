"""Makes the ONNX fixtures and their golden outputs. Versions: onnx 1.23.2, onnxruntime 1.31.1, numpy 2.4.6.

A tiny net of the shape of the real ones (centre, conv, relu, maxpool, linear = latent, linear = logits) on 3x8x8
images, written with onnx.helper so that the files come out the same everywhere. Run it in this folder.
"""

import json
import os

import numpy as np
import onnx
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

BANDS, SIZE, LATENT, CLASSES = 3, 8, 6, 3
CARD = {
    "classes": ["spiral", "elliptical", "merger"],
    "bands": ["g", "r", "i"],
    "size": SIZE,
    "pixel_scale_arcsec": 0.2,
    "domains": {"y10": {"lo": -1136.0, "hi": 23822.0}, "y1": {"lo": -367.0, "hi": 2388.0}},
    "trained_on": ["y10"],
    "input": "image",
    "logits": "logits",
    "latent": "latent",
    "latent_size": LATENT,
}


def weights(rng):
    def draw(*shape):
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    return {
        "half": np.float32(0.5),
        "conv_w": draw(4, BANDS, 3, 3),
        "conv_b": rng.normal(0, 0.1, 4).astype(np.float32),
        "latent_w": draw(LATENT, 4 * (SIZE // 2) ** 2),
        "latent_b": rng.normal(0, 0.1, LATENT).astype(np.float32),
        "head_w": 4 * draw(CLASSES, LATENT),
        "head_b": np.float32([0.2, -0.6, 0.1]),
        "zero": np.float32(0),
    }


def model(initial, *, batch="n", latent=True, nan=False, card=CARD):
    node = helper.make_node
    nodes = [
        node("Sub", ["image", "half"], ["centred"]),
        node("Conv", ["centred", "conv_w", "conv_b"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["relu"]),
        node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool"], ["flat"]),
        node("Gemm", ["flat", "latent_w", "latent_b"], ["latent"], transB=1),
        node("Gemm", ["latent", "head_w", "head_b"], ["head" if nan else "logits"], transB=1),
    ]
    if nan:  # log of a negative number for images whose mean is below 0.5
        nodes += [
            node("Flatten", ["centred"], ["pixels"]),
            node("ReduceMean", ["pixels"], ["mean"], axes=[1], keepdims=1),
            node("Log", ["mean"], ["log"]),
            node("Mul", ["log", "zero"], ["nothing"]),
            node("Add", ["head", "nothing"], ["logits"]),
        ]
    value = helper.make_tensor_value_info
    outputs = [value("logits", TensorProto.FLOAT, [batch, CLASSES])]
    if latent:
        outputs.insert(0, value("latent", TensorProto.FLOAT, [batch, LATENT]))
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("image", TensorProto.FLOAT, [batch, BANDS, SIZE, SIZE])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in initial.items() if name in used],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="make.py")
    if card is not None:
        helper.set_model_props(made, {"lucarne_card": card if isinstance(card, str) else json.dumps(card)})
    onnx.checker.check_model(made)
    return made


def numbers(array):
    """The shortest decimals that read back as the same float32."""
    return [float(str(x)) for x in array] if array.ndim == 1 else [numbers(row) for row in array]


def run(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, {"image": images})))


def main():
    rng = np.random.default_rng(20211214)
    initial = weights(rng)
    plain = {key: value for key, value in CARD.items() if key not in ("latent", "latent_size")}
    made = {
        "tiny": model(initial),
        "no_latent": model(initial, latent=False, card=plain),
        "sometimes_nan": model(initial, latent=False, nan=True, card=plain),
        "fixed_batch": model(initial, batch=4),
        "no_card": model(initial, card=None),
        "broken_card": model(initial, card='{"classes": ["spiral"'),
        "two_classes": model(initial, card={**CARD, "classes": ["galaxy", "star"]}),
    }
    for name, each in made.items():
        onnx.save(each, f"{name}.onnx")
    # As exporters of PyTorch write it: the weights lie beside the model.
    beside = "external.onnx.data"
    onnx.save(model(initial), "external.onnx", save_as_external_data=True, location=beside, size_threshold=0)
    # Means on both sides of 0.5, so that `sometimes_nan` is so for some.
    means = np.array([0.35, 0.65, 0.6, 0.4, 0.7, 0.3, 0.55])
    images = (means[:, None, None, None] + rng.normal(0, 0.5, (7, BANDS, SIZE, SIZE))).astype(np.float32)
    out = run("tiny.onnx", images)
    assert np.array_equal(out["logits"], run("no_latent.onnx", images)["logits"])
    nan = np.isnan(run("sometimes_nan.onnx", images)["logits"]).any(axis=1)
    with open("golden.json", "w") as file:
        lists = {
            "onnxruntime": onnxruntime.__version__,
            "images": numbers(images.reshape(7, -1)),
            "logits": numbers(out["logits"]),
            "latents": numbers(out["latent"]),
            "nan": nan.tolist(),
        }
        json.dump(lists, file)
        file.write("\n")
    print(onnx.__version__, onnxruntime.__version__, np.__version__, out["logits"], nan)


main()
