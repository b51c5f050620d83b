//! Pictures one after another: an animated PNG, which browsers play and every other reader shows the first frame of.

use png::{BitDepth, ColorType, Compression, Encoder};
use resvg::tiny_skia::Pixmap;

use super::bug;
use crate::error::Result;

/// Time of a frame, seconds: a fraction.
const FRAME: (u16, u16) = (1, 15);

/// `n` frames of one size, without end. Frames are made one at a time.
pub(super) fn animated(n: u32, frame: impl Fn(u32) -> Result<Pixmap>) -> Result<Vec<u8>> {
    let first = frame(0)?;
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, first.width(), first.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::High);
    encoder.set_animated(n, 0).map_err(bug)?;
    encoder.set_frame_delay(FRAME.0, FRAME.1).map_err(bug)?;
    let mut writer = encoder.write_header().map_err(bug)?;
    writer.write_image_data(&rgb(&first)).map_err(bug)?;
    for i in 1..n {
        writer.write_image_data(&rgb(&frame(i)?)).map_err(bug)?;
    }
    writer.finish().map_err(bug)?;
    Ok(bytes)
}

/// Without transparency: pictures have a paper.
fn rgb(pixmap: &Pixmap) -> Vec<u8> {
    pixmap.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect()
}

#[cfg(test)]
mod tests {
    use resvg::tiny_skia::Color;

    use super::*;

    #[test]
    fn frames_can_be_read_back() {
        let grey = |i: u32| Color::from_rgba8(10 * i as u8, 0, 7, 255);
        let frame = |i| {
            let mut pixmap = Pixmap::new(3, 2).expect("a pixmap");
            pixmap.fill(grey(i));
            Ok(pixmap)
        };
        let bytes = animated(4, frame).expect("frames");
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
