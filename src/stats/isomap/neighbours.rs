//! The graph of nearest neighbours, and its connected components.

use super::super::points::{Points, stride};

/// Rows of distances in memory at once.
const ROWS: usize = 96;

/// An undirected graph whose edges have lengths.
#[derive(Debug, Clone)]
pub(super) struct NeighbourGraph {
    /// The index of the first edge of every point, and the number of edges at the end.
    pub(super) starts: Vec<usize>,
    /// The other end and the length. Every edge is listed under both its ends, sorted by the other end.
    pub(super) edges: Vec<(u32, f64)>,
}

/// The nearest neighbours of every point: squared distances and points, the nearest first.
struct Nearest {
    count: usize,
    lists: Vec<(f64, u32)>,
    /// The largest squared distance of every list: a nearer point replaces it.
    worst: Vec<f64>,
}

impl Nearest {
    fn new(points: usize, count: usize) -> Self {
        Self { count, lists: vec![(f64::INFINITY, u32::MAX); points * count], worst: vec![f64::INFINITY; points] }
    }

    /// Offers a point. Of points at equal distance the first one offered comes first.
    fn offer(&mut self, point: usize, other: usize, squared: f64) {
        if squared < self.worst[point] {
            let list = &mut self.lists[point * self.count..][..self.count];
            let mut at = self.count - 1;
            while at > 0 && list[at - 1].0 > squared {
                list[at] = list[at - 1];
                at -= 1;
            }
            list[at] = (squared, other as u32);
            self.worst[point] = list[self.count - 1].0;
        }
    }

    fn of(&self, point: usize) -> &[(f64, u32)] {
        &self.lists[point * self.count..][..self.count]
    }
}

/// Calls with the squared distances of every point from all points before it, row by row.
fn below_the_diagonal(points: &Points, mut call: impl FnMut(usize, &[f64])) {
    let mut block = Vec::new();
    for first in (0..points.len()).step_by(ROWS) {
        let end = (first + ROWS).min(points.len());
        points.squared_distances(first..end, points, end, &mut block);
        for (row, i) in block.chunks_exact(stride(end)).zip(first..end) {
            call(i, &row[..i]);
        }
    }
}

/// The distances and indices of the `count` nearest neighbours of every point of a set in another set, the nearest
/// first.
pub(super) fn nearest(of: &Points, among: &Points, count: usize) -> Vec<(f64, u32)> {
    let mut nearest = Nearest::new(of.len(), count);
    let mut block = Vec::new();
    for first in (0..of.len()).step_by(ROWS) {
        let end = (first + ROWS).min(of.len());
        of.squared_distances(first..end, among, among.len(), &mut block);
        for (row, i) in block.chunks_exact(stride(among.len())).zip(first..end) {
            row[..among.len()].iter().enumerate().for_each(|(j, squared)| nearest.offer(i, j, *squared));
        }
    }
    nearest.lists.into_iter().map(|(squared, j)| (squared.sqrt(), j)).collect()
}

impl NeighbourGraph {
    /// The graph of the `count` nearest neighbours of every point; `None` when a point lacks neighbours because
    /// coordinates are not finite.
    pub(super) fn of(points: &Points, count: usize) -> Option<Self> {
        let mut nearest = Nearest::new(points.len(), count);
        below_the_diagonal(points, |i, row| {
            for (chunk, start) in row.chunks(16).zip((0..).step_by(16)) {
                let worst = &nearest.worst[start..][..chunk.len()];
                let own = nearest.worst[i];
                if chunk.iter().zip(worst).fold(false, |any, (x, worst)| any | (x < worst) | (*x < own)) {
                    for (j, squared) in (start..).zip(chunk) {
                        nearest.offer(i, j, *squared);
                        nearest.offer(j, i, *squared);
                    }
                }
            }
        });
        if nearest.worst.iter().any(|worst| !worst.is_finite()) {
            return None;
        }
        let mut edges: Vec<(u32, u32, f64)> = Vec::with_capacity(2 * points.len() * count);
        for i in 0..points.len() {
            for (squared, j) in nearest.of(i) {
                let length = squared.sqrt();
                edges.extend([(i as u32, *j, length), (*j, i as u32, length)]);
            }
        }
        Some(Self::from_edges(points.len(), edges))
    }

    /// The graph of edges given in both directions; duplicates are removed.
    pub(super) fn from_edges(points: usize, mut edges: Vec<(u32, u32, f64)>) -> Self {
        edges.sort_unstable_by_key(|(i, j, _)| (*i, *j));
        edges.dedup_by_key(|(i, j, _)| (*i, *j));
        let mut starts = vec![0; points + 1];
        edges.iter().for_each(|(i, ..)| starts[*i as usize + 1] += 1);
        (0..points).for_each(|i| starts[i + 1] += starts[i]);
        Self { starts, edges: edges.into_iter().map(|(_, j, length)| (j, length)).collect() }
    }

    /// The number of points.
    pub(super) const fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges of a point.
    pub(super) fn at(&self, point: usize) -> &[(u32, f64)] {
        &self.edges[self.starts[point]..self.starts[point + 1]]
    }

    /// All points in breadth-first order, component by component, each from its first point; and the index at which
    /// each component begins.
    pub(super) fn breadth_first(&self) -> (Vec<u32>, Vec<usize>) {
        let (mut order, mut begins): (Vec<u32>, Vec<usize>) = (Vec::with_capacity(self.len()), Vec::new());
        let mut seen = vec![false; self.len()];
        for first in 0..self.len() {
            if seen[first] {
                continue;
            }
            seen[first] = true;
            let mut next = order.len();
            begins.push(next);
            order.push(first as u32);
            while next < order.len() {
                for (other, _) in self.at(order[next] as usize) {
                    if !std::mem::replace(&mut seen[*other as usize], true) {
                        order.push(*other);
                    }
                }
                next += 1;
            }
        }
        (order, begins)
    }

    /// Joins every two components by the shortest edge between them. Returns how many components there were.
    pub(super) fn join(&mut self, points: &Points) -> usize {
        let (order, begins) = self.breadth_first();
        let components = begins.len();
        if components == 1 {
            return components;
        }
        let mut component = vec![0; points.len()];
        for (at, point) in order.iter().enumerate() {
            component[*point as usize] = begins.partition_point(|begin| *begin <= at) - 1;
        }
        // By the later and the earlier component; of equal edges the one whose end in the later component comes first.
        let mut shortest = vec![(f64::INFINITY, u32::MAX, u32::MAX); components * components];
        below_the_diagonal(points, |i, row| {
            for (j, squared) in row.iter().enumerate() {
                let (late, early) = if component[i] > component[j] { (i, j) } else { (j, i) };
                let known = &mut shortest[component[late] * components + component[early]];
                let found = (*squared, late as u32, early as u32);
                if component[i] != component[j] && found < *known {
                    *known = found;
                }
            }
        });
        let mut edges: Vec<(u32, u32, f64)> = Vec::with_capacity(self.edges.len() + components * components);
        for i in 0..self.len() {
            edges.extend(self.at(i).iter().map(|(j, length)| (i as u32, *j, *length)));
        }
        for (squared, i, j) in shortest.into_iter().filter(|(squared, ..)| squared.is_finite()) {
            edges.extend([(i, j, squared.sqrt()), (j, i, squared.sqrt())]);
        }
        *self = Self::from_edges(points.len(), edges);
        components
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(coordinates: &[f32]) -> Points {
        Points::new(coordinates, 1)
    }

    #[test]
    fn an_edge_joins_two_points_if_either_is_a_neighbour_of_the_other() {
        let graph = NeighbourGraph::of(&line(&[0.0, 1.0, 3.0, 7.0]), 1).expect("a graph");
        let edges: Vec<&[(u32, f64)]> = (0..4).map(|i| graph.at(i)).collect();
        assert_eq!(edges, [&[(1, 1.0)][..], &[(0, 1.0), (2, 2.0)], &[(1, 2.0), (3, 4.0)], &[(2, 4.0)]]);
    }

    #[test]
    fn of_equal_distances_the_first_point_is_the_neighbour() {
        // Point 2 is as far from 1 as from 3; points 0, 4 and 5 coincide.
        let graph = NeighbourGraph::of(&line(&[9.0, 1.0, 2.0, 3.0, 9.0, 9.0]), 1).expect("a graph");
        assert_eq!(graph.at(2), [(1, 1.0), (3, 1.0)]);
        assert_eq!((graph.at(0), graph.at(5)), (&[(4, 0.0), (5, 0.0)][..], &[(0, 0.0)][..]));
        let near = nearest(&line(&[2.0, 8.0]), &line(&[9.0, 1.0, 2.0, 3.0, 7.0]), 2);
        assert_eq!(near, [(0.0, 2), (1.0, 1), (1.0, 0), (1.0, 4)]);
    }

    #[test]
    fn every_two_components_are_joined_by_the_shortest_edge() {
        let points = line(&[20.0, 0.0, 1.0, 9.0, 10.0, 22.0]);
        let mut graph = NeighbourGraph::of(&points, 1).expect("a graph");
        assert_eq!(graph.join(&points), 3);
        assert_eq!(graph.at(0), [(2, 19.0), (4, 10.0), (5, 2.0)]);
        assert_eq!(graph.at(2), [(0, 19.0), (1, 1.0), (3, 8.0)]);
        assert_eq!(graph.join(&points), 1);
    }

    #[test]
    fn of_equal_edges_the_one_whose_later_end_comes_first_joins_two_components() {
        // Two pairs, opposite to each other: 0 to 3 and 1 to 2 are equally far.
        let points = Points::new(&[0.0, 0.0, 0.0, 1.0, 3.0, 1.0, 3.0, 0.0], 2);
        let mut graph = NeighbourGraph::of(&points, 1).expect("a graph");
        assert_eq!(graph.join(&points), 2);
        let edges: Vec<&[(u32, f64)]> = (0..4).map(|i| graph.at(i)).collect();
        assert_eq!(edges, [&[(1, 1.0)][..], &[(0, 1.0), (2, 3.0)], &[(1, 3.0), (3, 1.0)], &[(2, 1.0)]]);
    }

    #[test]
    fn points_that_are_not_finite_have_no_neighbours() {
        assert!(NeighbourGraph::of(&line(&[0.0, f32::NAN, 1.0]), 1).is_none());
        assert!(NeighbourGraph::of(&line(&[0.0, f32::INFINITY, 1.0]), 1).is_none());
    }
}
