//! Why an ONNX file has no usable card.

use std::fmt;

use super::{FORMAT, KEY};

/// A model file without a usable card.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The file cannot be read.
    #[error("cannot read the model `{path}`: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not an ONNX model.
    #[error("`{path}` is not an ONNX model{what}")]
    NotOnnx {
        /// The file.
        path: String,
        /// What it is, where that is known; begins with a colon.
        what: String,
    },
    /// A file that the model names is missing, or not in its folder.
    #[error("cannot use the model `{path}`: {reason}")]
    Files {
        /// The model.
        path: String,
        /// What is wrong with the other file.
        reason: String,
    },
    /// The file would take too much memory.
    #[error("cannot use the model `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is too much.
        reason: String,
    },
    /// Neither the file nor one beside it has a card.
    #[error("the model `{path}` has no card: the file `{card}` is missing, and so is the key `{KEY}` in its metadata")]
    NoCard {
        /// The file.
        path: String,
        /// Where a card beside it would be.
        card: String,
    },
    /// A card beside a model cannot be read.
    #[error("cannot read the card `{path}`: {error}")]
    ReadCard {
        /// The card.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Several cards lie beside a model.
    #[error("the model `{path}` has several cards beside it, {cards}: leave one")]
    SeveralCards {
        /// The model.
        path: String,
        /// The cards.
        cards: String,
    },
    /// A newer version of lucarne wrote the card.
    #[error("{card} cannot be used: its format {format} is newer than this version, which reads up to {FORMAT}")]
    Newer {
        /// The card: its file, or the model that it is in.
        card: String,
        /// The format of the card.
        format: u32,
    },
    /// The card is malformed, or does not match the graph.
    #[error("{card} cannot be used: {reason}")]
    Unusable {
        /// The card: its file, or the model that it is in.
        card: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A card in messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CardName<'a> {
    /// In the metadata of a model, or given for it.
    OfModel(&'a str),
    /// A file.
    File(&'a str),
}

impl fmt::Display for CardName<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfModel(model) => write!(out, "the card of the model `{model}`"),
            Self::File(card) => write!(out, "the card `{card}`"),
        }
    }
}
