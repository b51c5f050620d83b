//! The input and the outputs of a model that scores images.

/// What a model card declares about its graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelSignature {
    /// The input, `[N, band, y, x]` float32.
    pub(crate) input: String,
    /// Planes of an image.
    pub(crate) bands: usize,
    /// Rows and columns of an image, pixels.
    pub(crate) size: usize,
    /// The output with one logit per class.
    pub(crate) logits: VectorOutput,
    /// The output with the latent vector; a model may have none.
    pub(crate) latent: Option<VectorOutput>,
}

/// An output `[N, length]` float32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VectorOutput {
    pub(crate) name: String,
    pub(crate) length: usize,
}

impl ModelSignature {
    /// Numbers of one image.
    pub(crate) const fn image_length(&self) -> usize {
        self.bands * self.size * self.size
    }
}
