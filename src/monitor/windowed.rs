//! What is counted of some scores: since the beginning, and in windows of so many rows of the stream.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// The rows of the stream that counts are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) window: Option<u64>,
    pub(super) first: u64,
    /// `None` when there was no row.
    pub(super) last: Option<u64>,
}

impl Scope {
    pub(super) const fn name(&self) -> &'static str {
        if self.window.is_some() { "window" } else { "total" }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.window, self.last) {
            (Some(window), Some(last)) => write!(f, "window {window} (rows {} to {last})", self.first),
            _ => f.write_str(self.name()),
        }
    }
}

/// Tallies of every score.
#[derive(Debug, Clone)]
pub(super) struct Windowed<T> {
    /// Rows of a window, where windows are asked for.
    size: Option<u64>,
    empty: Vec<T>,
    state: State<T>,
}

/// All that is remembered: two tallies of every score and little else.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State<T> {
    /// Rows seen.
    rows: u64,
    /// Since the beginning, by score.
    total: Vec<T>,
    /// In the window under way.
    window: Vec<T>,
    /// Whether the last full window of a score was beyond the threshold.
    beyond: Vec<bool>,
    /// A truth that is no class, to be named.
    unknown_class: Option<String>,
}

impl<T: Clone + Serialize + DeserializeOwned> Windowed<T> {
    pub(super) fn new(size: Option<u64>, empty: T, scores: usize) -> Self {
        let size = size.filter(|size| *size > 0);
        let empty = vec![empty; scores];
        let (total, window) = (empty.clone(), empty.clone());
        let state = State { rows: 0, total, window, beyond: vec![false; scores], unknown_class: None };
        Self { size, empty, state }
    }

    pub(super) fn total(&self) -> &[T] {
        &self.state.total
    }

    /// Remembers the first truth that is no class.
    pub(super) fn note_unknown_class(&mut self, unknown_class: Option<String>) {
        if self.state.unknown_class.is_none() {
            self.state.unknown_class = unknown_class;
        }
    }

    pub(super) fn unknown_class(&self) -> Option<&str> {
        self.state.unknown_class.as_deref()
    }

    /// Takes so many rows; `add` counts one (tally, score, row). Gives the windows that ended.
    pub(super) fn take(&mut self, rows: usize, add: impl Fn(&mut T, usize, usize)) -> Vec<(Scope, Vec<T>)> {
        let mut ended = Vec::new();
        for row in 0..rows {
            for tallies in [&mut self.state.total, &mut self.state.window] {
                tallies.iter_mut().enumerate().for_each(|(score, tally)| add(tally, score, row));
            }
            self.state.rows += 1;
            if self.size.is_some_and(|size| self.state.rows.is_multiple_of(size)) {
                ended.extend(self.close_window());
            }
        }
        ended
    }

    /// The window under way, where it has rows, and the total.
    pub(super) fn finish(&mut self) -> Vec<(Scope, Vec<T>)> {
        let under_way = self.size.is_some_and(|size| !self.state.rows.is_multiple_of(size));
        let window = if under_way { self.close_window() } else { None };
        let scope = Scope { window: None, first: 0, last: self.state.rows.checked_sub(1) };
        window.into_iter().chain([(scope, self.state.total.clone())]).collect()
    }

    fn close_window(&mut self) -> Option<(Scope, Vec<T>)> {
        let (size, last) = (self.size?, self.state.rows.checked_sub(1)?);
        let window = last / size;
        let scope = Scope { window: Some(window), first: window * size, last: Some(last) };
        Some((scope, std::mem::replace(&mut self.state.window, self.empty.clone())))
    }

    /// Whether a score that is beyond its threshold (or not) is a finding: in total always, of a window unless the one before was
    /// beyond too.
    pub(super) fn is_found(&mut self, scope: &Scope, score: usize, beyond: bool) -> bool {
        let before = scope.window.is_some() && std::mem::replace(&mut self.state.beyond[score], beyond);
        beyond && !before
    }

    pub(super) fn snapshot(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.state).map_err(|error| Error::bug(error.to_string()))
    }

    /// Goes on from a snapshot, unless it is of other scores, or of tallies that do not fit.
    pub(super) fn restore(&mut self, monitor: &str, snapshot: &[u8], fits: impl Fn(&T) -> bool) -> Result<()> {
        let state: State<T> = serde_json::from_slice(snapshot).map_err(|error| Error::bug(error.to_string()))?;
        let fit = |tallies: &[T]| tallies.len() == self.empty.len() && tallies.iter().all(&fits);
        if !fit(&state.total) || !fit(&state.window) || state.beyond.len() != self.empty.len() {
            return Err(Error::bug(format!("the snapshot of `{monitor}` is of other scores or classes")));
        }
        self.state = state;
        Ok(())
    }
}
