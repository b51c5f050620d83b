//! Smoothing of an image that lost its small coefficients: differences are interpolated from the neighbouring sums, within the
//! rounding of the scale, and only where the image rises or falls steadily.

use super::{coefficient::Coefficient, transform::Level};

/// Adjusts the coefficients of a level, before which the image is this one. They change by at most `limit`.
pub(super) fn smooth<T: Coefficient>(image: &[T], coefficients: &mut [T], level: &Level, limit: T) {
    let Level { stride, rows, columns, .. } = *level;
    let (upper, left) = (rows.div_ceil(2), columns.div_ceil(2));
    // Squares that have neighbours on both sides, and whole neighbours at that.
    let (inner_rows, inner_columns) = (1..(rows.max(2) - 1) / 2, 1..(columns.max(2) - 1) / 2);
    let sum = |row: usize, column: usize| image[row * left + column];
    for row in inner_rows.clone() {
        for column in 0..left {
            let neighbours = [sum(row - 1, column), sum(row, column), sum(row + 1, column)];
            let down = &mut coefficients[(upper + row) * stride + column];
            *down = *down + slope(neighbours, *down, limit);
        }
    }
    for row in 0..upper {
        for column in inner_columns.clone() {
            let neighbours = [sum(row, column - 1), sum(row, column), sum(row, column + 1)];
            let across = &mut coefficients[row * stride + left + column];
            *across = *across + slope(neighbours, *across, limit);
        }
    }
    for row in inner_rows {
        for column in inner_columns.clone() {
            let down = coefficients[(upper + row) * stride + column];
            let across = coefficients[row * stride + left + column];
            let corners = [-1, 1].map(|down| {
                [-1, 1].map(|across| sum(row.wrapping_add_signed(down), column.wrapping_add_signed(across)))
            });
            let both = &mut coefficients[(upper + row) * stride + left + column];
            *both = *both + curvature(corners, sum(row, column), [down, across], *both, limit);
        }
    }
}

/// The change of a difference towards the slope of the sums before, at and after it.
fn slope<T: Coefficient>([before, here, after]: [T; 3], difference: T, limit: T) -> T {
    let zero = T::default();
    let (rise, risen) = (after - here, here - before);
    let (most, least) = (rise.min(risen).max(zero) << 2, rise.max(risen).min(zero) << 2);
    if least < most { step((after - before).min(most).max(least), difference, 3, limit) } else { zero }
}

/// The change of a difference in both directions towards that of the sums at the corners, `[before, after]` in each direction.
fn curvature<T: Coefficient>(
    [[before_before, before_after], [after_before, after_after]]: [[T; 2]; 2],
    here: T,
    [down, across]: [T; 2],
    difference: T,
    limit: T,
) -> T {
    let zero = T::default();
    let (down, across) = (down << 1, across << 1);
    let rises = [
        (after_after - here, zero - down - across),
        (here - after_before, down - across),
        (here - before_after, across - down),
        (before_before - here, down + across),
    ];
    let most = rises.map(|(rise, tilt)| rise.max(zero) + tilt).into_iter().min().unwrap_or(zero) << 4;
    let least = rises.map(|(rise, tilt)| rise.min(zero) + tilt).into_iter().max().unwrap_or(zero) << 4;
    let target = after_after + before_before - before_after - after_before;
    if least < most { step(target.min(most).max(least), difference, 6, limit) } else { zero }
}

/// The change towards a target in units of 2^-`bits`, rounded towards zero and limited.
fn step<T: Coefficient>(target: T, difference: T, bits: usize, limit: T) -> T {
    let change = target - (difference << bits);
    let rounded = (change + (change.sign() & ((T::of(1) << bits) - T::of(1)))) >> bits;
    rounded.min(limit).max(-limit)
}
