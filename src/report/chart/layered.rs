//! Places of the nodes of a graph without cycles: in layers from left to right, so that few lines cross (Sugiyama, Tagawa and
//! Toda 1981). Lines over several layers get a place of their own in each, so that none runs through a node.

/// Where everything is, in rows of the unit that heights are given in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Layer, and middle from the top, of every node.
    pub(super) nodes: Vec<(usize, f64)>,
    /// For every line its ends and the places that it passes.
    pub(super) lines: Vec<Line>,
    pub(super) layers: usize,
    pub(super) height: f64,
}

/// A line from one node to another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Layer, and middle from the top, between the two.
    pub(super) through: Vec<(usize, f64)>,
}

/// Rounds over all layers, forth and back: more change no pipeline.
const ROUNDS: usize = 12;

struct Place {
    layer: usize,
    height: f64,
    before: Vec<usize>,
    after: Vec<usize>,
    y: f64,
}

/// `reads[i]` are the nodes that `i` reads, all of them before `i`. A line that others imply is left out.
pub(super) fn layout(reads: &[Vec<usize>], node: f64, passing: f64) -> Layout {
    let reads = reduced(reads);
    let mut places: Vec<Place> = Vec::new();
    for own in &reads {
        let layer = own.iter().map(|from| places[*from].layer + 1).max().unwrap_or(0);
        places.push(Place { layer, height: node, before: Vec::new(), after: Vec::new(), y: 0.0 });
    }
    let mut chains = Vec::new();
    for (to, own) in reads.iter().enumerate() {
        for &from in own {
            let mut last = from;
            let mut chain = Vec::new();
            for layer in places[from].layer + 1..places[to].layer {
                places.push(Place { layer, height: passing, before: Vec::new(), after: Vec::new(), y: 0.0 });
                let next = places.len() - 1;
                join(&mut places, last, next);
                last = next;
                chain.push(last);
            }
            join(&mut places, last, to);
            chains.push((from, to, chain));
        }
    }
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); places.iter().map(|place| place.layer + 1).max().unwrap_or(0)];
    for (i, place) in places.iter().enumerate() {
        layers[place.layer].push(i);
    }
    layers.iter().for_each(|layer| stack(&mut places, layer));
    for round in 0..ROUNDS {
        let forth = round % 2 == 0;
        for i in 0..layers.len() {
            let layer = if forth {
                &mut layers[i]
            } else {
                let last = layers.len() - 1;
                &mut layers[last - i]
            };
            // In the last rounds the order stays, and places are evened out from both sides.
            if round + 4 < ROUNDS {
                let wanted = |i: &usize| mean(&places, if forth { &places[*i].before } else { &places[*i].after }, *i);
                layer.sort_by(|a, b| wanted(a).total_cmp(&wanted(b)));
                stack(&mut places, layer);
            }
            settle(&mut places, layer);
        }
    }
    let top = places.iter().map(|place| place.y - place.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = places.iter().map(|place| place.y + place.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let at = |i: usize| (places[i].layer, places[i].y - top);
    Layout {
        nodes: (0..reads.len()).map(at).collect(),
        lines: chains
            .into_iter()
            .map(|(from, to, chain)| Line { from, to, through: chain.into_iter().map(at).collect() })
            .collect(),
        layers: layers.len(),
        height: if places.is_empty() { 0.0 } else { bottom - top },
    }
}

fn join(places: &mut [Place], from: usize, to: usize) {
    places[from].after.push(to);
    places[to].before.push(from);
}

/// Without lines from a node to another that a longer way joins too, and without those that are no line between two nodes.
fn reduced(reads: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut above: Vec<Vec<bool>> = Vec::new();
    let mut kept = Vec::new();
    for (i, own) in reads.iter().enumerate() {
        let mut all = vec![false; reads.len()];
        let mut direct: Vec<usize> = own.iter().copied().filter(|from| *from < i).collect();
        direct.sort_unstable();
        direct.dedup();
        for &from in &direct {
            (0..from).for_each(|node| all[node] |= above[from][node]);
        }
        kept.push(direct.iter().copied().filter(|from| !all[*from]).collect());
        direct.into_iter().for_each(|from| all[from] = true);
        above.push(all);
    }
    kept
}

fn mean(places: &[Place], of: &[usize], otherwise: usize) -> f64 {
    if of.is_empty() {
        return places[otherwise].y;
    }
    of.iter().map(|i| places[*i].y).sum::<f64>() / of.len() as f64
}

/// One below the other, about 0.
fn stack(places: &mut [Place], layer: &[usize]) {
    let mut y = -layer.iter().map(|i| places[*i].height).sum::<f64>() / 2.0;
    for &i in layer {
        y += places[i].height / 2.0;
        places[i].y = y;
        y += places[i].height / 2.0;
    }
}

/// Moves places of a layer, in their order, towards the middle of what they are joined to: neighbours that would overlap move as
/// one, to the mean of their wishes.
fn settle(places: &mut [Place], layer: &[usize]) {
    // First place, wished middle less the offset in the block, places in it, height.
    let mut blocks: Vec<(usize, f64, usize, f64)> = Vec::new();
    for (at, &i) in layer.iter().enumerate() {
        let joined: Vec<usize> = places[i].before.iter().chain(&places[i].after).copied().collect();
        let wish = mean(places, &joined, i) - places[i].height / 2.0;
        let mut block = (at, wish, 1, places[i].height);
        while let Some(&(first, start, n, height)) = blocks.last() {
            if start + height <= block.1 + 1e-9 {
                break;
            }
            blocks.pop();
            let both = (n + block.2) as f64;
            let together = (start * n as f64 + (block.1 - height) * block.2 as f64) / both;
            block = (first, together, n + block.2, height + block.3);
        }
        blocks.push(block);
    }
    for (first, start, n, _) in blocks {
        let mut y = start;
        for &i in &layer[first..first + n] {
            places[i].y = y + places[i].height / 2.0;
            y += places[i].height;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No two places of a layer overlap.
    fn is_apart(layout: &Layout, node: f64, passing: f64) -> bool {
        (0..layout.layers).all(|layer| {
            let nodes = layout.nodes.iter().map(|at| (at, node));
            let through = layout.lines.iter().flat_map(|line| line.through.iter().map(|at| (at, passing)));
            let mut spans: Vec<(f64, f64)> = nodes
                .chain(through)
                .filter(|((of, _), _)| *of == layer)
                .map(|((_, y), height)| (y - height / 2.0, y + height / 2.0))
                .collect();
            spans.sort_by(|a, b| a.0.total_cmp(&b.0));
            spans.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 1e-6)
                && spans.iter().all(|span| span.0 > -1e-6 && span.1 < layout.height + 1e-6)
        })
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = layout(&[vec![], vec![0], vec![1, 0]], 50.0, 10.0);
        assert_eq!(layout.nodes, [(0, 25.0), (1, 25.0), (2, 25.0)]);
        assert_eq!(layout.lines.len(), 2, "the line from 0 to 2 is implied");
        assert_eq!((layout.layers, layout.height), (3, 50.0));
    }

    #[test]
    fn lines_pass_between_nodes() {
        // 4 reads 0 and the end of a chain beside it.
        let layout = layout(&[vec![], vec![], vec![1], vec![2], vec![0, 3]], 50.0, 10.0);
        let long = layout.lines.iter().find(|line| line.from == 0).expect("a line");
        assert_eq!(long.through.iter().map(|(layer, _)| *layer).collect::<Vec<_>>(), [1, 2]);
        assert!(is_apart(&layout, 50.0, 10.0), "{layout:?}");
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        // Two chains that are declared crosswise.
        let layout = layout(&[vec![], vec![], vec![1], vec![0], vec![2], vec![3]], 50.0, 10.0);
        let y = |i: usize| layout.nodes[i].1;
        assert_eq!(y(0) < y(1), y(3) < y(2));
        assert_eq!(y(3) < y(2), y(5) < y(4));
    }

    #[test]
    fn any_graph_has_a_layout() {
        assert_eq!(layout(&[], 50.0, 10.0).height, 0.0);
        // Reads of itself, of later nodes and of one node twice are no lines of their own.
        let odd = layout(&[vec![0, 1], vec![0, 0]], 50.0, 10.0);
        assert_eq!(odd.lines.len(), 1);
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
            assert!(layout.lines.iter().all(|line| layout.nodes[line.from].0 < layout.nodes[line.to].0));
        }
    }
}
