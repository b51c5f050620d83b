//! The axes of an image HDU: where the planes of its objects lie.

use crate::{fits::Hdu, source::axis::Axis};

/// The most bands of an object, more than spectral cubes have. Each takes a name, whatever the size of its plane, and names are compared
/// with each other.
pub(super) const MAX_BANDS: usize = 1 << 14;
/// More planes than surveys have bands, and a shorter side than cutouts have: such axes have to be named.
const FEW: usize = 12;

/// A plane of an HDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct PlaneIndex {
    pub hdu: usize,
    /// The number of its first pixel in the HDU.
    pub start: usize,
}

/// The planes of one image, one per band.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) struct PlaneSet {
    pub planes: Vec<PlaneIndex>,
    /// Rows and columns of a plane, pixels.
    pub shape: [usize; 2],
    /// Pixels of the HDU from a row to the next, and from a column to the next.
    pub strides: [usize; 2],
}

impl PlaneSet {
    pub(super) fn select(&self, planes: &[usize]) -> Self {
        Self { planes: planes.iter().map(|plane| self.planes[*plane]).collect(), ..self.clone() }
    }

    /// The pixels of an HDU from the first to the last of a plane.
    pub(super) fn span(&self) -> usize {
        (self.shape[0] - 1) * self.strides[0] + (self.shape[1] - 1) * self.strides[1] + 1
    }
}

/// The axes of an image HDU with pixels: their lengths, and the pixels from an entry of each to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axes {
    /// Length and stride of the axis of objects, if there is one.
    objects: Option<(usize, usize)>,
    bands: (usize, usize),
    y: (usize, usize),
    x: (usize, usize),
}

impl Axes {
    /// The axes of an HDU, by the setting where it has as many. The error is the reason why they are not those of an image.
    pub(super) fn of(hdu: &Hdu, setting: Option<&[Axis]>) -> Result<Self, String> {
        let shape = hdu.shape.as_slice();
        let without_single = |least: usize| {
            let mut shape = shape;
            while shape.len() > least && shape[0] == 1 {
                shape = &shape[1..];
            }
            shape
        };
        if let Some(axes) = setting {
            let shape = without_single(axes.len());
            if shape.len() == axes.len() {
                return Self::named(shape, axes);
            }
            // One object alone.
            if let [Axis::Object, rest @ ..] = axes
                && shape.len() == rest.len()
            {
                return Self::named(shape, rest);
            }
            if shape.len() > 2 {
                return Err(format!("has the shape {:?}, expected the {} axes of `axes`", hdu.shape, axes.len()));
            }
        }
        let shape = without_single(2);
        match *shape {
            [_, _] => Self::named(shape, &[Axis::Y, Axis::X]),
            [first, second, third] if third < FEW && first.min(second) >= FEW => {
                Err(ask(hdu, "looks like [y, x, band]", "[y, x, band]"))
            }
            [_, _, _] => Self::named(shape, &[Axis::Band, Axis::Y, Axis::X]),
            [_, 1, _, _] => Err(ask(
                hdu,
                "can be objects of one band or bands of one object",
                "[object, band, y, x]` or `[band, single, y, x]",
            )),
            [_, _, _, _] => Self::named(shape, &[Axis::Object, Axis::Band, Axis::Y, Axis::X]),
            _ => Err(format!("has the shape {:?}, expected [y, x] or [band, y, x]", hdu.shape)),
        }
    }

    fn named(shape: &[usize], axes: &[Axis]) -> Result<Self, String> {
        let mut found = Self { objects: None, bands: (1, 0), y: (1, 0), x: (1, 0) };
        let mut stride = 1;
        for (axis, length) in axes.iter().zip(shape).rev() {
            let own = (*length, stride);
            match axis {
                Axis::Object => found.objects = Some(own),
                Axis::Band => found.bands = own,
                Axis::Y => found.y = own,
                Axis::X => found.x = own,
                Axis::Single if *length == 1 => {}
                Axis::Single => {
                    return Err(format!(
                        "has the shape {shape:?}, where an axis that `axes` calls single has {length}"
                    ));
                }
            }
            stride *= length;
        }
        if found.bands.0 > MAX_BANDS {
            return Err(format!("has {} bands, expected at most {MAX_BANDS}", found.bands.0));
        }
        Ok(found)
    }

    /// How many objects it has, if it has an axis of them.
    pub(super) fn objects(&self) -> Option<usize> {
        self.objects.map(|(length, _)| length)
    }

    /// How many planes an object has.
    pub(super) fn bands(&self) -> usize {
        self.bands.0
    }

    /// Whether it is a plane alone.
    pub(super) fn is_flat(&self) -> bool {
        self.objects.is_none() && self.bands.0 == 1
    }

    /// Refuses more planes than surveys have bands, when nothing says what they are.
    pub(super) fn check_unnamed_bands(&self, hdu: &Hdu) -> Result<(), String> {
        if self.bands.0 <= FEW {
            return Ok(());
        }
        let found = format!("has {} planes without names", self.bands.0);
        Err(ask(hdu, &format!("{found}, more than {FEW} bands"), "[band, y, x]") + ", or `bands`")
    }

    /// The planes of an object.
    pub(super) fn planes(&self, hdu: usize, object: usize) -> PlaneSet {
        let start = object * self.objects.map_or(0, |(_, stride)| stride);
        let (bands, stride) = self.bands;
        PlaneSet {
            planes: (0..bands).map(|band| PlaneIndex { hdu, start: start + band * stride }).collect(),
            shape: [self.y.0, self.x.0],
            strides: [self.y.1, self.x.1],
        }
    }
}

fn ask(hdu: &Hdu, what: &str, example: &str) -> String {
    format!("HDU {} has the shape {:?}, which {what}: set `axes: {example}`", hdu.index, hdu.shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{FitsFile, Limits, Writer};

    fn axes(shape: &[usize], setting: Option<&[Axis]>) -> Result<Axes, String> {
        let mut file = Writer::new();
        file.image(shape, &vec![0.0; shape.iter().product()], &[]);
        let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        Axes::of(&file.hdus()[0], setting)
    }

    fn starts(planes: &PlaneSet) -> Vec<usize> {
        planes.planes.iter().map(|plane| plane.start).collect()
    }

    #[test]
    fn planes_follow_each_other_by_default() {
        let cube = axes(&[1, 2, 3, 4], None).expect("axes");
        let planes = cube.planes(5, 0);
        assert_eq!((starts(&planes), planes.shape, planes.strides), (vec![0, 12], [3, 4], [4, 1]));
        let stack = axes(&[3, 2, 4, 4], None).expect("axes");
        assert_eq!((stack.objects(), starts(&stack.planes(0, 2))), (Some(3), vec![64, 80]));
    }

    #[test]
    fn named_axes_are_read_in_any_order() {
        let last = axes(&[20, 30, 3], Some(&[Axis::Y, Axis::X, Axis::Band])).expect("axes").planes(0, 0);
        assert_eq!((starts(&last), last.shape, last.strides), (vec![0, 1, 2], [20, 30], [90, 3]));
        assert_eq!(last.span(), 19 * 90 + 29 * 3 + 1);
        let single = axes(&[3, 1, 4, 5], Some(&[Axis::Band, Axis::Single, Axis::Y, Axis::X])).expect("axes");
        assert_eq!((single.objects(), starts(&single.planes(0, 0))), (None, vec![0, 20, 40]));
        // A mask of two axes beside a cube.
        assert!(axes(&[20, 30], Some(&[Axis::Y, Axis::X, Axis::Band])).is_ok_and(|axes| axes.is_flat()));
    }

    #[test]
    fn axes_that_can_be_read_in_two_ways_have_to_be_named() {
        for (shape, expected) in [
            (&[20, 20, 3][..], "which looks like [y, x, band]: set `axes: [y, x, band]`"),
            (&[3, 1, 20, 20], "set `axes: [object, band, y, x]` or `[band, single, y, x]`"),
            (&[2, 2, 2, 2, 2], "expected [y, x] or [band, y, x]"),
        ] {
            let error = axes(shape, None).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
        let spectrum = axes(&[13, 4, 4], None).expect("axes");
        let mut file = Writer::new();
        file.image(&[13, 4, 4], &[0.0; 208], &[]);
        let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let error = spectrum.check_unnamed_bands(&file.hdus()[0]).expect_err("refused");
        assert!(error.contains("13 planes without names, more than 12 bands"), "{error}");
        assert!(axes(&[2, 3, 4, 5], Some(&[Axis::Single, Axis::Band, Axis::Y, Axis::X])).is_err());
    }
}
