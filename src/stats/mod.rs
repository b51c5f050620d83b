//! Statistics: plain numbers in, plain numbers out.
