//! Animated PNG: browsers play it, other readers show its first frame.

use png::{BitDepth, ColorType, Compression, Encoder};
use resvg::tiny_skia::Pixmap;

use super::draw_error;
use crate::error::Result;

/// The duration of a frame, seconds, as a fraction.
const FRAME_SECONDS: (u16, u16) = (1, 15);

/// Encodes `n` frames of one size that repeat forever. Frames are rendered one at a time, to hold only one in memory.
pub(super) fn encode(n: u32, frame: impl Fn(u32) -> Result<Pixmap>) -> Result<Vec<u8>> {
    let first = frame(0)?;
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, first.width(), first.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::High);
    encoder.set_animated(n, 0).map_err(draw_error)?;
    encoder.set_frame_delay(FRAME_SECONDS.0, FRAME_SECONDS.1).map_err(draw_error)?;
    let mut writer = encoder.write_header().map_err(draw_error)?;
    writer.write_image_data(&rgb(&first)).map_err(draw_error)?;
    for i in 1..n {
        writer.write_image_data(&rgb(&frame(i)?)).map_err(draw_error)?;
    }
    writer.finish().map_err(draw_error)?;
    Ok(bytes)
}

/// The pixels without alpha: charts have an opaque background.
fn rgb(pixmap: &Pixmap) -> Vec<u8> {
    pixmap.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect()
}

#[cfg(test)]
mod tests {
    use resvg::tiny_skia::Color;

    use super::*;

    #[test]
    fn decodes_to_the_encoded_frames() {
        let grey = |i: u32| Color::from_rgba8(10 * i as u8, 0, 7, 255);
        let frame = |i| {
            let mut pixmap = Pixmap::new(3, 2).expect("a pixmap");
            pixmap.fill(grey(i));
            Ok(pixmap)
        };
        let bytes = encode(4, frame).expect("frames");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let control = reader.info().animation_control().expect("an animation");
        assert_eq!((control.num_frames, control.num_plays), (4, 0));
        for i in 0..4 {
            let mut pixels = [0; 18];
            reader.next_frame(&mut pixels).expect("a frame");
            assert_eq!(pixels[15..], [10 * i, 0, 7]);
        }
    }
}
