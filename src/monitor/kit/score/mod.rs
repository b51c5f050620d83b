//! What monitors read of a score: the columns it adds, the labels that settings name, and truth beside predictions.

mod classes;
mod columns;
mod labels;
mod truth;

pub use labels::Labels;

pub(crate) use self::{
    classes::{common_classes, predictions},
    columns::{
        class_column, classes_of, image_of, latent_column, latent_size, list_length, model_of, no_head,
        no_probabilities, probabilities_of, probability_column, text,
    },
    truth::{Truth, TruthColumn},
};
