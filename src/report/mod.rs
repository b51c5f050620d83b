//! Reports: a self-contained HTML page for a run, and its figures as files for papers.
//!
//! A report reads the run record and the tables, through SQL queries that the page shows next to each figure. The page loads
//! nothing from the network. For an unfinished run it shows the state as of the last commit, with a note.

mod chart;
mod format;
pub mod live;
mod page;
mod query_result;
mod record;
mod section;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use askama::Template;

use self::{
    page::PageMode,
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
    /// Computed on first use, so that the page and the figures share the queries.
    sections: OnceLock<Vec<Section>>,
}

impl Report {
    /// Opens a run directory, read-only.
    ///
    /// # Errors
    /// [`Error::Data`] when the folder is not a run directory, or its records or tables cannot be read.
    pub fn open(run_dir: &Path) -> Result<Self> {
        let record = Record::read(run_dir)?;
        Ok(Self { run_dir: run_dir.to_owned(), record, run: Run::open(run_dir)?, sections: OnceLock::new() })
    }

    /// The page as HTML. A section that fails shows its error instead; the other sections are not affected.
    ///
    /// # Errors
    /// [`Error::Bug`] when the page cannot be rendered.
    pub fn page(&self) -> Result<String> {
        page::render_run(&self.run_dir, &self.record, self.sections(), PageMode::Static)
    }

    /// The page for a [`live::Server`]: the strip of the live view replaces the status of the run.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub fn live_page(&self) -> Result<String> {
        page::render_run(&self.run_dir, &self.record, self.sections(), PageMode::Live)
    }

    /// Writes each figure as `NAME.svg` and `NAME.png` with its query `NAME.sql`, and three-dimensional figures also as a
    /// rotating `NAME.apng`. The pipeline graph becomes `pipeline.svg` and `pipeline.png`. Returns the paths of the SVG files.
    ///
    /// # Errors
    /// [`Error::Environment`] when a file cannot be written.
    pub fn figures(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let mut written = Vec::new();
        if let Some(svg) = page::pipeline_svg(&self.record)? {
            write(&folder.join("pipeline.svg"), svg.as_bytes())?;
            write(&folder.join("pipeline.png"), &chart::rasterize::png(&svg)?)?;
            written.push(folder.join("pipeline.svg"));
        }
        for item in self.sections().iter().flat_map(|section| &section.items) {
            let Some(svg) = &item.svg else { continue };
            let path = |extension: &str| folder.join(format!("{}.{extension}", item.name));
            write(&path("svg"), svg.as_bytes())?;
            write(&path("png"), &chart::rasterize::png(svg)?)?;
            write(&path("sql"), format!("{}\n", item.preview.sql).as_bytes())?;
            if let Some(scatter) = &item.scatter {
                write(&path("apng"), &scatter.apng()?)?;
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

/// Renders a template. Rendering into memory can only fail through a defect of the template.
fn render(template: &impl Template) -> Result<String> {
    template.render().map_err(|error| Error::bug("cannot render a template of the report").caused_by(error))
}
