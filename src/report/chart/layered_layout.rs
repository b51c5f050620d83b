//! Layered layout of a directed acyclic graph, from left to right, with few crossings (Sugiyama, Tagawa and Toda 1981). An edge
//! that spans several layers gets a separate place in each, so that it does not cross nodes.

/// A laid-out graph. Lengths are in the unit of the given node heights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayeredLayout {
    pub(super) nodes: Vec<LayoutPoint>,
    pub(super) edges: Vec<LayoutEdge>,
    pub(super) layers: usize,
    pub(super) height: f64,
}

/// The centre of a node, or of the place of a passing edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LayoutPoint {
    pub(super) layer: usize,
    /// From the top.
    pub(super) y: f64,
}

/// An edge from one node to another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayoutEdge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The places between the two.
    pub(super) through: Vec<LayoutPoint>,
}

/// Sweeps over all layers, alternately from the left and from the right. More sweeps change no pipeline that we tried.
const SWEEPS: usize = 12;
/// The last sweeps keep the order in each layer and only move places.
const SETTLING_SWEEPS: usize = 4;

/// A node or a passing edge.
struct Slot {
    layer: usize,
    height: f64,
    before: Vec<usize>,
    after: Vec<usize>,
    y: f64,
}

impl Slot {
    const fn new(layer: usize, height: f64) -> Self {
        Self { layer, height, before: Vec::new(), after: Vec::new(), y: 0.0 }
    }
}

/// Lays out the graph in which node `i` reads the nodes `reads[i]`, all of them before `i`. Edges that longer paths imply are
/// left out. `node_height` and `edge_height` include the space around nodes and passing edges.
pub(super) fn layout(reads: &[Vec<usize>], node_height: f64, edge_height: f64) -> LayeredLayout {
    let reads = transitive_reduction(reads);
    let mut slots: Vec<Slot> = Vec::new();
    for own in &reads {
        let layer = own.iter().map(|from| slots[*from].layer + 1).max().unwrap_or(0);
        slots.push(Slot::new(layer, node_height));
    }
    let edges = connect(&mut slots, &reads, edge_height);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); slots.iter().map(|slot| slot.layer + 1).max().unwrap_or(0)];
    for (i, slot) in slots.iter().enumerate() {
        layers[slot.layer].push(i);
    }
    layers.iter().for_each(|layer| stack(&mut slots, layer));
    for sweep in 0..SWEEPS {
        let from_left = sweep % 2 == 0;
        for i in 0..layers.len() {
            let layer = if from_left {
                &mut layers[i]
            } else {
                let last = layers.len() - 1;
                &mut layers[last - i]
            };
            if sweep + SETTLING_SWEEPS < SWEEPS {
                let wanted =
                    |i: &usize| mean_y(&slots, if from_left { &slots[*i].before } else { &slots[*i].after }, *i);
                layer.sort_by(|a, b| wanted(a).total_cmp(&wanted(b)));
                stack(&mut slots, layer);
            }
            settle(&mut slots, layer);
        }
    }
    let top = slots.iter().map(|slot| slot.y - slot.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = slots.iter().map(|slot| slot.y + slot.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let point = |i: usize| LayoutPoint { layer: slots[i].layer, y: slots[i].y - top };
    let edge =
        |EdgeChain { from, to, through }| LayoutEdge { from, to, through: through.into_iter().map(point).collect() };
    LayeredLayout {
        nodes: (0..reads.len()).map(point).collect(),
        edges: edges.into_iter().map(edge).collect(),
        layers: layers.len(),
        height: if slots.is_empty() { 0.0 } else { bottom - top },
    }
}

/// An edge and the slots that it passes.
struct EdgeChain {
    from: usize,
    to: usize,
    through: Vec<usize>,
}

/// Adds the slots of passing edges and connects all slots.
fn connect(slots: &mut Vec<Slot>, reads: &[Vec<usize>], edge_height: f64) -> Vec<EdgeChain> {
    let mut chains = Vec::new();
    for (to, own) in reads.iter().enumerate() {
        for &from in own {
            let mut last = from;
            let mut through = Vec::new();
            for layer in slots[from].layer + 1..slots[to].layer {
                slots.push(Slot::new(layer, edge_height));
                let next = slots.len() - 1;
                join(slots, last, next);
                last = next;
                through.push(last);
            }
            join(slots, last, to);
            chains.push(EdgeChain { from, to, through });
        }
    }
    chains
}

fn join(slots: &mut [Slot], from: usize, to: usize) {
    slots[from].after.push(to);
    slots[to].before.push(from);
}

/// The edges that longer paths do not imply, without duplicates and without edges that do not point to an earlier node.
fn transitive_reduction(reads: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut ancestors: Vec<Vec<bool>> = Vec::new();
    let mut reduced = Vec::new();
    for (i, own) in reads.iter().enumerate() {
        let mut all = vec![false; reads.len()];
        let mut direct: Vec<usize> = own.iter().copied().filter(|from| *from < i).collect();
        direct.sort_unstable();
        direct.dedup();
        for &from in &direct {
            (0..from).for_each(|node| all[node] |= ancestors[from][node]);
        }
        reduced.push(direct.iter().copied().filter(|from| !all[*from]).collect());
        direct.into_iter().for_each(|from| all[from] = true);
        ancestors.push(all);
    }
    reduced
}

fn mean_y(slots: &[Slot], of: &[usize], otherwise: usize) -> f64 {
    if of.is_empty() {
        return slots[otherwise].y;
    }
    of.iter().map(|i| slots[*i].y).sum::<f64>() / of.len() as f64
}

/// Stacks the slots of a layer, centred on 0.
fn stack(slots: &mut [Slot], layer: &[usize]) {
    let mut y = -layer.iter().map(|i| slots[*i].height).sum::<f64>() / 2.0;
    for &i in layer {
        y += slots[i].height / 2.0;
        slots[i].y = y;
        y += slots[i].height / 2.0;
    }
}

/// Adjacent slots of a layer that move together.
struct SlotBlock {
    first: usize,
    n: usize,
    top: f64,
    height: f64,
}

/// Moves the slots of a layer, without changing their order, towards the mean of their neighbours in other layers. Slots that
/// would overlap merge into a block, which moves to the mean of the positions that its slots want.
fn settle(slots: &mut [Slot], layer: &[usize]) {
    let mut blocks: Vec<SlotBlock> = Vec::new();
    for (at, &i) in layer.iter().enumerate() {
        let neighbours: Vec<usize> = slots[i].before.iter().chain(&slots[i].after).copied().collect();
        let wanted_top = mean_y(slots, &neighbours, i) - slots[i].height / 2.0;
        let mut block = SlotBlock { first: at, n: 1, top: wanted_top, height: slots[i].height };
        while let Some(above) = blocks.last() {
            if above.top + above.height <= block.top + 1e-9 {
                break;
            }
            let n = (above.n + block.n) as f64;
            let top = (above.top * above.n as f64 + (block.top - above.height) * block.n as f64) / n;
            block = SlotBlock { first: above.first, n: above.n + block.n, top, height: above.height + block.height };
            blocks.pop();
        }
        blocks.push(block);
    }
    for SlotBlock { first, n, top, .. } in blocks {
        let mut y = top;
        for &i in &layer[first..first + n] {
            slots[i].y = y + slots[i].height / 2.0;
            y += slots[i].height;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether no two places of a layer overlap, and all are inside the layout.
    fn is_apart(layout: &LayeredLayout, node_height: f64, edge_height: f64) -> bool {
        (0..layout.layers).all(|layer| {
            let nodes = layout.nodes.iter().map(|at| (at, node_height));
            let through = layout.edges.iter().flat_map(|edge| edge.through.iter().map(|at| (at, edge_height)));
            let mut spans: Vec<(f64, f64)> = nodes
                .chain(through)
                .filter(|(at, _)| at.layer == layer)
                .map(|(at, height)| (at.y - height / 2.0, at.y + height / 2.0))
                .collect();
            spans.sort_by(|a, b| a.0.total_cmp(&b.0));
            spans.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 1e-6)
                && spans.iter().all(|span| span.0 > -1e-6 && span.1 < layout.height + 1e-6)
        })
    }

    #[test]
    fn lays_out_a_chain_as_a_straight_line() {
        let layout = layout(&[vec![], vec![0], vec![1, 0]], 50.0, 10.0);
        let found: Vec<(usize, f64)> = layout.nodes.iter().map(|at| (at.layer, at.y)).collect();
        assert_eq!(found, [(0, 25.0), (1, 25.0), (2, 25.0)]);
        assert_eq!(layout.edges.len(), 2, "the edge from 0 to 2 is implied");
        assert_eq!((layout.layers, layout.height), (3, 50.0));
    }

    #[test]
    fn routes_long_edges_between_nodes() {
        // 4 reads 0 and the end of a chain beside it.
        let layout = layout(&[vec![], vec![], vec![1], vec![2], vec![0, 3]], 50.0, 10.0);
        let long = layout.edges.iter().find(|edge| edge.from == 0).expect("an edge");
        assert_eq!(long.through.iter().map(|at| at.layer).collect::<Vec<_>>(), [1, 2]);
        assert!(is_apart(&layout, 50.0, 10.0), "{layout:?}");
    }

    #[test]
    fn removes_avoidable_crossings() {
        // Two chains, declared crosswise.
        let layout = layout(&[vec![], vec![], vec![1], vec![0], vec![2], vec![3]], 50.0, 10.0);
        let y = |i: usize| layout.nodes[i].y;
        assert_eq!(y(0) < y(1), y(3) < y(2));
        assert_eq!(y(3) < y(2), y(5) < y(4));
    }

    #[test]
    fn lays_out_any_graph_without_overlaps() {
        assert_eq!(layout(&[], 50.0, 10.0).height, 0.0);
        // Self-loops, edges to later nodes and duplicates are dropped.
        let odd = layout(&[vec![0, 1], vec![0, 0]], 50.0, 10.0);
        assert_eq!(odd.edges.len(), 1);
        let mut state = 1_u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for n in 1..60 {
            let reads: Vec<Vec<usize>> =
                (0..n).map(|i| (0..random(4)).filter(|_| i > 0).map(|_| random(i.max(1))).collect()).collect();
            let layout = layout(&reads, 50.0, 10.0);
            assert_eq!(layout.nodes.len(), n);
            assert!(is_apart(&layout, 50.0, 10.0), "{reads:?}");
            assert!(layout.edges.iter().all(|edge| layout.nodes[edge.from].layer < layout.nodes[edge.to].layer));
        }
    }
}
