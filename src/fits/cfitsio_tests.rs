//! Pixels against those that cfitsio reads from the same files, bit for bit.

use std::path::Path;

use super::{
    FitsFile, HduKind, Limits,
    bytes::Bytes,
    cfitsio::oracle::{self, TiledImage},
};
use crate::random::Stream;

/// Bits of a pixel, of which all NaN are the same.
fn bits(pixel: &f32) -> u32 {
    if pixel.is_nan() { f32::NAN.to_bits() } else { pixel.to_bits() }
}

/// Compares all images of a file with those that cfitsio reads. Returns how many there are, plain and compressed.
fn compare(name: &str, bytes: Vec<u8>) -> [usize; 2] {
    let mut compared = [0; 2];
    let limits = Limits::default();
    // cfitsio is given what a gzipped file decompresses to.
    let Ok(bytes) = Bytes::of(bytes, &limits).map(Bytes::into_buffer) else { return compared };
    let Ok(file) = FitsFile::from_bytes(name, bytes.clone(), &limits) else { return compared };
    for hdu in file.hdus().iter().filter(|hdu| hdu.has_pixels()) {
        // In plain images of floats the bits of NaN are kept, as we do.
        let is_compressed = hdu.kind == HduKind::Compressed;
        let has_blank = is_compressed || hdu.header.integer("BITPIX").is_ok_and(|bitpix| bitpix > Some(0));
        let image = file.image(hdu.index).unwrap_or_else(|error| panic!("{name}: {}", error.reason()));
        let theirs = oracle::image(&mut bytes.clone(), hdu.index, image.shape(), has_blank)
            .unwrap_or_else(|error| panic!("{name} HDU {}: {error}", hdu.index));
        let mut ours = vec![0.0; image.pixels()];
        image.copy(0, &mut ours);
        let differing = ours.iter().zip(&theirs).position(|(ours, theirs)| bits(ours) != bits(theirs));
        let values = differing.map(|at| (at, ours[at], theirs[at]));
        assert_eq!(values, None, "{name} HDU {}: pixel, ours, that of cfitsio", hdu.index);
        compared[usize::from(is_compressed)] += 1;
    }
    compared
}

/// Compares all files of a pattern.
fn compare_files(pattern: &Path) -> [usize; 2] {
    let paths = glob::glob(&pattern.display().to_string()).expect("a pattern").map(|path| path.expect("a path"));
    let compared = paths.filter(|path| path.is_file()).map(|path| {
        let bytes = std::fs::read(&path).expect("a file");
        compare(&path.display().to_string(), bytes)
    });
    compared.fold([0; 2], |sum, compared| [sum[0] + compared[0], sum[1] + compared[1]])
}

#[test]
fn golden_files_have_the_bits_of_cfitsio() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits/*.fits");
    assert_eq!(compare_files(&folder), [8, 24]);
}

#[test]
fn real_files_have_the_bits_of_cfitsio() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.exists() {
        return;
    }
    let mut compared = [0; 2];
    for pattern in ["kids_cutouts/*", "kids_sdss_pairs/*/*", "cosmos_hst/*", "fits_edge/*/*"] {
        let [plain, compressed] = compare_files(&folder.join(pattern));
        compared = [compared[0] + plain, compared[1] + compressed];
    }
    assert!(compared[0] > 400 && compared[1] >= 10, "{compared:?} images");
}

/// Draws of one image.
struct Draws(Stream);

impl Draws {
    /// A number below another.
    fn below(&mut self, count: usize) -> usize {
        (self.0.uniform() * count as f64) as usize
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One to four axes of odd and even lengths, about `most` pixels.
    fn shape(&mut self, axes: usize, most: usize) -> Vec<usize> {
        let longest = (most as f64).powf(1.0 / axes as f64);
        (0..axes).map(|_| 1 + (self.0.uniform() * 2.0 * longest) as usize).collect()
    }

    /// Tiles of any shape: rows, single pixels, the whole image, and more than it.
    fn tile(&mut self, shape: &[usize]) -> Vec<usize> {
        let kind = self.below(5);
        let mut tile: Vec<usize> = shape
            .iter()
            .map(|length| match kind {
                0 => 1,
                1 => *length,
                2 => length + 3,
                _ => 1 + self.below(*length),
            })
            .collect();
        if kind == 3 {
            tile.fill(1);
            tile[shape.len() - 1] = shape[shape.len() - 1];
        }
        tile
    }

    /// Noise over a gradient, with outliers and flat parts, within bounds.
    fn pixels(&mut self, count: usize, [low, high]: [f64; 2]) -> Vec<f64> {
        let level = low + (high - low) * self.0.uniform();
        let noise = ((high - low) * 0.2).powf(self.0.uniform());
        let slope = noise * self.0.uniform() * 0.01;
        let (outliers, flat) = (self.one_of(&[0.0, 0.01, 0.3]), self.one_of(&[0.0, 0.0, 0.1, 1.0]));
        let is_flat = |stream: &mut Stream| stream.uniform() < flat;
        let mut flat_until = 0;
        (0..count)
            .map(|at| {
                if at.is_multiple_of(64) && is_flat(&mut self.0) {
                    flat_until = at + 64;
                }
                let value = match self.0.uniform() {
                    _ if at < flat_until => level,
                    draw if draw < outliers => low + (high - low) * self.0.uniform(),
                    _ => level + slope * at as f64 + noise * self.0.normal(),
                };
                value.clamp(low, high)
            })
            .collect()
    }
}

/// Writes random images by cfitsio and compares what is read. Returns how many cfitsio could write.
fn compare_written(name: &str, count: usize, draw: impl Fn(&mut Draws) -> (TiledImage, Vec<f64>)) -> usize {
    (0..count)
        .filter(|number| {
            let mut draws = Draws(Stream::new(*number as u64, name, "image"));
            let (image, pixels) = draw(&mut draws);
            let Ok(bytes) = oracle::write(&image, &pixels) else { return false };
            assert_eq!(compare(&format!("{number}: {image:?}"), bytes), [0, 1]);
            true
        })
        .count()
}

const RICE: i32 = 11;
const GZIP_1: i32 = 21;
const GZIP_2: i32 = 22;
const PLIO: i32 = 31;
const HCOMPRESS: i32 = 41;

fn integers(draws: &mut Draws, algorithm: i32) -> (TiledImage, Vec<f64>) {
    let axes = 1 + draws.below(4);
    let shape = draws.shape(axes, 600);
    let tile = draws.tile(&shape);
    let bitpix = draws.one_of(&[8, 16, 20, 32]);
    let bounds: [f64; 2] = match bitpix {
        8 => [0.0, 255.0],
        16 => [-32_768.0, 32_767.0],
        20 => [0.0, 65_535.0],
        _ => [-2_147_483_648.0, 2_147_483_647.0],
    };
    let pixels = draws.pixels(shape.iter().product(), bounds).iter().map(|pixel| pixel.round()).collect();
    let (level, dither, seed, scale, smooth) = (4.0, -1, 1, 0.0, false);
    (TiledImage { bitpix, shape, tile, algorithm, level, dither, seed, scale, smooth }, pixels)
}

fn floats(draws: &mut Draws, algorithm: i32) -> (TiledImage, Vec<f64>) {
    let (image, _) = integers(draws, algorithm);
    let (low, high) = draws.one_of(&[(-1e3, 1e3), (-1e-6, 1e-5), (0.0, 1e9), (-3.0, 3.0)]);
    let mut pixels = draws.pixels(image.shape.iter().product(), [low, high]);
    if draws.below(3) == 0 {
        pixels.iter_mut().for_each(|pixel| *pixel = if draws.0.uniform() < 0.1 { 0.0 } else { *pixel });
    }
    let level = draws.one_of(&[0.0, 0.5, 4.0, 16.0, 100.0, -1.0, -0.01]);
    let (bitpix, dither, seed) = (draws.one_of(&[-32, -64]), draws.one_of(&[-1, 1, 2]), 1 + draws.below(10_000) as i32);
    (TiledImage { bitpix, level, dither, seed, ..image }, pixels)
}

#[test]
fn integers_have_the_bits_of_cfitsio() {
    for (algorithm, least) in [(RICE, 150), (GZIP_1, 150), (GZIP_2, 150)] {
        let name = format!("integers {algorithm}");
        let written = compare_written(&name, 300, |draws| integers(draws, algorithm));
        assert!(written >= least, "{name}: {written}");
    }
}

#[test]
fn masks_have_the_bits_of_cfitsio() {
    // The coder has no room for more instructions than pixels: long rows, in which values change at every fourth pixel at most.
    let draw = |draws: &mut Draws| {
        let (image, _) = integers(draws, PLIO);
        let shape = vec![1 + draws.below(5), 24 + draws.below(9000)];
        let tile = vec![1, draws.one_of(&[shape[1], shape[1] + 9])];
        let highest = if image.bitpix == 32 { 16_000_000.0 } else { 255.0 };
        let drawn = draws.pixels(shape.iter().product(), [0.0, highest]);
        let sparse = draws.below(2) == 0;
        let kept = |at: usize| !sparse || (at / 4).is_multiple_of(1000);
        let pixels = (0..drawn.len()).map(|at| if kept(at) { drawn[at / 4 * 4].round() } else { 0.0 }).collect();
        (TiledImage { shape, tile, ..image }, pixels)
    };
    let written = compare_written("masks", 200, draw);
    assert!(written >= 100, "{written}");
}

#[test]
fn floats_have_the_bits_of_cfitsio() {
    for algorithm in [RICE, GZIP_1, GZIP_2] {
        let name = format!("floats {algorithm}");
        let written = compare_written(&name, 300, |draws| floats(draws, algorithm));
        assert!(written >= 150, "{name}: {written}");
    }
}

#[test]
fn hcompress_has_the_bits_of_cfitsio() {
    // Tiles are planes of four pixels or more. The coder does not check its room, which noise of all bits would exceed.
    let draw = |draws: &mut Draws| {
        let bitpix = draws.one_of(&[8, 16, 32, -32, -64]);
        let shape = vec![1 + draws.below(3), 4 + draws.below(60), 4 + draws.below(60)];
        let side =
            |draws: &mut Draws, length: usize| if draws.below(2) == 0 { length } else { 4 + draws.below(length) };
        let tile = vec![1, side(draws, shape[1]), side(draws, shape[2])];
        let [low, high] = draws.one_of(&[[0.0, 255.0], [0.0, 9.0], [100.0, 101.0]]);
        let offset = if bitpix == 8 { 0.0 } else { draws.one_of(&[0.0, -30_000.0, 32_000.0, -128.0]) };
        let factor = if bitpix == 32 { draws.one_of(&[1.0, -1.0, 300.0]) } else { 1.0 };
        let pixels = draws.pixels(shape.iter().product(), [low, high]);
        let rounded = |pixel: f64| if bitpix > 0 { pixel.round() } else { pixel };
        let pixels = pixels.iter().map(|pixel| rounded(*pixel) * factor + offset).collect();
        let (dither, seed, level) =
            (draws.one_of(&[-1, 1, 2]), 1 + draws.below(10_000) as i32, draws.one_of(&[1.0, 4.0]));
        let (scale, smooth) = (draws.one_of(&[0.0, 0.0, 1.0, 2.0, 4.5, 30.0, -7.0]), draws.below(2) == 0);
        (TiledImage { bitpix, shape, tile, algorithm: HCOMPRESS, level, dither, seed, scale, smooth }, pixels)
    };
    let written = compare_written("hcompress", 600, draw);
    assert!(written >= 360, "{written}");
}

/// Prints how long an image takes here and with cfitsio: `cargo test --release -- --ignored speed_beside_cfitsio`.
#[test]
#[ignore = "a measurement"]
fn speed_beside_cfitsio() {
    use std::io::Write as _;

    use cpu_time::ThreadTime;

    for side in [64, 1024] {
        for (name, bitpix, algorithm, dither) in [
            ("Rice, 16 bits", 16, RICE, -1),
            ("Rice, 32 bits", 32, RICE, -1),
            ("Rice, floats", -32, RICE, -1),
            ("Rice, floats, dithered", -32, RICE, 1),
            ("GZIP_1, 16 bits", 16, GZIP_1, -1),
            ("GZIP_2, 32 bits", 32, GZIP_2, -1),
            ("GZIP_2, floats", -32, GZIP_2, -1),
            ("PLIO", 16, PLIO, -1),
            ("HCOMPRESS, 16 bits", 16, HCOMPRESS, -1),
            ("HCOMPRESS, floats", -32, HCOMPRESS, -1),
        ] {
            let mut stream = Stream::new(1, name, "image");
            let mut pixel = |at: usize| {
                let radius = (at / side).abs_diff(side / 2).pow(2) + (at % side).abs_diff(side / 2).pow(2);
                let value = 1000.0 + 4000.0 * (-(radius as f64).sqrt() / 8.0).exp() + 12.0 * stream.normal();
                match bitpix {
                    _ if algorithm == PLIO => f64::from(u8::from(value > 1020.0)),
                    -32 => value,
                    _ => value.round(),
                }
            };
            let pixels: Vec<f64> = (0..side * side).map(&mut pixel).collect();
            let (shape, tile) = (vec![side, side], vec![if algorithm == HCOMPRESS { side } else { 1 }, side]);
            let (level, seed, scale, smooth) = (4.0, 1, 0.0, false);
            let image = TiledImage { bitpix, shape, tile, algorithm, level, dither, seed, scale, smooth };
            let bytes = oracle::write(&image, &pixels).expect("written");
            assert_eq!(compare(name, bytes.clone()), [0, 1]);
            let mut out = vec![0.0; side * side];
            let mut ours = || {
                let file = FitsFile::from_bytes(name, bytes.clone(), &Limits::default()).expect("a file");
                file.image(1).expect("an image").copy(0, &mut out);
            };
            let theirs = || {
                oracle::image(&mut bytes.clone(), 1, &[side, side], true).expect("an image");
            };
            let count = (1 << 22) / (side * side);
            let per_pixel = |read: &mut dyn FnMut()| {
                let runs = (0..5).map(|_| {
                    let start = ThreadTime::now();
                    (0..count).for_each(|_| read());
                    start.elapsed().as_secs_f64() * 1e9 / (count * side * side) as f64
                });
                runs.fold(f64::INFINITY, f64::min)
            };
            let (ours, theirs) = (per_pixel(&mut ours), per_pixel(&mut || theirs()));
            let ratio = theirs / ours;
            let line =
                format!("{side:4} {name:24} {ours:7.2} ns a pixel, cfitsio {theirs:7.2}: {ratio:.2} times as fast\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}
