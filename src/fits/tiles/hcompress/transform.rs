//! The inverse of the H-transform: each level doubles the resolution of an image by the differences of four neighbours.

use super::coefficient::Coefficient;

/// The smallest power of two that is not less than a number, as its exponent.
pub(super) fn ceil_log2(number: usize) -> usize {
    number.next_power_of_two().trailing_zeros() as usize
}

/// The length of a side after it was halved this often, rounded up.
pub(super) fn halves(side: usize, times: usize) -> usize {
    side.div_ceil(1 << times)
}

/// Rounds to a multiple of a power of two; halves away from zero.
pub(super) fn round_to<T: Coefficient>(number: T, exponent: usize) -> T {
    if exponent == 0 {
        return number;
    }
    let unit = T::of(1) << exponent;
    (number + (unit >> 1) + number.sign()) & -unit
}

/// A level of the transform.
pub(super) struct Level {
    /// 0 is that of the image itself.
    pub(super) number: usize,
    /// Coefficients from a row to the next one.
    pub(super) stride: usize,
    /// The shape of the image at this level.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Restores the image of a level from that of the level before, and the coefficients of the level. `pixel` converts what is written.
///
/// The sum of four pixels and their differences have common lowest bits, which are not stored: those of the differences are
/// rounded away, and restored from the differences in both directions.
pub(super) fn invert_level<T: Coefficient, P>(
    image: &[T],
    coefficients: &[T],
    level: &Level,
    pixel: impl Fn(T) -> P + Copy,
    out: &mut [P],
) {
    let Level { number: level, stride, rows, columns } = *level;
    let (upper, left, right) = (rows.div_ceil(2), columns.div_ceil(2), columns / 2);
    let row = |row: usize| &coefficients[row * stride..];
    for (at, (sums, out)) in image.chunks_exact(left).zip(out.chunks_mut(2 * columns)).enumerate() {
        let across = &row(at)[left..][..right];
        let (top, bottom) = out.split_at_mut(columns);
        if bottom.is_empty() {
            invert_line(sums, across, level, pixel, top);
        } else {
            let down = &row(upper + at)[..left];
            let both = &row(upper + at)[left..][..right];
            invert_squares([sums, down, across, both], level, pixel, [top, bottom]);
        }
    }
}

/// Two rows of pixels from their sums and the differences down, across and in both directions.
fn invert_squares<T: Coefficient, P>(
    [sums, down, across, both]: [&[T]; 4],
    level: usize,
    pixel: impl Fn(T) -> P,
    [top, bottom]: [&mut [P]; 2],
) {
    let pairs = both.len();
    // Sums are halved, and divided by four at the last level.
    let shift = if level == 0 { 2 } else { 1 };
    let (bit0, bit1) = (T::of(1) << level, T::of(2) << level);
    let (top_pairs, top_rest) = top.as_chunks_mut::<2>();
    let (bottom_pairs, bottom_rest) = bottom.as_chunks_mut::<2>();
    let differences = down[..pairs].iter().zip(across).zip(both);
    for (((sum, ((down, across), both)), top), bottom) in
        sums[..pairs].iter().zip(differences).zip(top_pairs).zip(bottom_pairs)
    {
        let both = round_to(*both, level);
        let low0 = both & bit0;
        let down = towards_zero(round_to(*down, level + 1), low0);
        let across = towards_zero(round_to(*across, level + 1), low0);
        let low1 = (both ^ down ^ across) & bit1;
        let is_even_below_zero = *sum < T::default() && low0 == T::default();
        let sum = *sum + if is_even_below_zero { low1 } else { low0 - low1 };
        *top = [sum - down - across + both, sum - down + across - both].map(|sum| pixel(sum >> shift));
        *bottom = [sum + down - across - both, sum + down + across + both].map(|sum| pixel(sum >> shift));
    }
    if let ([sum], [down], [top], [bottom]) = (&sums[pairs..], &down[pairs..], top_rest, bottom_rest) {
        [*top, *bottom] = invert_pair(*sum, *down, level).map(pixel);
    }
}

/// The last row of an image with an odd number of rows.
fn invert_line<T: Coefficient, P>(sums: &[T], across: &[T], level: usize, pixel: impl Fn(T) -> P, out: &mut [P]) {
    let (pairs, rest) = out.as_chunks_mut::<2>();
    for ((sum, across), pair) in sums.iter().zip(across).zip(pairs) {
        *pair = invert_pair(*sum, *across, level).map(&pixel);
    }
    if let ([.., sum], [out]) = (sums, rest) {
        *out = pixel(*sum >> if level == 0 { 2 } else { 1 });
    }
}

/// Two pixels at the edge, which have no neighbours in the other direction.
fn invert_pair<T: Coefficient>(sum: T, difference: T, level: usize) -> [T; 2] {
    let shift = if level == 0 { 2 } else { 1 };
    let difference = round_to(difference, level + 1);
    let sum = towards_zero(sum, difference & (T::of(2) << level));
    [(sum - difference) >> shift, (sum + difference) >> shift]
}

/// Subtracts from the absolute value.
fn towards_zero<T: Coefficient>(number: T, amount: T) -> T {
    let sign = number.sign();
    number - ((amount ^ sign) - sign)
}
