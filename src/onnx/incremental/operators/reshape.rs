//! Operators that change the shape of a value: reductions, `Flatten`, `Reshape`, `Squeeze`.

use super::{
    super::layer_planner::{LayerPlanner, LinearValue},
    spatial_input,
    window::global_average,
};
use crate::onnx::wire::NodeProto;

/// The axes of rows and columns in `[N, channel, row, column]`.
const SPATIAL_AXES: [i64; 2] = [2, 3];

/// The axes of a node, sorted and not negative. They are an attribute, or the second input in later operator sets.
fn axes(planner: &LayerPlanner, node: &NodeProto) -> Result<Vec<i64>, String> {
    let mut axes = match (node.ints("axes"), node.optional_input(1)) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(name)) => planner.graph.constant(name)?.ints()?.to_vec(),
        (None, None) => vec![],
    };
    axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis += 4);
    axes.sort_unstable();
    Ok(axes)
}

pub(super) fn reduce_mean(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let axes = axes(planner, node)?;
    let value = spatial_input(planner, node)?;
    if axes != SPATIAL_AXES {
        return Err(format!("unsupported: op ReduceMean over the axes {axes:?}"));
    }
    let keeps_dims = node.int("keepdims", 1) != 0;
    Ok(LinearValue { is_flat: !keeps_dims, ..global_average(planner, value) })
}

pub(super) fn squeeze(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let axes = axes(planner, node)?;
    let value = spatial_input(planner, node)?;
    if axes != SPATIAL_AXES || value.shape.cells() != 1 {
        return Err(format!("unsupported: op Squeeze of the axes {axes:?}"));
    }
    Ok(LinearValue { is_flat: true, ..value })
}

pub(super) fn flatten(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let axis = node.int("axis", 1);
    if axis != 1 {
        return Err(format!("unsupported: op Flatten of axis {axis}"));
    }
    Ok(LinearValue { is_flat: true, ..planner.take(node.input(0)?)? })
}

pub(super) fn reshape(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let shape = planner.graph.constant(node.input(1)?)?;
    let value = planner.take(node.input(0)?)?;
    let features = (value.shape.channels * value.shape.cells()) as i64;
    match *shape.ints()? {
        [0, -1] => Ok(LinearValue { is_flat: true, ..value }),
        [0 | -1, n] if n == features => Ok(LinearValue { is_flat: true, ..value }),
        ref other => Err(format!("unsupported: op Reshape to {other:?}")),
    }
}
