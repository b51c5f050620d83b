//! Runs a graph from the definitions of its operators, number by number, in double precision.

use std::collections::HashMap;

use crate::onnx::{graph::ModelGraph, wire::NodeProto};

/// `[channel][row][column]`, or `[feature]`.
#[derive(Clone)]
pub(super) struct NaiveTensor {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl NaiveTensor {
    fn at(&self, c: usize, y: i64, x: i64) -> Option<f64> {
        let [_, height, width] = self.dims[..] else { panic!("rows and columns") };
        let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
        inside.then(|| self.values[(c * height + y as usize) * width + x as usize])
    }
}

/// A value of the graph for an image.
pub(super) fn run(graph: &ModelGraph, image: NaiveTensor, name: &str) -> Vec<f64> {
    let mut values = HashMap::from([("image".to_owned(), image)]);
    for node in &graph.nodes {
        let output = apply(graph, node, &values);
        values.insert(node.output[0].clone(), output);
    }
    values[name].values.clone()
}

fn apply(graph: &ModelGraph, node: &NodeProto, values: &HashMap<String, NaiveTensor>) -> NaiveTensor {
    let x = &values[&node.input[0]];
    let channels = x.dims[0];
    let each = |f: &dyn Fn(f64) -> f64| NaiveTensor { values: x.values.iter().map(|&x| f(x)).collect(), ..x.clone() };
    match node.op_type.as_str() {
        "Relu" => each(&|x| x.max(0.0)),
        "LeakyRelu" => each(&|x| if x < 0.0 { x * f64::from(node.float("alpha").unwrap()) } else { x }),
        "Flatten" => NaiveTensor { dims: vec![x.values.len()], ..x.clone() },
        "Add" => {
            let sum = x.values.iter().zip(&values[&node.input[1]].values).map(|(a, b)| a + b);
            NaiveTensor { values: sum.collect(), ..x.clone() }
        }
        "GlobalAveragePool" => {
            let means = x.values.chunks(x.values.len() / channels).map(|c| c.iter().sum::<f64>() / c.len() as f64);
            NaiveTensor { dims: vec![channels, 1, 1], values: means.collect() }
        }
        "Gemm" => {
            let (weights, bias) = (graph.constant(&node.input[1]).unwrap(), graph.constant(&node.input[2]).unwrap());
            let (weights, bias) = (weights.floats().unwrap(), bias.floats().unwrap());
            let rows = weights.chunks(x.values.len()).zip(bias);
            let row = |(row, bias): (&[f32], &f32)| {
                f64::from(*bias) + row.iter().zip(&x.values).map(|(&w, x)| f64::from(w) * x).sum::<f64>()
            };
            NaiveTensor { dims: vec![bias.len()], values: rows.map(row).collect() }
        }
        "Conv" => {
            let (weights, bias) = (graph.constant(&node.input[1]).unwrap(), graph.constant(&node.input[2]).unwrap());
            let &[outputs, inputs, height, width] = &weights.dims[..] else { panic!("four dimensions") };
            let per_group = outputs / node.int("group", 1) as usize;
            windows(node, x, outputs, [height, width], |output, window| {
                let mut sum = f64::from(bias.floats().unwrap()[output]);
                for input in 0..inputs {
                    for (i, (y, x_at)) in window.iter().enumerate() {
                        let weight = weights.floats().unwrap()[(output * inputs + input) * height * width + i];
                        let channel = output / per_group * inputs + input;
                        sum += f64::from(weight) * x.at(channel, *y, *x_at).unwrap_or(0.0);
                    }
                }
                sum
            })
        }
        "MaxPool" | "AveragePool" => {
            let size = node.ints("kernel_shape").unwrap();
            let counts_padding = node.int("count_include_pad", 0) != 0;
            windows(node, x, channels, [size[0] as usize, size[1] as usize], |c, window| {
                let inside: Vec<f64> = window.iter().filter_map(|(y, x_at)| x.at(c, *y, *x_at)).collect();
                if node.op_type == "MaxPool" {
                    return inside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                }
                inside.iter().sum::<f64>() / if counts_padding { window.len() } else { inside.len() } as f64
            })
        }
        other => panic!("{other} is not implemented"),
    }
}

/// An output for every position of a window: `f` receives the channel and the cells that the window covers.
fn windows(
    node: &NodeProto,
    x: &NaiveTensor,
    channels: usize,
    size: [usize; 2],
    f: impl Fn(usize, &[(i64, i64)]) -> f64,
) -> NaiveTensor {
    let [_, height, width] = x.dims[..] else { panic!("rows and columns") };
    let (pads, strides) = (node.ints("pads").unwrap(), node.ints("strides").unwrap());
    let count = |i: usize, length: usize| {
        (length as i64 + pads[i] + pads[i + 2] - size[i] as i64) as usize / strides[i] as usize + 1
    };
    let (rows, columns) = (count(0, height), count(1, width));
    let mut values = Vec::new();
    for channel in 0..channels {
        for i in 0..rows * columns {
            let (top, left) =
                ((i / columns) as i64 * strides[0] - pads[0], (i % columns) as i64 * strides[1] - pads[1]);
            let covered = (0..size[0] * size[1]).map(|i| (top + (i / size[1]) as i64, left + (i % size[1]) as i64));
            values.push(f(channel, &covered.collect::<Vec<_>>()));
        }
    }
    NaiveTensor { dims: vec![channels, rows, columns], values }
}
