//! `lucarne run`: runs a pipeline, shows its progress on a terminal, and stops after a commit on a signal.

#[cfg(feature = "report")]
use std::net::SocketAddr;
use std::{fmt::Write, io::IsTerminal, path::PathBuf};

use clap::{Args, builder::RangedU64ValueParser};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

#[cfg(feature = "report")]
use super::serve::{self, Live};
use super::{Exit, path_argument::path, pipeline::PipelineArgs, terminal};
use crate::{
    engine::{Counts, Existing, RunOptions, Status, Stop, Summary},
    error::{Error, Result},
};

/// Run a pipeline into its run directory
#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Set the run directory, overriding `run` in the document
    #[arg(short, long, value_name = "DIR", value_parser = path())]
    output: Option<PathBuf>,
    /// Set the number of worker threads; 0 means one per core. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    threads: Option<usize>,
    /// Set the maximum number of rows in a batch. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// Read at most N rows from the source
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Continue after the last commit of an earlier run, or start one if there is none
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Remove the tables of an earlier run first
    #[arg(long)]
    overwrite: bool,
    /// Serve a live view of the run, and metrics for Prometheus at `/metrics`, at ADDR or 127.0.0.1:8080. A port alone
    /// means this port of 127.0.0.1
    #[cfg(feature = "report")]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8080", value_parser = serve::address)]
    serve: Option<SocketAddr>,
}

impl Run {
    pub(super) fn run(&self, quiet: bool) -> Result<Exit> {
        let mut pipeline = self.pipeline.pipeline()?;
        if let Some(output) = &self.output {
            pipeline = pipeline.run_dir(output);
        }
        if let Some(threads) = self.threads {
            pipeline = pipeline.threads(threads);
        }
        if let Some(batch) = self.batch {
            pipeline = pipeline.batch_rows(batch as usize);
        }
        if let Some(limit) = self.limit {
            pipeline = pipeline.limit(limit);
        }
        let plan = pipeline.check()?;
        let existing = match (self.resume, self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        };
        let stop = stop_on_signals()?;
        #[cfg(feature = "report")]
        let live = Live::start(self.serve, &plan, quiet)?;
        let bar = Bar::new(quiet);
        let outcome = plan.run(&RunOptions { existing }, &stop, &mut |status| {
            bar.show(status);
            #[cfg(feature = "report")]
            live.show(status);
        });
        bar.clear();
        if let (Ok(summary), false) = (&outcome, quiet) {
            terminal::note(&summary_lines(summary));
        }
        #[cfg(feature = "report")]
        live.end(&outcome);
        let summary = outcome?;
        Ok(if summary.findings.is_empty() && !too_many_rejects(&summary.counts) { Exit::Done } else { Exit::Found })
    }
}

/// Handles signals: the first Ctrl-C or SIGTERM ends the run after a commit, the second ends the process at once. Both are safe,
/// because a run can be resumed after it was killed at any time.
fn stop_on_signals() -> Result<Stop> {
    let stop = Stop::default();
    let request = stop.clone();
    ctrlc::set_handler(move || {
        if request.requested() {
            std::process::exit(Exit::Interrupted as i32);
        }
        request.request();
        terminal::note("stopping after a commit; interrupt again to abort");
    })
    .map_err(|error| Error::environment(format!("cannot listen for signals: {error}")))?;
    Ok(stop)
}

/// Whether more than half of the rows were rejected: the pipeline does not fit its data.
const fn too_many_rejects(counts: &Counts) -> bool {
    counts.rejected * 2 > counts.source
}

/// The progress bar, on a terminal only.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(quiet: bool) -> Self {
        Self((!quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length))
    }

    fn show(&self, status: &Status<'_>) {
        let Some(bar) = &self.0 else { return };
        let template = match (status.total, bar.length()) {
            (Some(total), None) => {
                bar.set_length(total);
                Some("{bar:32} {human_pos}/{human_len} rows, {msg}, {eta} left")
            }
            (None, None) if bar.position() == 0 => Some("{spinner} {human_pos} rows, {msg}"),
            _ => None,
        };
        if let Some(style) = template.and_then(|template| ProgressStyle::with_template(template).ok()) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        let mut message = format!("{:.0} rows/s", status.rows_per_second);
        if status.counts.rejected > 0 {
            let _ = write!(message, ", {} rejected", HumanCount(status.counts.rejected));
        }
        if status.findings > 0 {
            let _ = write!(message, ", {} findings", status.findings);
        }
        bar.set_message(message);
        bar.set_position(status.counts.source);
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// The summary of a finished run.
fn summary_lines(summary: &Summary) -> String {
    let Counts { source, written, filtered, rejected } = summary.counts;
    let mut out = String::new();
    let dir = summary.run_dir.display();
    if summary.already_finished {
        let _ = writeln!(out, "{dir}: already finished, nothing to do");
    }
    let _ = write!(out, "{dir}: {source} rows in, {written} kept");
    if filtered > 0 {
        let _ = write!(out, ", {filtered} filtered");
    }
    let _ = write!(out, ", {rejected} rejected");
    if !summary.already_finished {
        let rate = source as f64 / summary.seconds.max(1e-9);
        let _ = write!(out, " ({:.1} s, {rate:.0} rows/s)", summary.seconds);
    }
    out.push('\n');
    let tables: Vec<String> = summary.tables.iter().map(|(name, rows)| format!("{name} {rows}")).collect();
    let _ = writeln!(out, "tables: {}", tables.join(", "));
    let lookups = summary.stages.first().map(|source| source.lookups).unwrap_or_default();
    if lookups.rows > 0 {
        let _ = writeln!(out, "catalogue: {} of {} objects found", lookups.found, lookups.rows);
    }
    for finding in &summary.findings {
        let _ = writeln!(out, "finding by {}: {}", finding.monitor, finding.message);
    }
    if too_many_rejects(&summary.counts) {
        let _ = writeln!(out, "more than half of the rows were rejected; the table `rejects` has the reasons");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_rejects_are_more_than_half_of_the_rows() {
        let counts = |source, rejected| Counts { source, rejected, ..Counts::default() };
        assert!(too_many_rejects(&counts(3, 2)));
        assert!(!too_many_rejects(&counts(4, 2)));
        assert!(!too_many_rejects(&counts(0, 0)));
    }
}
