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
#![allow(unsafe_code, reason = "the calls of the system are C; each has its proof beside it")]

use std::{
    ffi::{c_int, c_void},
    fs::File,
    os::fd::AsRawFd,
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

/// What is asked for at once: as much as the system maps around a page that is touched.
const BLOCK: usize = 64 << 10;

const PROT_READ: c_int = 1;
const MAP_SHARED: c_int = 1;
const MADV_POPULATE_READ: c_int = 22;

unsafe extern "C" {
    fn mmap(
        address: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
    fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
}

/// A map of a whole file.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *const u8,
    length: usize,
    /// A bit for each block: whether it could be read.
    readable: Vec<AtomicU64>,
}

// SAFETY: the memory is only read, by `copy`, and stays mapped until the value is dropped.
unsafe impl Send for Mapping {}
// SAFETY: as above; the bits are atomic.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first bytes of a file; `None` where the system does not map it.
    pub(super) fn of(file: &File, length: u64) -> Option<Self> {
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        // SAFETY: a new place is asked for, so that no other memory is affected. The file is open during the call; the map keeps it.
        let start = unsafe { mmap(ptr::null_mut(), length, PROT_READ, MAP_SHARED, file.as_raw_fd(), 0) };
        if start as isize == -1 {
            return None;
        }
        let words = length.div_ceil(BLOCK).div_ceil(64);
        let readable = (0..words).map(|_| AtomicU64::new(0)).collect();
        Some(Self { start: start.cast_const().cast(), length, readable })
    }

    /// Whether the file still has all bytes that are mapped.
    pub(super) fn is_whole(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| metadata.len() >= self.length as u64)
    }

    /// Copies the bytes from an offset on. `false` if they cannot be read, or are not in the map.
    pub(super) fn copy(&self, offset: u64, out: &mut [u8]) -> bool {
        let Ok(offset) = usize::try_from(offset) else { return false };
        let Some(end) = offset.checked_add(out.len()).filter(|end| *end <= self.length) else { return false };
        if out.is_empty() {
            return true;
        }
        if !(offset / BLOCK..end.div_ceil(BLOCK)).all(|block| self.make_readable(block)) {
            return false;
        }
        // SAFETY: the source lies in the map, as was checked above, and its pages could be read. The destination is memory of ours,
        // which the map does not overlap. Another process may write the file meanwhile: then the bytes are old or new ones, as those
        // of a read are, and any bytes are valid.
        unsafe { ptr::copy_nonoverlapping(self.start.add(offset), out.as_mut_ptr(), out.len()) };
        true
    }

    /// Asks the system to read a block, unless it has done so before.
    fn make_readable(&self, block: usize) -> bool {
        let (word, bit) = (&self.readable[block / 64], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let start = block * BLOCK;
        let length = BLOCK.min(self.length - start);
        // SAFETY: the block begins in the map, at a multiple of the size of a page, and ends in it. Reading does not change it.
        let answer = unsafe { madvise(self.start.add(start).cast_mut().cast(), length, MADV_POPULATE_READ) };
        if answer == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        answer == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the map is that of `of`, and nothing refers to it any more.
        unsafe { munmap(self.start.cast_mut().cast(), self.length) };
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
