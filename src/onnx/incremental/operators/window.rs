//! Operators with a sliding window: convolutions and pools.

use super::{
    super::{
        geometry::{LayerShape, Rect, SlidingWindow, WindowAxis},
        layer_planner::{LayerPlanner, LinearValue},
        linear_map::{AverageMap, ConvolutionMap, LinearMap},
    },
    spatial_input,
};
use crate::onnx::wire::NodeProto;

/// The longest side of a window, and the most padding.
const MAX_WINDOW: i64 = 1 << 16;
/// The largest stride: weights are packed once for each remainder of a position in both directions.
const MAX_STRIDE: i64 = 64;

pub(super) fn convolution(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let weights = planner.graph.constant(node.input(1)?)?;
    let &[outputs, inputs, height, width] = weights.dims.as_slice() else {
        return Err(format!("unsupported: op Conv with weights of the shape {:?}", weights.dims));
    };
    let value = spatial_input(planner, node)?;
    let group = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let fits = inputs.checked_mul(group) == Some(value.shape.channels);
    if group == 0 || outputs == 0 || outputs % group != 0 || !fits {
        return Err(format!("Conv expects {inputs} channels in {group} groups, found {:?}", value.shape));
    }
    let (window, after) = window_of(node, value.shape, &[height as i64, width as i64])?;
    if uses_ceil_mode(node) {
        return Err("unsupported: op Conv with `ceil_mode`".into());
    }
    let bias = match node.optional_input(2) {
        Some(name) => planner.graph.constant(name)?.floats()?.iter().copied().map(f64::from).collect(),
        None => vec![0.0; outputs],
    };
    let weights = weights.floats()?.to_vec();
    let map = LinearMap::Convolution(ConvolutionMap { window, weights, scale: vec![1.0; outputs], group });
    Ok(planner.map(value, map, bias, LayerShape { channels: outputs, ..after }))
}

pub(super) fn max_pool(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let value = spatial_input(planner, node)?;
    let size = node.ints("kernel_shape").ok_or("MaxPool has no `kernel_shape`")?;
    let (window, after) = window_of(node, value.shape, size)?;
    Ok(planner.max_pool(value, window, after))
}

pub(super) fn average_pool(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let value = spatial_input(planner, node)?;
    let size = node.ints("kernel_shape").ok_or("AveragePool has no `kernel_shape`")?;
    let (window, after) = window_of(node, value.shape, size)?;
    let counts_padding = node.int("count_include_pad", 0) != 0;
    if counts_padding && uses_ceil_mode(node) {
        return Err("unsupported: op AveragePool with `ceil_mode` and `count_include_pad`".into());
    }
    let share = |cell: usize| {
        let sources = window.sources(Rect::cell_at((cell / after.width) as i32, (cell % after.width) as i32));
        let counted = if counts_padding { sources } else { sources.intersect(value.shape.rect()) };
        1.0 / counted.cells() as f32
    };
    let shares = (0..after.cells()).map(share).collect();
    let (scale, bias) = (vec![1.0; after.channels], vec![0.0; after.channels]);
    Ok(planner.map(value, LinearMap::Average(AverageMap { window, shares, scale }), bias, after))
}

/// The mean of each channel.
pub(super) fn global_average(planner: &mut LayerPlanner, value: LinearValue) -> LinearValue {
    let shape = value.shape;
    let shares = vec![1.0 / shape.cells() as f32];
    let (scale, bias) = (vec![1.0; shape.channels], vec![0.0; shape.channels]);
    let map = LinearMap::Average(AverageMap { window: SlidingWindow::all(shape), shares, scale });
    planner.map(value, map, bias, LayerShape::vector(shape.channels))
}

fn uses_ceil_mode(node: &NodeProto) -> bool {
    node.int("ceil_mode", 0) != 0
}

/// The window of a convolution or a pool with a kernel of some size, and the shape of its output.
fn window_of(node: &NodeProto, shape: LayerShape, size: &[i64]) -> Result<(SlidingWindow, LayerShape), String> {
    let op = &node.op_type;
    let pair = |name: &str| match node.ints(name) {
        None => Ok([1, 1]),
        Some(values) => {
            <[i64; 2]>::try_from(values).map_err(|_| format!("unsupported: op {op} with `{name}` {values:?}"))
        }
    };
    if pair("dilations")? != [1, 1] {
        return Err(format!("unsupported: op {op} with dilations"));
    }
    let pads = match node.ints("pads") {
        None => [0; 4],
        Some(pads) => <[i64; 4]>::try_from(pads).map_err(|_| format!("unsupported: op {op} with `pads` {pads:?}"))?,
    };
    let size = <[i64; 2]>::try_from(size).map_err(|_| format!("unsupported: op {op} with a kernel of {size:?}"))?;
    let (strides, ceil) = (pair("strides")?, uses_ceil_mode(node));
    if size.iter().chain(&pads).any(|number| *number > MAX_WINDOW) || strides.iter().any(|stride| *stride > MAX_STRIDE)
    {
        return Err(format!("unsupported: op {op} with kernel {size:?}, strides {strides:?}, pads {pads:?}"));
    }
    let auto_pad = node.string("auto_pad").unwrap_or(b"NOTSET");
    let axis = |i: usize, length: usize| -> Result<(WindowAxis, usize), String> {
        let (size, stride, length) = (size[i], strides[i], length as i64);
        let (before, after) = match auto_pad {
            b"NOTSET" | b"" => (pads[i], pads[i + 2]),
            b"VALID" => (0, 0),
            b"SAME_UPPER" | b"SAME_LOWER" if stride > 0 => {
                let total = ((length + stride - 1) / stride * stride - stride + size - length).max(0);
                let smaller = total / 2;
                if auto_pad == b"SAME_UPPER" { (smaller, total - smaller) } else { (total - smaller, smaller) }
            }
            _ => {
                let value = String::from_utf8_lossy(auto_pad);
                return Err(format!("unsupported: op {op} with `auto_pad` {value}"));
            }
        };
        let valid = size > 0 && stride > 0 && before >= 0 && after >= 0 && before < size && after < size;
        let room = length + before + after - size;
        if !valid || room < 0 {
            return Err(format!("unsupported: op {op} with kernel {size}, stride {stride}, pads {before} and {after}"));
        }
        let mut outputs = room / stride + 1;
        if ceil && room % stride != 0 && outputs * stride < length + before {
            outputs += 1;
        }
        let axis = WindowAxis { size: size as usize, stride: stride as usize, before: before as usize };
        Ok((axis, outputs as usize))
    };
    let ((y, height), (x, width)) = (axis(0, shape.height)?, axis(1, shape.width)?);
    Ok((SlidingWindow { y, x }, LayerShape { height, width, ..shape }.checked()?))
}
