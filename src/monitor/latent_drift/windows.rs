//! Cuts the stream into windows, counted in rows, independently of batches.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How the stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WindowRule {
    /// A window of `size` rows ends every `every` rows, the first after `size` rows. Windows overlap if `every` is less.
    Rows { size: u64, every: u64 },
    /// A window lasts while a column keeps its value, for at most `max` rows.
    Value { max: u64 },
}

/// A window that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamWindow {
    pub(super) number: u64,
    /// Its first row in the stream.
    pub(super) first: u64,
    /// Its last row.
    pub(super) last: u64,
    /// The value that its rows share, if a column cuts the stream.
    pub(super) value: Option<String>,
}

/// What to do with the next rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WindowStep {
    /// Add these rows of the batch to the open window.
    Hold(Range<usize>),
    /// Test the window, then release its first `release` rows.
    Close { window: StreamWindow, release: u64 },
}

/// The position of the stream in its windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WindowCutter {
    /// Rows so far.
    rows: u64,
    /// Windows that have ended.
    ended: u64,
    /// The first row of the open window.
    first: u64,
    /// The value of the last row, if a column cuts the stream.
    value: Option<String>,
}

impl WindowCutter {
    pub(super) const fn new() -> Self {
        Self { rows: 0, ended: 0, first: 0, value: None }
    }

    /// Rows of the open window.
    pub(super) const fn open_rows(&self) -> u64 {
        self.rows - self.first
    }

    /// The steps for the next `rows` rows. `value` returns the value of a row; it is called only if the rule needs it.
    pub(super) fn take(
        &mut self,
        rule: WindowRule,
        rows: usize,
        value: impl Fn(usize) -> Option<String>,
    ) -> Vec<WindowStep> {
        let (mut steps, mut from) = (Vec::new(), 0);
        for row in 0..rows {
            if let WindowRule::Value { .. } = rule {
                let value = value(row);
                if self.open_rows() > 0 && value != self.value {
                    steps.push(WindowStep::Hold(from..row));
                    steps.extend(self.close(self.open_rows()));
                    from = row;
                }
                self.value = value;
            }
            self.rows += 1;
            let release = match rule {
                WindowRule::Rows { size, every } if self.open_rows() == size => every.min(size),
                WindowRule::Value { max } if self.open_rows() == max => max,
                _ => continue,
            };
            steps.push(WindowStep::Hold(from..row + 1));
            steps.extend(self.close(release));
            from = row + 1;
        }
        if from < rows {
            steps.push(WindowStep::Hold(from..rows));
        }
        steps
    }

    /// Closes the open window at the end of the stream, if it has rows that no earlier window had.
    pub(super) fn finish(&mut self, rule: WindowRule) -> Option<WindowStep> {
        let overlap = match rule {
            WindowRule::Rows { size, every } if self.ended > 0 => size.saturating_sub(every),
            _ => 0,
        };
        (self.open_rows() > overlap).then(|| self.close(self.open_rows())).flatten()
    }

    fn close(&mut self, release: u64) -> Option<WindowStep> {
        let last = self.rows.checked_sub(1)?;
        let window = StreamWindow { number: self.ended, first: self.first, last, value: self.value.clone() };
        self.ended += 1;
        self.first += release;
        Some(WindowStep::Close { window, release })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First row, last row and value of every window, and the most rows held at once, for a stream in batches of `batch` rows.
    fn cut(rule: WindowRule, values: &str, batch: usize) -> (Vec<(u64, u64, Option<String>)>, u64) {
        let values: Vec<String> = values.chars().map(String::from).collect();
        let (mut cutter, mut ended, mut held, mut most) = (WindowCutter::new(), Vec::new(), 0, 0);
        let mut follow = |step: WindowStep| match step {
            WindowStep::Hold(rows) => {
                held += rows.len() as u64;
                most = most.max(held);
            }
            WindowStep::Close { window, release } => {
                assert_eq!(held, window.last + 1 - window.first);
                held -= release;
                ended.push((window.first, window.last, window.value));
            }
        };
        for batch in values.chunks(batch) {
            cutter.take(rule, batch.len(), |row| Some(batch[row].clone())).into_iter().for_each(&mut follow);
        }
        cutter.finish(rule).into_iter().for_each(&mut follow);
        (ended, most)
    }

    fn rows(rule: WindowRule, n: usize, batch: usize) -> Vec<(u64, u64)> {
        cut(rule, &"x".repeat(n), batch).0.into_iter().map(|(first, last, _)| (first, last)).collect()
    }

    #[test]
    fn windows_do_not_depend_on_batches() {
        for batch in [1, 2, 3, 5, 100] {
            let tumbling = WindowRule::Rows { size: 4, every: 4 };
            assert_eq!(rows(tumbling, 10, batch), [(0, 3), (4, 7), (8, 9)]);
            assert_eq!(rows(tumbling, 8, batch), [(0, 3), (4, 7)]);
            let sliding = WindowRule::Rows { size: 4, every: 2 };
            assert_eq!(rows(sliding, 8, batch), [(0, 3), (2, 5), (4, 7)]);
            assert_eq!(rows(sliding, 9, batch), [(0, 3), (2, 5), (4, 7), (6, 8)]);
            assert_eq!(rows(sliding, 3, batch), [(0, 2)]);
            let (ended, most) = cut(WindowRule::Value { max: 4 }, "aabbbbbba", batch);
            let expected = [(0, 1, "a"), (2, 5, "b"), (6, 7, "b"), (8, 8, "a")];
            let expected: Vec<_> = expected.map(|(first, last, value)| (first, last, Some(value.to_owned()))).into();
            assert_eq!((ended, most), (expected, 4));
        }
        assert!(rows(WindowRule::Rows { size: 4, every: 4 }, 0, 1).is_empty());
    }
}
