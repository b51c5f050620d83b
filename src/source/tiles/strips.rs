//! The strips of planes that are held: rows that cutouts share.

use std::{collections::VecDeque, ops::Range};

use super::{no_row::NoRow, shared_rows::SharedPlane, tile::TilePlane};
use crate::{error::Error, fits::Section};

/// The most memory of all strips, bytes.
const MOST_BYTES: usize = 32 << 20;

/// How often the strips of a plane are read on average, at most. Objects that jump to and fro in it are read by themselves afterwards.
const MOST_PASSES: usize = 8;

/// Strips of planes, of floats or of integers.
pub(super) struct Strips<T> {
    planes: Vec<PlaneStrips<T>>,
    /// Counts the sections that were asked for.
    asked: u64,
}

struct PlaneStrips<T> {
    plane: TilePlane,
    /// When a section of it was asked for last.
    last: u64,
    /// By their numbers, which grow.
    strips: VecDeque<Strip<T>>,
    /// How many were read, those that were dropped included.
    loaded: usize,
}

struct Strip<T> {
    number: usize,
    /// Row by row; none if it cannot be read.
    pixels: Vec<T>,
}

impl<T> Default for Strips<T> {
    fn default() -> Self {
        Self { planes: Vec::new(), asked: 0 }
    }
}

impl<T> PlaneStrips<T> {
    fn strip(&self, number: usize) -> Option<&Strip<T>> {
        let place = self.strips.binary_search_by_key(&number, |strip| strip.number).ok()?;
        self.strips.get(place)
    }

    /// The pixels of a strip that is held.
    fn pixels(&self, number: usize) -> Result<&[T], NoRow> {
        let strip =
            self.strip(number).ok_or_else(|| NoRow::Failed(Error::bug("a strip of a tile was dropped too early")))?;
        Ok(&strip.pixels)
    }

    /// Drops a strip that is not needed, and returns its memory: the lowest, as objects come from low rows to high ones, or the highest
    /// when they begin again, as those of the next tile of the first band do.
    fn drop_one(&mut self, needs: &Range<usize>) -> Vec<T> {
        let is_past = self.strips.front().is_some_and(|lowest| lowest.number < needs.start);
        let dropped = if is_past {
            self.strips.pop_front()
        } else {
            self.strips.pop_back_if(|highest| highest.number >= needs.end)
        };
        dropped.map(|strip| strip.pixels).unwrap_or_default()
    }
}

impl<T: Copy + Default> Strips<T> {
    /// Writes the pixels of a section, whose rows begin `stride` apart in `out`: from strips where all that it needs are read as a
    /// whole, else by itself. `load` reads a section of the file.
    ///
    /// A strip that is damaged is no error of the section: then that is read by itself, too.
    pub(super) fn read(
        &mut self,
        plane: TilePlane,
        shared: Option<&SharedPlane>,
        section: &Section,
        out: &mut [T],
        stride: usize,
        mut load: impl FnMut(&Section, &mut [T], usize) -> Result<(), NoRow>,
    ) -> Result<(), NoRow> {
        let of_section = shared.and_then(|shared| Some((shared, shared.strips_of(&section.rows)?)));
        let Some((shared, numbers)) = of_section else { return load(section, out, stride) };
        let at = self.find(plane);
        for number in numbers.clone() {
            if !self.hold(at, shared, number, &numbers, &mut load)? {
                return load(section, out, stride);
            }
        }
        for number in numbers {
            let (rows, pixels) = (shared.rows(number), self.planes[at].pixels(number)?);
            for row in rows.start.max(section.rows.start)..rows.end.min(section.rows.end) {
                let from = (row - rows.start) * shared.shape[1] + section.columns.start;
                let columns = section.columns.len();
                let to = (row - section.rows.start) * stride;
                out[to..to + columns].copy_from_slice(&pixels[from..from + columns]);
            }
        }
        Ok(())
    }

    /// The place of a plane among those with strips.
    fn find(&mut self, plane: TilePlane) -> usize {
        self.asked += 1;
        let at = self.planes.iter().position(|found| found.plane == plane).unwrap_or_else(|| {
            self.planes.push(PlaneStrips { plane, last: 0, strips: VecDeque::new(), loaded: 0 });
            self.planes.len() - 1
        });
        self.planes[at].last = self.asked;
        at
    }

    /// Reads a strip unless it is held; `false` if it cannot be. The strips that the section `needs` are kept.
    fn hold(
        &mut self,
        at: usize,
        shared: &SharedPlane,
        number: usize,
        needs: &Range<usize>,
        load: &mut impl FnMut(&Section, &mut [T], usize) -> Result<(), NoRow>,
    ) -> Result<bool, NoRow> {
        let held = &mut self.planes[at];
        if let Some(strip) = held.strip(number) {
            return Ok(!strip.pixels.is_empty());
        }
        if held.loaded >= MOST_PASSES * shared.strip_count() {
            return Ok(false);
        }
        held.loaded += 1;
        let mut pixels = if held.strips.len() < shared.most { Vec::new() } else { held.drop_one(needs) };
        let (rows, columns) = (shared.rows(number), 0..shared.shape[1]);
        pixels.resize(rows.len() * columns.len(), T::default());
        let stride = columns.len();
        match load(&Section { plane: held.plane.number.plane, rows, columns }, &mut pixels, stride) {
            Ok(()) => {}
            Err(NoRow::Rejected(_)) => pixels.clear(),
            Err(failed @ NoRow::Failed(_)) => return Err(failed),
        }
        let is_good = !pixels.is_empty();
        let place = held.strips.partition_point(|strip| strip.number < number);
        held.strips.insert(place, Strip { number, pixels });
        self.drop_others(at);
        Ok(is_good)
    }

    /// Drops the strips of planes that were not asked for longest, until the others have room.
    fn drop_others(&mut self, at: usize) {
        let pixels = |plane: &PlaneStrips<T>| plane.strips.iter().map(|strip| strip.pixels.capacity()).sum::<usize>();
        while self.planes.iter().map(pixels).sum::<usize>() * size_of::<T>() > MOST_BYTES {
            let others =
                self.planes.iter_mut().enumerate().filter(|(other, plane)| *other != at && !plane.strips.is_empty());
            let Some((_, oldest)) = others.min_by_key(|(_, plane)| plane.last) else { return };
            oldest.strips = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Error, random::Stream, source::fits::tile_image::PlaneNumber};

    const PLANE: TilePlane = TilePlane { file: 0, number: PlaneNumber { hdu: 0, plane: 3 } };
    const SHAPE: [usize; 2] = [100, 50];

    fn pixel(row: usize, column: usize) -> u64 {
        (row * SHAPE[1] + column) as u64
    }

    /// Reads from a plane whose pixels count, of which a row cannot be read.
    fn load(section: &Section, out: &mut [u64], stride: usize, bad_row: usize) -> Result<(), NoRow> {
        assert_eq!(section.plane, 3);
        if section.rows.contains(&bad_row) {
            return Err("damaged".to_owned().into());
        }
        for (row, out) in section.rows.clone().zip(out.chunks_mut(stride)) {
            out.iter_mut().zip(section.columns.clone()).for_each(|(out, column)| *out = pixel(row, column));
        }
        Ok(())
    }

    /// Strips of 32 rows, the last of 4.
    fn shared(is_whole: [bool; 4]) -> SharedPlane {
        SharedPlane { shape: SHAPE, strip_rows: 32, most: 3, is_whole: is_whole.to_vec() }
    }

    /// Reads sections of 20 rows and 10 columns, in the order of their rows but for a few, and checks their pixels. Returns how many
    /// pixels were loaded.
    fn loaded(shared: Option<&SharedPlane>, bad_row: usize) -> usize {
        let mut strips = Strips::default();
        let mut stream = Stream::new(1, "strips", "sections");
        let mut loaded = 0;
        for step in 0..400 {
            let row = if step % 50 == 49 { 0 } else { step / 5 };
            let column = stream.uniform_in(0.0, 40.0) as usize;
            let section = Section { plane: 3, rows: row..row + 20, columns: column..column + 10 };
            let mut out = vec![u64::MAX; 20 * 15];
            let read = strips.read(PLANE, shared, &section, &mut out, 15, |section, out, stride| {
                loaded += section.rows.len() * section.columns.len();
                load(section, out, stride, bad_row)
            });
            assert_eq!(read.is_err(), section.rows.contains(&bad_row));
            for (at, found) in out.iter().enumerate().filter(|_| read.is_ok()) {
                let is_in = at % 15 < 10;
                assert_eq!(*found, if is_in { pixel(row + at / 15, column + at % 15) } else { u64::MAX });
            }
        }
        loaded
    }

    #[test]
    fn sections_have_the_same_pixels_with_and_without_strips() {
        assert_eq!(loaded(None, 1000), 400 * 20 * 10);
        // All rows once, and some strips again, because a few sections are far from the others.
        let whole = loaded(Some(&shared([true; 4])), 1000);
        assert!((100 * 50..3 * 100 * 50).contains(&whole), "{whole}");
        let some = loaded(Some(&shared([true, false, true, true])), 1000);
        assert!(some > whole && some < 400 * 20 * 10, "{some}");
    }

    /// The second band of two tiles of the first goes through its rows twice, and objects lie in groups.
    #[test]
    fn sections_in_any_order_have_their_pixels() {
        let mut stream = Stream::new(2, "strips", "rows");
        for held in 2..5 {
            let shape = [400, 50];
            let shared = SharedPlane { shape, strip_rows: 16, most: held, is_whole: vec![true; 25] };
            let (mut strips, mut loads) = (Strips::default(), 0);
            for step in 0..3000 {
                // At first everywhere, then upwards, again and again.
                let row = if step < 1500 { stream.uniform_in(0.0, 385.0) as usize } else { step * 7 % 385 };
                let section = Section { plane: 3, rows: row..row + 15, columns: 4..9 };
                let mut out = vec![u64::MAX; 15 * 5];
                let read = strips.read(PLANE, Some(&shared), &section, &mut out, 5, |section, out, stride| {
                    loads += 1;
                    load(section, out, stride, 1000)
                });
                assert!(read.is_ok());
                for (at, found) in out.iter().enumerate() {
                    assert_eq!(*found, pixel(row + at / 5, 4 + at % 5), "{held} strips, step {step}");
                }
                assert!(strips.planes[0].strips.len() <= held);
            }
            assert!(loads <= 3000 + MOST_PASSES * 25, "{loads}");
        }
    }

    #[test]
    fn of_a_damaged_strip_the_good_sections_are_read() {
        loaded(Some(&shared([true; 4])), 40);
        loaded(Some(&shared([true; 4])), 99);
    }

    #[test]
    fn a_failure_of_the_run_is_passed_on() {
        let section = Section { plane: 3, rows: 0..20, columns: 0..10 };
        let fails = |_: &Section, _: &mut [f32], _| Err(NoRow::Failed(Error::environment("the disk is gone")));
        let read = Strips::default().read(PLANE, Some(&shared([true; 4])), &section, &mut [0.0; 200], 10, fails);
        assert!(matches!(read, Err(NoRow::Failed(_))));
    }

    #[test]
    fn strips_of_planes_that_are_past_make_room() {
        let shape = [32, 1 << 17];
        let shared = SharedPlane { shape, strip_rows: 32, most: 3, is_whole: vec![true] };
        let section = Section { plane: 3, rows: 0..1, columns: 0..1 };
        let mut strips: Strips<f32> = Strips::default();
        // 16 MiB each.
        for hdu in 0..5 {
            let plane = TilePlane { number: PlaneNumber { hdu, plane: 3 }, ..PLANE };
            strips
                .read(plane, Some(&shared), &section, &mut [0.0], 1, |_, _, _| Ok(()))
                .map_err(|_| "a failure")
                .expect("pixels");
        }
        let held: Vec<usize> =
            strips.planes.iter().filter(|plane| !plane.strips.is_empty()).map(|plane| plane.plane.number.hdu).collect();
        assert_eq!(held, [3, 4]);
    }
}
