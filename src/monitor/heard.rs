//! What several monitors above say of one object, brought together.
//!
//! Every monitor speaks of objects in the order of the stream, but one may be far ahead of another, as timing will have it. An object is
//! whole when all have spoken of it. Then all have also spoken of every object before it that they will ever speak of, so objects become
//! whole in the order of the stream for any timing, and whatever waits before one that became whole waits in vain.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most objects that one monitor may be ahead of another.
pub(super) const MOST_AHEAD: usize = 65_536;

/// The name of an object: its id, and its origin where ids repeat.
type Key = (String, String);

/// Parts that wait for those of other monitors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Heard<T> {
    /// By monitor, each in the order of the stream.
    waiting: Vec<VecDeque<(Key, T)>>,
    /// Objects that each has spoken of.
    spoken: Vec<u64>,
    /// Objects that all have spoken of.
    whole: u64,
}

impl<T> Heard<T> {
    pub(super) fn new(monitors: usize) -> Self {
        Self { waiting: (0..monitors).map(|_| VecDeque::new()).collect(), spoken: vec![0; monitors], whole: 0 }
    }

    /// How many monitors there are.
    pub(super) fn monitors(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the part of one monitor; all parts, in the order of the monitors, when it was the last that was missing.
    pub(super) fn hear(&mut self, monitor: usize, object_id: &str, origin: &str, part: T) -> Result<Option<Vec<T>>> {
        let key = (object_id.to_owned(), origin.to_owned());
        let place = |parts: &VecDeque<(Key, T)>| parts.iter().position(|(other, _)| *other == key);
        let others = self.waiting.iter().enumerate().filter(|(other, _)| *other != monitor);
        let is_last = others.map(|(_, parts)| place(parts)).all(|place| place.is_some());
        self.spoken[monitor] += 1;
        self.waiting[monitor].push_back((key.clone(), part));
        if !is_last {
            return if self.waiting[monitor].len() > MOST_AHEAD {
                Err(Error::data(format!(
                    "more than {MOST_AHEAD} objects wait for what another monitor says of them: give the monitors that \
                     are named the same `sample` and `limit`"
                )))
            } else {
                Ok(None)
            };
        }
        self.whole += 1;
        let place = |parts: &VecDeque<(Key, T)>| parts.iter().position(|(other, _)| *other == key);
        let take = |parts: &mut VecDeque<(Key, T)>| Some(parts.drain(..=place(parts)?).next_back()?.1);
        Ok(self.waiting.iter_mut().map(take).collect())
    }

    /// How many objects each has spoken of in vain, because another did not.
    pub(super) fn in_vain(&self) -> impl Iterator<Item = u64> {
        self.spoken.iter().map(|spoken| spoken - self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes whole when monitors speak in an order: letters, each of one monitor, that speaks of its next object.
    fn whole(objects: &[&[u32]], order: &str) -> (Vec<u32>, Vec<u64>) {
        let (mut heard, mut next, mut whole) = (Heard::new(objects.len()), vec![0; objects.len()], Vec::new());
        for letter in order.bytes() {
            let monitor = usize::from(letter - b'a');
            let object = objects[monitor][next[monitor]];
            next[monitor] += 1;
            let parts = heard.hear(monitor, &object.to_string(), "", 1000 * u32::from(letter) + object).expect("heard");
            if let Some(parts) = parts {
                assert!(parts.iter().zip(b"abc").all(|(part, letter)| *part == 1000 * u32::from(*letter) + object));
                whole.push(object);
            }
        }
        (whole, heard.in_vain().collect())
    }

    #[test]
    fn objects_become_whole_in_the_order_of_the_stream_whoever_is_ahead() {
        let objects: [&[u32]; 2] = [&[1, 2, 4, 5, 7], &[2, 3, 4, 7, 8]];
        for order in ["aaaaabbbbb", "bbbbbaaaaa", "ababababab", "aabbbabaab"] {
            assert_eq!(whole(&objects, order), (vec![2, 4, 7], vec![2, 2]), "{order}");
        }
        let three: [&[u32]; 3] = [&[1, 2, 3], &[1, 3], &[0, 1, 2, 3]];
        for order in ["aaabbcccc", "ccccbbaaa", "cacbacbac"] {
            assert_eq!(whole(&three, order), (vec![1, 3], vec![1, 0, 2]), "{order}");
        }
    }

    #[test]
    fn what_waits_in_vain_is_let_go_of() {
        let mut heard = Heard::new(2);
        for object in 0..10 {
            heard.hear(0, &object.to_string(), "", ()).expect("heard");
        }
        heard.hear(1, "8", "", ()).expect("heard");
        assert_eq!(heard.waiting.iter().map(VecDeque::len).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn an_id_that_repeats_is_told_apart_by_its_origin() {
        let mut heard = Heard::new(2);
        assert_eq!(heard.hear(0, "7", "a.fits", 1).expect("heard"), None);
        assert_eq!(heard.hear(1, "7", "b.fits", 2).expect("heard"), None);
        assert_eq!(heard.hear(0, "7", "b.fits", 3).expect("heard"), Some(vec![3, 2]));
    }

    #[test]
    fn a_monitor_that_runs_away_ends_the_run_with_advice() {
        let mut heard = Heard::new(2);
        let mut speak = |object: usize| heard.hear(0, &object.to_string(), "", ());
        assert!((0..MOST_AHEAD).all(|object| speak(object).is_ok()));
        assert!(speak(MOST_AHEAD).expect_err("an error").to_string().contains("the same `sample` and `limit`"));
    }
}
