//! Statistics: plain numbers in, plain numbers out.

pub mod calibration;
pub mod church_window;
pub mod classification;
pub mod differential_evolution;
pub mod distance;
pub mod energy;
pub mod interval;
pub mod isomap;
pub mod jensen_shannon;
pub mod marginals;
pub mod mmd;
pub mod multiplicity;
pub mod permutation;
pub mod points;
pub mod quantile;
pub mod reliability;
pub mod softmax;
pub mod summary;
