//! Tallies of several scores: over all rows so far, and over windows of rows.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::snapshot::{damaged, expect_same, other_settings};
use crate::{
    error::Result,
    run::snapshot::{decode, encode},
};

/// The rows of the stream that a tally covers: a window, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The number of the window, from 0; `None` for all rows.
    pub(crate) window: Option<u64>,
    /// The first row.
    pub(crate) first: u64,
    /// The last row; `None` for an empty stream.
    pub(crate) last: Option<u64>,
}

impl Scope {
    /// The scope as tables name it.
    pub(crate) const fn name(&self) -> &'static str {
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

/// One tally `T` per score, for all rows and for the open window.
#[derive(Debug, Clone)]
pub(crate) struct Windowed<T> {
    /// Rows of a window; `None` if there are no windows.
    size: Option<u64>,
    empty: Vec<T>,
    state: WindowedState<T>,
}

/// All state. Its size depends on the scores and on `T`, not on the stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct WindowedState<T> {
    /// Rows so far.
    rows: u64,
    /// Tallies of all rows, by score.
    total: Vec<T>,
    /// Tallies of the open window, by score.
    window: Vec<T>,
    /// By score: whether its last complete window crossed the threshold.
    beyond: Vec<bool>,
    /// The first truth that is not a class of the model, for a warning.
    unknown_class: Option<String>,
}

/// What the tallies of a monitor are computed from. A snapshot with other scores or classes is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TalliedScores<'a> {
    /// The name of the kind.
    pub(crate) kind: &'static str,
    /// The label of the monitor.
    pub(crate) label: &'a str,
    pub(crate) scores: &'a [String],
    pub(crate) classes: &'a [String],
}

impl TalliedScores<'_> {
    /// An upper bound of the bytes that the names take in a snapshot: JSON writes a character in at most 6 bytes.
    pub(crate) fn snapshot_bytes(&self) -> usize {
        self.scores.iter().chain(self.classes).map(|name| 6 * name.len() + 3).sum()
    }
}

/// The state in a snapshot.
#[derive(Serialize, Deserialize)]
struct WindowedSnapshot<T> {
    scores: Vec<String>,
    classes: Vec<String>,
    tallies: WindowedState<T>,
}

impl<T: Clone + Serialize + DeserializeOwned> Windowed<T> {
    /// No rows yet. `empty` is the tally of no rows.
    pub(crate) fn new(size: Option<u64>, empty: T, scores: usize) -> Self {
        let size = size.filter(|size| *size > 0);
        let empty = vec![empty; scores];
        let (total, window) = (empty.clone(), empty.clone());
        let state = WindowedState { rows: 0, total, window, beyond: vec![false; scores], unknown_class: None };
        Self { size, empty, state }
    }

    /// The tallies of all rows, by score.
    pub(crate) fn total(&self) -> &[T] {
        &self.state.total
    }

    /// Keeps the first truth that is not a class of the model.
    pub(crate) fn note_unknown_class(&mut self, unknown_class: Option<String>) {
        if self.state.unknown_class.is_none() {
            self.state.unknown_class = unknown_class;
        }
    }

    pub(crate) fn unknown_class(&self) -> Option<&str> {
        self.state.unknown_class.as_deref()
    }

    /// Tallies the next rows with `add(tally, score, row)`. Returns the windows that ended.
    pub(crate) fn take(&mut self, rows: usize, add: impl Fn(&mut T, usize, usize)) -> Vec<(Scope, Vec<T>)> {
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

    /// The open window, if it has rows, then the total.
    pub(crate) fn finish(&mut self) -> Vec<(Scope, Vec<T>)> {
        let is_open = self.size.is_some_and(|size| !self.state.rows.is_multiple_of(size));
        let window = if is_open { self.close_window() } else { None };
        let scope = Scope { window: None, first: 0, last: self.state.rows.checked_sub(1) };
        window.into_iter().chain([(scope, self.state.total.clone())]).collect()
    }

    fn close_window(&mut self) -> Option<(Scope, Vec<T>)> {
        let (size, last) = (self.size?, self.state.rows.checked_sub(1)?);
        let window = last / size;
        let scope = Scope { window: Some(window), first: window * size, last: Some(last) };
        Some((scope, std::mem::replace(&mut self.state.window, self.empty.clone())))
    }

    /// Whether a score beyond its threshold is a finding: always in the total, in a window only if the previous window was
    /// within the threshold.
    pub(crate) fn is_found(&mut self, scope: &Scope, score: usize, beyond: bool) -> bool {
        let before = scope.window.is_some() && std::mem::replace(&mut self.state.beyond[score], beyond);
        beyond && !before
    }

    pub(crate) fn snapshot(&self, of: &TalliedScores<'_>) -> Result<Vec<u8>> {
        let (scores, classes) = (of.scores.to_vec(), of.classes.to_vec());
        encode(of.kind, &WindowedSnapshot { scores, classes, tallies: self.state.clone() }, b"")
    }

    /// Continues from a snapshot. `fits` is whether a tally has the shape that the settings ask for.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) if the snapshot is damaged, of another kind, or of other settings.
    pub(crate) fn restore(&mut self, of: &TalliedScores<'_>, snapshot: &[u8], fits: impl Fn(&T) -> bool) -> Result<()> {
        let (WindowedSnapshot { scores, classes, tallies }, _) = decode::<WindowedSnapshot<T>>(of.kind, snapshot)?;
        expect_same(of.label, "the list of scores", &scores.as_slice(), &of.scores)?;
        expect_same(of.label, "the list of classes", &classes.as_slice(), &of.classes)?;
        let n = self.empty.len();
        if [tallies.total.len(), tallies.window.len(), tallies.beyond.len()] != [n; 3] {
            return Err(damaged(of.label));
        }
        if !tallies.total.iter().chain(&tallies.window).all(fits) {
            return Err(other_settings(of.label, "its tallies have another number of bins or classes"));
        }
        self.state = tallies;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 4 rows of two scores; the tally is the sum of (row + 100 score).
    fn sums(rows: std::ops::Range<usize>, windowed: &mut Windowed<u64>) -> Vec<(Scope, Vec<u64>)> {
        windowed.take(rows.len(), |sum, score, row| *sum += (rows.start + row + 100 * score) as u64)
    }

    fn scope(window: u64, first: u64, last: u64) -> Scope {
        Scope { window: Some(window), first, last: Some(last) }
    }

    fn scores<'a>(scores: &'a [String], classes: &'a [String]) -> TalliedScores<'a> {
        TalliedScores { kind: "sums", label: "label", scores, classes }
    }

    #[test]
    fn windows_and_total_cover_the_rows_however_they_are_cut_into_batches() {
        let expected = [
            (scope(0, 0, 3), vec![6, 406]),
            (scope(1, 4, 7), vec![22, 422]),
            (scope(2, 8, 9), vec![17, 217]),
            (Scope { window: None, first: 0, last: Some(9) }, vec![45, 1045]),
        ];
        for size in [1, 3, 4, 10] {
            let mut windowed = Windowed::new(Some(4), 0, 2);
            let mut all: Vec<_> =
                (0..10).step_by(size).flat_map(|i| sums(i..(i + size).min(10), &mut windowed)).collect();
            all.extend(windowed.finish());
            assert_eq!(all, expected, "batches of {size}");
        }
        assert_eq!(expected[2].0.to_string(), "window 2 (rows 8 to 9)");
        assert_eq!(Windowed::new(None, 0, 1).finish()[0].0, Scope { window: None, first: 0, last: None });
    }

    #[test]
    fn a_threshold_is_found_when_it_is_crossed_and_always_in_the_total() {
        let mut windowed = Windowed::new(Some(4), 0, 1);
        let found = [false, true, true, false, true].map(|beyond| windowed.is_found(&scope(0, 0, 3), 0, beyond));
        assert_eq!(found, [false, true, false, false, true]);
        let total = Scope { window: None, first: 0, last: None };
        assert!(windowed.is_found(&total, 0, true) && windowed.is_found(&total, 0, true));
    }

    #[test]
    fn continues_from_a_snapshot_and_refuses_other_settings() {
        let [names, classes] = [["a", "b"], ["x", "y"]].map(|names| names.map(str::to_owned));
        let of = scores(&names, &classes);
        let mut first = Windowed::new(Some(4), 0, 2);
        sums(0..6, &mut first);
        let snapshot = first.snapshot(&of).expect("a snapshot");
        let mut second = Windowed::new(Some(4), 0, 2);
        second.restore(&of, &snapshot, |_| true).expect("restored");
        assert_eq!(sums(6..8, &mut second), [(scope(1, 4, 7), vec![22, 422])]);
        let mut refusal = |of: &TalliedScores<'_>, fits: bool| {
            second.restore(of, &snapshot, |_| fits).expect_err("refused").to_string()
        };
        assert!(refusal(&scores(&classes, &classes), true).contains("the list of scores is [\"a\", \"b\"]"));
        assert!(refusal(&scores(&names, &names), true).contains("the list of classes is [\"x\", \"y\"]"));
        assert!(refusal(&of, false).contains("bins or classes"));
        assert!(refusal(&TalliedScores { kind: "means", ..of }, true).contains("expected a snapshot of `means`"));
    }
}
