//! What monitors read of a score: the columns it adds, the labels that settings name, and truth beside predictions.

mod columns;
mod labels;
mod truth;

pub(crate) use self::{
    columns::{
        class_column, classes_of, image_of, latent_column, latent_size, list_length, model_of, needs_text, no_head,
        probabilities_of, probability_column, text,
    },
    truth::{Truth, common_classes, predictions, truths, warn_unknown_classes},
};
pub use labels::Labels;
