//! The kernels of a run: those that the settings name, or by default those that see the scale of the reference's latents.

use super::settings::{KernelChoice, KernelName};
use crate::stats::{
    mmd::{GaussianKernelSum, PairDistances},
    points::Points,
};

/// The kernels that are used, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChosenKernel {
    /// `paper`, `median` or `variances`, as in the table.
    pub(super) name: &'static str,
    pub(super) kernel: GaussianKernelSum,
    /// The median of the squared distances of different latents of the reference.
    pub(super) median_squared_distance: f64,
}

impl ChosenKernel {
    /// The kernels for a reference.
    ///
    /// # Errors
    /// Why no kernels, or not those of the settings, can be used.
    pub(super) fn for_reference(choice: &KernelChoice, latents: &Points) -> Result<Self, String> {
        let distances = PairDistances::of(latents).ok_or(
            "has only equal latents: nothing can be said of how latents vary within it, so no window can be compared with it",
        )?;
        let median = distances.median();
        let chosen = |name, kernel| Self { name, kernel, median_squared_distance: median };
        let paper = GaussianKernelSum::paper;
        let by_median = || {
            let unusable = || format!("has a median squared distance of {median:.1e}, which cannot be a variance");
            GaussianKernelSum::new(&[median]).ok_or_else(unusable)
        };
        match choice {
            KernelChoice::Named(KernelName::Auto) if distances.are_seen_by(&paper()) => Ok(chosen("paper", paper())),
            KernelChoice::Named(KernelName::Auto | KernelName::Median) => Ok(chosen("median", by_median()?)),
            KernelChoice::Named(KernelName::Paper) => {
                let kernel = seeing(paper(), &distances, "the 19 kernels of `kernel: paper`")?;
                Ok(chosen("paper", kernel))
            }
            KernelChoice::Variances(variances) => {
                let kernel = GaussianKernelSum::new(variances).ok_or("was given kernels without variances")?;
                Ok(chosen("variances", seeing(kernel, &distances, "the kernels of `kernel`")?))
            }
        }
    }

    /// The variances, the widest first.
    pub(super) fn variances(&self) -> &[f64] {
        self.kernel.variances()
    }
}

/// The kernel, unless it is blind to the reference.
fn seeing(kernel: GaussianKernelSum, distances: &PairDistances, what: &str) -> Result<GaussianKernelSum, String> {
    if distances.are_seen_by(&kernel) {
        return Ok(kernel);
    }
    let median = distances.median();
    let all = kernel.variances();
    let (widest, narrowest) = (all.first().copied().unwrap_or_default(), all.last().copied().unwrap_or_default());
    let of =
        if all.len() == 1 { format!("variance {widest:e}") } else { format!("variances {narrowest:e} to {widest:e}") };
    Err(format!(
        "has latents whose median squared distance is {median:.1e}, to which {what} ({of}) are blind: fewer than 1 in 100 pairs have a \
         kernel value between 0.001 and 0.999; set `kernel: median`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(scale: f32) -> Points {
        let numbers: Vec<f32> = (0..60).map(|i| scale * ((i * 37 % 101) as f32 / 10.0)).collect();
        Points::new(&numbers, 3)
    }

    fn chosen(choice: &KernelChoice, scale: f32) -> Result<ChosenKernel, String> {
        ChosenKernel::for_reference(choice, &points(scale))
    }

    #[test]
    fn the_default_is_the_papers_kernels_unless_they_are_blind() {
        for (scale, name) in [(1e-40, "median"), (1e-20, "median"), (1.0, "paper"), (1e3, "paper"), (1e6, "median")] {
            let found = chosen(&KernelChoice::default(), scale).expect("kernels");
            assert_eq!(found.name, name, "{scale}");
            let expected = if name == "paper" { 19 } else { 1 };
            assert_eq!(found.variances().len(), expected);
            if name == "median" {
                assert_eq!(found.variances(), [found.median_squared_distance]);
            }
        }
    }

    #[test]
    fn kernels_that_are_named_and_blind_are_refused_with_the_scale_and_the_way_out() {
        let why = |choice: KernelChoice| chosen(&choice, 1e6).expect_err("blind");
        let paper = why(KernelChoice::Named(KernelName::Paper));
        for expected in ["median squared distance is 6.9e13", "variances 1e-6 to 1e6", "`kernel: median`"] {
            assert!(paper.contains(expected), "{paper}");
        }
        let own = why(KernelChoice::Variances(vec![2.5]));
        assert!(own.contains("(variance 2.5e0) are blind") && own.contains("`kernel: median`"), "{own}");
        assert!(chosen(&KernelChoice::Variances(vec![1e13]), 1e6).is_ok());
        assert!(chosen(&KernelChoice::Named(KernelName::Median), 1e6).is_ok());
    }

    #[test]
    fn equal_latents_are_refused_whatever_the_kernels() {
        let equal = Points::new(&[2.0; 30], 3);
        for choice in [KernelName::Auto, KernelName::Paper, KernelName::Median].map(KernelChoice::Named) {
            let why = ChosenKernel::for_reference(&choice, &equal).expect_err("refused");
            assert!(why.starts_with("has only equal latents"), "{why}");
        }
    }
}
