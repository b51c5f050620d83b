//! Many small nets of random layers, with pixels changed at random, against the naive forward pass.

use super::{
    super::Incremental,
    card,
    naive::{Array, run},
};
use crate::score::onnx::{
    batching::noise,
    graph::{
        Graph,
        build::{Build, Is},
    },
};

const SIZE: usize = 11;
const BANDS: usize = 2;
const CLASSES: usize = 3;

/// Draws by a counter.
struct Draws(u64);

impl Draws {
    fn uniform(&mut self) -> f64 {
        self.0 += 1;
        // The noise is a cubed uniform around one half.
        0.5 + ((f64::from(noise(self.0)) - 0.5) / 4.0).cbrt()
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n - 1)
    }

    fn weights(&mut self, count: usize, size: f64) -> Vec<f32> {
        (0..count).map(|_| ((self.uniform() - 0.5) * size) as f32).collect()
    }
}

/// A net in the making: the value so far and its shape.
struct Net<'a> {
    draws: &'a mut Draws,
    build: Build,
    last: String,
    channels: usize,
    sides: [usize; 2],
    count: usize,
}

impl Net<'_> {
    fn add(&mut self, op: &str, more: &[&str], attributes: &[(&str, Is)]) {
        self.count += 1;
        let next = format!("v{}", self.count);
        let inputs: Vec<&str> = std::iter::once(self.last.as_str()).chain(more.iter().copied()).collect();
        self.build.node(op, &inputs, &next, attributes);
        self.last = next;
    }

    /// A random window that fits; the sides become those of its output.
    fn window(&mut self, most: usize) -> ([i64; 2], [i64; 2], [i64; 4]) {
        let (mut size, mut strides, mut pads) = ([1; 2], [1; 2], [0; 4]);
        for i in 0..2 {
            let own = 1 + self.draws.below(most.min(self.sides[i]));
            (size[i], strides[i]) = (own as i64, 1 + self.draws.below(3) as i64);
            (pads[i], pads[i + 2]) = (self.draws.below(own) as i64, self.draws.below(own) as i64);
            self.sides[i] = (self.sides[i] + (pads[i] + pads[i + 2]) as usize - own) / strides[i] as usize + 1;
        }
        (size, strides, pads)
    }

    fn convolution(&mut self, group: usize) {
        let (size, strides, pads) = self.window(5);
        let outputs = group * (1 + self.draws.below(19 / group));
        let (inputs, area) = (self.channels / group, (size[0] * size[1]) as usize);
        let (weights, bias) = (format!("w{}", self.count), format!("b{}", self.count));
        let numbers = self.draws.weights(outputs * inputs * area, 4.0 / (inputs as f64 * area as f64).sqrt());
        self.build.constant(&weights, &[outputs, inputs, size[0] as usize, size[1] as usize], numbers);
        let numbers = self.draws.weights(outputs, 0.5);
        self.build.constant(&bias, &[outputs], numbers);
        let attributes = [("strides", Is::Ints(&strides)), ("pads", Is::Ints(&pads)), ("group", Is::Int(group as i64))];
        self.add("Conv", &[&weights, &bias], &attributes);
        self.channels = outputs;
    }

    fn layer(&mut self) {
        match self.draws.below(7) {
            0 => self.add("Relu", &[], &[]),
            1 => self.add("LeakyRelu", &[], &[("alpha", Is::Float(0.3))]),
            2 | 3 => {
                let (size, strides, pads) = self.window(3);
                let window =
                    [("kernel_shape", Is::Ints(&size)), ("strides", Is::Ints(&strides)), ("pads", Is::Ints(&pads))];
                if self.draws.below(2) == 0 {
                    self.add("MaxPool", &[], &window);
                } else {
                    let counts = self.draws.below(2) as i64;
                    let [size, strides, pads] = window;
                    self.add("AveragePool", &[], &[size, strides, pads, ("count_include_pad", Is::Int(counts))]);
                }
            }
            4 => {
                // A way around an activation.
                let before = self.last.clone();
                self.add("Relu", &[], &[]);
                self.add("Add", &[&before], &[]);
            }
            _ => {
                let whole = self.draws.below(4) > 0;
                self.convolution(if whole { 1 } else { self.channels });
            }
        }
    }

    fn matrix(&mut self, inputs: usize, outputs: usize, name: &str) {
        let (weights, bias) = (format!("{name}_w"), format!("{name}_b"));
        let numbers = self.draws.weights(outputs * inputs, 4.0 / (inputs as f64).sqrt());
        self.build.constant(&weights, &[outputs, inputs], numbers);
        let numbers = self.draws.weights(outputs, 0.5);
        self.build.constant(&bias, &[outputs], numbers);
        self.add("Gemm", &[&weights, &bias], &[("transB", Is::Int(1))]);
    }
}

fn net(draws: &mut Draws) -> (Graph, String) {
    let build = Build::default();
    let mut net = Net { draws, build, last: "image".into(), channels: BANDS, sides: [SIZE; 2], count: 0 };
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
fn random_nets_give_what_the_definitions_give() {
    let mut draws = Draws(1 << 40);
    let (mut moved, mut nets) = (0, 0);
    for seed in 0..150 {
        let (graph, logits) = net(&mut draws);
        let incremental =
            Incremental::of(&graph, &crate::card::Card { logits: logits.clone(), ..card(BANDS, SIZE, CLASSES) });
        let incremental = incremental.unwrap_or_else(|why| panic!("net {seed}: {why}"));
        let image: Vec<f32> = draws.weights(BANDS * SIZE * SIZE, 2.0);
        let array = |image: &[f32]| Array {
            dims: vec![BANDS, SIZE, SIZE],
            values: image.iter().map(|&x| f64::from(x)).collect(),
        };
        let base = incremental.base(&image);
        let mut scratch = incremental.scratch();
        let check = |found: &[f32], image: &[f32], what: &str| {
            let expected = run(&graph, array(image), &logits);
            let scale = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5 * scale, "net {seed}, {what}: {found} {expected}");
            }
        };
        check(&base.logits, &image, "the image");
        for k in [1, 1, 1, 2, 4] {
            let places: Vec<u32> = (0..k).map(|_| draws.below(SIZE * SIZE) as u32).collect();
            let values = draws.weights(k * BANDS, 4.0);
            let mut out = Vec::new();
            incremental.logits(&base, &mut scratch, &places, &values, k, &mut out);
            let mut changed = image.clone();
            for (place, values) in places.iter().zip(values.chunks(BANDS)) {
                for (band, value) in values.iter().enumerate() {
                    changed[band * SIZE * SIZE + *place as usize] = *value;
                }
            }
            check(&out, &changed, &format!("{k} pixels at {places:?}"));
            moved += usize::from(out != base.logits);
        }
        nets += 1;
    }
    assert!(moved > nets * 2, "{moved} candidates of {nets} nets moved the logits: too few to show a fault");
}
