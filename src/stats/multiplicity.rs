//! Multiple testing: a family of tests at once, and a stream of tests.

use serde::{Deserialize, Serialize};

/// Adjusted p-values: rejecting those at or below alpha makes a false rejection with probability at most alpha (Holm
/// 1979). In ascending order, max over j <= i of min(1, (n - j) p_j), j from 0.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let (mut adjusted, mut least) = (vec![1.0; p_values.len()], 0.0_f64);
    for (rank, place) in order.into_iter().enumerate() {
        least = least.max(((p_values.len() - rank) as f64 * p_values[place]).min(1.0));
        adjusted[place] = least;
    }
    adjusted
}

/// Levels for a stream of tests: at any time, the expected fraction of false ones among the discoveries is at most
/// alpha (LORD++; Ramdas, Yang, Wainwright and Jordan 2017, "Online control of the false discovery rate with decaying
/// memory").
///
/// alpha_t = w gamma_t + (alpha - w) gamma_(t - t_1) + alpha sum_{j > 1} gamma_(t - t_j), where t_j are the tests with
/// discoveries and w = alpha/2. gamma_t = t^-1.6 / zeta(1.6) as in Ramdas, Zrnic, Wainwright and Jordan 2018 (SAFFRON):
/// it gives more to early tests than that of LORD++, because permutation tests have a smallest p-value. Levels fall
/// while there are no discoveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lord {
    alpha: f64,
    /// Tests so far.
    tests: u64,
    /// The tests with discoveries: the first one, and the latest of the others.
    discoveries: Vec<u64>,
}

/// Maximum number of discoveries in memory. Dropping old ones lowers levels slightly, so the bound still holds.
const MOST_DISCOVERIES: usize = 4096;

impl Lord {
    /// Levels at a false discovery rate alpha.
    pub const fn new(alpha: f64) -> Self {
        Self { alpha, tests: 0, discoveries: Vec::new() }
    }

    /// The level of the next test.
    pub fn level(&self) -> f64 {
        let test = self.tests + 1;
        let mut level = self.alpha / 2.0 * gamma(test);
        for (i, discovery) in self.discoveries.iter().enumerate() {
            let wealth = if i == 0 { self.alpha / 2.0 } else { self.alpha };
            level += wealth * gamma(test - discovery);
        }
        level
    }

    /// Records the outcome of the test.
    pub fn take(&mut self, is_discovery: bool) {
        self.tests += 1;
        if is_discovery {
            self.discoveries.push(self.tests);
            if self.discoveries.len() > MOST_DISCOVERIES {
                self.discoveries.remove(1);
            }
        }
    }
}

fn gamma(t: u64) -> f64 {
    /// zeta(1.6), the sum of t^-1.6 over all t.
    const ZETA: f64 = 2.285_765_6;
    (t as f64).powf(-1.6) / ZETA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_multiplies_the_least_p_value_by_the_count_and_keeps_the_order() {
        let close = |found: &[f64], expected: &[f64]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15)
        };
        assert!(close(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]));
        assert!(close(&holm(&[0.9, 0.5]), &[1.0, 1.0]));
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn levels_without_discoveries_sum_to_half_of_alpha_and_rise_with_a_discovery() {
        let (mut lord, mut spent) = (Lord::new(0.05), 0.0);
        for _ in 0..100_000 {
            spent += lord.level();
            lord.take(false);
        }
        assert!(spent < 0.025 && spent > 0.0249, "{spent}");
        let before = lord.level();
        lord.take(true);
        assert!(lord.level() > 100.0 * before);
    }

    #[test]
    fn levels_are_those_of_the_formula() {
        let gamma = |t: i32| f64::from(t).powf(-1.6) / 2.285_765_6;
        let mut lord = Lord::new(0.1);
        let mut levels = Vec::new();
        for is_discovery in [false, true, false, true, true, false] {
            levels.push(lord.level());
            lord.take(is_discovery);
        }
        // Discoveries at 2, 4 and 5.
        let expected = [
            0.05 * gamma(1),
            0.05 * gamma(2),
            0.05 * gamma(3) + 0.05 * gamma(1),
            0.05 * gamma(4) + 0.05 * gamma(2),
            0.05 * gamma(5) + 0.05 * gamma(3) + 0.1 * gamma(1),
            0.05 * gamma(6) + 0.05 * gamma(4) + 0.1 * gamma(2) + 0.1 * gamma(1),
        ];
        assert!(levels.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-15), "{levels:?}");
    }

    #[test]
    fn discoveries_in_memory_are_bounded() {
        let mut lord = Lord::new(0.05);
        (0..10_000).for_each(|_| lord.take(true));
        assert_eq!(lord.discoveries.len(), MOST_DISCOVERIES);
        assert_eq!((lord.discoveries[0], lord.discoveries[1]), (1, 10_000 - MOST_DISCOVERIES as u64 + 2));
        assert!(lord.level() > 0.04 && lord.level() <= 0.05);
    }
}
