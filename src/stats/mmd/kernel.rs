//! Sums of Gaussian kernels, k(x, y) = sum over s of exp(-|x - y|^2 / (2 s)), in double precision.

use multiversion::{multiversion, target::target_cfg_f};

/// The variances s of arXiv 2112.14299.
pub const PAPER: [f64; 19] =
    [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// exp(-x) counts as zero above this x: it is below the smallest normal number.
const VANISHES: f64 = 708.0;
/// A term is computed as a power of another one up to this total exponent. The exponent multiplies the relative error,
/// which so stays below 1e-13.
const MAX_POWER: f64 = 1000.0;
/// Numbers processed side by side.
const LANES: usize = 16;

/// A sum of Gaussian kernels of different widths.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianKernelSum {
    /// s of every kernel, the widest first.
    variances: Vec<f64>,
    /// How the term of each is computed.
    terms: Vec<Term>,
}

/// exp(-x/2s) from x, or from the term of a wider kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    Exponential,
    Power { of: usize, exponent: u32 },
}

impl GaussianKernelSum {
    /// The sum over these variances; `None` unless there is at least one, and all are positive and finite and so are their
    /// inverses.
    pub fn new(variances: &[f64]) -> Option<Self> {
        // With an infinite inverse k(x, x) would be that of 0 times infinity.
        if variances.is_empty() || !variances.iter().all(|s| s.is_finite() && *s > 0.0 && s.recip().is_finite()) {
            return None;
        }
        let mut variances = variances.to_vec();
        variances.sort_by(|a, b| b.total_cmp(a));
        let (mut terms, mut powers): (Vec<Term>, Vec<f64>) = (Vec::new(), Vec::new());
        for (i, s) in variances.iter().enumerate() {
            // The nearest wider kernel of which this is a power: its exponent is the smallest.
            let wider = (0..i).rev().find_map(|of| {
                let ratio = variances[of] / s;
                let exponent = ratio.round();
                let is_integer = (ratio - exponent).abs() <= 1e-14 * ratio;
                (is_integer && powers[of] * exponent <= MAX_POWER && exponent <= 10.0).then_some((of, exponent))
            });
            powers.push(wider.map_or(1.0, |(of, exponent)| powers[of] * exponent));
            terms.push(wider.map_or(Term::Exponential, |(of, exponent)| Term::Power { of, exponent: exponent as u32 }));
        }
        Some(Self { variances, terms })
    }

    /// The 19 kernels of arXiv 2112.14299.
    pub fn paper() -> Self {
        Self::new(&PAPER).unwrap_or_else(|| unreachable!("the variances are positive"))
    }

    /// s of every kernel, the widest first.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// k(x, x): the number of kernels.
    pub fn at_zero(&self) -> f64 {
        self.variances.len() as f64
    }

    /// Replaces squared distances by k.
    pub fn apply(&self, squared_distances: &mut [f64]) {
        apply(self, squared_distances);
    }
}

#[multiversion(targets = "simd")]
fn apply(kernel: &GaussianKernelSum, numbers: &mut [f64]) {
    if target_cfg_f!(target_feature = "fma") {
        all::<true>(kernel, numbers);
    } else {
        all::<false>(kernel, numbers);
    }
}

#[inline(always)]
fn all<const FUSED: bool>(kernel: &GaussianKernelSum, numbers: &mut [f64]) {
    let halves: Vec<f64> = kernel.variances.iter().map(|s| 0.5 / s).collect();
    let mut terms = vec![[0.0; LANES]; halves.len()];
    let (chunks, rest) = numbers.as_chunks_mut::<LANES>();
    for chunk in chunks {
        lanes::<FUSED>(&kernel.terms, &halves, &mut terms, chunk);
    }
    if !rest.is_empty() {
        let mut last = [f64::INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        lanes::<FUSED>(&kernel.terms, &halves, &mut terms, &mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

#[inline(always)]
fn lanes<const FUSED: bool>(terms: &[Term], halves: &[f64], values: &mut [[f64; LANES]], numbers: &mut [f64; LANES]) {
    let nearest = numbers.iter().fold(f64::INFINITY, |least, x| if *x < least { *x } else { least });
    let mut sum = [0.0; LANES];
    for (i, term) in terms.iter().enumerate() {
        // The terms of all narrower kernels vanish too.
        if nearest * halves[i] > VANISHES {
            break;
        }
        let value = match *term {
            Term::Exponential => {
                let mut value = [0.0; LANES];
                for l in 0..LANES {
                    value[l] = exp_of_negative::<FUSED>(numbers[l] * halves[i]);
                }
                value
            }
            Term::Power { of, exponent } => power(values[of], exponent),
        };
        for l in 0..LANES {
            sum[l] += value[l];
        }
        values[i] = value;
    }
    *numbers = sum;
}

#[inline(always)]
fn power(mut base: [f64; LANES], mut exponent: u32) -> [f64; LANES] {
    let mut power = [1.0; LANES];
    loop {
        if exponent & 1 == 1 {
            for l in 0..LANES {
                power[l] *= base[l];
            }
        }
        exponent >>= 1;
        if exponent == 0 {
            return power;
        }
        for value in &mut base {
            *value *= *value;
        }
    }
}

/// exp(-x) of x >= 0: 2^k exp(r), r in [-ln 2 / 2, ln 2 / 2] by its Taylor series to r^13, whose next term is below
/// 1e-17.
#[inline(always)]
fn exp_of_negative<const FUSED: bool>(x: f64) -> f64 {
    /// 1.5 * 2^52: adding it rounds a number to an integer, which is then in the lowest bits.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    /// ln 2 as a sum of two numbers; the product of the first with k is exact.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    const SERIES: [f64; 14] = [
        1.0,
        1.0,
        0.5,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        1.0 / 6_227_020_800.0,
    ];
    let times_plus = |a: f64, b: f64, c: f64| if FUSED { a.mul_add(b, c) } else { a * b + c };
    let rounded = times_plus(-x, std::f64::consts::LOG2_E, ROUNDER);
    let k = rounded - ROUNDER;
    let r = times_plus(k, -LN_2[1], times_plus(k, -LN_2[0], -x));
    let mut value = SERIES[13];
    for coefficient in SERIES[..13].iter().rev() {
        value = times_plus(value, r, *coefficient);
    }
    let scale = f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52);
    if x < VANISHES { value * scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(variances: &[f64], squared_distance: f64) -> f64 {
        variances.iter().map(|s| (-squared_distance / (2.0 * s)).exp()).sum()
    }

    #[test]
    fn kernel_sums_are_those_of_the_definition_at_all_distances() {
        let sets: [&[f64]; 4] = [&PAPER, &[1.0], &[3.0, 0.7, 0.1], &[1e-3, 1e-2, 10.0, 1e4]];
        for variances in sets {
            let kernel = GaussianKernelSum::new(variances).expect("a kernel");
            let distances: Vec<f64> = (-160..160).map(|i| 10f64.powf(f64::from(i) / 20.0)).chain([0.0]).collect();
            let mut found = distances.clone();
            kernel.apply(&mut found);
            for (found, distance) in found.iter().zip(&distances) {
                let expected = by_definition(variances, *distance);
                assert!((found - expected).abs() <= 2e-13 * expected + 1e-300, "{distance}: {found} {expected}");
            }
        }
    }

    #[test]
    fn kernel_sums_are_those_of_the_definition_on_every_instruction_set() {
        let kernel = GaussianKernelSum::new(&[10.0, 2.5, 1e-3]).expect("a kernel");
        let distances: Vec<f64> = (0..37).map(|i| 1e-5 * 1.7f64.powi(i)).collect();
        for all in [all::<true>, all::<false>] {
            let mut found = distances.clone();
            all(&kernel, &mut found);
            for (found, distance) in found.iter().zip(&distances) {
                let expected = by_definition(kernel.variances(), *distance);
                assert!((found - expected).abs() <= 2e-13 * expected + 1e-300, "{distance}: {found} {expected}");
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_position_in_the_slice() {
        let kernel = GaussianKernelSum::paper();
        let mut many: Vec<f64> = (0..50).map(|i| f64::from(i * i)).collect();
        let alone: Vec<f64> = many
            .iter()
            .map(|x| {
                let mut one = [*x];
                kernel.apply(&mut one);
                one[0]
            })
            .collect();
        kernel.apply(&mut many);
        // Terms that vanish for all numbers of a chunk are omitted: they are below 1e-300.
        assert_eq!(many, alone);
    }

    #[test]
    fn every_kernel_is_one_at_distance_zero() {
        let mut zero = [0.0];
        GaussianKernelSum::paper().apply(&mut zero);
        assert_eq!((zero[0], GaussianKernelSum::paper().at_zero()), (19.0, 19.0));
    }

    #[test]
    fn most_terms_of_the_paper_are_powers_of_wider_terms() {
        let exponentials = GaussianKernelSum::paper().terms.iter().filter(|term| **term == Term::Exponential).count();
        assert_eq!(exponentials, 6);
    }

    #[test]
    fn variances_without_a_finite_inverse_are_refused() {
        for variances in [&[][..], &[0.0], &[-1.0], &[f64::NAN], &[f64::INFINITY], &[1.0, 1e-320]] {
            assert_eq!(GaussianKernelSum::new(variances), None, "{variances:?}");
        }
        for variance in [1e-300, 1e300] {
            let kernel = GaussianKernelSum::new(&[variance]).expect("a kernel");
            let mut numbers = [0.0, 2.0 * variance, 1e307 * variance.max(1.0)];
            kernel.apply(&mut numbers);
            assert_eq!((numbers[0], numbers[2]), (1.0, 0.0));
            assert!((numbers[1] - (-1.0_f64).exp()).abs() < 1e-13);
        }
    }
}
