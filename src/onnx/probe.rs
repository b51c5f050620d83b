//! Images for the checks that run when a model is loaded: the same on every machine.

/// An image of `length` numbers that resembles a stretched one: most pixels near 0.5.
pub(super) fn probe_image(length: usize) -> Vec<f32> {
    (0..length).map(|i| noise(i as u64)).collect()
}

/// Rows that differ strongly: noise, a dark image, a bright one.
pub(crate) fn probe_rows(length: usize) -> Vec<f32> {
    let mut rows = probe_image(length);
    rows.extend(std::iter::repeat_n(0.0, length).chain(std::iter::repeat_n(1.0, length)));
    rows
}

/// A number in [0, 1) from a counter: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), cubed around one half.
pub(super) fn noise(counter: u64) -> f32 {
    let mut z = counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let uniform = ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32;
    0.5 + 4.0 * (uniform - 0.5).powi(3)
}
