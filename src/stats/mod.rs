//! Statistics: plain numbers in, plain numbers out.

pub mod classification;
pub mod interval;
