//! Statistics: plain numbers in, plain numbers out.

pub mod calibration;
pub mod classification;
pub mod interval;
pub mod morphology;
pub mod quantile;
