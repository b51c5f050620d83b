//! SHA-256, in hexadecimal. The one place that turns digests into text.

use std::{fs::File, io::Read, path::Path};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The digest of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of a file, read in pieces.
///
/// # Errors
/// [`Error::Environment`] when the file cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(|error| Error::io("read", path, error))? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&piece[..length]),
        }
    }
}

/// The digest of a sequence of names. A NUL ends each, so that `["ab", "c"]` and `["a", "bc"]` differ.
#[derive(Debug, Clone, Default)]
pub struct NamesDigest(Sha256);

impl NamesDigest {
    /// Appends a name.
    pub fn push(&mut self, name: &str) {
        self.0.update(name.as_bytes());
        self.0.update([0]);
    }

    /// The digest of the names so far.
    pub fn hex(&self) -> String {
        hex(&self.0.clone().finalize())
    }
}

/// The first eight bytes of a digest as a number: hashes that must be the same on every machine.
pub fn number_of(parts: &[&[u8]]) -> u64 {
    let digest = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
}

/// The first sixteen bytes of a digest as a number, big-endian. Two of 10^9 such numbers are equal by chance once in 10^20 cases.
pub fn wide_number_of(parts: &[&[u8]]) -> u128 {
    let digest = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    u128::from_be_bytes(std::array::from_fn(|i| digest[i]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum() {
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), abc);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").expect("written");
        assert_eq!(of_file(&path).expect("read"), abc);
        assert_eq!(number_of(&[b"a", b"bc"]).to_le_bytes()[..2], [0xba, 0x78]);
        assert_eq!(format!("{:032x}", wide_number_of(&[b"a", b"bc"])), abc[..32]);
    }

    #[test]
    fn names_cannot_run_together() {
        let digest = |names: &[&str]| {
            let mut digest = NamesDigest::default();
            names.iter().for_each(|name| digest.push(name));
            digest.hex()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
