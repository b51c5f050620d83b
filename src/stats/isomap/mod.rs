//! Isomap (Tenenbaum, de Silva and Langford 2000): embeds points of many dimensions in a few, so that distances along
//! the graph of nearest neighbours are preserved as well as possible.
//!
//! An edge joins two points if either is among the k nearest neighbours of the other; its length is their distance. If
//! the graph has several connected components, every two of them are joined by the shortest edge between them. D is the
//! matrix of shortest path lengths, K is -D^2 / 2 with the means of rows and columns subtracted. With the largest
//! eigenvalues l and unit eigenvectors v of K the coordinates are v sqrt(l), and zero where l is not positive. The
//! coordinate of the largest size along each axis is positive.
//!
//! A new point is placed by g, the lengths of its shortest paths through its k nearest neighbours: its coordinates are
//! k.v / sqrt(l), where k is -g^2 / 2 minus the column means of -D^2 / 2, minus its own mean, plus the mean of all.
//!
//! Everything is in double precision, with a fixed order for every sum; equal distances are ordered by the index of the
//! points.

mod geodesics;
mod jacobi;
mod lanczos;
mod neighbours;

use self::{
    geodesics::Geodesics,
    lanczos::{EmbeddingAxis, largest, means},
    neighbours::{NeighbourGraph, nearest},
};
use super::points::Points;

/// Maximum number of axes.
pub const MAX_AXES: usize = 4;

/// An embedding of points.
#[derive(Debug, Clone)]
pub struct Isomap {
    points: Points,
    neighbours: usize,
    components: usize,
    geodesics: Geodesics,
    axes: Vec<EmbeddingAxis>,
    /// `[point, axis]`.
    coordinates: Vec<f64>,
}

impl Isomap {
    /// Embeds points along `axes` axes (1 to [`MAX_AXES`]) by the graph of their nearest neighbours. `None` for 0
    /// neighbours, for no more points than neighbours, and for coordinates that are not finite.
    pub fn fit(points: &Points, neighbours: usize, axes: usize) -> Option<Self> {
        if points.len() <= neighbours || neighbours == 0 || !(1..=MAX_AXES).contains(&axes) {
            return None;
        }
        let mut graph = NeighbourGraph::of(points, neighbours)?;
        let components = graph.join(points);
        let geodesics = Geodesics::of(&graph);
        let mut axes = largest(&geodesics, axes);
        let (stride, mut coordinates) = (axes.len(), vec![0.0; points.len() * axes.len()]);
        for (a, axis) in axes.iter_mut().enumerate() {
            let numbers: Vec<f64> = (0..points.len()).map(|point| axis.vector[geodesics.vertex(point)]).collect();
            let largest = numbers.iter().fold(0.0_f64, |most, x| if x.abs() > most.abs() { *x } else { most });
            if largest < 0.0 {
                axis.vector.iter_mut().for_each(|x| *x = -*x);
            }
            let length = axis.value.sqrt() * if largest < 0.0 { -1.0 } else { 1.0 };
            let own = coordinates.iter_mut().skip(a).step_by(stride);
            own.zip(numbers).for_each(|(coordinate, x)| *coordinate = length * x);
        }
        Some(Self { points: points.clone(), neighbours, components, geodesics, axes, coordinates })
    }

    /// The coordinates of the points, `[point, axis]`.
    pub fn coordinates(&self) -> &[f64] {
        &self.coordinates
    }

    /// The number of connected components of the graph of neighbours.
    pub const fn components(&self) -> usize {
        self.components
    }

    /// The coordinates of new points of equal dimension, `[point, axis]`; NaN for points that are not finite.
    pub fn place(&self, others: &Points) -> Vec<f64> {
        let n = self.geodesics.len();
        let means = means(&self.geodesics);
        let of_all = means.iter().sum::<f64>() / n as f64;
        let near = nearest(others, &self.points, self.neighbours);
        let mut placed = Vec::with_capacity(others.len() * self.axes.len());
        for near in near.chunks_exact(self.neighbours) {
            if near.iter().any(|(length, _)| !length.is_finite()) {
                placed.extend(self.axes.iter().map(|_| f64::NAN));
                continue;
            }
            let over = |vertex: usize| {
                let over = near.iter().map(|(length, point)| {
                    self.geodesics.squared(self.geodesics.vertex(*point as usize), vertex).sqrt() + length
                });
                over.fold(f64::INFINITY, f64::min)
            };
            let mut row: Vec<f64> = (0..n).map(|vertex| -0.5 * over(vertex).powi(2)).collect();
            let own = row.iter().sum::<f64>() / n as f64;
            row.iter_mut().zip(&means).for_each(|(x, mean)| *x += of_all - own - mean);
            placed.extend(self.axes.iter().map(|EmbeddingAxis { value, vector }| {
                let product: f64 = row.iter().zip(vector).map(|(x, v)| x * v).sum();
                if *value > 0.0 { product / value.sqrt() } else { 0.0 }
            }));
        }
        placed
    }
}

#[cfg(test)]
mod tests;
