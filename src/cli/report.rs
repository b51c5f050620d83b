//! `lucarne report`: writes the report of a run, and its figures.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{Exit, path_argument::path, terminal};
use crate::{
    error::{Error, Result},
    io::disk,
    report,
};

/// Write the report of a run as one self-contained page, or its figures for papers
#[derive(Args)]
pub(super) struct Report {
    /// The run directory; an unfinished run is shown as of its last commit
    #[arg(value_parser = path())]
    run: PathBuf,
    /// Write the page to this file; `-` is standard output. Without this option and `--figures`, write `report.html` in the run
    /// directory
    #[arg(short, long, value_name = "FILE.html", value_parser = path())]
    output: Option<PathBuf>,
    /// Write every figure into this folder, as SVG and PNG, with its SQL
    #[arg(long, value_name = "DIR", value_parser = path())]
    figures: Option<PathBuf>,
}

impl Report {
    pub(super) fn run(&self) -> Result<Exit> {
        let report = report::Report::open(&self.run)?;
        if let Some(folder) = &self.figures {
            for path in report.figures(folder)? {
                terminal::result(&format!("{}\n", path.display()))?;
            }
            if self.output.is_none() {
                return Ok(Exit::Done);
            }
        }
        let page = report.page()?;
        match &self.output {
            Some(path) if path.as_os_str() == "-" => terminal::result(&page)?,
            Some(path) => {
                fs::write(path, page).map_err(|error| Error::io("write", path, error))?;
                terminal::result(&format!("{}\n", path.display()))?;
            }
            None => {
                let path = self.run.join("report.html");
                // A link in a run directory of somebody else must not lead to another file: it is replaced, not followed.
                disk::replace(&path, page.as_bytes())?;
                terminal::result(&format!("{}\n", path.display()))?;
            }
        }
        Ok(Exit::Done)
    }
}
