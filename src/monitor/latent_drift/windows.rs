//! Where windows of the stream begin and end, counted in rows, whatever the batches.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How the stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A window of `size` rows ends every `every` rows, the first after `size`. They overlap where `every` is less.
    Rows { size: u64, every: u64 },
    /// A window goes on while a column keeps its value, for `most` rows at most.
    Value { most: u64 },
}

/// A window that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) number: u64,
    /// The row of the stream that it begins with.
    pub(super) first: u64,
    /// The last one.
    pub(super) last: u64,
    /// The value that its rows share, where it is cut by one.
    pub(super) value: Option<String>,
}

/// What is to be done with the next rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// They belong to the window under way.
    Hold(Range<usize>),
    /// The window has ended. Then the first rows of those that are held are let go of.
    Close { window: Window, let_go: u64 },
}

/// Cuts the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Windows {
    /// Rows seen.
    rows: u64,
    /// Windows that have ended.
    ended: u64,
    /// The first row that is held.
    first: u64,
    value: Option<String>,
}

impl Windows {
    pub(super) const fn new() -> Self {
        Self { rows: 0, ended: 0, first: 0, value: None }
    }

    /// The steps for so many rows, whose values are given where the rule asks for them.
    pub(super) fn take(&mut self, rule: Rule, rows: usize, value: impl Fn(usize) -> Option<String>) -> Vec<Step> {
        let (mut steps, mut from) = (Vec::new(), 0);
        for row in 0..rows {
            if let Rule::Value { .. } = rule {
                let value = value(row);
                if self.rows > self.first && value != self.value {
                    steps.push(Step::Hold(from..row));
                    steps.extend(self.close(self.rows - self.first));
                    from = row;
                }
                self.value = value;
            }
            self.rows += 1;
            let let_go = match rule {
                Rule::Rows { size, every } if self.rows - self.first == size => every.min(size),
                Rule::Value { most } if self.rows - self.first == most => most,
                _ => continue,
            };
            steps.push(Step::Hold(from..row + 1));
            steps.extend(self.close(let_go));
            from = row + 1;
        }
        if from < rows {
            steps.push(Step::Hold(from..rows));
        }
        steps
    }

    /// The window under way at the end of the stream, where it has rows that no window before had.
    pub(super) fn finish(&mut self, rule: Rule) -> Option<Step> {
        let held = self.rows - self.first;
        let overlap = match rule {
            Rule::Rows { size, every } if self.ended > 0 => size.saturating_sub(every),
            _ => 0,
        };
        (held > overlap).then(|| self.close(held)).flatten()
    }

    fn close(&mut self, let_go: u64) -> Option<Step> {
        let last = self.rows.checked_sub(1)?;
        let window = Window { number: self.ended, first: self.first, last, value: self.value.clone() };
        self.ended += 1;
        self.first += let_go;
        Some(Step::Close { window, let_go })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last rows of all windows, the stream coming in batches of a size, and how many rows were held at most.
    fn cut(rule: Rule, values: &str, batch: usize) -> (Vec<(u64, u64, Option<String>)>, u64) {
        let values: Vec<String> = values.chars().map(String::from).collect();
        let (mut windows, mut ended, mut held, mut most) = (Windows::new(), Vec::new(), 0, 0);
        let mut follow = |step: Step| match step {
            Step::Hold(rows) => {
                held += rows.len() as u64;
                most = most.max(held);
            }
            Step::Close { window, let_go } => {
                assert_eq!(held, window.last + 1 - window.first);
                held -= let_go;
                ended.push((window.first, window.last, window.value));
            }
        };
        for batch in values.chunks(batch) {
            windows.take(rule, batch.len(), |row| Some(batch[row].clone())).into_iter().for_each(&mut follow);
        }
        windows.finish(rule).into_iter().for_each(&mut follow);
        (ended, most)
    }

    fn rows(rule: Rule, n: usize, batch: usize) -> Vec<(u64, u64)> {
        cut(rule, &"x".repeat(n), batch).0.into_iter().map(|(first, last, _)| (first, last)).collect()
    }

    #[test]
    fn windows_are_the_same_whatever_the_batches() {
        for batch in [1, 2, 3, 5, 100] {
            let tumbling = Rule::Rows { size: 4, every: 4 };
            assert_eq!(rows(tumbling, 10, batch), [(0, 3), (4, 7), (8, 9)]);
            assert_eq!(rows(tumbling, 8, batch), [(0, 3), (4, 7)]);
            let sliding = Rule::Rows { size: 4, every: 2 };
            assert_eq!(rows(sliding, 8, batch), [(0, 3), (2, 5), (4, 7)]);
            assert_eq!(rows(sliding, 9, batch), [(0, 3), (2, 5), (4, 7), (6, 8)]);
            assert_eq!(rows(sliding, 3, batch), [(0, 2)]);
            let (ended, most) = cut(Rule::Value { most: 4 }, "aabbbbbba", batch);
            let expected = [(0, 1, "a"), (2, 5, "b"), (6, 7, "b"), (8, 8, "a")];
            let expected: Vec<_> = expected.map(|(first, last, value)| (first, last, Some(value.to_owned()))).into();
            assert_eq!((ended, most), (expected, 4));
        }
        assert!(rows(Rule::Rows { size: 4, every: 4 }, 0, 1).is_empty());
    }
}
