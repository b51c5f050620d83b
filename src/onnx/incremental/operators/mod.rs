//! What each ONNX operator does to a value.

mod arithmetic;
mod dense;
mod reshape;
mod window;

use super::{
    kernel::Activation,
    layer_planner::{LayerPlanner, LinearValue},
};
use crate::onnx::wire::NodeProto;

/// The value that a node produces. The error names what is not supported.
pub(super) fn apply(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return Err(format!("unsupported: op {} of domain {}", node.op_type, node.domain));
    }
    match node.op_type.as_str() {
        "Add" | "Sub" | "Mul" | "Div" => arithmetic::binary(planner, node),
        "BatchNormalization" => arithmetic::batch_normalization(planner, node),
        "Relu" => activate(planner, node, Activation { low: 0.0, ..Activation::IDENTITY }),
        "LeakyRelu" => leaky_relu(planner, node),
        "Clip" => clip(planner, node),
        "Conv" => window::convolution(planner, node),
        "MaxPool" => window::max_pool(planner, node),
        "AveragePool" => window::average_pool(planner, node),
        "GlobalAveragePool" => {
            let value = spatial_input(planner, node)?;
            Ok(window::global_average(planner, value))
        }
        "ReduceMean" => reshape::reduce_mean(planner, node),
        "Flatten" => reshape::flatten(planner, node),
        "Reshape" => reshape::reshape(planner, node),
        "Squeeze" => reshape::squeeze(planner, node),
        "Gemm" | "MatMul" => dense::matrix(planner, node),
        "Identity" => planner.take(node.input(0)?),
        "Dropout" if node.optional_input(2).is_none() => planner.take(node.input(0)?),
        "Cast" if node.int("to", 0) == 1 => planner.take(node.input(0)?),
        other => Err(format!("unsupported: op {other}")),
    }
}

fn activate(planner: &mut LayerPlanner, node: &NodeProto, activation: Activation) -> Result<LinearValue, String> {
    let value = planner.take(node.input(0)?)?;
    Ok(planner.activate(value, activation))
}

fn leaky_relu(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let slope = node.float("alpha").unwrap_or(0.01);
    if !(0.0..=1.0).contains(&slope) {
        return Err(format!("unsupported: op LeakyRelu with the slope {slope}"));
    }
    activate(planner, node, Activation { slope, ..Activation::IDENTITY })
}

fn clip(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let limit = |i: usize, name: &str, default: f32| match node.optional_input(i) {
        Some(limit) => {
            planner.graph.constant(limit)?.floats()?.first().copied().ok_or("a limit of Clip is empty".into())
        }
        None => Ok::<f32, String>(node.float(name).unwrap_or(default)),
    };
    let Activation { low, high, .. } = Activation::IDENTITY;
    let (low, high) = (limit(1, "min", low)?, limit(2, "max", high)?);
    if low > high || low.is_nan() || high.is_nan() {
        return Err(format!("unsupported: op Clip to {low}..{high}"));
    }
    activate(planner, node, Activation { low, high, ..Activation::IDENTITY })
}

/// The first input, if it has rows and columns.
fn spatial_input(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let value = planner.take(node.input(0)?)?;
    if value.is_flat { Err(format!("unsupported: op {} of a row of numbers", node.op_type)) } else { Ok(value) }
}
