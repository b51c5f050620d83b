//! Regions of pixels that touch, corners included.

/// Numbers the regions of pixels that are set, from 1 in the order of their first pixels; 0 elsewhere. Also how many.
pub(super) fn regions(set: &[bool], width: usize) -> (Vec<u32>, u32) {
    let mut labels = vec![0; set.len()];
    let (mut count, mut stack) = (0, Vec::new());
    for start in 0..set.len() {
        if set[start] && labels[start] == 0 {
            count += 1;
            fill(set, width, start, count, &mut labels, &mut stack);
        }
    }
    (labels, count)
}

/// The region of a pixel, which has to be set.
pub(super) fn region_of(set: &[bool], width: usize, start: usize) -> Vec<bool> {
    let mut labels = vec![0; set.len()];
    fill(set, width, start, 1, &mut labels, &mut Vec::new());
    labels.into_iter().map(|label| label != 0).collect()
}

fn fill(set: &[bool], width: usize, start: usize, label: u32, labels: &mut [u32], stack: &mut Vec<usize>) {
    let height = set.len() / width;
    labels[start] = label;
    stack.push(start);
    while let Some(place) = stack.pop() {
        let (y, x) = (place / width, place % width);
        for row in y.saturating_sub(1)..(y + 2).min(height) {
            for column in x.saturating_sub(1)..(x + 2).min(width) {
                let near = row * width + column;
                if set[near] && labels[near] == 0 {
                    labels[near] = label;
                    stack.push(near);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_join_and_gaps_part() {
        let set: Vec<bool> = "#..#. .#.#. ....# ##...".chars().filter(|c| *c != ' ').map(|c| c == '#').collect();
        let (labels, count) = regions(&set, 5);
        assert_eq!(count, 3);
        assert_eq!(labels, [1, 0, 0, 2, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 2, 3, 3, 0, 0, 0]);
        let own = region_of(&set, 5, 14);
        assert!(own.iter().zip(&labels).all(|(own, label)| *own == (*label == 2)));
    }
}
