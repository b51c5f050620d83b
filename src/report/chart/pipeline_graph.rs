//! The graph of a pipeline: its steps from left to right, connected to what they read.

use askama::Template;
use plotters::style::RGBColor;

use super::{
    layered_layout::{self, LayeredLayout, LayoutEdge, LayoutPoint},
    palette::{INK_HEX, MUTED, MUTED_HEX, PAPER_HEX, hex, series},
    text::{ellipsize_to_width, without_forbidden_characters},
};
use crate::{engine::GraphNode, error::Result, report::render};

/// The size of a box, pixels.
const BOX_WIDTH: f64 = 164.0;
const BOX_HEIGHT: f64 = 38.0;
/// The distance between layers.
const GAP: f64 = 34.0;
/// The font sizes in a box, and the width available for text.
const LABEL_SIZE: u32 = 13;
const KIND_SIZE: u32 = 10;
const TEXT_WIDTH: u32 = BOX_WIDTH as u32 - 16;
/// The heights of a node and of a passing edge, with the space around them.
const NODE_HEIGHT: f64 = BOX_HEIGHT + 12.0;
const EDGE_HEIGHT: f64 = 12.0;
const MARGIN: f64 = 8.0;

#[derive(Template)]
#[template(path = "pipeline_graph.svg")]
struct PipelineGraphSvg {
    width: f64,
    height: f64,
    arrows: Vec<Arrow>,
    boxes: Vec<StepBox>,
}

/// An edge as an SVG path, and the tip of its arrow.
struct Arrow {
    path: String,
    tip_x: f64,
    tip_y: f64,
}

struct StepBox {
    x: f64,
    y: f64,
    colour: String,
    label: String,
    /// Family and kind.
    kind: String,
}

/// The graph, as wide as the pipeline is deep. The page shrinks it by up to a fifth and then scrolls it.
pub(in crate::report) fn pipeline_graph(nodes: &[GraphNode]) -> Result<String> {
    let index = |label: &String| nodes.iter().position(|node| node.label == *label);
    let reads: Vec<Vec<usize>> = nodes.iter().map(|node| node.reads.iter().filter_map(index).collect()).collect();
    let layout = layered_layout::layout(&reads, NODE_HEIGHT, EDGE_HEIGHT);
    let boxes = nodes.iter().zip(&layout.nodes).map(|(node, at)| StepBox {
        x: layer_x(at.layer),
        y: MARGIN + at.y - BOX_HEIGHT / 2.0,
        colour: hex(family_colour(&node.family)),
        label: ellipsize_to_width(&node.label, TEXT_WIDTH, LABEL_SIZE),
        kind: ellipsize_to_width(&format!("{} · {}", node.family, node.kind), TEXT_WIDTH, KIND_SIZE),
    });
    let svg = render(&PipelineGraphSvg {
        // An empty pipeline still needs a size.
        width: (layer_x(layout.layers) - GAP + MARGIN).max(2.0 * MARGIN),
        height: layout.height + 2.0 * MARGIN,
        arrows: layout.edges.iter().map(|edge| arrow(&layout, edge)).collect(),
        boxes: boxes.collect(),
    })?;
    Ok(without_forbidden_characters(svg))
}

fn layer_x(layer: usize) -> f64 {
    MARGIN + layer as f64 * (BOX_WIDTH + GAP)
}

/// A curve from box to box, straight where it passes a layer.
fn arrow(layout: &LayeredLayout, edge: &LayoutEdge) -> Arrow {
    let (start, end) = (layout.nodes[edge.from], layout.nodes[edge.to]);
    let (mut x, mut y) = (layer_x(start.layer) + BOX_WIDTH, start.y + MARGIN);
    let mut path = format!("M{x:.1} {y:.1}");
    let mut curve_to = |to_x: f64, to_y: f64| {
        path += &format!("C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}", x + GAP / 2.0, to_x - GAP / 2.0);
        (x, y) = (to_x, to_y);
    };
    for &LayoutPoint { layer, y } in &edge.through {
        curve_to(layer_x(layer), y + MARGIN);
        curve_to(layer_x(layer) + BOX_WIDTH, y + MARGIN);
    }
    let (tip_x, tip_y) = (layer_x(end.layer), end.y + MARGIN);
    curve_to(tip_x - 5.0, tip_y);
    Arrow { path, tip_x, tip_y }
}

fn family_colour(family: &str) -> RGBColor {
    let index = ["source", "transform", "score", "monitor", "sink"].iter().position(|known| *known == family);
    index.map_or(MUTED, series)
}

#[cfg(test)]
mod tests {
    use super::{super::rasterize, *};

    fn node(family: &str, label: &str, reads: &[&str]) -> GraphNode {
        let reads = reads.iter().map(|label| (*label).to_owned()).collect();
        GraphNode { family: family.into(), label: label.into(), kind: "kind".into(), reads }
    }

    #[test]
    fn draws_every_step_and_edge_once_and_escapes_labels() {
        let nodes = [
            node("source", "source", &[]),
            node("transform", "<b>", &["source"]),
            node("score", "da", &["<b>"]),
            node("monitor", "right", &["source", "da"]),
            node("sink", "a label that is much too long for a box", &["da", "nowhere"]),
        ];
        let svg = pipeline_graph(&nodes).expect("an SVG");
        assert_eq!((svg.matches("<rect").count(), svg.matches("<path").count()), (1 + 2 * 5, 2 * 4));
        assert!(svg.contains("&#60;b&#62;") && !svg.contains("<b>") && svg.contains("a label that is muc…"), "{svg}");
        assert!(svg.contains("score · kind"));
        rasterize::png(&svg).expect("a PNG");
        assert_eq!(pipeline_graph(&nodes).expect("an SVG"), svg);
        rasterize::png(&pipeline_graph(&[]).expect("an SVG")).expect("a PNG");
    }
}
