//! The numbers of the H-transform.

use std::{
    num::Wrapping,
    ops::{Add, BitAnd, BitOr, BitOrAssign, BitXor, Mul, Neg, Shl, Shr, Sub},
};

/// A coefficient of 32 or 64 bits. Sums wrap around.
pub(super) trait Coefficient:
    Copy
    + Default
    + Ord
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + BitOrAssign
    + Shl<usize, Output = Self>
    + Shr<usize, Output = Self>
{
    /// The lower bits of a number.
    fn of(number: i64) -> Self;
    /// The lower 32 bits.
    fn truncated(self) -> i32;
    /// -1 of a negative number, otherwise 0.
    fn sign(self) -> Self;
}

impl Coefficient for Wrapping<i32> {
    fn of(number: i64) -> Self {
        Self(number as i32)
    }

    fn truncated(self) -> i32 {
        self.0
    }

    fn sign(self) -> Self {
        self >> 31
    }
}

impl Coefficient for Wrapping<i64> {
    fn of(number: i64) -> Self {
        Self(number)
    }

    fn truncated(self) -> i32 {
        self.0 as i32
    }

    fn sign(self) -> Self {
        self >> 63
    }
}
