//! Isomap (Tenenbaum, de Silva and Langford 2000): points of many dimensions drawn in two or three, so that their distances along the
//! graph of nearest neighbours are kept as well as they can be.
//!
//! An edge joins two points if either is among the k nearest of the other; it is as long as they are apart. Where the graph falls into
//! parts, every two of them are joined by the shortest edge there is. D are the lengths of shortest paths, K = -D^2 / 2 with the means
//! of rows and columns taken away; with the largest eigenvalues l and unit eigenvectors v of K the coordinates are v sqrt(l), and zero
//! where l is not positive. The number of largest size along each axis is positive.
//!
//! Another point is placed by g, the lengths of its shortest paths over its k nearest: its coordinates are k.v / sqrt(l), where k is
//! -g^2 / 2 less the means of the columns of -D^2 / 2 and its own mean, plus the mean of all.
//!
//! All is in double precision, with one order for every sum; equal distances go by the order of the points.

mod geodesics;
mod jacobi;
mod neighbours;
mod spectrum;

use self::{
    geodesics::Geodesics,
    neighbours::{Graph, nearest},
    spectrum::{Axis, largest, means},
};
use super::points::Points;

/// The most axes that are drawn.
pub const MOST_COMPONENTS: usize = 4;

/// An embedding of points.
#[derive(Debug, Clone)]
pub struct Isomap {
    points: Points,
    neighbours: usize,
    parts: usize,
    geodesics: Geodesics,
    axes: Vec<Axis>,
    /// `[point, component]`.
    coordinates: Vec<f64>,
}

impl Isomap {
    /// Draws points by the graph of their so many nearest neighbours, along so many axes (at most [`MOST_COMPONENTS`]). `None` when
    /// there are not more points than neighbours, no neighbours, no axes, or numbers that are not finite.
    pub fn fit(points: &Points, neighbours: usize, components: usize) -> Option<Self> {
        if points.len() <= neighbours || neighbours == 0 || !(1..=MOST_COMPONENTS).contains(&components) {
            return None;
        }
        let mut graph = Graph::of(points, neighbours)?;
        let parts = graph.join(points);
        let geodesics = Geodesics::of(&graph);
        let mut axes = largest(&geodesics, components);
        let mut coordinates = vec![0.0; points.len() * components];
        for (c, axis) in axes.iter_mut().enumerate() {
            let numbers: Vec<f64> = (0..points.len()).map(|point| axis.vector[geodesics.vertex(point)]).collect();
            let largest = numbers.iter().fold(0.0_f64, |most, x| if x.abs() > most.abs() { *x } else { most });
            if largest < 0.0 {
                axis.vector.iter_mut().for_each(|x| *x = -*x);
            }
            let length = axis.value.sqrt() * if largest < 0.0 { -1.0 } else { 1.0 };
            let places = coordinates.iter_mut().skip(c).step_by(components);
            places.zip(numbers).for_each(|(place, x)| *place = length * x);
        }
        Some(Self { points: points.clone(), neighbours, parts, geodesics, axes, coordinates })
    }

    /// Where the points are: `[point, component]`.
    pub fn coordinates(&self) -> &[f64] {
        &self.coordinates
    }

    /// How many parts the graph of neighbours had.
    pub const fn parts(&self) -> usize {
        self.parts
    }

    /// Where other points of the same dimension are: `[point, component]`. NaN for numbers that are not finite.
    pub fn place(&self, others: &Points) -> Vec<f64> {
        let n = self.geodesics.len();
        let means = means(&self.geodesics);
        let of_all = means.iter().sum::<f64>() / n as f64;
        let near = nearest(others, &self.points, self.neighbours);
        let mut places = Vec::with_capacity(others.len() * self.axes.len());
        for near in near.chunks_exact(self.neighbours) {
            if near.iter().any(|(length, _)| !length.is_finite()) {
                places.extend(self.axes.iter().map(|_| f64::NAN));
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
            places.extend(self.axes.iter().map(|Axis { value, vector }| {
                let product: f64 = row.iter().zip(vector).map(|(x, v)| x * v).sum();
                if *value > 0.0 { product / value.sqrt() } else { 0.0 }
            }));
        }
        places
    }
}

#[cfg(test)]
mod tests;
