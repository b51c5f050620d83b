//! The catalogue in pieces, one for each split.
//!
//! Of a catalogue in Parquet, in a table of FITS, or of a HATS catalogue, only what identifies the pieces is in memory; the rows of a
//! piece are read when its split is opened. Other formats are text, whose types only all rows show: their columns are in memory.

use std::path::PathBuf;

use arrow::datatypes::Field;

use super::{
    hats::HatsCatalogue,
    positions::{PositionCatalogue, Positions},
};
use crate::{
    batch,
    error::{Code, Diagnostic, Error, Result},
    io::digest,
    source::fits::catalogue::{FileRows, FitsRows, ParquetRows, PieceFormat, Pieces},
};

/// Rows of a piece, but for the last one of a file.
const PIECE_ROWS: usize = 4096;

/// A catalogue in pieces.
pub(super) struct CataloguePieces {
    pieces: Vec<CataloguePiece>,
    rows: CatalogueRows,
    /// Those of the further columns.
    fields: Vec<Field>,
    /// The files to compare when a run is resumed.
    pub(super) input_files: Vec<PathBuf>,
    /// A digest of the list of files of a catalogue that has many.
    pub(super) files_digest: Option<u128>,
}

/// A piece.
struct CataloguePiece {
    /// Its number, a digest of its ids and positions, and its first id.
    id: String,
    place: FileRows,
}

enum CatalogueRows {
    Memory(Positions),
    Parquet(ParquetRows),
    Fits(FitsRows),
}

impl CataloguePieces {
    /// Reads the catalogue once.
    pub(super) fn open(settings: &PositionCatalogue) -> Result<Self, Vec<Diagnostic>> {
        let opened = Self::open_catalogue(settings).map_err(|mut diagnostics| {
            diagnostics.iter_mut().for_each(|diagnostic| rename(&mut diagnostic.path));
            diagnostics
        })?;
        if opened.pieces.is_empty() {
            let message = format!("catalogue `{}` has no rows, expected positions", settings.path);
            return Err(vec![Diagnostic::at("catalogue.path", Code::MissingFile, message)]);
        }
        Ok(opened)
    }

    fn open_catalogue(settings: &PositionCatalogue) -> Result<Self, Vec<Diagnostic>> {
        let path = PathBuf::from(&settings.path);
        if path.is_dir() {
            return Self::of_hats(settings, &path);
        }
        let catalogue = settings.table(&settings.ra, &settings.dec);
        match catalogue.piece_format()? {
            Some(PieceFormat::Parquet) => {
                return Self::of_parquet(ParquetRows::open(catalogue, vec![path.clone()])?, vec![path], None);
            }
            Some(PieceFormat::Fits) => return Self::of_fits(FitsRows::open(catalogue)?, path),
            None => {}
        }
        let positions = Positions::of(catalogue.load_rows()?, &settings.path)?;
        let mut pieces = Vec::new();
        for start in (0..positions.len()).step_by(PIECE_ROWS) {
            let rows = PIECE_ROWS.min(positions.len() - start);
            let id = piece_id(&positions.slice(start, rows), pieces.len())?;
            pieces.push(CataloguePiece { id, place: FileRows { file: 0, rows: start as u64..(start + rows) as u64 } });
        }
        let fields = positions.fields().cloned().collect();
        let rows = CatalogueRows::Memory(positions);
        Ok(Self { pieces, rows, fields, input_files: vec![path], files_digest: None })
    }

    fn of_hats(settings: &PositionCatalogue, folder: &std::path::Path) -> Result<Self, Vec<Diagnostic>> {
        let wrong =
            |message: String, help: &str| vec![Diagnostic::at("catalogue.path", Code::MissingFile, message).help(help)];
        let hats = HatsCatalogue::open(folder).map_err(|reason| {
            let help = "expected a file, or a folder with `hats.properties` and `Norder=*/Dir=*/Npix=*.parquet`";
            wrong(format!("cannot read catalogue `{}`: {reason}", settings.path), help)
        })?;
        // The properties name the columns unless the settings do.
        let column = |setting: &String, usual: &str, found: &Option<String>| {
            if setting == usual { found.as_ref().unwrap_or(setting).clone() } else { setting.clone() }
        };
        let (ra, dec) = (column(&settings.ra, batch::RA, &hats.ra), column(&settings.dec, batch::DEC, &hats.dec));
        let rows = ParquetRows::open(settings.table(&ra, &dec), hats.files)?;
        let found: u64 = rows.files().iter().map(|file| file.rows).sum();
        if let Some(expected) = hats.rows.filter(|expected| *expected != found) {
            let path = &settings.path;
            let message =
                format!("catalogue `{path}` has {found} rows in its files, expected {expected} (`hats_nrows`)");
            return Err(wrong(message, "some of its files may be missing: copy the catalogue again"));
        }
        let files_digest = rows.files().iter().fold(0_u128, |files, file| {
            let name = file.path.strip_prefix(folder).unwrap_or(&file.path).display().to_string();
            digest::wide_number_of(&[&files.to_le_bytes(), name.as_bytes(), &file.rows.to_le_bytes()])
        });
        Self::of_parquet(rows, vec![hats.properties], Some(files_digest))
    }

    fn of_parquet(
        rows: ParquetRows,
        input_files: Vec<PathBuf>,
        files_digest: Option<u128>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut pieces = Vec::new();
        let paths = |file: usize| rows.files()[file].path.display().to_string();
        rows.scan(PIECE_ROWS, |place, keyed| {
            let positions = Positions::of(keyed, &paths(place.file))?;
            pieces.push(CataloguePiece { id: piece_id(&positions, pieces.len())?, place });
            Ok(())
        })?;
        let fields = Positions::of(rows.without_rows()?, "")?.fields().cloned().collect();
        Ok(Self { pieces, rows: CatalogueRows::Parquet(rows), fields, input_files, files_digest })
    }

    fn of_fits(rows: FitsRows, path: PathBuf) -> Result<Self, Vec<Diagnostic>> {
        let mut pieces = Vec::new();
        let name = path.display().to_string();
        rows.scan(PIECE_ROWS, |of_file, keyed| {
            let positions = Positions::of(keyed, &name)?;
            let place = FileRows { file: 0, rows: of_file };
            pieces.push(CataloguePiece { id: piece_id(&positions, pieces.len())?, place });
            Ok(())
        })?;
        let fields = Positions::of(rows.without_rows()?, &name)?.fields().cloned().collect();
        Ok(Self { pieces, rows: CatalogueRows::Fits(rows), fields, input_files: vec![path], files_digest: None })
    }

    /// The fields of the further columns.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// The ids of the pieces, and how many rows each has.
    pub(super) fn ids(&self) -> impl Iterator<Item = (&str, u64)> {
        self.pieces.iter().map(|piece| (piece.id.as_str(), piece.place.rows.end - piece.place.rows.start))
    }

    /// The piece of an id; `None` if the catalogue has none with it.
    pub(super) fn read(&self, id: &str) -> Result<Option<PieceRows>> {
        let number = id.split(' ').next().and_then(|number| number.parse().ok());
        let Some(piece) = number.and_then(|number: usize| self.pieces.get(number)).filter(|piece| piece.id == id)
        else {
            return Ok(None);
        };
        let FileRows { file, rows: of_file } = &piece.place;
        let path = match &self.rows {
            CatalogueRows::Parquet(rows) => &rows.files()[*file].path,
            CatalogueRows::Memory(_) | CatalogueRows::Fits(_) => &self.input_files[0],
        };
        let path = path.display().to_string();
        let keyed = match &self.rows {
            CatalogueRows::Memory(positions) => {
                let positions = positions.slice(of_file.start as usize, (of_file.end - of_file.start) as usize);
                return Ok(Some(PieceRows { positions, path, first: of_file.start }));
            }
            CatalogueRows::Parquet(rows) => rows.read(&piece.place)?,
            CatalogueRows::Fits(rows) => rows.read(of_file)?,
        };
        let positions = Positions::of(keyed, &path)
            .map_err(|mistakes| Error::data(mistakes.first().map(ToString::to_string).unwrap_or_default()))?;
        if positions.piece_id(number.unwrap_or_default())? != id {
            return Ok(None);
        }
        Ok(Some(PieceRows { positions, path, first: of_file.start }))
    }
}

/// The rows of a piece.
pub(super) struct PieceRows {
    pub(super) positions: Positions,
    path: String,
    first: u64,
}

impl PieceRows {
    /// Where a row is: `file[row]`.
    pub(super) fn place_in_words(&self, row: usize) -> String {
        format!("{}[{}]", self.path, self.first + row as u64)
    }
}

fn piece_id(positions: &Positions, number: usize) -> Result<String, Vec<Diagnostic>> {
    let wrong = |error: Error| vec![Diagnostic::at("catalogue.columns", Code::WrongColumn, error.report())];
    positions.piece_id(number).map_err(wrong)
}

/// Names the settings of this catalogue instead of those of the table that is read.
fn rename(path: &mut Vec<String>) {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let renamed: &[&str] = match parts[..] {
        ["catalogue", "key"] => &["catalogue", "id"],
        ["catalogue", "columns", batch::RA] => &["catalogue", "ra"],
        ["catalogue", "columns", batch::DEC] => &["catalogue", "dec"],
        _ => return,
    };
    *path = renamed.iter().map(|part| (*part).to_owned()).collect();
}
