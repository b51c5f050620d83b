//! The bytes of a file: of regular files only, and never more of them than allowed.

use std::{
    borrow::Cow,
    fs::File,
    io::{BufReader, Error, ErrorKind, Read, Seek},
    ops::Range,
    path::Path,
    sync::OnceLock,
};

use super::{
    Limits,
    error::{Reason, is_outside},
};

/// Larger files stay on disk, and ranges of them are read as needed.
const MAX_IN_MEMORY: u64 = 64 << 20;
/// The most memory that decompressing an xz file takes beside its content: `xz -9` needs 65 MiB. A header may ask for 4 GiB.
const XZ_MEMORY_KIB: u32 = 256 << 10;

/// The bytes of a file, in memory or on disk.
#[derive(Debug)]
pub(super) enum Bytes {
    Memory(Vec<u8>),
    Disk {
        file: File,
        len: u64,
        /// The first error of the system while it was read.
        trouble: OnceLock<Error>,
    },
}

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct BytesPart<'a> {
    bytes: &'a Bytes,
    start: u64,
    len: u64,
}

impl<'a> BytesPart<'a> {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// A range of its bytes.
    pub(super) fn get(&self, range: Range<u64>) -> Result<Cow<'a, [u8]>, Reason> {
        self.bytes.get(self.start + range.start, length(&range)?)
    }

    /// The same, read into a buffer if the file is not in memory: without an allocation once the buffer is long enough.
    pub(super) fn get_in<'b>(&self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Reason>
    where
        'a: 'b,
    {
        self.bytes.get_in(self.start + range.start, length(&range)?, buffer)
    }

    /// Whether a read takes no call of the system.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.bytes, Bytes::Memory(_))
    }
}

fn length(range: &Range<u64>) -> Result<usize, Reason> {
    usize::try_from(range.end - range.start).map_err(|_| Reason::from("is larger than the memory"))
}

impl Bytes {
    /// Opens a file. A small or gzipped one is read into `buffer` at once. The path is literal: no part of it is syntax. A
    /// folder, pipe or device is rejected before it is opened, because opening a pipe can block.
    pub(super) fn open(path: &Path, limits: &Limits, mut buffer: Vec<u8>) -> Result<Self, Reason> {
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        reject_special(&metadata)?;
        let mut file = File::open(path).map_err(unreadable)?;
        let len = metadata.len();
        if len > MAX_IN_MEMORY {
            return match compression_of(&mut file)? {
                Some(compression) => compression.decompress(BufReader::new(file), limits),
                None => Ok(Self::Disk { file, len, trouble: OnceLock::new() }),
            };
        }
        // One read, into a buffer that is not zeroed again if the last file was as long.
        buffer.resize(len as usize, 0);
        file.read_exact(&mut buffer).map_err(unreadable)?;
        Self::of(buffer, limits)
    }

    /// The same for a file of which only headers are needed: one that is not compressed stays on disk, however small.
    pub(super) fn open_headers(path: &Path, limits: &Limits) -> Result<Self, Reason> {
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        reject_special(&metadata)?;
        let mut file = File::open(path).map_err(unreadable)?;
        match compression_of(&mut file)? {
            Some(compression) => compression.decompress(BufReader::new(file), limits),
            None => Ok(Self::Disk { file, len: metadata.len(), trouble: OnceLock::new() }),
        }
    }

    /// Bytes in memory, compressed or not.
    pub(super) fn of(bytes: Vec<u8>, limits: &Limits) -> Result<Self, Reason> {
        match Compression::of(&bytes) {
            Some(compression) => compression.decompress(bytes.as_slice(), limits),
            None => Ok(Self::Memory(bytes)),
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { len, .. } => *len,
        }
    }

    /// A range of bytes; an error if the file ends before its end.
    pub(super) fn get(&self, start: u64, len: usize) -> Result<Cow<'_, [u8]>, Reason> {
        match self {
            Self::Memory(bytes) => {
                self.check_range(start, len).map(|()| Cow::Borrowed(&bytes[start as usize..][..len]))
            }
            Self::Disk { .. } => {
                let mut piece = Vec::new();
                self.get_in(start, len, &mut piece)?;
                Ok(Cow::Owned(piece))
            }
        }
    }

    /// The same, read into a buffer if the file is on disk. The buffer is as long as the longest range so far.
    fn get_in<'b>(&'b self, start: u64, len: usize, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Reason> {
        self.check_range(start, len)?;
        match self {
            Self::Memory(bytes) => Ok(&bytes[start as usize..][..len]),
            Self::Disk { file, trouble, .. } => {
                if buffer.len() < len {
                    buffer.resize(len, 0);
                }
                let piece = &mut buffer[..len];
                read_exact_at(file, piece, start).map_err(|error| {
                    if is_outside(&error) {
                        // The first is kept.
                        let _ = trouble.set(copy(&error));
                    }
                    unreadable(error)
                })?;
                Ok(piece)
            }
        }
    }

    fn check_range(&self, start: u64, len: usize) -> Result<(), Reason> {
        if start.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(format!("ends at byte {}, expected {len} bytes from byte {start}", self.len()).into());
        }
        Ok(())
    }

    /// A part, which is read as needed. It has to lie within the file.
    pub(super) fn part(&self, start: u64, len: u64) -> BytesPart<'_> {
        BytesPart { bytes: self, start, len }
    }

    /// The error of the system, if one has kept a part of the file from being read.
    pub(super) fn trouble(&self) -> Option<&Error> {
        match self {
            Self::Memory(_) => None,
            Self::Disk { trouble, .. } => trouble.get(),
        }
    }

    /// The buffer, to read the next file into.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Disk { .. } => Vec::new(),
        }
    }
}

/// Reads without moving the position of the file, which threads may share: one call of the system.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> Result<(), Error> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, start)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buffer: &mut [u8], start: u64) -> Result<(), Error> {
    file.seek(std::io::SeekFrom::Start(start))?;
    file.read_exact(buffer)
}

fn copy(error: &Error) -> Error {
    error.raw_os_error().map_or_else(|| Error::from(error.kind()), Error::from_raw_os_error)
}

fn unreadable(error: Error) -> Reason {
    Reason::caused_by("cannot be read", error)
}

fn reject_special(metadata: &std::fs::Metadata) -> Result<(), Reason> {
    let what = match metadata.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        _ => "a pipe, socket or device",
    };
    Err(format!("is {what}, expected a regular file").into())
}

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Bzip2,
    Xz,
}

impl Compression {
    /// The most bytes that tell.
    const MAGIC: usize = 6;

    /// The compression that the first bytes of a file show.
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// Decompresses up to the limit, so that a small file that expands to terabytes takes no more memory than the limit.
    fn decompress(self, packed: impl std::io::BufRead, limits: &Limits) -> Result<Bytes, Reason> {
        match self {
            Self::Gzip => self.read(flate2::bufread::MultiGzDecoder::new(packed), limits),
            Self::Bzip2 => self.read(bzip2::bufread::MultiBzDecoder::new(packed), limits),
            Self::Xz => self.read(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB), limits),
        }
    }

    fn read(self, unpacked: impl Read, limits: &Limits) -> Result<Bytes, Reason> {
        let mut bytes = Vec::new();
        unpacked.take(limits.gunzipped_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| {
            // A decoder may report damage as lack of memory, which would end the run instead of rejecting the file.
            let of_system = error.raw_os_error().is_some();
            let error = if of_system { error } else { Error::new(ErrorKind::InvalidData, error) };
            Reason::caused_by(&format!("cannot be decompressed as {}", self.name()), error)
        })?;
        if bytes.len() as u64 > limits.gunzipped_bytes {
            return Err(format!("decompresses to more than the allowed {} bytes", limits.gunzipped_bytes).into());
        }
        Ok(Bytes::Memory(bytes))
    }
}

/// The name of the compression of a file as a whole, if it has one.
pub(super) fn compression_of_file(path: &Path) -> Result<Option<&'static str>, Reason> {
    reject_special(&std::fs::metadata(path).map_err(unreadable)?)?;
    let mut file = File::open(path).map_err(unreadable)?;
    Ok(compression_of(&mut file)?.map(Compression::name))
}

/// The compression of an open file, which is at its start afterwards.
fn compression_of(file: &mut File) -> Result<Option<Compression>, Reason> {
    let mut start = Vec::with_capacity(Compression::MAGIC);
    file.take(Compression::MAGIC as u64).read_to_end(&mut start).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    Ok(Compression::of(&start))
}

#[cfg(test)]
impl Bytes {
    /// A file that stays on disk, however small.
    pub(super) fn on_disk(path: &Path) -> Self {
        let file = File::open(path).expect("a file");
        let len = file.metadata().expect("a length").len();
        Self::Disk { file, len, trouble: OnceLock::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_the_end_of_the_file_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bytes");
        std::fs::write(&path, [1, 2, 3, 4]).expect("written");
        for bytes in [Bytes::Memory(vec![1, 2, 3, 4]), Bytes::on_disk(&path)] {
            assert_eq!(bytes.get(1, 3).expect("bytes").as_ref(), [2, 3, 4]);
            assert_eq!(bytes.get(0, 2).expect("bytes").as_ref(), [1, 2]);
            assert_eq!(bytes.get(4, 0).expect("no bytes").as_ref(), [0; 0]);
            let error = bytes.get(2, 3).expect_err("too long").report();
            assert_eq!(error, "ends at byte 4, expected 3 bytes from byte 2");
            assert!(bytes.get(5, 0).is_err() && bytes.get(u64::MAX, 2).is_err());
            // A buffer that is longer than the range.
            let mut buffer = vec![9; 8];
            assert_eq!(bytes.part(1, 3).get_in(1..3, &mut buffer).expect("bytes"), [3, 4]);
            assert_eq!(bytes.part(1, 3).get_in(0..1, &mut Vec::new()).expect("bytes"), [2]);
            assert!(bytes.part(1, 3).get_in(1..4, &mut buffer).is_err());
        }
    }

    /// 4,000 zeros, compressed by the programs `bzip2` and `xz`.
    const ZEROS_BZ2: &str =
        "425a68393141592653597dc9d15c000007c010c00000080008200020a534198d56c078bb9229c28483ee4e8ae0";
    const ZEROS_XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a3e00f9f001a5d00006ffdffffa3b7ff473e481572396151b89228e6a37174c82900000000686177a8afea0bd9000136a01f00000032e82b69b1c467fb020000000004595a";

    fn from_hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn reads_bzip2_and_xz_up_to_the_limit() {
        for packed in [ZEROS_BZ2, ZEROS_XZ] {
            let limits = |bytes| Limits { gunzipped_bytes: bytes, ..Limits::default() };
            let bytes = Bytes::of(from_hex(packed), &limits(4000)).expect("decompressed");
            assert_eq!(bytes.get(0, 4000).expect("bytes").as_ref(), [0; 4000]);
            assert_eq!(bytes.len(), 4000);
            // Two streams, one after the other, are one file.
            let twice =
                Bytes::of([from_hex(packed), from_hex(packed)].concat(), &limits(1 << 20)).expect("two streams");
            assert_eq!(twice.len(), 8000);
            let error = Bytes::of(from_hex(packed), &limits(3999)).expect_err("too long").report();
            assert_eq!(error, "decompresses to more than the allowed 3999 bytes");
            let cut = from_hex(packed)[..20].to_vec();
            assert!(Bytes::of(cut, &limits(4000)).expect_err("cut").report().contains("cannot be decompressed as"));
        }
    }

    #[test]
    fn headers_of_a_compressed_file_are_decompressed_and_others_stay_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bytes");
        std::fs::write(&path, from_hex(ZEROS_BZ2)).expect("written");
        assert_eq!(Bytes::open_headers(&path, &Limits::default()).expect("open").len(), 4000);
        std::fs::write(&path, "S").expect("written");
        assert!(matches!(Bytes::open_headers(&path, &Limits::default()), Ok(Bytes::Disk { len: 1, .. })));
    }

    #[test]
    fn folders_are_rejected_before_they_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Bytes::open(folder.path(), &Limits::default(), Vec::new()).expect_err("a folder").report();
        assert_eq!(error, "is a folder, expected a regular file");
    }
}
