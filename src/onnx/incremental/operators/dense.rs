//! Matrices: `Gemm` and `MatMul`.

use super::{
    super::{
        geometry::LayerShape,
        layer_planner::{LayerPlanner, LinearValue},
        linear_map::DenseMap,
    },
    arithmetic::per_channel,
};
use crate::onnx::wire::NodeProto;

pub(super) fn matrix(planner: &mut LayerPlanner, node: &NodeProto) -> Result<LinearValue, String> {
    let op = &node.op_type;
    let weights = planner.graph.constant(node.input(1)?)?;
    let &[rows, columns] = weights.dims.as_slice() else {
        return Err(format!("unsupported: op {op} with weights of the shape {:?}", weights.dims));
    };
    let value = planner.take(node.input(0)?)?;
    let is_gemm = op == "Gemm";
    let transposed = is_gemm && node.int("transB", 0) != 0;
    let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
    let features = value.shape.channels * value.shape.cells();
    if !value.is_flat || inputs != features || (is_gemm && node.int("transA", 0) != 0) {
        return Err(format!("unsupported: op {op} of {:?} by a matrix of {rows}x{columns}", value.shape));
    }
    let factor = |name: &str| if is_gemm { f64::from(node.float(name).unwrap_or(1.0)) } else { 1.0 };
    let (alpha, beta) = (factor("alpha"), factor("beta"));
    let numbers = weights.floats()?;
    let at = |output: usize, input: usize| if transposed { output * inputs + input } else { input * outputs + output };
    let indices = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
    let weights = indices.map(|(output, input)| alpha * f64::from(numbers[at(output, input)])).collect();
    let bias = match node.optional_input(2).filter(|_| is_gemm) {
        Some(name) => {
            let bias = planner.graph.constant(name)?;
            per_channel(&bias, LayerShape::vector(outputs), true)?.iter().map(|bias| beta * bias).collect()
        }
        None => vec![0.0; outputs],
    };
    Ok(planner.dense(value, DenseMap { weights, inputs }, bias))
}
