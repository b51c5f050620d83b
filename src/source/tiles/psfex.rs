//! PSFs of PSFEx: samples that vary over an image as a polynomial of the position.
//!
//! A file has a table `PSF_DATA` for each image that SExtractor found objects in. Its column `PSF_MASK` has one array of samples for
//! each term of the polynomial: 1, x, x², ..., y, xy, ..., the powers of x fastest, up to the degree in both together. Its
//! positions are pixel numbers from 1.
//!
//! `PSF_SAMP` is the distance of two samples in pixels of the image. The model contains the pixel: a sample is what a pixel of the
//! image with its centre there gets. So pixels are interpolated between samples, with the kernel of `DES_PSFEx` in GalSim
//! (Lanczos of three lobes), not summed.

use crate::{
    fits::{FitsError, FitsFile, Hdu, HduKind, Header},
    image::resample::{Resampling, ResamplingKernel, resampled},
    wcs::PixelPosition,
};

const TABLE: &str = "PSF_DATA";
const COLUMN: &str = "PSF_MASK";
/// The names of the axes, by the measurements of SExtractor.
const AXIS_NAMES: [[&str; 2]; 2] = [["X_IMAGE", "XWIN_IMAGE"], ["Y_IMAGE", "YWIN_IMAGE"]];
/// The largest degree of a polynomial.
const MOST_DEGREE: i64 = 20;
/// The largest side of a PSF, samples or pixels. PSFEx makes 25 samples by default.
const MOST_SIDE: usize = 1023;
/// The smallest, pixels.
const LEAST_SIDE: f64 = 3.0;
/// The most samples of a model, 16 MiB.
const MOST_SAMPLES: usize = 1 << 22;

/// What the header of a table says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PsfexTable {
    pub(super) hdu: usize,
    /// Rows and columns of a component, samples.
    samples: [usize; 2],
    /// From one sample to the next, pixels of the image.
    step: f64,
    polynomial: PositionPolynomial,
}

/// A polynomial of a position in pixels from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PositionPolynomial {
    zero: [f64; 2],
    scale: [f64; 2],
    degree: usize,
}

/// A PSF with its samples.
pub(super) struct PsfexModel {
    table: PsfexTable,
    /// The samples of each term.
    components: Vec<f32>,
    interpolation: Resampling,
}

impl PsfexTable {
    /// The tables of a file, in its order; none if the file is not one of PSFEx.
    pub(super) fn all_in(file: &FitsFile) -> Result<Vec<Self>, String> {
        let tables: Vec<&Hdu> = file.hdus().iter().filter(|hdu| is_psfex(hdu)).collect();
        let with_pixels = file.hdus().iter().find(|hdu| hdu.has_pixels());
        if let (Some(table), Some(image)) = (tables.first(), with_pixels) {
            return Err(format!(
                "has a PSF of PSFEx in HDU {} and an image in HDU {}, expected one of them",
                table.index, image.index
            ));
        }
        let named = |hdu: &Hdu, reason| format!("HDU {} {reason}", hdu.index);
        tables.into_iter().map(|hdu| Self::of(file, hdu).map_err(|reason| named(hdu, reason))).collect()
    }

    fn of(file: &FitsFile, hdu: &Hdu) -> Result<Self, String> {
        if let Some(damage) = &hdu.damage {
            return Err(damage.clone());
        }
        let header = &hdu.header;
        let polynomial = PositionPolynomial::of(header)?;
        let terms = polynomial.term_count();
        let axes = integer(header, "PSFNAXIS")?;
        if axes != 3 && !(axes == 2 && terms == 1) {
            return Err(format!("key `PSFNAXIS` is {axes}, expected 3"));
        }
        let [columns, rows] = [side(header, "PSFAXIS1")?, side(header, "PSFAXIS2")?];
        if axes == 3 {
            expect(header, "PSFAXIS3", terms as i64, &format!(", the terms of degree {}", polynomial.degree))?;
        }
        expect(header, "NAXIS2", 1, " row")?;
        let found = file.array_axes(hdu.index, COLUMN)?;
        let expected = [columns, rows, terms];
        if found != expected && !(terms == 1 && found == expected[..2]) {
            return Err(format!(
                "column `{COLUMN}` has axes of {found:?} values, expected {expected:?} by keys `PSFAXIS1`, `PSFAXIS2` and `POLDEG1`"
            ));
        }
        let samples = rows * columns * terms;
        if samples > MOST_SAMPLES {
            return Err(format!("column `{COLUMN}` has {samples} samples, expected at most {MOST_SAMPLES}"));
        }
        let step = number(header, "PSF_SAMP")?;
        let (least, most) = (LEAST_SIDE / rows.min(columns) as f64, MOST_SIDE as f64 / rows.max(columns) as f64);
        if !(least..=most).contains(&step) {
            return Err(format!(
                "key `PSF_SAMP` is {step}, expected {least:.3} to {most:.3} pixels from one of {rows} x {columns} samples to the next"
            ));
        }
        Ok(Self { hdu: hdu.index, samples: [rows, columns], step, polynomial })
    }

    /// The rows and columns of the PSF in pixels of the image, odd numbers.
    pub(super) fn shape(&self) -> [usize; 2] {
        self.samples.map(|samples| {
            let whole = resampled(samples, 1.0 / self.step);
            whole - usize::from(whole.is_multiple_of(2))
        })
    }
}

impl PositionPolynomial {
    fn of(header: &Header) -> Result<Self, String> {
        let axes = integer(header, "POLNAXIS")?;
        if axes == 0 {
            return Ok(Self { zero: [0.0; 2], scale: [1.0; 2], degree: 0 });
        }
        if axes != 2 {
            return Err(format!("key `POLNAXIS` is {axes}, expected 0 or 2 (`X_IMAGE` and `Y_IMAGE`)"));
        }
        let of_axis = |axis: usize| -> Result<(f64, f64), String> {
            let key = |name: &str| format!("{name}{}", axis + 1);
            let (name, names) = (key("POLNAME"), AXIS_NAMES[axis]);
            let found = header.text(&name).ok_or_else(|| missing(&name, &format!("`{}`", names[0])))?;
            if !names.contains(&found.as_str()) {
                let (found, [first, second]) = (found.escape_debug(), names);
                return Err(format!("key `{name}` is `{found}`, expected `{first}` or `{second}`"));
            }
            expect(header, &key("POLGRP"), 1, "")?;
            let (zero, scale) = (number(header, &key("POLZERO"))?, number(header, &key("POLSCAL"))?);
            if scale == 0.0 {
                return Err(format!("key `{}` is 0, expected another number", key("POLSCAL")));
            }
            Ok((zero, scale))
        };
        let [(x_zero, x_scale), (y_zero, y_scale)] = [of_axis(0)?, of_axis(1)?];
        expect(header, "POLNGRP", 1, " group of axes")?;
        let degree = integer(header, "POLDEG1")?;
        if !(0..=MOST_DEGREE).contains(&degree) {
            return Err(format!("key `POLDEG1` is {degree}, expected a degree from 0 to {MOST_DEGREE}"));
        }
        Ok(Self { zero: [x_zero, y_zero], scale: [x_scale, y_scale], degree: degree as usize })
    }

    fn term_count(&self) -> usize {
        (self.degree + 1) * (self.degree + 2) / 2
    }

    /// The terms at a position whose pixels count from 0, in the order of the components.
    fn terms(&self, position: PixelPosition) -> Vec<f64> {
        let [x, y] = [0, 1].map(|axis| {
            let from_one = [position.x, position.y][axis] + 1.0;
            (from_one - self.zero[axis]) / self.scale[axis]
        });
        let of_row = |y_power: usize| {
            (0..=self.degree - y_power).map(move |x_power| x.powi(x_power as i32) * y.powi(y_power as i32))
        };
        (0..=self.degree).flat_map(of_row).collect()
    }
}

impl PsfexModel {
    /// Reads the samples of a table.
    pub(super) fn read(file: &FitsFile, table: &PsfexTable) -> Result<Self, FitsError> {
        let ([rows, columns], [height, width]) = (table.samples, table.shape());
        Ok(Self {
            table: *table,
            components: file.array(table.hdu, COLUMN, 0)?,
            interpolation: Resampling::to_size(
                ResamplingKernel::Samples,
                (rows, columns),
                (height, width),
                1.0 / table.step,
            ),
        })
    }

    /// The PSF at a position, pixels from 0, with its centre on the middle pixel and the sum 1. It is not finite if a sample is not.
    /// The error is the reason why there is none.
    pub(super) fn at(&self, position: PixelPosition, out: &mut [f32]) -> Result<(), String> {
        let [rows, columns] = self.table.samples;
        let mut samples = vec![0.0; rows * columns];
        let components = self.components.chunks_exact(samples.len());
        for (term, component) in self.table.polynomial.terms(position).into_iter().zip(components) {
            samples.iter_mut().zip(component).for_each(|(sum, sample)| *sum += term * f64::from(*sample));
        }
        let samples: Vec<f32> = samples.into_iter().map(|sample| sample as f32).collect();
        self.interpolation.plane(&samples, out);
        let sum: f64 = out.iter().map(|pixel| f64::from(*pixel)).sum();
        if sum <= 0.0 {
            let PixelPosition { x, y } = position;
            return Err(format!(
                "has a PSF with the sum {sum} at y {y:.1}, x {x:.1} of its tile, expected more than 0"
            ));
        }
        out.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) / sum) as f32);
        Ok(())
    }
}

fn is_psfex(hdu: &Hdu) -> bool {
    let is_named = || hdu.header.text("EXTNAME").is_some_and(|name| name.eq_ignore_ascii_case(TABLE));
    let fields = hdu.header.integer("TFIELDS").ok().flatten().unwrap_or(0).clamp(0, 999);
    let has_column =
        || (1..=fields).filter_map(|field| hdu.header.text(&format!("TTYPE{field}"))).any(|name| name == COLUMN);
    matches!(hdu.kind, HduKind::Table | HduKind::Damaged) && (is_named() || has_column())
}

fn missing(key: &str, expected: &str) -> String {
    format!("key `{key}` is missing, expected {expected}")
}

fn integer(header: &Header, key: &str) -> Result<i64, String> {
    header.integer(key)?.ok_or_else(|| missing(key, "an integer"))
}

fn number(header: &Header, key: &str) -> Result<f64, String> {
    header.number(key)?.ok_or_else(|| missing(key, "a number"))
}

/// Checks that a key has a value.
fn expect(header: &Header, key: &str, expected: i64, what: &str) -> Result<(), String> {
    let found = integer(header, key)?;
    if found == expected { Ok(()) } else { Err(format!("key `{key}` is {found}, expected {expected}{what}")) }
}

/// A side of the components: samples around one at the centre. Of an even number PSFEx and others take other centres.
fn side(header: &Header, key: &str) -> Result<usize, String> {
    let found = integer(header, key)?;
    let usable = usize::try_from(found).ok().filter(|side| *side <= MOST_SIDE && !side.is_multiple_of(2));
    usable.ok_or_else(|| format!("key `{key}` is {found}, expected an odd number of samples up to {MOST_SIDE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polynomial(degree: usize) -> PositionPolynomial {
        PositionPolynomial { zero: [11.0, 21.0], scale: [2.0, 4.0], degree }
    }

    #[test]
    fn terms_have_the_powers_of_x_fastest_and_pixels_count_from_one() {
        // x = (15 + 1 - 11) / 2 and y = (32 + 1 - 21) / 4.
        let found = polynomial(2).terms(PixelPosition { x: 15.0, y: 32.0 });
        assert_eq!(found, [1.0, 2.5, 6.25, 3.0, 7.5, 9.0]);
        assert_eq!(polynomial(0).terms(PixelPosition { x: 15.0, y: 32.0 }), [1.0]);
        for (degree, count) in [(0, 1), (1, 3), (2, 6), (3, 10)] {
            assert_eq!(polynomial(degree).term_count(), count);
            assert_eq!(polynomial(degree).terms(PixelPosition { x: 1.0, y: 1.0 }).len(), count);
        }
    }

    #[test]
    fn a_psf_has_the_largest_odd_number_of_pixels_within_its_samples() {
        let shape = |samples, step| {
            PsfexTable { hdu: 1, samples: [samples, samples + 2], step, polynomial: polynomial(0) }.shape()
        };
        assert_eq!(shape(15, 0.6), [9, 9], "15 * 0.6 is 9 on paper");
        assert_eq!(shape(25, 0.5), [11, 13]);
        assert_eq!(shape(25, 1.0), [25, 27]);
        assert_eq!(shape(9, 1.25), [11, 13]);
        assert_eq!(shape(3, 0.1), [1, 1]);
    }

    #[test]
    fn a_psf_without_flux_is_refused_and_one_that_is_not_finite_stays_so() {
        let table = PsfexTable { hdu: 1, samples: [3, 3], step: 1.0, polynomial: polynomial(1) };
        let model = |middle: f32| {
            let mut components = vec![0.0; 27];
            // 1 - x at the middle.
            (components[4], components[9 + 4]) = (middle, -middle);
            let interpolation = Resampling::to_size(ResamplingKernel::Samples, (3, 3), (3, 3), 1.0);
            PsfexModel { table, components, interpolation }
        };
        let mut out = [f32::NAN; 9];
        assert_eq!(model(2.0).at(PixelPosition { x: 10.0, y: 0.0 }, &mut out), Ok(()));
        assert!((out[4] - 1.0).abs() < 1e-6 && out[0].abs() < 1e-6, "{out:?}");
        let found = model(2.0).at(PixelPosition { x: 14.0, y: 5.0 }, &mut out).expect_err("less than nothing");
        assert!(found.starts_with("has a PSF with the sum -") && found.contains("at y 5.0, x 14.0"), "{found}");
        assert_eq!(model(f32::NAN).at(PixelPosition { x: 10.0, y: 0.0 }, &mut out), Ok(()));
        assert!(out[4].is_nan());
    }
}
