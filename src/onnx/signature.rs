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
    /// The probabilities that the graph makes of the logits in lower precision.
    pub(crate) probabilities: Option<VectorOutput>,
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
