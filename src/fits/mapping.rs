//! A file that is mapped into memory, for the short pieces of which cutouts consist.
//!
//! A cutout of 64 rows of a wide image takes 64 reads, and a read of 256 bytes that are in the page cache took 0.78 microseconds of CPU
//! time, most of it for the call; copied from a map a row took 0.2 (Linux 6.18). So an object of three bands took 150 microseconds for
//! calls alone.
//!
//! A page of a map that cannot be read ends the process (`SIGBUS`), where a read returns an error. Both reasons for it are looked for
//! before: the first time that a block is used the system is asked to read it (`MADV_POPULATE_READ`, Linux 5.14), which fails like a
//! read; and [`Mapping::is_whole`] tells whether the file was cut off, once per section. A caller that gets `false` reads as without a
//! map. What is left is a file that is cut off, or a page that is dropped and cannot be read again, within the microseconds of a copy.
#![allow(unsafe_code, reason = "the promise of a map needs a proof, which is beside it")]

use std::{
    fs::File,
    sync::atomic::{AtomicU64, Ordering},
};

use memmap2::{Advice, Mmap, MmapOptions};

/// What is asked for at once: as much as the system maps around a page that is touched.
const BLOCK: usize = 64 << 10;

/// A map of a whole file.
#[derive(Debug)]
pub(super) struct Mapping {
    map: Mmap,
    /// A bit for each block: whether it could be read.
    readable: Vec<AtomicU64>,
}

impl Mapping {
    /// Maps the first bytes of a file; `None` where the system does not map it.
    pub(super) fn of(file: &File, length: u64) -> Option<Self> {
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        // SAFETY: the bytes are only copied out, by `copy`, and any bytes are valid there. Another process may write the file meanwhile:
        // then they are old or new ones, as those of a read are.
        let map = unsafe { MmapOptions::new().len(length).map(file) }.ok()?;
        let words = length.div_ceil(BLOCK).div_ceil(64);
        let readable = (0..words).map(|_| AtomicU64::new(0)).collect();
        Some(Self { map, readable })
    }

    /// Whether the file still has all bytes that are mapped.
    pub(super) fn is_whole(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| metadata.len() >= self.map.len() as u64)
    }

    /// Copies the bytes from an offset on. `false` if they cannot be read, or are not in the map.
    pub(super) fn copy(&self, offset: u64, out: &mut [u8]) -> bool {
        let Ok(offset) = usize::try_from(offset) else { return false };
        let Some(bytes) = offset.checked_add(out.len()).and_then(|end| self.map.get(offset..end)) else { return false };
        let is_readable = bytes.is_empty()
            || (offset / BLOCK..(offset + bytes.len()).div_ceil(BLOCK)).all(|block| self.make_readable(block));
        if is_readable {
            out.copy_from_slice(bytes);
        }
        is_readable
    }

    /// Asks the system to read a block, unless it has done so before.
    fn make_readable(&self, block: usize) -> bool {
        let (word, bit) = (&self.readable[block / 64], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let start = block * BLOCK;
        let length = BLOCK.min(self.map.len() - start);
        let is_readable = self.map.advise_range(Advice::PopulateRead, start, length).is_ok();
        if is_readable {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        is_readable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).expect("room");
        let file = File::options().read(true).write(true).open(path).expect("a file");
        (folder, file)
    }

    #[test]
    fn copies_are_the_bytes_of_the_file() {
        let bytes: Vec<u8> = (0..5 * BLOCK + 77).map(|at| ((at * 7919) >> 3) as u8).collect();
        let (_folder, file) = file(&bytes);
        let mapping = Mapping::of(&file, bytes.len() as u64).expect("a map");
        let mut stream = Stream::new(1, "mapping", "places");
        let mut drawn = |below: usize| stream.uniform_in(0.0, below as f64) as usize;
        let mut copied = 0;
        for _ in 0..2000 {
            let offset = drawn(bytes.len());
            let mut out = vec![0; drawn(2 * BLOCK).min(bytes.len() - offset)];
            if mapping.copy(offset as u64, &mut out) {
                assert_eq!(out, bytes[offset..offset + out.len()]);
                copied += 1;
            }
        }
        // An old system copies none.
        assert!(copied == 2000 || copied == 0, "{copied}");
        let mut out = [0; 8];
        assert!(!mapping.copy(bytes.len() as u64 - 7, &mut out));
        assert!(!mapping.copy(u64::MAX, &mut out));
        assert!(mapping.copy(bytes.len() as u64, &mut []));
    }

    #[test]
    fn what_was_cut_off_is_not_read() {
        let (_folder, file) = file(&[7; 4 * BLOCK]);
        let mapping = Mapping::of(&file, 4 * BLOCK as u64).expect("a map");
        assert!(mapping.is_whole(&file));
        file.set_len(BLOCK as u64 / 2).expect("shorter");
        assert!(!mapping.is_whole(&file));
        // The system itself refuses a block that it was not asked for before.
        assert!(!mapping.copy(2 * BLOCK as u64, &mut [0; 16]));
        assert!(Mapping::of(&file, 0).is_none());
    }
}
