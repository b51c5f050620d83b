//! The exposures of a data set whose cards do not have them.
//!
//! The cards of the shipped models were written before `electrons_per_njy` was. They are in the ONNX files, whose digest is the name of
//! the model in records, snapshots and reference latents: with another card inside, runs could not be resumed and latents not be compared. So the
//! files stay as they are. Their cards name the images that they were fitted on, in electrons, by a digest of all pixels, and
//! images with that digest have these exposures.

use serde_json::Value;

use super::Card;
use crate::batch::Unit;

/// The digest of the images of `pipelines/03_training_set.yaml`.
const DATASET_DIGEST: &str = "a08fa7e7c928901f90699b9e4076c2a086f86d672f63c1b382a13382a51bda67";
const BANDS: [&str; 3] = ["g", "r", "i"];
/// Electrons per nJy of `observe` with the survey `lsst`, by domain. A test compares them with those of the survey.
const EXPOSURES: [(&str, [f64; 3]); 2] = [
    ("y1", [13.341_946_690_670_264, 26.449_685_638_644_343, 19.586_083_003_810_778]),
    ("y10", [133.419_466_906_702_64, 264.496_856_386_443_4, 195.860_830_038_107_8]),
];

/// Adds the exposures of the domains of a card that lacks them; `written` is the card as it is in the file.
pub(super) fn add(card: &mut Card, written: &str) {
    if !card.electrons_per_njy.is_empty() || card.unit != Unit::Electron || card.bands != BANDS {
        return;
    }
    let written: Value = serde_json::from_str(written).unwrap_or_default();
    if written["dataset_digest"] != DATASET_DIGEST {
        return;
    }
    let known = EXPOSURES.iter().filter(|(domain, _)| card.domains.contains_key(*domain));
    card.electrons_per_njy = known.map(|(domain, electrons)| ((*domain).to_owned(), electrons.to_vec())).collect();
}
