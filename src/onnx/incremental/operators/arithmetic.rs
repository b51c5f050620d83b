//! Arithmetic channel by channel.

use super::super::{
    geometry::LayerShape,
    layer_planner::{LayerPlanner, LinearValue},
};
use crate::onnx::{graph::Constant, wire::NodeProto};

/// `Add`, `Sub`, `Mul` or `Div` of a value and a constant, or the sum or difference of two values.
pub(super) fn binary(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let op = node.op_type.as_str();
    let (constant, name, constant_is_first) = match (planner.graph.is_constant(a), planner.graph.is_constant(b)) {
        (false, true) => (b, a, false),
        (true, false) => (a, b, true),
        (false, false) => {
            let (a, b) = (planner.take(a)?, planner.take(b)?);
            let channels = b.shape.channels;
            return match op {
                "Add" => a.plus(b),
                "Sub" => a.plus(b.affine(&vec![-1.0; channels], &vec![0.0; channels])),
                _ => Err(format!("unsupported: op {op} of two values that depend on the image")),
            };
        }
        (true, true) => return Err(format!("unsupported: op {op} of two constants")),
    };
    let constant = planner.graph.constant(constant)?;
    let value = planner.take(name)?;
    let operand = per_channel(&constant, value.shape, value.is_flat)?;
    let (ones, zeros) = (vec![1.0; operand.len()], vec![0.0; operand.len()]);
    let each = |f: fn(f64) -> f64| operand.iter().copied().map(f).collect::<Vec<f64>>();
    Ok(match (op, constant_is_first) {
        ("Add", _) => value.affine(&ones, &operand),
        ("Sub", false) => value.affine(&ones, &each(|x| -x)),
        ("Sub", true) => value.affine(&each(|_| -1.0), &operand),
        ("Mul", _) => value.affine(&operand, &zeros),
        ("Div", false) => value.affine(&each(|x| 1.0 / x), &zeros),
        _ => return Err(format!("unsupported: op {op} of a constant by a value")),
    })
}

/// A batch normalisation with fixed statistics.
pub(super) fn batch_normalization(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
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
        || (value.is_flat && value.shape.cells() > 1)
    {
        return Err(format!("unsupported: op BatchNormalization of a value of {:?}", value.shape));
    }
    let factor = |c: usize| f64::from(gain[c]) / (f64::from(variance[c]) + epsilon).sqrt();
    let factors: Vec<f64> = (0..channels).map(factor).collect();
    let constants = (0..channels).map(|c| f64::from(shift[c]) - f64::from(mean[c]) * factors[c]);
    Ok(value.affine(&factors, &constants.collect::<Vec<f64>>()))
}

/// A constant as one number per channel.
pub(super) fn per_channel(constant: &Constant, shape: LayerShape, is_flat: bool) -> Result<Vec<f64>, String> {
    let (numbers, channels) = (constant.floats()?, shape.channels);
    if let [number] = numbers {
        return Ok(vec![f64::from(*number); channels]);
    }
    // Broadcasting aligns shapes on the right: a row of numbers ends with the channel, an image with rows and columns after it.
    let dims = constant.dims.as_slice();
    let trailing = if is_flat { 0 } else { 2 };
    let (leading, own) = dims.split_at(dims.len().saturating_sub(trailing + 1));
    let fits = own.first() == Some(&channels) && own.len() == trailing + 1 && own[1..].iter().all(|&dim| dim == 1);
    let per_feature = is_flat && shape.cells() > 1;
    if fits && !per_feature && leading.iter().all(|&dim| dim == 1) {
        return Ok(numbers.iter().copied().map(f64::from).collect());
    }
    Err(format!("unsupported: a constant of the shape {dims:?} with a value of {shape:?}"))
}
