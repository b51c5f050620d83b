//! Statistics: plain numbers in, plain numbers out.

pub mod church_window;
pub mod classification;
pub mod differential_evolution;
pub mod distance;
pub mod energy;
pub mod finite;
pub mod interval;
pub mod isomap;
pub mod jensen_shannon;
pub mod marginals;
pub mod mmd;
pub mod moments;
pub mod multiplicity;
pub mod permutation;
pub mod points;
pub mod quantile;
pub mod quantile_sketch;
pub mod reliability;
pub mod residuals;
pub mod roc;
pub mod softmax;
#[cfg(test)]
mod test_random;
