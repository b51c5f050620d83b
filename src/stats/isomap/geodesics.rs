//! The lengths of the shortest paths between all points of a graph.
//!
//! Points are numbered in breadth-first order, and sixteen sources are processed side by side. They start from earlier
//! results: the distances to earlier sources are known, and an edge to an earlier source gives an upper bound of all
//! other distances. Then every vertex takes the least of its neighbours' distances plus the edge, in forward and
//! backward sweeps over the vertices with a changed neighbour, until nothing changes: no path is shorter then.

use multiversion::multiversion;

use super::neighbours::NeighbourGraph;

/// Vertices of a panel, which are processed side by side.
const WIDE: usize = 16;

/// The squared lengths of all shortest paths.
#[derive(Debug, Clone)]
pub(super) struct Geodesics {
    /// The point of every vertex.
    points: Vec<u32>,
    /// The vertex of every point.
    vertices: Vec<u32>,
    rows: PanelRows,
}

/// The lengths from every vertex to those of its panel and of all later panels, which is half of the matrix.
#[derive(Debug, Clone)]
struct PanelRows {
    vertices: usize,
    numbers: Vec<f64>,
}

/// The first vertex of the panel of a vertex.
const fn panel(vertex: usize) -> usize {
    vertex / WIDE * WIDE
}

impl PanelRows {
    fn new(vertices: usize) -> Self {
        let last = panel(vertices);
        let length = Self::begin(vertices, last) + (vertices - last) * (vertices - last);
        Self { vertices, numbers: vec![f64::INFINITY; length] }
    }

    /// The index at which the rows of a panel begin: the length of the rows of all panels before it.
    const fn begin(vertices: usize, first: usize) -> usize {
        // 16 n + 16 (n - 16) + ... + 16 (n - first + 16)
        first * vertices - first * first.saturating_sub(WIDE) / 2
    }

    /// The row of a vertex, from the first vertex of its panel on.
    fn at(&self, vertex: usize) -> &[f64] {
        let length = self.vertices - panel(vertex);
        &self.numbers[Self::begin(self.vertices, panel(vertex)) + vertex % WIDE * length..][..length]
    }
}

impl Geodesics {
    /// The geodesics of a connected graph.
    pub(super) fn of(graph: &NeighbourGraph) -> Self {
        let (points, _) = graph.breadth_first();
        let mut vertices = vec![0; points.len()];
        points.iter().enumerate().for_each(|(vertex, point)| vertices[*point as usize] = vertex as u32);
        let mut numbered = NeighbourGraph { starts: vec![0], edges: Vec::with_capacity(graph.edges.len()) };
        for point in &points {
            let edges = graph.at(*point as usize).iter().map(|(other, length)| (vertices[*other as usize], *length));
            numbered.edges.extend(edges);
            numbered.starts.push(numbered.edges.len());
        }
        let mut rows = PanelRows::new(points.len());
        shortest(&numbered, &mut rows);
        rows.numbers.iter_mut().for_each(|length| *length *= *length);
        Self { points, vertices, rows }
    }

    /// The number of points.
    pub(super) const fn len(&self) -> usize {
        self.points.len()
    }

    /// The vertex of a point.
    pub(super) fn vertex(&self, point: usize) -> usize {
        self.vertices[point] as usize
    }

    /// The rows of every panel: its first vertex, and the squares from the vertices of the panel to the first vertex
    /// and all later ones.
    pub(super) fn panels(&self) -> impl Iterator<Item = (usize, &[f64])> {
        (0..self.len()).step_by(WIDE).map(|first| {
            let many = WIDE.min(self.len() - first);
            let begin = PanelRows::begin(self.len(), first);
            (first, &self.rows.numbers[begin..][..many * (self.len() - first)])
        })
    }

    /// The squared length of the path between two vertices.
    pub(super) fn squared(&self, from: usize, to: usize) -> f64 {
        let (from, to) = (from.min(to), from.max(to));
        self.rows.at(from)[to - panel(from)]
    }
}

#[multiversion(targets = "simd")]
fn shortest(graph: &NeighbourGraph, rows: &mut PanelRows) {
    let n = graph.len();
    let mut changed = vec![0_u64; n.div_ceil(64)];
    // The distances of all vertices from the sources of a panel, side by side.
    let mut lengths = vec![[f64::INFINITY; WIDE]; n];
    for first in (0..n).step_by(WIDE) {
        let many = WIDE.min(n - first);
        // To earlier sources: known from their rows.
        for (vertex, lengths) in lengths[..first].iter_mut().enumerate() {
            lengths[..many].copy_from_slice(&rows.at(vertex)[first - panel(vertex)..][..many]);
        }
        // To the others: bounds by edges to earlier sources.
        let begin = PanelRows::begin(n, first);
        let (before, own) = rows.numbers.split_at_mut(begin);
        for (source, row) in (first..).zip(own.chunks_exact_mut(n - first).take(many)) {
            row[source - first] = 0.0;
            for (other, length) in graph.at(source) {
                let other = *other as usize;
                if other < first {
                    let width = n - panel(other);
                    let known = &before[PanelRows::begin(n, panel(other)) + other % WIDE * width..][..width];
                    for (bound, known) in row.iter_mut().zip(&known[first - panel(other)..]) {
                        let over = known + length;
                        *bound = if over < *bound { over } else { *bound };
                    }
                }
            }
        }
        let own = &mut own[..many * (n - first)];
        for (vertex, lengths) in lengths[first..].iter_mut().enumerate() {
            (0..many).for_each(|lane| lengths[lane] = own[lane * (n - first) + vertex]);
        }
        for vertex in first..n {
            changed[vertex / 64] |= 1 << (vertex % 64);
        }
        while sweep(graph, &mut lengths, first, &mut changed, false)
            && sweep(graph, &mut lengths, first, &mut changed, true)
        {}
        for (vertex, lengths) in lengths[first..].iter().enumerate() {
            (0..many).for_each(|lane| own[lane * (n - first) + vertex] = lengths[lane]);
        }
    }
}

/// Updates the vertices with a changed neighbour. Returns whether any vertex changed.
#[inline(always)]
fn sweep(
    graph: &NeighbourGraph,
    lengths: &mut [[f64; WIDE]],
    first: usize,
    changed: &mut [u64],
    is_backwards: bool,
) -> bool {
    let mut any = false;
    for step in first / 64..changed.len() {
        let word = if is_backwards { changed.len() - 1 - (step - first / 64) } else { step };
        while changed[word] != 0 {
            let bit = if is_backwards { 63 - changed[word].leading_zeros() } else { changed[word].trailing_zeros() };
            changed[word] &= !(1 << bit);
            let vertex = word * 64 + bit as usize;
            let old = lengths[vertex];
            let mut new = old;
            for (other, length) in graph.at(vertex) {
                let over = &lengths[*other as usize];
                for l in 0..WIDE {
                    let over = over[l] + length;
                    new[l] = if over < new[l] { over } else { new[l] };
                }
            }
            if (0..WIDE).fold(false, |any, l| any | (new[l] < old[l])) {
                lengths[vertex] = new;
                any = true;
                for (other, _) in graph.at(vertex) {
                    let other = *other as usize;
                    if other >= first {
                        changed[other / 64] |= 1 << (other % 64);
                    }
                }
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_half_of_the_matrix() {
        for n in 1..120 {
            let numbers: usize = (0..n).map(|vertex| n - panel(vertex)).sum();
            let rows = PanelRows::new(n);
            assert_eq!(rows.numbers.len(), numbers, "{n}");
            assert!((0..n).all(|vertex| rows.at(vertex).len() == n - panel(vertex)), "{n}");
        }
    }

    #[test]
    fn paths_are_those_of_floyd_and_warshall() {
        for n in [1, 2, 15, 16, 17, 64, 101] {
            let mut edges = Vec::new();
            for i in 1..n as u32 {
                // A tree, and edges across it.
                for j in [i * 7919 % 101 % i, i * 31 % n as u32] {
                    let length = f64::from((i + j) % 5 + 1);
                    edges.extend([(i, j, length), (j, i, length)]);
                }
            }
            let graph = NeighbourGraph::from_edges(n, edges);
            let mut expected = vec![f64::INFINITY; n * n];
            for i in 0..n {
                graph.at(i).iter().for_each(|(j, length)| expected[i * n + *j as usize] = *length);
                expected[i * n + i] = 0.0;
            }
            for k in 0..n {
                for i in 0..n {
                    for j in 0..n {
                        let over = expected[i * n + k] + expected[k * n + j];
                        expected[i * n + j] = expected[i * n + j].min(over);
                    }
                }
            }
            let found = Geodesics::of(&graph);
            for i in 0..n {
                for j in 0..n {
                    let squared = found.squared(found.vertex(i), found.vertex(j));
                    assert_eq!(squared, expected[i * n + j].powi(2), "{n}: {i} to {j}");
                }
            }
        }
    }
}
