"""Makes small graphs with every kind of layer that exporters write, and what onnxruntime says of images that differ from one
in a few pixels. Versions: onnx 1.23.2, onnxruntime 1.31.1, numpy 2.4.6. Run it in this folder.

Images are 3x12x12. Weights are random, so that a layer that is read wrongly moves the logits.
"""

import json
import os

import numpy as np
import onnx
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

BANDS, SIZE, CLASSES = 3, 12, 3


class Net:
    """Nodes in a row; what `add` returns is the name of the last value."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def constant(self, array, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def add(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def draw(self, *shape):
        fan = np.prod(shape[1:]) if len(shape) > 1 else 1
        return self.constant(self.rng.normal(0, 1 / np.sqrt(fan), shape))

    def conv(self, x, outputs, inputs, kernel, bias=True, **attributes):
        names = [self.draw(outputs, inputs, *kernel)] + ([self.constant(self.rng.normal(0, 0.3, outputs))] if bias else [])
        return self.add("Conv", x, *names, kernel_shape=list(kernel), **attributes)

    def norm(self, x, channels):
        draw = lambda low, high: self.constant(self.rng.uniform(low, high, channels))
        gain, shift, mean, variance = draw(-1.5, 1.5), draw(-0.5, 0.5), draw(-0.5, 0.5), draw(0.2, 2)
        return self.add("BatchNormalization", x, gain, shift, mean, variance, epsilon=1e-3)

    def gemm(self, x, outputs, inputs, **attributes):
        return self.add("Gemm", x, self.draw(outputs, inputs), self.constant(self.rng.normal(0, 0.3, outputs)), transB=1, **attributes)

    def save(self, name, logits, latent=None):
        for own, public in ((logits, "logits"), (latent, "latent")):
            for node in self.nodes if own else []:
                node.input[:] = [public if x == own else x for x in node.input]
                node.output[:] = [public if x == own else x for x in node.output]
        value = helper.make_tensor_value_info
        outputs = [value("logits", TensorProto.FLOAT, ["n", CLASSES])]
        outputs += [value("latent", TensorProto.FLOAT, ["n", None])] if latent else []
        image = value("image", TensorProto.FLOAT, ["n", BANDS, SIZE, SIZE])
        graph = helper.make_graph(self.nodes, name, [image], outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="make.py")
        onnx.checker.check_model(made)
        onnx.save(made, f"{name}.onnx")


def batch_norm():
    """Not folded; before an activation, after one (where padding with zeros is not padding with the shift), and of a row."""
    net = Net(1)
    x = net.add("Relu", net.norm(net.conv("image", 5, 3, (3, 3), bias=False, pads=[1, 1, 1, 1]), 5))
    x = net.norm(net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 5)
    x = net.add("Relu", net.conv(x, 7, 5, (3, 3), pads=[1, 1, 1, 1]))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    latent = net.norm(net.gemm(x, 4, 7), 4)
    net.save("batch_norm", net.gemm(net.add("Dropout", latent), 3, 4, alpha=40.0), latent)


def residual():
    """Sums of two ways, a strided shortcut, a pool whose windows overlap, a half-precision weight."""
    net = Net(2)
    x = net.add("Relu", net.conv("image", 8, 3, (5, 5), strides=[2, 2], pads=[2, 2, 2, 2]))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    y = net.conv(net.add("Relu", net.conv(x, 8, 8, (3, 3), pads=[1, 1, 1, 1])), 8, 8, (3, 3), pads=[1, 1, 1, 1])
    x = net.add("Relu", net.add("Add", y, x))
    half = net.constant(net.rng.normal(0, 0.3, (18, 8, 3, 3)), np.float16)
    y = net.add("Conv", x, net.add("Cast", half, to=TensorProto.FLOAT), strides=[2, 2], pads=[1, 1, 1, 1])
    y = net.norm(net.conv(net.add("Relu", y), 18, 18, (3, 3), pads=[1, 1, 1, 1]), 18)
    x = net.add("Relu", net.add("Add", net.norm(net.conv(x, 18, 8, (1, 1), strides=[2, 2]), 18), y))
    x = net.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    latent = net.gemm(x, 5, 18)
    net.save("residual", net.gemm(latent, 3, 5, alpha=20.0), latent)


def pads():
    """Pads, strides and kernels that differ by side and axis; averages that count their pads and that do not; groups."""
    net = Net(3)
    x = net.add("Sub", net.constant(1), net.add("Mul", "image", net.constant([[[2]], [[-1]], [[0.5]]])))
    x = net.conv(x, 6, 3, (3, 4), strides=[1, 2], pads=[2, 1, 0, 3])
    x = net.add("AveragePool", net.add("LeakyRelu", x, alpha=0.2), kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[1, 1])
    x = net.conv(x, 12, 2, (3, 3), group=3, auto_pad="SAME_UPPER", strides=[2, 2])
    x = net.add("Clip", x, net.constant(-0.4), net.constant(0.6))
    x = net.conv(x, 12, 1, (3, 3), group=12, pads=[1, 1, 1, 1])
    x = net.add("AveragePool", net.add("Relu", x), kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    x = net.add("MaxPool", net.add("Identity", x), kernel_shape=[2, 2], strides=[1, 1])
    x = net.add("Reshape", x, net.constant([0, -1], np.int64))
    x = net.add("Add", net.add("MatMul", x, net.draw(72, 6)), net.constant(net.rng.normal(0, 1, 6)))
    net.save("pads", net.add("Div", net.gemm(net.add("Relu", x), 3, 6, alpha=1.5, beta=0.5), net.constant(0.7)))


def dense():
    """Many numbers in a row, with activations between the matrices; the input used twice; a pool before its activation."""
    net = Net(4)
    x = net.add("Relu", net.add("MaxPool", net.conv("image", 12, 3, (3, 3), pads=[0, 0, 1, 1]), kernel_shape=[2, 2], strides=[2, 2]))
    y = net.add("MaxPool", net.conv("image", 12, 3, (1, 1)), kernel_shape=[3, 3], strides=[2, 2])
    y = net.add("Flatten", net.add("Add", net.add("Sub", x, y), x))
    x = net.add("Relu", net.gemm(y, 21, 300))
    latent = net.add("Relu", net.gemm(x, 10, 21))
    net.save("dense", net.gemm(latent, 3, 10), latent)


def numbers(array):
    """The shortest decimals that read back as the same float32."""
    return [float(str(x)) for x in array] if array.ndim == 1 else [numbers(row) for row in array]


def main():
    made = [batch_norm, residual, pads, dense]
    for make in made:
        make()
    rng = np.random.default_rng(20250114)
    image = rng.normal(0.5, 0.2, (BANDS, SIZE * SIZE)).astype(np.float32)
    places = {
        1: np.array([[0], [11], [132], [143], [5], [60], [71], [136], [65], [66], [77], [78], [29], [100]], np.uint32),
        3: np.array([[0, 143, 66], [40, 41, 53], [7, 7, 7], [0, 2, 26], [11, 10, 9], [90, 130, 17]], np.uint32),
    }
    golden = {"onnxruntime": onnxruntime.__version__, "image": numbers(image.ravel()), "candidates": []}
    images = [image]
    for k, chosen in places.items():
        values = np.clip(rng.normal(0.5, 0.5, (*chosen.shape, BANDS)), 0, 1).astype(np.float32)
        for where, what in zip(chosen, values):
            changed = image.copy()
            for place, value in zip(where, what):
                changed[:, place] = value
            images.append(changed)
        golden["candidates"].append({"k": k, "places": chosen.ravel().tolist(), "values": numbers(values.ravel())})
    images = np.stack(images).reshape(-1, BANDS, SIZE, SIZE)
    golden["logits"] = {}
    for make in made:
        session = onnxruntime.InferenceSession(f"{make.__name__}.onnx", providers=["CPUExecutionProvider"])
        logits = session.run(["logits"], {"image": images})[0]
        golden["logits"][make.__name__] = numbers(logits.ravel())
        print(make.__name__, logits[:3], logits.std(axis=0))
    with open("golden.json", "w") as file:
        json.dump(golden, file)
        file.write("\n")
    print(onnx.__version__, onnxruntime.__version__, np.__version__)


main()
