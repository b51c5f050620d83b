//! From parts to pixels: the flux of every pixel, the pixel response included once and nothing else.
//!
//! Far from the centre of a part the integral over a pixel of side h is h^2 (I + h^2 Laplacian(I) / 24), the Laplacian
//! from the neighbours; near it the pixel is halved towards the centre and each cell is integrated by Gauss-Legendre
//! quadrature. A part is evaluated once and scaled to every band.

use super::{
    Band, Component,
    profiles::{Brightness, Profile, gaussian_axis},
};

/// Pixels (times the fineness of a profile) from its centre beyond which the Laplacian is enough.
const NEAR: f64 = 8.0;
/// No near field reaches further than this, in pixels.
const NEAR_MOST: f64 = 26.0;
/// Standard deviations of a Gaussian that are drawn.
const GAUSSIAN_REACH: f64 = 6.0;

/// The grid of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp {
    /// Pixels of a side.
    pub size: usize,
    /// Side of a pixel, arcsec.
    pub pixel_scale_arcsec: f64,
}

/// Draws images on one grid; keeps its buffers.
#[derive(Debug, Clone)]
pub struct Renderer {
    stamp: Stamp,
    /// The pixel centres, with a border of one pixel for the Laplacian.
    x: Vec<f64>,
    y: Vec<f64>,
    values: Vec<f64>,
    plane: Vec<f64>,
    points: Points,
    axes: [Vec<f64>; 2],
}

#[derive(Debug, Clone, Default)]
struct Points {
    x: Vec<f64>,
    y: Vec<f64>,
    weight: Vec<f64>,
    pixel: Vec<usize>,
    value: Vec<f64>,
}

impl Renderer {
    /// A renderer of images of `[band, y, x]` around the centre of the stamp, y upwards.
    pub fn new(stamp: Stamp) -> Self {
        let side = stamp.size + 2;
        let at = |i: usize| stamp.centre_of(i as f64 - 1.0);
        Self {
            stamp,
            x: (0..side * side).map(|i| at(i % side)).collect(),
            y: (0..side * side).map(|i| at(i / side)).collect(),
            values: vec![0.0; side * side],
            plane: vec![0.0; stamp.size * stamp.size],
            points: Points::default(),
            axes: [Vec::new(), Vec::new()],
        }
    }

    /// Draws the sum of parts: nJy in every pixel, plane after plane. `out` has `bands.len() * size * size` numbers.
    pub fn draw(&mut self, components: &[Component], bands: &[Band], out: &mut [f32]) {
        out.fill(0.0);
        for component in components {
            match component.profile {
                Profile::Gaussian { sigma } => self.add_gaussian(component, sigma, bands, out),
                _ => self.add_extended(component, bands, out),
            }
        }
    }

    fn add_gaussian(&mut self, component: &Component, sigma: f64, bands: &[Band], out: &mut [f32]) {
        let Stamp { size, pixel_scale_arcsec: pixel } = self.stamp;
        let reach = GAUSSIAN_REACH * sigma + 0.5 * pixel;
        let index = |position: f64| (position / pixel + 0.5 * size as f64).floor().clamp(0.0, size as f64) as usize;
        let boxes = component.centre.map(|c| (index(c - reach), size.min(index(c + reach) + 1)));
        for ((axis, (from, to)), centre) in self.axes.iter_mut().zip(boxes).zip(component.centre) {
            axis.resize(to.saturating_sub(from), 0.0);
            gaussian_axis(sigma, self.stamp.centre_of(from as f64) - centre, pixel, axis);
        }
        for (band, plane) in bands.iter().zip(out.chunks_exact_mut(size * size)) {
            let flux = component.flux(*band);
            for (row, along_y) in plane.chunks_exact_mut(size).skip(boxes[1].0).zip(&self.axes[1]) {
                for (out, along_x) in row[boxes[0].0..].iter_mut().zip(&self.axes[0]) {
                    *out += (flux * along_x * along_y) as f32;
                }
            }
        }
    }

    fn add_extended(&mut self, component: &Component, bands: &[Band], out: &mut [f32]) {
        let Stamp { size, pixel_scale_arcsec: pixel } = self.stamp;
        let brightness = Brightness::new(component.profile, component.centre);
        brightness.at(&self.x, &self.y, &mut self.values);
        far_field(&self.values, size, pixel * pixel, &mut self.plane);
        self.near_field(&brightness);
        for (band, plane) in bands.iter().zip(out.chunks_exact_mut(size * size)) {
            let flux = component.flux(*band);
            for (out, value) in plane.iter_mut().zip(&self.plane) {
                *out += (flux * value) as f32;
            }
        }
    }

    fn near_field(&mut self, brightness: &Brightness) {
        let Stamp { size, pixel_scale_arcsec: pixel } = self.stamp;
        let (fineness, halvings) = brightness.fineness();
        let reach = (NEAR / fineness).min(NEAR_MOST);
        // The centre of the part, in pixels from the centre of the first.
        let centre = brightness.centre.map(|c| c / pixel + 0.5 * (size as f64 - 1.0));
        let range = |c: f64| {
            let index = |position: f64| position.clamp(0.0, size as f64) as usize;
            index((c - reach).ceil())..index((c + reach).floor() + 1.0)
        };
        self.points.clear();
        for row in range(centre[1]) {
            for column in range(centre[0]) {
                let offset = [column as f64 - centre[0], row as f64 - centre[1]];
                if offset[0].hypot(offset[1]) < reach {
                    let index = row * size + column;
                    self.plane[index] = 0.0;
                    self.points.cell(index, offset, 1.0, fineness, halvings);
                }
            }
        }
        self.points.integrate(brightness, pixel, &mut self.plane);
    }
}

impl Stamp {
    /// Where the centre of a pixel of a row or column is, arcsec from the centre of the stamp.
    fn centre_of(&self, index: f64) -> f64 {
        (index - 0.5 * (self.size as f64 - 1.0)) * self.pixel_scale_arcsec
    }
}

/// The pixel integral from point values on a grid with a border of one pixel.
fn far_field(values: &[f64], size: usize, area: f64, plane: &mut [f64]) {
    let side = size + 2;
    for (row, out) in plane.chunks_exact_mut(size).enumerate() {
        let line = |offset: usize, shift: usize| &values[(row + offset) * side + shift..][..size];
        let (below, left, middle, right, above) = (line(0, 1), line(1, 0), line(1, 1), line(1, 2), line(2, 1));
        for i in 0..size {
            let laplacian = below[i] + above[i] + left[i] + right[i] - 4.0 * middle[i];
            // Never below zero, whatever a thin arc does between two pixels.
            out[i] = (area * (middle[i] + laplacian / 24.0)).max(0.0);
        }
    }
}

impl Points {
    fn clear(&mut self) {
        for list in [&mut self.x, &mut self.y, &mut self.weight] {
            list.clear();
        }
        self.pixel.clear();
    }

    /// The points of a square cell (centre and side in pixels, from the centre of the part).
    fn cell(&mut self, pixel: usize, [x, y]: [f64; 2], side: f64, fineness: f64, halvings: u32) {
        const TWO: &[(f64, f64)] = &[(-0.288_675_134_594_812_9, 0.5), (0.288_675_134_594_812_9, 0.5)];
        const THREE: &[(f64, f64)] =
            &[(-0.387_298_334_620_741_7, 5.0 / 18.0), (0.0, 8.0 / 18.0), (0.387_298_334_620_741_7, 5.0 / 18.0)];
        let distance = (x.abs().max(y.abs()) - 0.5 * side).max(0.0) * fineness;
        if halvings > 0 && distance < side {
            let quarter = 0.25 * side;
            for (dx, dy) in [(-quarter, -quarter), (quarter, -quarter), (-quarter, quarter), (quarter, quarter)] {
                self.cell(pixel, [x + dx, y + dy], 0.5 * side, fineness, halvings - 1);
            }
            return;
        }
        let nodes = if distance < 3.0 * side { THREE } else { TWO };
        for (dy, wy) in nodes {
            for (dx, wx) in nodes {
                self.x.push(x + dx * side);
                self.y.push(y + dy * side);
                self.weight.push(wx * wy * side * side);
                self.pixel.push(pixel);
            }
        }
    }

    fn integrate(&mut self, brightness: &Brightness, pixel: f64, plane: &mut [f64]) {
        let [cx, cy] = brightness.centre;
        self.x.iter_mut().for_each(|x| *x = *x * pixel + cx);
        self.y.iter_mut().for_each(|y| *y = *y * pixel + cy);
        self.value.resize(self.x.len(), 0.0);
        brightness.at(&self.x, &self.y, &mut self.value);
        for ((value, weight), index) in self.value.iter().zip(&self.weight).zip(&self.pixel) {
            plane[*index] += value * weight * pixel * pixel;
        }
    }
}
