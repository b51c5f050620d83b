//! Reads the packets of a split, file by file.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    plan::{PacketPlan, PacketSchema},
    rows::{PacketPlace, PacketRows, StampRoom},
    schemas::{SchemaOfNumber, Schemas},
};
use crate::{
    avro::{Container, ContainerError, RecordBlock},
    error::Result,
    io::digest,
    source::patience::{cannot_read, is_outside, patiently},
    stage::{Read, Reader},
};

/// Bytes at either end of a file that are digested, besides its length.
const DIGESTED: u64 = 4096;
/// The most bytes of a file that holds one message.
const MAX_MESSAGE: u64 = 256 << 20;

/// A file of packets.
pub(super) enum PacketFile {
    /// A container file, and its schema as JSON.
    Container(Container<BufReader<File>>),
    /// One framed message.
    Message(Vec<u8>),
}

impl PacketFile {
    /// Opens a file. The outer error is one of the system; the inner one says why it has no packets.
    pub(super) fn open(path: &Path) -> Result<Result<(Self, u128), String>> {
        let opened = patiently(
            path,
            || Self::open_now(path),
            |opened| match opened {
                Err(ContainerError::Outside(error)) => Some(error).filter(|error| is_outside(path, error)),
                _ => None,
            },
        )?;
        Ok(opened.map_err(ContainerError::into_reason))
    }

    fn open_now(path: &Path) -> Result<(Self, u128), ContainerError> {
        let outside = ContainerError::Outside;
        let metadata = std::fs::metadata(path).map_err(outside)?;
        if !metadata.is_file() {
            return Err(ContainerError::Damaged("is not a regular file".into()));
        }
        let mut file = File::open(path).map_err(outside)?;
        let contents = ends(&mut file, metadata.len()).map_err(outside)?;
        let mut start = Vec::new();
        (&file).take(4).read_to_end(&mut start).map_err(outside)?;
        file.rewind().map_err(outside)?;
        if Container::<BufReader<File>>::is_begun_by(&start) {
            let container = Container::open(BufReader::with_capacity(1 << 18, file))?;
            return Ok((Self::Container(container), contents));
        }
        match start.first() {
            Some(0) if metadata.len() <= MAX_MESSAGE => {
                let mut bytes = Vec::with_capacity(metadata.len() as usize);
                file.read_to_end(&mut bytes).map_err(outside)?;
                Ok((Self::Message(bytes), contents))
            }
            Some(0) => Err(ContainerError::Damaged(format!("has {} bytes, too many for one message", metadata.len()))),
            None => Err(ContainerError::Damaged("is empty".into())),
            Some(_) => {
                let expected = "expected `Obj` and 1 (a container file) or 0 (a framed message)";
                let found = String::from_utf8_lossy(&start).escape_debug().to_string();
                Err(ContainerError::Damaged(format!("is not Avro: it begins with `{found}`, {expected}")))
            }
        }
    }
}

/// A digest of the length of a file and its ends, which have the schema, and the mark that each container file draws anew.
fn ends(file: &mut File, length: u64) -> io::Result<u128> {
    let mut bytes = Vec::with_capacity(2 * DIGESTED as usize);
    (&*file).take(DIGESTED).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(length.saturating_sub(DIGESTED)))?;
    (&*file).take(DIGESTED).read_to_end(&mut bytes)?;
    file.rewind()?;
    Ok(digest::wide_number_of(&[&length.to_le_bytes(), &bytes]))
}

/// A reader of the files of a split.
pub(super) struct AlertsReader {
    plan: Arc<PacketPlan>,
    files: std::vec::IntoIter<PathBuf>,
    current: Option<OpenPackets>,
    schemas: Schemas,
    /// Rows that were passed, rejects included.
    passed: u64,
    /// The offset at which the split was opened. Rows before it are passed but not read.
    start: u64,
    /// A digest of the files so far.
    contents: u128,
    room: StampRoom,
}

/// A file being read.
struct OpenPackets {
    path: PathBuf,
    /// The number of the next record of a container file.
    record: u64,
    rest: FileRest,
}

/// What is left of a file.
enum FileRest {
    /// A reason to report, and nothing after it.
    Unreadable(String),
    Message(Vec<u8>),
    Container {
        container: Container<BufReader<File>>,
        schema: Arc<PacketSchema>,
        block: Option<OpenBlock>,
    },
    Nothing,
}

/// A block being read.
struct OpenBlock {
    bytes: Vec<u8>,
    /// Where the next record begins; `None` behind a damaged one.
    next: Option<usize>,
    /// How many records are left.
    left: u64,
}

impl AlertsReader {
    /// Opens files and passes the rows before an offset.
    pub(super) fn open(
        plan: Arc<PacketPlan>,
        files: &[PathBuf],
        range: Range<usize>,
        of_number: SchemaOfNumber,
        offset: u64,
    ) -> Result<Self> {
        let files = files.get(range).unwrap_or_default().to_vec().into_iter();
        let schemas = Schemas::new(of_number);
        let mut reader = Self {
            plan,
            files,
            current: None,
            schemas,
            passed: 0,
            start: offset,
            contents: 0,
            room: StampRoom::default(),
        };
        let plan = reader.plan.clone();
        let mut rows = PacketRows::new(&plan, 0, &reader.room)?;
        while reader.passed < offset && reader.read_row(&mut rows)? {}
        Ok(reader)
    }

    /// Opens the next file; false when there is none.
    fn open_next(&mut self) -> Result<bool> {
        let Some(path) = self.files.next() else { return Ok(false) };
        let name = path.display().to_string();
        let (rest, of_file) = match PacketFile::open(&path)? {
            Ok((PacketFile::Message(bytes), contents)) => (FileRest::Message(bytes), contents),
            Ok((PacketFile::Container(container), contents)) => {
                let schema = self.schemas.of_json(&self.plan, container.schema_json(), &name);
                let rest = match schema {
                    Ok(schema) => FileRest::Container { container, schema, block: None },
                    Err(reason) => FileRest::Unreadable(reason),
                };
                (rest, contents)
            }
            Err(reason) => {
                let contents = digest::wide_number_of(&[reason.as_bytes()]);
                (FileRest::Unreadable(reason), contents)
            }
        };
        self.contents =
            digest::wide_number_of(&[&self.contents.to_le_bytes(), name.as_bytes(), &of_file.to_le_bytes()]);
        self.current = Some(OpenPackets { path, record: 0, rest });
        Ok(true)
    }

    /// Reads one row; false at the end of the split.
    fn read_row(&mut self, rows: &mut PacketRows<'_>) -> Result<bool> {
        loop {
            if self.current.is_some() && self.step(rows)? {
                self.passed += 1;
                return Ok(true);
            }
            if !self.open_next()? {
                return Ok(false);
            }
        }
    }

    /// Reads a row of the current file; false at its end.
    fn step(&mut self, rows: &mut PacketRows<'_>) -> Result<bool> {
        let plan = self.plan.clone();
        let Some(OpenPackets { path, record, rest }) = &mut self.current else { return Ok(false) };
        let (number, start) = (self.passed, self.start);
        let is_skipped = number < start;
        let name = path.display().to_string();
        match std::mem::replace(rest, FileRest::Nothing) {
            FileRest::Nothing => return Ok(false),
            FileRest::Unreadable(reason) => {
                if !is_skipped {
                    rows.reject(PacketPlace { number, origin: name }, None, reason);
                }
            }
            FileRest::Message(bytes) => {
                if !is_skipped {
                    let place = PacketPlace { number, origin: name.clone() };
                    let read = self.schemas.of_payload(&plan, &bytes, &name)?;
                    match read {
                        Ok((schema, record)) => rows.push_message(&schema, &record, place, &mut |_| Ok(())),
                        Err(reason) => rows.reject(place, None, reason),
                    }
                }
            }
            FileRest::Container { mut container, schema, mut block } => {
                while block.as_ref().is_none_or(|block| block.left == 0) {
                    match OpenBlock::next(&mut container, block.take()) {
                        Ok(Some(next)) => block = Some(next),
                        Ok(None) => return Ok(false),
                        Err(ContainerError::Outside(error)) => return Err(cannot_read(&name, &error)),
                        Err(ContainerError::Damaged(reason)) => {
                            if !is_skipped {
                                let reason = format!("{reason}: what follows the record {record} of the file is lost");
                                rows.reject(PacketPlace { number, origin: name }, None, reason);
                            }
                            return Ok(true);
                        }
                    }
                }
                if let Some(block) = &mut block {
                    let place = PacketPlace { number, origin: format!("{name}[{record}]") };
                    block.read_record(&plan, &schema, if is_skipped { None } else { Some((rows, place)) });
                }
                *record += 1;
                *rest = FileRest::Container { container, schema, block };
            }
        }
        Ok(true)
    }
}

impl OpenBlock {
    /// The next block with records, once the one before has none left.
    fn next(container: &mut Container<BufReader<File>>, before: Option<Self>) -> Result<Option<Self>, ContainerError> {
        if let Some(Self { bytes, next: Some(end), .. }) = before
            && end < bytes.len()
        {
            return Err(format!("has a block with {} bytes after its records", bytes.len() - end).into());
        }
        let Some(RecordBlock { count, bytes }) = container.next_block()? else { return Ok(None) };
        // A packet has an identity, and so at least a byte.
        if count > bytes.len() as u64 {
            return Err(format!("has a block of {count} records in {} bytes", bytes.len()).into());
        }
        Ok(Some(Self { bytes, next: Some(0), left: count }))
    }

    /// Reads a record into rows, or passes it.
    fn read_record(
        &mut self,
        plan: &PacketPlan,
        schema: &PacketSchema,
        rows: Option<(&mut PacketRows<'_>, PacketPlace)>,
    ) {
        self.left -= 1;
        let records = self.next.map(|next| &self.bytes[next..]);
        let rest = match (records, rows) {
            (Some(records), Some((rows, place))) => rows.push_first(schema, records, place),
            (Some(records), None) => schema.read(plan, records).ok().map(|(_, rest)| rest),
            (None, Some((rows, place))) => {
                rows.reject(
                    place,
                    None,
                    "is behind a damaged record of its block: it is not known where it begins".into(),
                );
                None
            }
            (None, None) => None,
        };
        self.next = rest.map(|rest| self.bytes.len() - rest.len());
    }
}

impl Reader for AlertsReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let plan = self.plan.clone();
        let mut rows = PacketRows::new(&plan, max_rows, &self.room)?;
        while rows.len() < max_rows.max(1) && self.read_row(&mut rows)? {}
        self.room = rows.room();
        if rows.len() == 0 { Ok(Read::End) } else { rows.into_read() }
    }

    fn contents(&self) -> Option<u128> {
        Some(self.contents)
    }

    fn offset(&self) -> u64 {
        self.passed.max(self.start)
    }
}
