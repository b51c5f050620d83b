//! Joins the rows that several upstream monitors emit about one object.
//!
//! Every upstream monitor emits objects in the order of the stream, but depending on timing one may be far ahead of another.
//! An object is complete when all monitors have emitted it. Then each has also emitted every earlier object that it will ever
//! emit. So objects complete in the order of the stream for any timing, and objects that wait before a complete one can never
//! complete and are dropped.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::snapshot::{damaged, expect_same};
use crate::error::{Error, Result};

/// The most objects that one monitor may be ahead of another.
pub(crate) const MAX_AHEAD: usize = 65_536;

/// Identifies an object: its id, and its origin for ids that repeat.
type ObjectKey = (String, String);

/// Parts of objects that wait for the parts of other monitors. Part `i` of an object is that of monitor `i`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Join<T> {
    /// The labels of the upstream monitors.
    monitors: Vec<String>,
    /// The waiting parts of each monitor, in the order of the stream.
    waiting: Vec<VecDeque<(ObjectKey, T)>>,
    /// Objects that each monitor has emitted.
    seen: Vec<u64>,
    /// Objects that all monitors have emitted.
    complete: u64,
}

impl<T> Join<T> {
    pub(crate) fn new(monitors: Vec<String>) -> Self {
        let waiting = monitors.iter().map(|_| VecDeque::new()).collect();
        Self { seen: vec![0; monitors.len()], monitors, waiting, complete: 0 }
    }

    /// The upstream monitors.
    pub(crate) fn monitors(&self) -> &[String] {
        &self.monitors
    }

    /// The index of an upstream monitor.
    ///
    /// # Errors
    /// [`Error::Bug`] if the label is not one of them.
    pub(crate) fn index_of(&self, label: &str) -> Result<usize> {
        let unknown = || Error::bug(format!("rows of `{label}`, which is not an upstream monitor"));
        self.monitors.iter().position(|monitor| monitor == label).ok_or_else(unknown)
    }

    /// Adds the part of one monitor. Returns all parts of the object, by monitor, if this was the last missing one.
    ///
    /// # Errors
    /// [`Error::Data`] if more than [`MAX_AHEAD`] objects wait.
    pub(crate) fn insert(&mut self, monitor: usize, object_id: &str, origin: &str, part: T) -> Result<Option<Vec<T>>> {
        let key = (object_id.to_owned(), origin.to_owned());
        let position = |parts: &VecDeque<(ObjectKey, T)>| parts.iter().position(|(other, _)| *other == key);
        let mut others = self.waiting.iter().enumerate().filter(|(other, _)| *other != monitor);
        let is_complete = others.all(|(_, parts)| position(parts).is_some());
        self.seen[monitor] += 1;
        self.waiting[monitor].push_back((key.clone(), part));
        if !is_complete {
            return if self.waiting[monitor].len() > MAX_AHEAD { Err(self.too_far_ahead(monitor)) } else { Ok(None) };
        }
        self.complete += 1;
        let take = |parts: &mut VecDeque<(ObjectKey, T)>| {
            let last = parts.iter().position(|(other, _)| *other == key)?;
            parts.drain(..=last).next_back().map(|(_, part)| part)
        };
        Ok(self.waiting.iter_mut().map(take).collect())
    }

    /// Each monitor with the number of its objects that did not complete, because another monitor did not emit them. Valid
    /// after the end of the stream.
    pub(crate) fn unmatched(&self) -> impl Iterator<Item = (&str, u64)> {
        self.monitors.iter().zip(&self.seen).map(|(monitor, seen)| (monitor.as_str(), seen - self.complete))
    }

    /// Continues from a join of a snapshot of the monitor `label`.
    ///
    /// # Errors
    /// [`Error::Data`] if it joins other monitors, or contradicts itself.
    pub(crate) fn restore(&mut self, label: &str, snapshot: Self) -> Result<()> {
        expect_same(label, "the list of upstream monitors", &snapshot.monitors, &self.monitors)?;
        let n = self.monitors.len();
        let is_sound = snapshot.waiting.len() == n
            && snapshot.seen.len() == n
            && snapshot.seen.iter().all(|seen| *seen >= snapshot.complete);
        if !is_sound {
            return Err(damaged(label));
        }
        *self = snapshot;
        Ok(())
    }

    fn too_far_ahead(&self, monitor: usize) -> Error {
        Error::data(format!(
            "more than {MAX_AHEAD} objects of `{}` wait for another upstream monitor: give all of them the same `sample` and \
             `limit`",
            self.monitors[monitor]
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join<T>(monitors: &[&str]) -> Join<T> {
        Join::new(monitors.iter().map(ToString::to_string).collect())
    }

    /// The completed objects, and how many remain unmatched of each monitor. Each letter of `order` is a monitor that emits
    /// its next object.
    fn completed(objects: &[&[u32]], order: &str) -> (Vec<u32>, Vec<u64>) {
        let mut join = join(&["a", "b", "c"][..objects.len()]);
        let (mut next, mut completed) = (vec![0; objects.len()], Vec::new());
        for letter in order.bytes() {
            let monitor = usize::from(letter - b'a');
            let object = objects[monitor][next[monitor]];
            next[monitor] += 1;
            let part = 1000 * u32::from(letter) + object;
            if let Some(parts) = join.insert(monitor, &object.to_string(), "", part).expect("inserted") {
                assert!(parts.iter().zip(b"abc").all(|(part, letter)| *part == 1000 * u32::from(*letter) + object));
                completed.push(object);
            }
        }
        (completed, join.unmatched().map(|(_, objects)| objects).collect())
    }

    #[test]
    fn objects_complete_in_stream_order_whichever_monitor_is_ahead() {
        let objects: [&[u32]; 2] = [&[1, 2, 4, 5, 7], &[2, 3, 4, 7, 8]];
        for order in ["aaaaabbbbb", "bbbbbaaaaa", "ababababab", "aabbbabaab"] {
            assert_eq!(completed(&objects, order), (vec![2, 4, 7], vec![2, 2]), "{order}");
        }
        let three: [&[u32]; 3] = [&[1, 2, 3], &[1, 3], &[0, 1, 2, 3]];
        for order in ["aaabbcccc", "ccccbbaaa", "cacbacbac"] {
            assert_eq!(completed(&three, order), (vec![1, 3], vec![1, 0, 2]), "{order}");
        }
    }

    #[test]
    fn drops_objects_that_can_never_complete() {
        let mut join = join(&["a", "b"]);
        for object in 0..10 {
            join.insert(0, &object.to_string(), "", ()).expect("inserted");
        }
        join.insert(1, "8", "", ()).expect("inserted");
        assert_eq!(join.waiting.iter().map(VecDeque::len).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn distinguishes_repeated_ids_by_origin() {
        let mut join = join(&["a", "b"]);
        assert_eq!(join.insert(0, "7", "a.fits", 1).expect("inserted"), None);
        assert_eq!(join.insert(1, "7", "b.fits", 2).expect("inserted"), None);
        assert_eq!(join.insert(0, "7", "b.fits", 3).expect("inserted"), Some(vec![3, 2]));
    }

    #[test]
    fn a_monitor_that_runs_too_far_ahead_ends_the_run_with_advice() {
        let mut join = join(&["a", "b"]);
        let mut insert = |object: usize| join.insert(0, &object.to_string(), "", ());
        assert!((0..MAX_AHEAD).all(|object| insert(object).is_ok()));
        assert!(insert(MAX_AHEAD).expect_err("an error").to_string().contains("the same `sample` and `limit`"));
    }

    #[test]
    fn restores_its_own_monitors_and_refuses_others() {
        let mut first = join(&["a", "b"]);
        first.insert(0, "7", "", 1).expect("inserted");
        let mut second = join(&["a", "b"]);
        second.restore("windows", first.clone()).expect("restored");
        assert_eq!(second.insert(1, "7", "", 2).expect("inserted"), Some(vec![1, 2]));
        let error = join(&["a", "c"]).restore("windows", first.clone()).expect_err("refused").to_string();
        assert!(error.contains("the list of upstream monitors is [\"a\", \"b\"], expected [\"a\", \"c\"]"), "{error}");
        let damaged = Join { seen: vec![1], ..first };
        assert!(second.restore("windows", damaged).is_err());
    }
}
