//! `alerts`: packets of alerts in Avro, from files.
//!
//! A file is an object container file with any number of packets, or one message as a broker sends it: a byte 0, the number of the
//! schema, and the packet. Packets are read with the schema of their writer, so that files of several versions may be mixed; the types
//! of the columns and the layouts of the images follow from the first packet that can be read. A damaged packet is a rejected row, and
//! so is one whose stamps cannot be read.
//!
//! A split is a group of files (`source/file_split.rs`). A file that is replaced by another of the same length, with the same 4 KiB at
//! either end, is not noticed on a resume; container files draw a new mark whenever they are written.

mod check;
mod columns;
mod fields;
pub(super) mod packets;
pub(super) mod plan;
mod reader;
pub(super) mod rows;
pub(super) mod schemas;
mod stamp;
pub(super) mod stamps;
mod survey;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    packets::{Centre, Packets},
    survey::Survey,
};
use self::{
    plan::{FirstPacket, NoPlan, PacketPlan},
    reader::{AlertsReader, PacketFile},
    schemas::SchemaOfNumber,
    stamps::DecodeStamps,
};
use super::file_split;
use crate::{
    avro::{Container, FieldPaths, SchemaFolder, WriterSchema},
    error::{Code, Diagnostic, Error, Result},
    io::paths::{PathRules, PatternRules},
    stage::{Reader, Settings, Source, Split, Transform},
};

/// How many files are looked at for a first packet.
const FIRST_FILES: usize = 64;
/// How many packets of each of these are tried, where stamps may be missing or damaged.
const FIRST_RECORDS: usize = 64;

/// Alert packets in Avro files, with their stamps as images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alerts {
    /// Files, folders (their `.avro` files, with subfolders), patterns (`*`, `?`, `[..]`, `**`), or text files that list any of these,
    /// one per line (`@list.txt`). A file is an object container file, or one message in Confluent's framing.
    #[schemars(extend("format" = "path"))]
    pub paths: Vec<String>,
    /// What is read from a packet.
    #[serde(flatten)]
    pub packets: Packets,
}

/// How `paths` are expanded.
const RULES: PathRules = PathRules {
    format: "Avro",
    accepts: is_avro,
    accepted: "its `.avro` files, subfolders included",
    recursive: true,
    indexed: |_| Ok(None),
    lists: true,
    patterns: PatternRules::Shell,
    resolve_links: false,
};

/// Whether a name ends in `.avro`. `._a.avro` is what macOS writes beside `a.avro`.
fn is_avro(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.ends_with(".avro") && !name.starts_with("._")
}

impl Settings<dyn Source> for Alerts {
    const NAME: &'static str = "alerts";

    fn examples() -> &'static [&'static str] {
        &[
            r#"paths: ["${data}/alerts"]
survey: lsst
size: 7
nan: fill
images: { stamps: [difference, science, template] }
columns: { is_dipole: diaSource.isDipole }
"#,
            r#"paths: ["${data}/alerts/*.avro"]
object_id: diaSource.diaSourceId
columns: { snr: diaSource.snr, earlier_fluxes: prvDiaSources.psfFlux }
stamps: { science: cutoutScience }
pad: fill
companions: [variance, mask, psf]
psf_size: 5
"#,
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let mut diagnostics = self.packets.fields().err().unwrap_or_default();
        if self.paths.is_empty() {
            let diagnostic = Diagnostic::at("paths", Code::MissingKey, "`paths` names no files");
            diagnostics.push(diagnostic.help("name files, folders or patterns"));
        }
        if diagnostics.is_empty() {
            Ok(Box::new(AlertsSource { settings: self, bound: None }))
        } else {
            Err(diagnostics)
        }
    }
}

struct AlertsSource {
    settings: Alerts,
    bound: Option<BoundAlerts>,
}

/// The files, and how their packets are read.
struct BoundAlerts {
    files: Vec<PathBuf>,
    schemas: SchemaOfNumber,
    /// The files of the folder of schemas.
    schema_files: Vec<PathBuf>,
    plan: Arc<PacketPlan>,
}

impl AlertsSource {
    fn bound(&self) -> Result<&BoundAlerts> {
        self.bound.as_ref().ok_or_else(|| Error::bug("the source `alerts` is read before it is bound"))
    }

    fn id_of(&self, index: usize) -> Result<String> {
        let files = &self.bound()?.files;
        let group: Vec<&PathBuf> = files[file_split::range(index, files.len())].iter().collect();
        Ok(file_split::id(index, &group))
    }
}

/// The packets at the beginning of a file, with their schema.
///
/// # Errors
/// Why the file has no packets that can be read.
fn first_packets(path: &Path, schemas: &SchemaOfNumber) -> Result<(WriterSchema, Vec<Vec<u8>>), String> {
    let (file, _) = PacketFile::open(path).map_err(|error| error.report())??;
    match file {
        PacketFile::Message(bytes) => {
            let (schema, record) = schemas::record_of(&bytes, schemas).map_err(|error| error.report())??;
            Ok((schema, vec![record]))
        }
        PacketFile::Container(container) => first_of_container(container),
    }
}

fn first_of_container(mut container: Container<impl std::io::BufRead>) -> Result<(WriterSchema, Vec<Vec<u8>>), String> {
    let schema = WriterSchema::parse(container.schema_json())?;
    let no_fields = FieldPaths::new([]);
    let mut records = Vec::new();
    while records.len() < FIRST_RECORDS {
        let block = match container.next_block() {
            Ok(Some(block)) => block,
            Err(error) if records.is_empty() => return Err(error.into_reason()),
            Ok(None) | Err(_) => break,
        };
        let mut rest = block.bytes.as_slice();
        for _ in 0..block.count.min(FIRST_RECORDS as u64) {
            let Ok((_, after)) = no_fields.read(&schema, rest) else { break };
            records.push(rest[..rest.len() - after.len()].to_vec());
            rest = after;
        }
    }
    if records.is_empty() { Err("has no packets that can be read".into()) } else { Ok((schema, records)) }
}

impl Source for AlertsSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let Alerts { paths, packets } = &self.settings;
        let expansion = RULES.expand_named("paths", paths)?;
        expansion.left_out.iter().for_each(|left_out| tracing::warn!("source `alerts`: left out of {left_out}"));
        let files: Vec<PathBuf> = expansion.files.into_iter().map(|file| file.path).collect();
        let folder = packets.schema_folder()?;
        let schema_files = folder.iter().flat_map(SchemaFolder::files).cloned().collect();
        let schemas = schemas::in_folder(folder);
        let mut refused = None;
        for path in files.iter().take(FIRST_FILES) {
            let (schema, records) = match first_packets(path, &schemas) {
                Ok(found) => found,
                Err(reason) => {
                    refused.get_or_insert_with(|| {
                        let message = format!("no packet can be read: `{}` {reason}", path.display());
                        vec![Diagnostic::at("paths", Code::MissingFile, message)]
                    });
                    continue;
                }
            };
            for record in &records {
                let first = FirstPacket { origin: path.display().to_string(), schema: &schema, record: Some(record) };
                match PacketPlan::new(packets.clone(), &first) {
                    Ok(plan) => {
                        let schema = plan.schema.clone();
                        self.bound = Some(BoundAlerts { files, schemas, schema_files, plan: Arc::new(plan) });
                        return Ok(schema);
                    }
                    Err(NoPlan::BadStamps(diagnostics)) => refused = refused.or(Some(diagnostics)),
                    Err(NoPlan::Mistakes(diagnostics)) => return Err(diagnostics),
                }
            }
        }
        Err(refused.unwrap_or_else(|| vec![Diagnostic::at("paths", Code::MissingFile, "`paths` names no files")]))
    }

    fn input_files(&self) -> Vec<PathBuf> {
        self.bound.as_ref().map(|bound| bound.schema_files.clone()).unwrap_or_default()
    }

    fn input_files_may_grow(&self) -> bool {
        true
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let files = self.bound()?.files.len();
        let split = |index| Ok(Split::new(self.id_of(index)?, None));
        (0..files.div_ceil(file_split::FILES_PER_SPLIT)).map(split).collect()
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let BoundAlerts { files, schemas, plan, .. } = self.bound()?;
        let index = file_split::index(split, files.len(), |index| self.id_of(index).unwrap_or_default())?;
        let range = file_split::range(index, files.len());
        Ok(Box::new(AlertsReader::open(plan.clone(), files, range, schemas.clone(), offset)?))
    }

    fn decoder(&self) -> Option<Box<dyn Transform>> {
        let decoder = DecodeStamps::new(&self.bound.as_ref()?.plan)?;
        Some(Box::new(decoder))
    }
}
