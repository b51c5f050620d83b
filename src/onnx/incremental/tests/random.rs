//! Random small networks with randomly changed pixels, against the naive forward pass.

use super::{
    super::{Candidates, IncrementalModel},
    naive::{NaiveTensor, run},
    signature, vector,
};
use crate::onnx::{
    graph::{
        ModelGraph,
        builder::{AttributeValue, GraphBuilder},
    },
    probe::noise,
    signature::ModelSignature,
};

const SIZE: usize = 11;
const BANDS: usize = 2;
const CLASSES: usize = 3;

/// Random draws from a counter.
struct CounterDraws(u64);

impl CounterDraws {
    fn uniform(&mut self) -> f64 {
        self.0 += 1;
        // Inverts the cube of `noise`.
        0.5 + ((f64::from(noise(self.0)) - 0.5) / 4.0).cbrt()
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n - 1)
    }

    fn weights(&mut self, count: usize, size: f64) -> Vec<f32> {
        (0..count).map(|_| ((self.uniform() - 0.5) * size) as f32).collect()
    }
}

/// Builds a random network layer by layer.
struct RandomNetwork<'a> {
    draws: &'a mut CounterDraws,
    build: GraphBuilder,
    /// The name of the last value.
    last: String,
    channels: usize,
    /// Rows and columns of the last value.
    sides: [usize; 2],
    count: usize,
}

/// The attributes of a convolution or a pool.
struct RandomWindow {
    size: [i64; 2],
    strides: [i64; 2],
    pads: [i64; 4],
}

impl RandomNetwork<'_> {
    fn add(&mut self, op: &str, more: &[&str], attributes: &[(&str, AttributeValue)]) {
        self.count += 1;
        let next = format!("v{}", self.count);
        let inputs: Vec<&str> = std::iter::once(self.last.as_str()).chain(more.iter().copied()).collect();
        self.build.node(op, &inputs, &next, attributes);
        self.last = next;
    }

    /// A random window that fits; the sides become those of its output.
    fn window(&mut self, most: usize) -> RandomWindow {
        let (mut size, mut strides, mut pads) = ([1; 2], [1; 2], [0; 4]);
        for i in 0..2 {
            let own = 1 + self.draws.below(most.min(self.sides[i]));
            (size[i], strides[i]) = (own as i64, 1 + self.draws.below(3) as i64);
            (pads[i], pads[i + 2]) = (self.draws.below(own) as i64, self.draws.below(own) as i64);
            self.sides[i] = (self.sides[i] + (pads[i] + pads[i + 2]) as usize - own) / strides[i] as usize + 1;
        }
        RandomWindow { size, strides, pads }
    }

    fn convolution(&mut self, group: usize) {
        let RandomWindow { size, strides, pads } = self.window(5);
        let outputs = group * (1 + self.draws.below(19 / group));
        let (inputs, area) = (self.channels / group, (size[0] * size[1]) as usize);
        let (weights, bias) = (format!("w{}", self.count), format!("b{}", self.count));
        let numbers = self.draws.weights(outputs * inputs * area, 4.0 / (inputs as f64 * area as f64).sqrt());
        self.build.constant(&weights, &[outputs, inputs, size[0] as usize, size[1] as usize], numbers);
        let numbers = self.draws.weights(outputs, 0.5);
        self.build.constant(&bias, &[outputs], numbers);
        let attributes = [
            ("strides", AttributeValue::Ints(&strides)),
            ("pads", AttributeValue::Ints(&pads)),
            ("group", AttributeValue::Int(group as i64)),
        ];
        self.add("Conv", &[&weights, &bias], &attributes);
        self.channels = outputs;
    }

    fn layer(&mut self) {
        match self.draws.below(7) {
            0 => self.add("Relu", &[], &[]),
            1 => self.add("LeakyRelu", &[], &[("alpha", AttributeValue::Float(0.3))]),
            2 | 3 => {
                let RandomWindow { size, strides, pads } = self.window(3);
                let window = [
                    ("kernel_shape", AttributeValue::Ints(&size)),
                    ("strides", AttributeValue::Ints(&strides)),
                    ("pads", AttributeValue::Ints(&pads)),
                ];
                if self.draws.below(2) == 0 {
                    self.add("MaxPool", &[], &window);
                } else {
                    let counts = self.draws.below(2) as i64;
                    let [size, strides, pads] = window;
                    self.add(
                        "AveragePool",
                        &[],
                        &[size, strides, pads, ("count_include_pad", AttributeValue::Int(counts))],
                    );
                }
            }
            4 => {
                // A shortcut around an activation.
                let before = self.last.clone();
                self.add("Relu", &[], &[]);
                self.add("Add", &[&before], &[]);
            }
            _ => {
                let one_group = self.draws.below(4) > 0;
                self.convolution(if one_group { 1 } else { self.channels });
            }
        }
    }

    fn matrix(&mut self, inputs: usize, outputs: usize, name: &str) {
        let (weights, bias) = (format!("{name}_w"), format!("{name}_b"));
        let numbers = self.draws.weights(outputs * inputs, 4.0 / (inputs as f64).sqrt());
        self.build.constant(&weights, &[outputs, inputs], numbers);
        let numbers = self.draws.weights(outputs, 0.5);
        self.build.constant(&bias, &[outputs], numbers);
        self.add("Gemm", &[&weights, &bias], &[("transB", AttributeValue::Int(1))]);
    }
}

/// A random network, and the name of its logits.
fn network(draws: &mut CounterDraws) -> (ModelGraph, String) {
    let build = GraphBuilder::default();
    let mut net = RandomNetwork { draws, build, last: "image".into(), channels: BANDS, sides: [SIZE; 2], count: 0 };
    for _ in 0..2 + net.draws.below(6) {
        net.layer();
    }
    if net.draws.below(3) == 0 {
        net.add("GlobalAveragePool", &[], &[]);
        net.sides = [1, 1];
    }
    net.add("Flatten", &[], &[]);
    let features = net.channels * net.sides[0] * net.sides[1];
    let hidden = 1 + net.draws.below(20);
    net.matrix(features, hidden, "hidden");
    if net.draws.below(2) == 0 {
        net.add("Relu", &[], &[]);
    }
    net.matrix(hidden, CLASSES, "head");
    (net.build.read(), net.last)
}

#[test]
fn random_networks_agree_with_the_definitions() {
    let mut draws = CounterDraws(1 << 40);
    let (mut moved, mut networks) = (0, 0);
    for seed in 0..150 {
        let (graph, logits) = network(&mut draws);
        let signature = ModelSignature { logits: Some(vector(&logits, CLASSES)), ..signature(BANDS, SIZE, CLASSES) };
        let model = IncrementalModel::of(&graph, &signature).unwrap_or_else(|why| panic!("network {seed}: {why}"));
        let image: Vec<f32> = draws.weights(BANDS * SIZE * SIZE, 2.0);
        let tensor = |image: &[f32]| NaiveTensor {
            dims: vec![BANDS, SIZE, SIZE],
            values: image.iter().map(|&x| f64::from(x)).collect(),
        };
        let base = model.base_image(&image);
        let mut scratch = model.scratch();
        let check = |found: &[f32], image: &[f32], what: &str| {
            let expected = run(&graph, tensor(image), &logits);
            let scale = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let difference = (f64::from(*found) - expected).abs();
                assert!(difference < 1e-5 * scale, "network {seed}, {what}: {found} {expected}");
            }
        };
        check(&base.logits, &image, "the image");
        for pixels in [1, 1, 1, 2, 4] {
            let places: Vec<u32> = (0..pixels).map(|_| draws.below(SIZE * SIZE) as u32).collect();
            let values = draws.weights(pixels * BANDS, 4.0);
            let mut found = Vec::new();
            let candidates = Candidates { pixels, places: &places, values: &values };
            model.append_logits(&base, candidates, &mut scratch, &mut found);
            let mut changed = image.clone();
            for (place, values) in places.iter().zip(values.chunks(BANDS)) {
                for (band, value) in values.iter().enumerate() {
                    changed[band * SIZE * SIZE + *place as usize] = *value;
                }
            }
            check(&found, &changed, &format!("{pixels} pixels at {places:?}"));
            moved += usize::from(found != base.logits);
        }
        networks += 1;
    }
    assert!(moved > networks * 2, "only {moved} candidates of {networks} networks moved the logits");
}
