//! Random numbers for tests.

/// The bits of SplitMix64 (Steele, Lea and Flood 2014).
pub(super) fn splitmix64(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
}

/// Numbers of [0, 1).
pub(super) fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut bits = splitmix64(seed);
    move || (bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Normal numbers (Box and Muller 1958).
pub(super) fn normal(seed: u64) -> impl FnMut() -> f64 {
    let mut bits = splitmix64(seed);
    let mut uniform = move || ((bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}
