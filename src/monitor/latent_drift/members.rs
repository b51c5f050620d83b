//! Which rows of the stream are rows of the reference: tests compare the stream with galaxies that are not in it.

use std::collections::HashSet;

use crate::io::digest;

/// What the rows of the reference are recognised by: 16 bytes for each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReferenceMembers {
    /// Digests of ids.
    ids: HashSet<u128>,
    /// Digests of the latents of rows without an id.
    latents: HashSet<u128>,
}

impl ReferenceMembers {
    /// Adds a row: by its id, or by its latent if it has none.
    pub(super) fn add(&mut self, id: Option<&str>, latent: &[f32]) {
        match id {
            Some(id) => self.ids.insert(of_id(id)),
            None => self.latents.insert(of_latent(latent)),
        };
    }

    /// Whether a row of the stream is among the rows: one has its id, or one without an id has its latent, bit for bit.
    pub(super) fn contain(&self, id: &str, latent: &[f32]) -> bool {
        (!self.ids.is_empty() && self.ids.contains(&of_id(id)))
            || (!self.latents.is_empty() && self.latents.contains(&of_latent(latent)))
    }

    /// By what rows are recognised, for messages.
    pub(super) fn recognised_by(&self) -> &'static str {
        match (self.ids.is_empty(), self.latents.is_empty()) {
            (false, true) => "by `object_id`",
            (true, _) => "by equal latents",
            (false, false) => "by `object_id`, and by equal latents where the reference has none",
        }
    }
}

fn of_id(id: &str) -> u128 {
    digest::wide_number_of(&[id.as_bytes()])
}

fn of_latent(latent: &[f32]) -> u128 {
    let bytes: Vec<u8> = latent.iter().flat_map(|number| number.to_bits().to_le_bytes()).collect();
    digest::wide_number_of(&[&bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_recognised_by_id_or_without_one_by_the_bits_of_their_latent() {
        let mut members = ReferenceMembers::default();
        assert!(!members.contain("a", &[1.0]));
        members.add(Some("a"), &[1.0]);
        assert!(members.contain("a", &[9.0]) && !members.contain("b", &[1.0]));
        assert_eq!(members.recognised_by(), "by `object_id`");
        members.add(None, &[0.0, 2.0]);
        assert!(members.contain("b", &[0.0, 2.0]) && !members.contain("b", &[-0.0, 2.0]));
        let mut nameless = ReferenceMembers::default();
        nameless.add(None, &[3.0]);
        assert_eq!(nameless.recognised_by(), "by equal latents");
    }
}
