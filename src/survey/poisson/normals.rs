//! Normal deviates of many pixels at once (Box-Muller), in single precision and the same bits on every machine.

use multiversion::multiversion;

use super::{GROUP, PAIRS};
use crate::random::{Stream, philox_blocks};

impl Stream {
    /// The normals of pixels `GROUP * group ..` of a stream.
    pub fn normals(&self, group: u64) -> [f32; GROUP] {
        let mut normals = [0.0; GROUP];
        fill(self, group, &mut normals);
        normals
    }
}

#[multiversion(targets = "simd")]
fn fill(stream: &Stream, group: u64, out: &mut [f32; GROUP]) {
    let words = philox_blocks(stream, group * PAIRS as u64 / 2);
    let (words_a, words_b) = words.as_flattened().split_at(PAIRS);
    for i in 0..PAIRS {
        (out[i], out[i + PAIRS]) = box_muller(words_a[i] >> 9, words_b[i] >> 8);
    }
}

/// Two independent normals from 23 and 24 random bits.
#[inline(always)]
pub(super) fn box_muller(radius_bits: u32, angle_bits: u32) -> (f32, f32) {
    let radius = (-2.0 * ln_f32((2 * radius_bits + 1) as f32 * (1.0 / (1 << 24) as f32))).sqrt();
    // Two bits choose the quarter of the circle, 22 the angle within -pi/4..pi/4.
    let x = ((angle_bits & 0x3F_FFFF) as f32 - 2_097_151.5) * (std::f32::consts::FRAC_PI_2 / 4_194_304.0);
    let square = x * x;
    let sin = square.mul_add(square.mul_add(-1.951_529_6e-4, 8.332_161e-3), -1.666_665_5e-1);
    let sin = (x * square).mul_add(sin, x);
    let cos = square.mul_add(square.mul_add(2.443_315_7e-5, -1.388_731_6e-3), 4.166_664_6e-2);
    let cos = (square * square).mul_add(cos, square.mul_add(-0.5, 1.0));
    let cos = f32::from_bits(cos.to_bits() ^ (angle_bits << 8 & 0x8000_0000));
    let swap = angle_bits & 0x40_0000 != 0;
    (radius * if swap { sin } else { cos }, radius * if swap { cos } else { sin })
}

/// Natural logarithm of a number in (0, 1), relative error about 1e-7.
#[inline(always)]
fn ln_f32(x: f32) -> f32 {
    let bits = x.to_bits().wrapping_sub(0x3F35_04F3);
    let exponent = (bits as i32 >> 23) as f32;
    let f = f32::from_bits((bits & 0x007F_FFFF) + 0x3F35_04F3) - 1.0;
    // The polynomial of Cephes' logf (Moshier) for ln(1 + f) on sqrt(1/2)..sqrt(2).
    let mut p = 7.037_683_6e-2_f32;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(f, c);
    }
    let square = f * f;
    let low = (square * f).mul_add(p, exponent * -2.121_944_4e-4);
    exponent.mul_add(0.693_359_4, square.mul_add(-0.5, low) + f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_the_moments_of_the_normal_distribution() {
        let stream = Stream::new(9, "object", "normals");
        let normals: Vec<f64> = (0..4000).flat_map(|group| stream.normals(group)).map(f64::from).collect();
        let n = normals.len() as f64;
        let moment = |power| normals.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        let error = 5.0 / n.sqrt();
        assert!(moment(1).abs() < error && (moment(2) - 1.0).abs() < 1.42 * error);
        assert!(moment(3).abs() < 3.9 * error && (moment(4) - 3.0).abs() < 9.8 * error);
        // The two of a pair are independent, and so are their squares.
        let pairs = || normals.chunks_exact(GROUP).flat_map(|group| group[..PAIRS].iter().zip(&group[PAIRS..]));
        assert!((pairs().map(|(x, y)| x * y).sum::<f64>() / (n / 2.0)).abs() < 1.42 * error);
        let squares = pairs().map(|(x, y)| (x * x - 1.0) * (y * y - 1.0)).sum::<f64>() / (n / 2.0);
        assert!(squares.abs() < 2.9 * error, "{squares}");
    }

    #[test]
    fn box_muller_agrees_with_the_definition() {
        for i in 0..20_000_u32 {
            let (radius_bits, angle_bits) = (i.wrapping_mul(0x9E37_79B1) >> 9, i.wrapping_mul(0x85EB_CA6B) >> 8);
            let (x, y) = box_muller(radius_bits, angle_bits);
            let radius = (-2.0 * (f64::from(2 * radius_bits + 1) / f64::from(1 << 24)).ln()).sqrt();
            let found = f64::from(x).hypot(f64::from(y));
            assert!((found - radius).abs() < 2e-6 * radius.max(0.1), "{radius_bits}: {found} {radius}");
            // The angle is uniform: its tangent is that of the 22 bits within a quarter, the quarter by sign and exchange.
            let angle = (f64::from(angle_bits & 0x3F_FFFF) - 2_097_151.5) * std::f64::consts::FRAC_PI_2 / 4_194_304.0;
            let (cos, sin) = if angle_bits & 0x40_0000 == 0 { (x, y) } else { (y, x) };
            let sign = if angle_bits & 0x80_0000 == 0 { 1.0 } else { -1.0 };
            assert!((f64::from(cos) - sign * radius * angle.cos()).abs() < 4e-6, "{angle_bits}");
            assert!((f64::from(sin) - radius * angle.sin()).abs() < 4e-6, "{angle_bits}");
        }
    }
}
