//! What a run shows: one page to read and to send, and its figures for papers.
//!
//! The page is made of the run record and of the tables alone, by SQL that stands beside every picture; it holds all that it
//! needs and asks nothing of a network. A run that goes on, or that was killed, has a page of what it has committed, which says so.

mod answer;
mod chart;
pub mod live;
mod numbers;
mod page;
mod record;
mod section;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use self::{
    page::Purpose,
    record::Record,
    section::{Context, Section},
};
use crate::{
    error::{Error, Result},
    query::Run,
};

/// The report of a run directory, as of its last commit.
pub struct Report {
    run_dir: PathBuf,
    record: Record,
    run: Run,
    /// Made when first asked for: a page and its figures ask the tables once.
    sections: OnceLock<Vec<Section>>,
}

impl Report {
    /// Opens a run directory; nothing of it is changed.
    ///
    /// # Errors
    /// [`Error::Data`] when it is none, or its records or tables cannot be read.
    pub fn open(run_dir: &Path) -> Result<Self> {
        let record = Record::read(run_dir)?;
        Ok(Self { run_dir: run_dir.to_owned(), record, run: Run::open(run_dir)?, sections: OnceLock::new() })
    }

    /// The whole page, as HTML.
    ///
    /// # Errors
    /// [`Error::Bug`] when the page cannot be written. A section that cannot be made says why in its place.
    pub fn page(&self) -> Result<String> {
        page::render(&self.run_dir, &self.record, self.sections(), Purpose::Keep)
    }

    /// The page for a [`live::Server`]: with the strip of what the run does now in place of how it stands.
    ///
    /// # Errors
    /// As of [`page`](Self::page).
    pub fn live_page(&self) -> Result<String> {
        page::render(&self.run_dir, &self.record, self.sections(), Purpose::Watch)
    }

    /// Writes every figure as `NAME.svg` and `NAME.png`, one of three dimensions as a turning `NAME.apng` too, and its query as
    /// `NAME.sql`, and the graph of the pipeline as `pipeline.svg` and `pipeline.png`; gives the paths of the SVGs.
    ///
    /// # Errors
    /// [`Error::Environment`] when a file cannot be written.
    pub fn figures(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder).map_err(|error| Error::io("make", folder, error))?;
        let mut written = Vec::new();
        if let Some(svg) = page::pipeline(&self.record)? {
            write(&folder.join("pipeline.svg"), svg.as_bytes())?;
            write(&folder.join("pipeline.png"), &chart::raster::png(&svg)?)?;
            written.push(folder.join("pipeline.svg"));
        }
        for item in self.sections().iter().flat_map(|section| &section.items) {
            let Some(svg) = &item.svg else { continue };
            let path = |extension: &str| folder.join(format!("{}.{extension}", item.name));
            write(&path("svg"), svg.as_bytes())?;
            write(&path("png"), &chart::raster::png(svg)?)?;
            write(&path("sql"), format!("{}\n", item.data.sql).as_bytes())?;
            if let Some(space) = &item.space {
                write(&path("apng"), &space.turn()?)?;
            }
            written.push(path("svg"));
        }
        Ok(written)
    }

    fn sections(&self) -> &[Section] {
        self.sections.get_or_init(|| section::all(&Context { record: &self.record, run: &self.run }))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Error::io("write", path, error))
}
