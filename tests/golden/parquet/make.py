"""Images in every list and tensor that pyarrow writes: `python make.py`, with numpy 2.4.6 and pyarrow 26.0.1.

The image of row n is numpy.arange(48).reshape(3, 4, 4) + 48 * n, [band, y, x], in every column.
"""

import numpy
import pyarrow
import pyarrow.parquet

ROWS = 2
images = numpy.arange(ROWS * 48).reshape(ROWS, 3, 4, 4)
channels_last = images.transpose(0, 2, 3, 1)
x_before_y = images.transpose(0, 1, 3, 2)


def tensor(stored, kind=pyarrow.float32(), **words):
    """A column of tensors whose numbers lie as in `stored`."""
    type_ = pyarrow.fixed_shape_tensor(kind, list(stored.shape[1:]), **words)
    numbers = pyarrow.array(numpy.ascontiguousarray(stored).ravel(), kind)
    lists = pyarrow.FixedSizeListArray.from_arrays(numbers, int(numpy.prod(stored.shape[1:])))
    return pyarrow.ExtensionArray.from_storage(type_, lists)


def nested(kind, *lengths):
    """The type of nested lists; a length of -1 is not fixed."""
    for length in reversed(lengths):
        kind = pyarrow.list_(kind, length)
    return kind


def flat(kind):
    return pyarrow.array(images.reshape(ROWS, -1).tolist(), pyarrow.list_(kind))


lists = {
    "id": pyarrow.array(["a", "b"]),
    "flat": flat(pyarrow.float32()),
    "flat_large": pyarrow.array(images.reshape(ROWS, -1).tolist(), pyarrow.large_list(pyarrow.float64())),
    "flat_fixed": pyarrow.array(images.reshape(ROWS, -1).tolist(), pyarrow.list_(pyarrow.float32(), 48)),
    "flat_bytes": flat(pyarrow.uint8()),
    "flat_halves": pyarrow.array(list(images.reshape(ROWS, -1).astype("f2")), pyarrow.list_(pyarrow.float16())),
    "lists_of_bands": pyarrow.array(images.reshape(ROWS, 3, 16).tolist()),
    # What people write from numpy: lists of doubles, or of 64-bit integers.
    "nested_doubles": pyarrow.array(images.astype(float).tolist()),
    "nested_integers": pyarrow.array(images.tolist()),
    "nested_channels_last": pyarrow.array(channels_last.tolist()),
    "nested_fixed": pyarrow.array(images.tolist(), nested(pyarrow.int16(), 3, 4, 4)),
    "nested_fixed_channels_last": pyarrow.array(channels_last.tolist(), nested(pyarrow.int16(), 4, 4, 3)),
}
tensors = {
    "tensor": tensor(images),
    "tensor_channels_last": tensor(channels_last),
    "tensor_yxband": tensor(channels_last, dim_names=["y", "x", "band"]),
    "tensor_keras": tensor(channels_last, pyarrow.float64(), dim_names=["height", "width", "channels"]),
    "tensor_hwc": tensor(channels_last, pyarrow.uint8(), dim_names=["H", "W", "C"]),
    "tensor_x_before_y": tensor(x_before_y, dim_names=["channel", "col", "row"]),
    "tensor_unknown_names": tensor(images, dim_names=["dim0", "dim1", "dim2"]),
    # The dimensions of the tensor are [band, y, x]; its numbers lie in another order.
    "tensor_permuted": tensor(x_before_y, permutation=[0, 2, 1]),
    "tensor_reversed": tensor(images.transpose(0, 3, 2, 1), permutation=[2, 1, 0]),
    "tensor_permuted_named": tensor(x_before_y, permutation=[0, 2, 1], dim_names=["band", "x", "y"]),
    # pyarrow writes the inverse of what the specification calls the permutation: these two are read in two ways.
    "tensor_cycle": tensor(channels_last, permutation=[2, 0, 1]),
    "tensor_cycle_named": tensor(channels_last, permutation=[1, 2, 0], dim_names=["y", "x", "band"]),
}
pyarrow.parquet.write_table(pyarrow.table({**lists, **tensors}), "images.parquet", compression="zstd")
# Without the schema of Arrow the items of lists are called `element`, and no length is fixed.
pyarrow.parquet.write_table(pyarrow.table(lists), "without_schema.parquet", compression="zstd", store_schema=False)
