//! Many tests: of one family at a time, and one after the other without end.

use serde::{Deserialize, Serialize};

/// p-values such that of those at or below alpha, with probability 1 - alpha none is false (Holm 1979): in ascending order,
/// max over j <= i of min(1, (n - j) p_j), j from 0.
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

/// Levels for tests that come one after the other, so that of all discoveries made so far a part of at most alpha is false on average
/// (LORD++; Ramdas, Yang, Wainwright and Jordan 2017, "Online control of the false discovery rate with decaying memory"):
/// alpha_t = w gamma_t + (alpha - w) gamma_(t - t_1) + alpha sum_{j > 1} gamma_(t - t_j), where t_j are the tests with discoveries, w =
/// alpha/2 and gamma_t = t^-1.6 / zeta(1.6), as Ramdas, Zrnic, Wainwright and Jordan 2018 (SAFFRON) take it: more for early tests, as
/// permutation tests have a smallest p-value. Levels fall while nothing is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lord {
    alpha: f64,
    /// Tests so far.
    tests: u64,
    /// The tests with discoveries: the first, and the latest of the others.
    discoveries: Vec<u64>,
}

/// The most discoveries that are remembered. Forgetting old ones lowers levels by next to nothing, and keeps the promise.
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

    /// Takes the outcome of the test.
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
    /// The sum of t^-1.6 over all t.
    const ZETA: f64 = 2.285_765_6;
    (t as f64).powf(-1.6) / ZETA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_p_value_is_multiplied_by_their_number_and_order_is_kept() {
        let close = |found: &[f64], expected: &[f64]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(close(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]));
        assert!(close(&holm(&[0.9, 0.5]), &[1.0, 1.0]));
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn levels_never_spend_more_than_alpha_and_rise_with_discoveries() {
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
    fn discoveries_that_are_remembered_are_bounded() {
        let mut lord = Lord::new(0.05);
        (0..10_000).for_each(|_| lord.take(true));
        assert_eq!(lord.discoveries.len(), MOST_DISCOVERIES);
        assert_eq!((lord.discoveries[0], lord.discoveries[1]), (1, 10_000 - MOST_DISCOVERIES as u64 + 2));
        assert!(lord.level() > 0.04 && lord.level() <= 0.05);
    }
}
