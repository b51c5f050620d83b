//! Connected regions of pixels. Pixels that touch by a side or a corner are connected.

/// Numbers the regions of set pixels from 1, in the order of their first pixels; 0 elsewhere. Also returns the number
/// of regions.
pub(super) fn regions(set: &[bool], width: usize) -> (Vec<u32>, u32) {
    let mut fill = FloodFill::new(set, width);
    let mut count = 0;
    for (start, is_set) in set.iter().enumerate() {
        if *is_set && fill.labels[start] == 0 {
            count += 1;
            fill.region(start, count);
        }
    }
    (fill.labels, count)
}

/// The region of a pixel, which must be set.
pub(super) fn region_of(set: &[bool], width: usize, start: usize) -> Vec<bool> {
    let mut fill = FloodFill::new(set, width);
    fill.region(start, 1);
    fill.labels.into_iter().map(|label| label != 0).collect()
}

struct FloodFill<'a> {
    set: &'a [bool],
    width: usize,
    /// 0 where a pixel was not visited.
    labels: Vec<u32>,
    stack: Vec<usize>,
}

impl<'a> FloodFill<'a> {
    fn new(set: &'a [bool], width: usize) -> Self {
        Self { set, width, labels: vec![0; set.len()], stack: Vec::new() }
    }

    /// Labels the region of a pixel.
    fn region(&mut self, start: usize, label: u32) {
        let (width, height) = (self.width, self.set.len() / self.width);
        self.labels[start] = label;
        self.stack.push(start);
        while let Some(index) = self.stack.pop() {
            let (y, x) = (index / width, index % width);
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for column in x.saturating_sub(1)..(x + 2).min(width) {
                    let neighbour = row * width + column;
                    if self.set[neighbour] && self.labels[neighbour] == 0 {
                        self.labels[neighbour] = label;
                        self.stack.push(neighbour);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_connect_and_gaps_separate() {
        let set: Vec<bool> = "#..#. .#.#. ....# ##...".chars().filter(|c| *c != ' ').map(|c| c == '#').collect();
        let (labels, count) = regions(&set, 5);
        assert_eq!(count, 3);
        assert_eq!(labels, [1, 0, 0, 2, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 2, 3, 3, 0, 0, 0]);
        let own = region_of(&set, 5, 14);
        assert!(own.iter().zip(&labels).all(|(own, label)| *own == (*label == 2)));
    }

    #[test]
    fn rows_do_not_connect_around_the_edge() {
        // The last pixel of a row and the first of the next are neighbours in memory alone.
        let (labels, count) = regions(&[false, false, true, true, false, false], 3);
        assert_eq!((count, labels), (2, vec![0, 0, 1, 2, 0, 0]));
        assert_eq!(regions(&[false; 6], 3), (vec![0; 6], 0));
    }
}
