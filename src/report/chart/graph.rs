//! The graph of a pipeline: its steps from left to right, joined by what they read.

use askama::Template;
use plotters::style::RGBColor;

use super::{
    axis::fitted,
    bug,
    layered::{self, Layout},
    palette::{MUTED, hex, series},
    printable,
};
use crate::{engine::GraphNode, error::Result};

/// A box, pixels.
const WIDTH: f64 = 164.0;
const HEIGHT: f64 = 38.0;
/// Between layers.
const GAP: f64 = 34.0;
/// Letters of a label and below it, and what of a box is theirs.
const LABEL: u32 = 13;
const BELOW: u32 = 10;
const ROOM: u32 = WIDTH as u32 - 16;
/// Of a node with the room around it, and of a line that passes.
const ROW: f64 = HEIGHT + 12.0;
const PASSING: f64 = 12.0;
const MARGIN: f64 = 8.0;

#[derive(Template)]
#[template(path = "graph.svg")]
struct Graph {
    width: f64,
    height: f64,
    box_width: f64,
    box_height: f64,
    lines: Vec<(String, (f64, f64))>,
    boxes: Vec<Step>,
}

struct Step {
    x: f64,
    y: f64,
    colour: String,
    label: String,
    /// Family and kind.
    what: String,
}

/// The steps of a pipeline, as wide as it is deep; a page may show it a fifth smaller, and scrolls it where that is too wide.
pub(in crate::report) fn graph(nodes: &[GraphNode]) -> Result<String> {
    let place = |label: &String| nodes.iter().position(|node| node.label == *label);
    let reads: Vec<Vec<usize>> = nodes.iter().map(|node| node.reads.iter().filter_map(place).collect()).collect();
    let layout = layered::layout(&reads, ROW, PASSING);
    let left = |layer: usize| MARGIN + layer as f64 * (WIDTH + GAP);
    let boxes = nodes.iter().zip(&layout.nodes).map(|(node, (layer, y))| Step {
        x: left(*layer),
        y: MARGIN + y - HEIGHT / 2.0,
        colour: hex(family(&node.family)),
        label: fitted(&node.label, ROOM, LABEL),
        what: fitted(&format!("{} · {}", node.family, node.kind), ROOM, BELOW),
    });
    Graph {
        // A pipeline without steps is a picture too, of nothing.
        width: (left(layout.layers) - GAP + MARGIN).max(2.0 * MARGIN),
        height: layout.height + 2.0 * MARGIN,
        box_width: WIDTH,
        box_height: HEIGHT,
        lines: lines(&layout),
        boxes: boxes.collect(),
    }
    .render()
    .map(printable)
    .map_err(bug)
}

/// Curves from box to box, with the tips of their arrows.
fn lines(layout: &Layout) -> Vec<(String, (f64, f64))> {
    let left = |layer: usize| MARGIN + layer as f64 * (WIDTH + GAP);
    let curve = |line: &layered::Line| {
        let ((start_layer, start), (end_layer, end)) = (layout.nodes[line.from], layout.nodes[line.to]);
        let (mut x, mut y) = (left(start_layer) + WIDTH, start + MARGIN);
        let mut path = format!("M{x:.1} {y:.1}");
        let mut bend = |to_x: f64, to_y: f64| {
            path += &format!("C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}", x + GAP / 2.0, to_x - GAP / 2.0);
            (x, y) = (to_x, to_y);
        };
        for &(layer, at) in &line.through {
            bend(left(layer), at + MARGIN);
            bend(left(layer) + WIDTH, at + MARGIN);
        }
        let tip = (left(end_layer), end + MARGIN);
        bend(tip.0 - 5.0, tip.1);
        (path, tip)
    };
    layout.lines.iter().map(curve).collect()
}

/// The colour of a family.
fn family(name: &str) -> RGBColor {
    let place = ["source", "transform", "score", "monitor", "sink"].iter().position(|known| *known == name);
    place.map_or(MUTED, series)
}

#[cfg(test)]
mod tests {
    use super::{super::raster, *};

    fn node(family: &str, label: &str, reads: &[&str]) -> GraphNode {
        let reads = reads.iter().map(|label| (*label).to_owned()).collect();
        GraphNode { family: family.into(), label: label.into(), kind: "kind".into(), reads }
    }

    #[test]
    fn every_step_and_every_line_is_drawn_once_and_names_are_text() {
        let nodes = [
            node("source", "source", &[]),
            node("transform", "<b>", &["source"]),
            node("score", "da", &["<b>"]),
            node("monitor", "right", &["source", "da"]),
            node("sink", "a label that is much too long for a box", &["da", "nowhere"]),
        ];
        let svg = graph(&nodes).expect("a picture");
        assert_eq!((svg.matches("<rect").count(), svg.matches("<path").count()), (1 + 2 * 5, 2 * 4));
        assert!(svg.contains("&#60;b&#62;") && !svg.contains("<b>") && svg.contains("a label that is muc…"), "{svg}");
        assert!(svg.contains("score · kind"));
        raster::png(&svg).expect("a PNG");
        assert_eq!(graph(&nodes).expect("a picture"), svg);
        raster::png(&graph(&[]).expect("a picture")).expect("a PNG");
    }
}
