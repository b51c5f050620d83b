//! Files that are checked as they are read, against the checksums that were noted when they were written.
//!
//! A CRC-32 finds every error of up to 32 neighbouring bits, and another with a probability of 1 - 2^-32. Each covers a block of
//! [`BLOCK`] bytes, so that a reader of one column checks little more than it reads.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crc32fast::Hasher;
use parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::reader::{ChunkReader, Length},
};

use super::{disk, parquet as parquet_file};
use crate::error::{Error, Result};

/// Bytes of a block; the last one of a file may be shorter.
const BLOCK: usize = 1 << 16;

/// Sums up a file that is being written, piece by piece.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlockSums {
    sums: String,
    open: Hasher,
    /// Bytes of the open block.
    filled: usize,
}

impl BlockSums {
    /// The sums of a whole file.
    #[cfg(any(test, feature = "fits"))]
    pub(crate) fn of(bytes: &[u8]) -> String {
        let mut sums = Self::default();
        sums.update(bytes);
        sums.finish()
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.open.update(now);
            self.filled += now.len();
            if self.filled == BLOCK {
                self.close();
            }
            bytes = later;
        }
    }

    /// The sums of all blocks: eight hexadecimal digits each.
    pub(crate) fn finish(mut self) -> String {
        if self.filled > 0 {
            self.close();
        }
        self.sums
    }

    fn close(&mut self) {
        let sum = std::mem::take(&mut self.open).finalize();
        self.sums.push_str(&format!("{sum:08x}"));
        self.filled = 0;
    }
}

/// The sums of a file on disk.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sums_of_file(path: &Path) -> Result<String> {
    let mut file = disk::open(path)?;
    let (mut sums, mut piece) = (BlockSums::default(), vec![0; BLOCK]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(sums.finish()),
            Ok(length) => sums.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
}

/// An open file with known checksums. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct CheckedFile(Arc<Checked>);

#[derive(Debug)]
struct Checked {
    file: Mutex<File>,
    path: PathBuf,
    length: u64,
    /// The sum of each block, and whether it was found right; no blocks for a file without checksums.
    blocks: Vec<(u32, AtomicBool)>,
}

impl CheckedFile {
    /// Opens a file. Without checksums, from runs of format 1 and before, nothing is checked.
    ///
    /// # Errors
    /// When it cannot be opened; [`Error::Data`] when the checksums are not those of a file of this length.
    pub(crate) fn open(path: &Path, sums: &str) -> Result<Self> {
        Self::of(disk::open(path)?, path, sums)
    }

    /// A file that is open.
    pub(super) fn of(file: File, path: &Path, sums: &str) -> Result<Self> {
        let length = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
        let wrong = || Error::data(format!("`{}` does not have the length of its checksums", path.display()));
        let sum = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let blocks = sums.as_bytes().chunks(8).map(|digits| Some((sum(digits)?, AtomicBool::new(false))));
        let blocks: Vec<_> = blocks.collect::<Option<_>>().ok_or_else(wrong)?;
        if !sums.is_empty() && blocks.len() as u64 != length.div_ceil(BLOCK as u64) {
            return Err(wrong());
        }
        Ok(Self(Arc::new(Checked { file: Mutex::new(file), path: path.to_owned(), length, blocks })))
    }

    /// The length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.0.length
    }

    /// Reads a range, and checks the blocks that it touches.
    ///
    /// # Errors
    /// [`Error::Data`] with the place of the damage, [`Error::Environment`] when the system cannot read.
    pub(crate) fn read(&self, start: u64, length: usize) -> Result<Vec<u8>> {
        let Checked { path, length: whole, blocks, .. } = self.0.as_ref();
        let end = start.checked_add(length as u64).filter(|end| end <= whole);
        let end = end.ok_or_else(|| Error::data(format!("`{}` is cut off", path.display())))?;
        let (first, last) = (start / BLOCK as u64, end.div_ceil(BLOCK as u64));
        let touched = blocks.get(first as usize..last as usize).unwrap_or_default();
        if touched.iter().all(|(_, known)| known.load(Ordering::Relaxed)) {
            return self.read_unchecked(start, length);
        }
        let from = first * BLOCK as u64;
        let bytes = self.read_unchecked(from, ((last * BLOCK as u64).min(*whole) - from) as usize)?;
        for (number, block) in (first..).zip(bytes.chunks(BLOCK)) {
            let (sum, known) = &blocks[number as usize];
            if !known.load(Ordering::Relaxed) {
                if crc32fast::hash(block) != *sum {
                    return Err(self.damaged(number, block.len()));
                }
                known.store(true, Ordering::Relaxed);
            }
        }
        let skipped = (start - from) as usize;
        if skipped == 0 && bytes.len() == length {
            return Ok(bytes);
        }
        Ok(bytes[skipped..skipped + length].to_vec())
    }

    /// Checks the last bytes, where Parquet has its footer.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[cfg(feature = "sql")]
    pub(crate) fn check_end(&self) -> Result<()> {
        let length = self.length().min(BLOCK as u64);
        self.read(self.length() - length, length as usize).map(drop)
    }

    /// Reads and checks all of it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn check_all(&self) -> Result<()> {
        let mut at = 0;
        while at < self.length() {
            at += self.read(at, (self.length() - at).min(16 * BLOCK as u64) as usize)?.len() as u64;
        }
        Ok(())
    }

    fn damaged(&self, block: u64, length: usize) -> Error {
        let (path, from) = (self.0.path.display(), block * BLOCK as u64);
        Error::data(format!(
            "`{path}` is damaged: its bytes {from} to {} are not those that were written",
            from + length as u64 - 1
        ))
    }

    fn read_unchecked(&self, start: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        disk::read_at(&self.0.path, &mut file, start, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`read`](Self::read), for the libraries.
    fn read_noted(&self, start: u64, length: usize) -> Result<Vec<u8>> {
        self.read(start, length).inspect_err(|error| {
            if matches!(error, Error::Environment { .. }) {
                parquet_file::note(Error::environment(error.report()));
            }
        })
    }
}

/// Reads a checked file from some place on.
pub(crate) struct CheckedReader {
    file: CheckedFile,
    /// Where the next piece begins.
    at: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for CheckedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() == self.piece.get_ref().len() as u64 {
            let length = self.file.length().saturating_sub(self.at).min(BLOCK as u64) as usize;
            self.piece = io::Cursor::new(self.file.read_noted(self.at, length).map_err(io::Error::other)?);
            self.at += length as u64;
        }
        self.piece.read(out)
    }
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.length()
    }
}

impl ChunkReader for CheckedFile {
    type T = CheckedReader;

    fn get_read(&self, start: u64) -> ParquetResult<CheckedReader> {
        Ok(CheckedReader { file: self.clone(), at: start, piece: io::Cursor::default() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        self.read_noted(start, length).map(Into::into).map_err(|error| ParquetError::External(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part");
        fs::write(&path, bytes).expect("room");
        (folder, path)
    }

    #[test]
    fn sums_are_those_of_blocks_however_they_are_written() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let sums = BlockSums::of(&bytes);
        assert_eq!(sums.len(), 4 * 8);
        // python: "%08x" % zlib.crc32(b"123456789")
        assert_eq!(BlockSums::of(b"123456789"), "cbf43926");
        for piece in [1, 1000, BLOCK, BLOCK + 1] {
            let mut in_pieces = BlockSums::default();
            bytes.chunks(piece).for_each(|piece| in_pieces.update(piece));
            assert_eq!(in_pieces.finish(), sums);
        }
        let (_folder, path) = file(&bytes);
        assert_eq!(sums_of_file(&path).expect("read"), sums);
    }

    #[test]
    fn a_flipped_bit_is_found_by_who_reads_its_block_and_named() {
        let mut bytes = vec![7; 3 * BLOCK + 5];
        let sums = BlockSums::of(&bytes);
        bytes[BLOCK + 9] ^= 16;
        let (_folder, path) = file(&bytes);
        let open = CheckedFile::open(&path, &sums).expect("a file");
        assert_eq!(open.read(3, 10).expect("a good block"), [7; 10]);
        assert_eq!(open.read(3 * BLOCK as u64, 5).expect("the last block"), [7; 5]);
        let error = open.read(BLOCK as u64 - 1, 2).expect_err("damage").to_string();
        assert!(
            error.ends_with("part` is damaged: its bytes 65536 to 131071 are not those that were written"),
            "{error}"
        );
        assert!(open.check_all().is_err() && open.read(0, bytes.len() + 1).is_err());
        assert!(CheckedFile::open(&path, "").expect("unchecked").check_all().is_ok());
        assert!(CheckedFile::open(&path, &sums[8..]).is_err() && CheckedFile::open(&path, "zz").is_err());
        let mut read = Vec::new();
        open.get_read(2 * BLOCK as u64 + 1).expect("a reader").read_to_end(&mut read).expect("good blocks");
        assert_eq!(read.len(), BLOCK + 4);
    }
}
