//! Statistics: plain numbers in, plain numbers out.

pub mod calibration;
pub mod quantile;
