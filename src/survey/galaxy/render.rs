//! From components to pixels: the flux of every pixel. The pixel response is included once, and no PSF.
//!
//! Far from the centre of a component the integral over a pixel of side h is h^2 (I + h^2 Laplacian(I) / 24), with the Laplacian
//! from the neighbouring pixels. Near the centre a pixel is halved towards the centre, and each cell is integrated by
//! Gauss-Legendre quadrature. A component is evaluated once and scaled to every band.

use super::{
    Band, Component,
    profiles::{Brightness, Fineness, Profile, gaussian_axis},
};

/// Radius of the near field, in pixels times the relative scale of the profile. Beyond it the Laplacian suffices.
const NEAR: f64 = 8.0;
/// The largest radius of a near field, pixels.
const NEAR_MOST: f64 = 26.0;
/// Standard deviations to which a Gaussian is drawn.
const GAUSSIAN_REACH: f64 = 6.0;

/// The grid of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp {
    /// Pixels of a side.
    pub size: usize,
    /// Side of a pixel, arcsec.
    pub pixel_scale_arcsec: f64,
}

/// Draws images on one grid, and reuses its buffers.
#[derive(Debug, Clone)]
pub struct Renderer {
    stamp: Stamp,
    /// The pixel centres, arcsec, with a border of one pixel for the Laplacian.
    x: Vec<f64>,
    y: Vec<f64>,
    values: Vec<f64>,
    plane: Vec<f64>,
    points: QuadraturePoints,
    axes: [Vec<f64>; 2],
}

/// The points at which the near field of a component is evaluated.
#[derive(Debug, Clone, Default)]
struct QuadraturePoints {
    x: Vec<f64>,
    y: Vec<f64>,
    weight: Vec<f64>,
    /// The pixel to which a point contributes.
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
            points: QuadraturePoints::default(),
            axes: [Vec::new(), Vec::new()],
        }
    }

    /// Draws the sum of components, nJy per pixel, plane after plane. `out` has `bands.len() * size * size` numbers.
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
        let fineness = brightness.fineness();
        let reach = (NEAR / fineness.relative_scale).min(NEAR_MOST);
        // The centre of the component, in pixels from the centre of the first pixel.
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
                    self.points.cell(index, offset, 1.0, fineness);
                }
            }
        }
        self.points.integrate(brightness, pixel, &mut self.plane);
    }
}

impl Stamp {
    /// The centre of a pixel of a row or column, arcsec from the centre of the stamp.
    fn centre_of(&self, index: f64) -> f64 {
        (index - 0.5 * (self.size as f64 - 1.0)) * self.pixel_scale_arcsec
    }
}

/// Pixel integrals from the values at pixel centres, on a grid with a border of one pixel.
fn far_field(values: &[f64], size: usize, area: f64, plane: &mut [f64]) {
    let side = size + 2;
    for (row, out) in plane.chunks_exact_mut(size).enumerate() {
        let line = |offset: usize, shift: usize| &values[(row + offset) * side + shift..][..size];
        let (below, left, middle, right, above) = (line(0, 1), line(1, 0), line(1, 1), line(1, 2), line(2, 1));
        for i in 0..size {
            let laplacian = below[i] + above[i] + left[i] + right[i] - 4.0 * middle[i];
            // The estimate can be negative for an arc that is thinner than a pixel.
            out[i] = (area * (middle[i] + laplacian / 24.0)).max(0.0);
        }
    }
}

impl QuadraturePoints {
    fn clear(&mut self) {
        for list in [&mut self.x, &mut self.y, &mut self.weight] {
            list.clear();
        }
        self.pixel.clear();
    }

    /// Appends the points of a square cell: its centre relative to that of the component, and its side, in pixels.
    fn cell(&mut self, pixel: usize, [x, y]: [f64; 2], side: f64, fineness: Fineness) {
        const TWO: &[(f64, f64)] = &[(-0.288_675_134_594_812_9, 0.5), (0.288_675_134_594_812_9, 0.5)];
        const THREE: &[(f64, f64)] =
            &[(-0.387_298_334_620_741_7, 5.0 / 18.0), (0.0, 8.0 / 18.0), (0.387_298_334_620_741_7, 5.0 / 18.0)];
        let distance = (x.abs().max(y.abs()) - 0.5 * side).max(0.0) * fineness.relative_scale;
        if fineness.halvings > 0 && distance < side {
            let finer = Fineness { halvings: fineness.halvings - 1, ..fineness };
            let quarter = 0.25 * side;
            for (dx, dy) in [(-quarter, -quarter), (quarter, -quarter), (-quarter, quarter), (quarter, quarter)] {
                self.cell(pixel, [x + dx, y + dy], 0.5 * side, finer);
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
