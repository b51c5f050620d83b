//! What each ONNX operator does to a value.

use super::{
    kernel::Activation,
    linear::{Average, Convolution, Dense, Linear},
    plan::{Planner, Value},
    shape::{Axis, Shape, Window},
};
use crate::score::onnx::graph::{Node, Tensor};

/// The value that a node makes; an error names what cannot be done.
pub(super) fn apply(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return Err(format!("unsupported: op {} of {}", node.op_type, node.domain));
    }
    let Activation { low, high, .. } = Activation::NONE;
    match node.op_type.as_str() {
        "Add" | "Sub" | "Mul" | "Div" => arithmetic(planner, node),
        "Conv" => convolution(planner, node),
        "BatchNormalization" => normalization(planner, node),
        "Relu" => activation(planner, node, Activation { slope: 1.0, low: 0.0, high }),
        "LeakyRelu" => {
            let slope = node.float("alpha").unwrap_or(0.01);
            if !(0.0..=1.0).contains(&slope) {
                return Err(format!("unsupported: op LeakyRelu with the slope {slope}"));
            }
            activation(planner, node, Activation { slope, low, high })
        }
        "Clip" => {
            let bound = |i: usize, name: &str, default: f32| match node.optional(i) {
                Some(bound) => {
                    planner.graph.constant(bound)?.floats()?.first().copied().ok_or("Clip by nothing".into())
                }
                None => Ok::<f32, String>(node.float(name).unwrap_or(default)),
            };
            let (low, high) = (bound(1, "min", low)?, bound(2, "max", high)?);
            if low > high || low.is_nan() || high.is_nan() {
                return Err(format!("unsupported: op Clip to {low}..{high}"));
            }
            activation(planner, node, Activation { slope: 1.0, low, high })
        }
        "MaxPool" => {
            let value = spatial(planner, node)?;
            let size = node.ints("kernel_shape").ok_or("MaxPool has no `kernel_shape`")?;
            let (window, after) = window(node, value.shape, size)?;
            Ok(planner.pool(value, window, after))
        }
        "AveragePool" => average_pool(planner, node),
        "GlobalAveragePool" => {
            let value = spatial(planner, node)?;
            Ok(global_average(planner, value))
        }
        "ReduceMean" => reduce_mean(planner, node),
        "Flatten" if node.int("axis", 1) != 1 => Err("unsupported: op Flatten of another axis than 1".into()),
        "Flatten" => Ok(Value { flat: true, ..planner.take(node.input(0)?)? }),
        "Reshape" => reshape(planner, node),
        "Squeeze" => squeeze(planner, node),
        "Gemm" | "MatMul" => matrix(planner, node),
        "Identity" => planner.take(node.input(0)?),
        "Dropout" if node.optional(2).is_none() => planner.take(node.input(0)?),
        "Cast" if node.int("to", 0) == 1 => planner.take(node.input(0)?),
        other => Err(format!("unsupported: op {other}")),
    }
}

fn activation(planner: &mut Planner, node: &Node, activation: Activation) -> Result<Value, String> {
    let value = planner.take(node.input(0)?)?;
    Ok(planner.activate(value, activation))
}

/// The first input, if it has rows and columns.
fn spatial(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let value = planner.take(node.input(0)?)?;
    if value.flat { Err(format!("unsupported: op {} of a row of numbers", node.op_type)) } else { Ok(value) }
}

fn arithmetic(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let op = node.op_type.as_str();
    let (constant, name, turned) = match (planner.graph.is_constant(a), planner.graph.is_constant(b)) {
        (false, true) => (b, a, false),
        (true, false) => (a, b, true),
        (false, false) => {
            let (a, b) = (planner.take(a)?, planner.take(b)?);
            let channels = b.shape.channels;
            return match op {
                "Add" => Planner::sum(a, b),
                "Sub" => Planner::sum(a, Planner::affine(b, &vec![-1.0; channels], &vec![0.0; channels])),
                _ => Err(format!("unsupported: op {op} of two values that depend on the image")),
            };
        }
        (true, true) => return Err(format!("unsupported: op {op} of constants")),
    };
    let constants = planner.graph.constant(constant)?;
    let value = planner.take(name)?;
    let by = per_channel(&constants, value.shape, value.flat)?;
    let (ones, zeros) = (vec![1.0; by.len()], vec![0.0; by.len()]);
    let each = |f: fn(f64) -> f64| by.iter().copied().map(f).collect::<Vec<f64>>();
    Ok(match (op, turned) {
        ("Add", _) => Planner::affine(value, &ones, &by),
        ("Sub", false) => Planner::affine(value, &ones, &each(|x| -x)),
        ("Sub", true) => Planner::affine(value, &each(|_| -1.0), &by),
        ("Mul", _) => Planner::affine(value, &by, &zeros),
        ("Div", false) => Planner::affine(value, &each(|x| 1.0 / x), &zeros),
        _ => return Err(format!("unsupported: op {op} of a constant by a value")),
    })
}

/// A constant as one number a channel.
fn per_channel(constant: &Tensor, shape: Shape, flat: bool) -> Result<Vec<f64>, String> {
    let (numbers, channels) = (constant.floats()?, shape.channels);
    if let [number] = numbers {
        return Ok(vec![f64::from(*number); channels]);
    }
    // Shapes count from the right: rows of numbers end with the channel, images with rows and columns after it.
    let dims = constant.dims.as_slice();
    let trailing = if flat { 0 } else { 2 };
    let (leading, own) = dims.split_at(dims.len().saturating_sub(trailing + 1));
    let fits = own.first() == Some(&channels) && own.len() == trailing + 1 && own[1..].iter().all(|&dim| dim == 1);
    let per_feature = flat && shape.cells() > 1;
    if fits && !per_feature && leading.iter().all(|&dim| dim == 1) {
        return Ok(numbers.iter().copied().map(f64::from).collect());
    }
    Err(format!("unsupported: a constant of the shape {dims:?} with a value of {shape:?}"))
}

fn normalization(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    if node.int("training_mode", 0) != 0 {
        return Err("unsupported: op BatchNormalization in training mode".into());
    }
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    let constant = |i: usize| planner.graph.constant(node.input(i)?);
    let (gain, shift, mean, variance) = (constant(1)?, constant(2)?, constant(3)?, constant(4)?);
    let (gain, shift, mean, variance) = (gain.floats()?, shift.floats()?, mean.floats()?, variance.floats()?);
    let value = planner.take(node.input(0)?)?;
    let channels = value.shape.channels;
    if [gain, shift, mean, variance].iter().any(|numbers| numbers.len() != channels)
        || (value.flat && value.shape.cells() > 1)
    {
        return Err(format!("unsupported: op BatchNormalization of a value of {:?}", value.shape));
    }
    let factor = |c: usize| f64::from(gain[c]) / (f64::from(variance[c]) + epsilon).sqrt();
    let factors: Vec<f64> = (0..channels).map(factor).collect();
    let constants = (0..channels).map(|c| f64::from(shift[c]) - f64::from(mean[c]) * factors[c]);
    Ok(Planner::affine(value, &factors, &constants.collect::<Vec<f64>>()))
}

fn convolution(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let weights = planner.graph.constant(node.input(1)?)?;
    let &[outputs, inputs, height, width] = weights.dims.as_slice() else {
        return Err(format!("unsupported: op Conv with weights of the shape {:?}", weights.dims));
    };
    let value = spatial(planner, node)?;
    let group = usize::try_from(node.int("group", 1)).unwrap_or(0);
    if group == 0 || outputs % group != 0 || inputs * group != value.shape.channels {
        return Err(format!("Conv takes {inputs} channels in {group} groups from {:?}", value.shape));
    }
    let (window, after) = window(node, value.shape, &[height as i64, width as i64])?;
    if planner_ceils(node) {
        return Err("unsupported: op Conv with `ceil_mode`".into());
    }
    let bias = match node.optional(2) {
        Some(name) => planner.graph.constant(name)?.floats()?.iter().copied().map(f64::from).collect(),
        None => vec![0.0; outputs],
    };
    let weights = weights.floats()?.to_vec();
    let map = Linear::Convolution(Convolution { window, weights, scale: vec![1.0; outputs], group });
    Ok(planner.map(value, map, bias, Shape { channels: outputs, ..after }))
}

fn planner_ceils(node: &Node) -> bool {
    node.int("ceil_mode", 0) != 0
}

/// The window of a convolution or a pool, and the shape that it makes.
fn window(node: &Node, shape: Shape, size: &[i64]) -> Result<(Window, Shape), String> {
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
    let size = <[i64; 2]>::try_from(size).map_err(|_| format!("unsupported: op {op} of a kernel of {size:?}"))?;
    let (strides, ceil) = (pair("strides")?, node.int("ceil_mode", 0) != 0);
    let auto = node.word("auto_pad").unwrap_or(b"NOTSET");
    let axis = |i: usize, length: usize| -> Result<(Axis, usize), String> {
        let (size, stride, length) = (size[i], strides[i], length as i64);
        let (before, after) = match auto {
            b"NOTSET" | b"" => (pads[i], pads[i + 2]),
            b"VALID" => (0, 0),
            b"SAME_UPPER" | b"SAME_LOWER" if stride > 0 => {
                let all = ((length + stride - 1) / stride * stride - stride + size - length).max(0);
                let less = all / 2;
                if auto == b"SAME_UPPER" { (less, all - less) } else { (all - less, less) }
            }
            _ => return Err(format!("unsupported: op {op} with this `auto_pad`")),
        };
        let fits = size > 0 && stride > 0 && before >= 0 && after >= 0 && before < size && after < size;
        let room = length + before + after - size;
        if !fits || room < 0 {
            return Err(format!(
                "unsupported: op {op} of the kernel {size}, stride {stride}, pads {before} and {after}"
            ));
        }
        let mut outputs = room / stride + 1;
        if ceil && room % stride != 0 && outputs * stride < length + before {
            outputs += 1;
        }
        let axis = Axis { size: size as usize, stride: stride as usize, before: before as usize };
        Ok((axis, outputs as usize))
    };
    let ((y, height), (x, width)) = (axis(0, shape.height)?, axis(1, shape.width)?);
    Ok((Window { y, x }, Shape { height, width, ..shape }))
}

fn average_pool(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let value = spatial(planner, node)?;
    let size = node.ints("kernel_shape").ok_or("AveragePool has no `kernel_shape`")?;
    let (window, after) = window(node, value.shape, size)?;
    let padded = node.int("count_include_pad", 0) != 0;
    if padded && planner_ceils(node) {
        return Err("unsupported: op AveragePool with `ceil_mode` that counts its pads".into());
    }
    let cells = after.rect();
    let share = |cell: usize| {
        let (y, x) = ((cell / after.width) as i32, (cell % after.width) as i32);
        let place = super::shape::Rect { top: y, left: x, bottom: y + 1, right: x + 1 };
        debug_assert!(cells.contains(place));
        let seen = window.sources(place);
        let counted = if padded { seen } else { seen.intersect(value.shape.rect()) };
        1.0 / counted.cells() as f32
    };
    let shares = (0..after.cells()).map(share).collect();
    let scale = vec![1.0; after.channels];
    let bias = vec![0.0; after.channels];
    Ok(planner.map(value, Linear::Average(Average { window, shares, scale }), bias, after))
}

fn global_average(planner: &mut Planner, value: Value) -> Value {
    let shape = value.shape;
    let shares = vec![1.0 / shape.cells() as f32];
    let (scale, bias) = (vec![1.0; shape.channels], vec![0.0; shape.channels]);
    let map = Linear::Average(Average { window: Window::all(shape), shares, scale });
    planner.map(value, map, bias, Shape::vector(shape.channels))
}

/// Axes from an attribute, or from the second input as later versions have it; sorted, counted from the left of four.
fn axes(planner: &Planner, node: &Node) -> Result<Vec<i64>, String> {
    let mut axes = match (node.ints("axes"), node.optional(1)) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(name)) => planner.graph.constant(name)?.ints()?.to_vec(),
        (None, None) => vec![],
    };
    axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis += 4);
    axes.sort_unstable();
    Ok(axes)
}

fn reduce_mean(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let axes = axes(planner, node)?;
    let value = spatial(planner, node)?;
    if axes != [2, 3] {
        return Err(format!("unsupported: op ReduceMean over the axes {axes:?}"));
    }
    let kept = node.int("keepdims", 1) != 0;
    Ok(Value { flat: !kept, ..global_average(planner, value) })
}

fn squeeze(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let axes = axes(planner, node)?;
    let value = spatial(planner, node)?;
    if axes != [2, 3] || value.shape.cells() != 1 {
        return Err(format!("unsupported: op Squeeze of the axes {axes:?}"));
    }
    Ok(Value { flat: true, ..value })
}

fn reshape(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let shape = planner.graph.constant(node.input(1)?)?;
    let value = planner.take(node.input(0)?)?;
    let features = (value.shape.channels * value.shape.cells()) as i64;
    match *shape.ints()? {
        [0, -1] => Ok(Value { flat: true, ..value }),
        [0 | -1, n] if n == features => Ok(Value { flat: true, ..value }),
        ref other => Err(format!("unsupported: op Reshape to {other:?}")),
    }
}

fn matrix(planner: &mut Planner, node: &Node) -> Result<Value, String> {
    let op = &node.op_type;
    let weights = planner.graph.constant(node.input(1)?)?;
    let &[rows, columns] = weights.dims.as_slice() else {
        return Err(format!("unsupported: op {op} with weights of the shape {:?}", weights.dims));
    };
    let value = planner.take(node.input(0)?)?;
    let gemm = op == "Gemm";
    let turned = gemm && node.int("transB", 0) != 0;
    let (inputs, outputs) = if turned { (columns, rows) } else { (rows, columns) };
    let features = value.shape.channels * value.shape.cells();
    if !value.flat || inputs != features || (gemm && node.int("transA", 0) != 0) {
        return Err(format!("unsupported: op {op} of {:?} by a matrix of {rows}x{columns}", value.shape));
    }
    let factor = |name: &str| if gemm { f64::from(node.float(name).unwrap_or(1.0)) } else { 1.0 };
    let (alpha, beta) = (factor("alpha"), factor("beta"));
    let numbers = weights.floats()?;
    let at = |output: usize, input: usize| if turned { output * inputs + input } else { input * outputs + output };
    let ordered = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
    let ordered = ordered.map(|(output, input)| alpha * f64::from(numbers[at(output, input)])).collect();
    let bias = match node.optional(2).filter(|_| gemm) {
        Some(name) => {
            let bias = planner.graph.constant(name)?;
            per_channel(&bias, Shape::vector(outputs), true)?.iter().map(|bias| beta * bias).collect()
        }
        None => vec![0.0; outputs],
    };
    Ok(planner.dense(value, Dense { weights: ordered, inputs }, bias))
}
