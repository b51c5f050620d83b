//! Small PNG images as `data:` URLs.

use base64::{Engine, engine::general_purpose::STANDARD};
use plotters::style::RGBColor;
use png::{BitDepth, ColorType, Compression, Encoder};

use super::draw_error;
use crate::error::Result;

/// An image with a colour table: `indices` into it, row after row from the top.
pub(in crate::report) fn indexed(width: usize, indices: &[u8], colours: &[RGBColor]) -> Result<String> {
    let palette: Vec<u8> = colours.iter().flat_map(|RGBColor(r, g, b)| [*r, *g, *b]).collect();
    encoded((width, indices.len() / width.max(1)), indices, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(palette);
    })
}

/// An RGB image, row after row from the top.
pub(in crate::report) fn rgb(width: usize, pixels: &[[u8; 3]]) -> Result<String> {
    encoded((width, pixels.len() / width.max(1)), pixels.as_flattened(), |encoder| {
        encoder.set_color(ColorType::Rgb);
        encoder.set_compression(Compression::High);
    })
}

fn encoded(
    (width, height): (usize, usize),
    bytes: &[u8],
    configure: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Result<String> {
    let mut file = Vec::new();
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut file, size(width), size(height));
    encoder.set_depth(BitDepth::Eight);
    configure(&mut encoder);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(bytes)).map_err(draw_error)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(url: &str, bytes: &mut [u8]) -> (u32, u32) {
        let file = STANDARD.decode(url.strip_prefix("data:image/png;base64,").expect("a data URL"));
        let file = std::io::Cursor::new(file.expect("base64"));
        let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
        reader.next_frame(bytes).expect("an image");
        reader.info().size()
    }

    #[test]
    fn decodes_to_the_encoded_indices() {
        let url = indexed(2, &[0, 1, 1, 0], &[RGBColor(1, 2, 3), RGBColor(4, 5, 6)]).expect("an image");
        let mut indices = [0; 4];
        assert_eq!((decode(&url, &mut indices), indices), ((2, 2), [0, 1, 1, 0]));
    }

    #[test]
    fn decodes_to_the_encoded_colours() {
        let url = rgb(3, &[[1, 2, 3], [255, 0, 7], [4, 5, 6]]).expect("an image");
        let mut bytes = [0; 9];
        assert_eq!(decode(&url, &mut bytes), (3, 1));
        assert_eq!(bytes, [1, 2, 3, 255, 0, 7, 4, 5, 6]);
    }
}
