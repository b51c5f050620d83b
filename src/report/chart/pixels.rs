//! Small images as PNG in the text of a page.

use base64::{Engine, engine::general_purpose::STANDARD};
use plotters::style::RGBColor;
use png::{BitDepth, ColorType, Compression, Encoder};

use super::bug;
use crate::error::Result;

/// An image of few colours, row after row from the top, as a `data:` address.
pub(in crate::report) fn indexed(width: usize, places: &[u8], colours: &[RGBColor]) -> Result<String> {
    let palette: Vec<u8> = colours.iter().flat_map(|RGBColor(r, g, b)| [*r, *g, *b]).collect();
    encoded((width, places.len() / width.max(1)), places, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(palette);
    })
}

/// An image in full colour, row after row from the top, as a `data:` address.
pub(in crate::report) fn coloured(width: usize, pixels: &[[u8; 3]]) -> Result<String> {
    encoded((width, pixels.len() / width.max(1)), pixels.as_flattened(), |encoder| {
        encoder.set_color(ColorType::Rgb);
        encoder.set_compression(Compression::High);
    })
}

fn encoded(
    (width, height): (usize, usize),
    bytes: &[u8],
    kind: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Result<String> {
    let mut file = Vec::new();
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut file, size(width), size(height));
    encoder.set_depth(BitDepth::Eight);
    kind(&mut encoder);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(bytes)).map_err(bug)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str, bytes: &mut [u8]) -> (u32, u32) {
        let file = STANDARD.decode(address.strip_prefix("data:image/png;base64,").expect("an address"));
        let file = std::io::Cursor::new(file.expect("base64"));
        let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
        reader.next_frame(bytes).expect("an image");
        reader.info().size()
    }

    #[test]
    fn an_image_of_few_colours_can_be_read_back() {
        let address = indexed(2, &[0, 1, 1, 0], &[RGBColor(1, 2, 3), RGBColor(4, 5, 6)]).expect("an image");
        let mut places = [0; 4];
        assert_eq!((read(&address, &mut places), places), ((2, 2), [0, 1, 1, 0]));
    }

    #[test]
    fn an_image_in_full_colour_can_be_read_back() {
        let address = coloured(3, &[[1, 2, 3], [255, 0, 7], [4, 5, 6]]).expect("an image");
        let mut bytes = [0; 9];
        assert_eq!(read(&address, &mut bytes), (3, 1));
        assert_eq!(bytes, [1, 2, 3, 255, 0, 7, 4, 5, 6]);
    }
}
