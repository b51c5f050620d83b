//! The input and the outputs of a model that scores rows, in the one form that all models are brought to.

/// What a graph takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelSignature {
    /// The input.
    pub(crate) input: String,
    /// Whether the input is float16, else it is float32.
    pub(crate) is_half: bool,
    /// The numbers of one row of the input.
    pub(crate) row: RowShape,
    /// The output of the head, one logit per class; an encoder has none.
    pub(crate) logits: Option<VectorOutput>,
    /// The output with the latent vector; a model may have none.
    pub(crate) latent: Option<VectorOutput>,
    /// What the output of the head holds, if it holds probabilities instead of logits.
    pub(crate) of_probabilities: Option<ProbabilityKind>,
    /// The probabilities that the graph makes of the logits.
    pub(crate) probabilities: Option<VectorOutput>,
}

/// What probabilities are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbabilityKind {
    /// Classes that exclude each other: they add up to 1.
    Classes,
    /// Labels that do not.
    Labels,
    /// The positive one of two classes.
    Positive,
}

impl ProbabilityKind {
    /// Logits whose softmax (of labels: sigmoid) the probabilities are. A probability of 0 counts as the smallest normal float32.
    pub(crate) fn logits(self, probabilities: &[f32]) -> Vec<f32> {
        let log = |p: f64| p.max(f64::from(f32::MIN_POSITIVE)).ln();
        let logit = |p: &f32| (log(f64::from(*p)) - log(1.0 - f64::from(*p))) as f32;
        match self {
            Self::Classes => probabilities.iter().map(|p| log(f64::from(*p)) as f32).collect(),
            Self::Labels => probabilities.iter().map(logit).collect(),
            Self::Positive => probabilities.iter().flat_map(|p| [0.0, logit(p)]).collect(),
        }
    }
}

/// The numbers of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowShape {
    /// An image, `[band, y, x]`.
    Image { bands: usize, height: usize, width: usize },
    /// Several images and columns, one after another.
    Numbers(usize),
}

/// An output `[N, length]`, float32 or float16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VectorOutput {
    pub(crate) name: String,
    /// The output of the file that it is made of, for messages.
    pub(crate) of: String,
    pub(crate) length: usize,
}

impl ModelSignature {
    /// Numbers of one row.
    pub(crate) const fn row_length(&self) -> usize {
        match self.row {
            RowShape::Image { bands, height, width } => bands.saturating_mul(height).saturating_mul(width),
            RowShape::Numbers(length) => length,
        }
    }

    /// The shape of a batch.
    pub(crate) fn batch_shape(&self, rows: usize) -> Vec<usize> {
        match self.row {
            RowShape::Image { bands, height, width } => vec![rows, bands, height, width],
            RowShape::Numbers(length) => vec![rows, length],
        }
    }

    /// The outputs that are read.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &VectorOutput> {
        self.logits.iter().chain(&self.latent).chain(&self.probabilities)
    }
}
