//! SVG to PNG, always with DejaVu Sans, so that results do not depend on installed fonts.

use std::sync::{Arc, LazyLock};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

use super::draw_error;
use crate::error::Result;

/// PNG pixels per SVG pixel: a figure 720 wide becomes 1800 pixels wide, 300 dpi at 15 cm.
const SCALE: f32 = 2.5;

const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// The SVG as PNG.
pub(in crate::report) fn png(svg: &str) -> Result<Vec<u8>> {
    pixmap(svg, SCALE)?.encode_png().map_err(draw_error)
}

/// The SVG as pixels, `scale` of them per SVG pixel.
pub(super) fn pixmap(svg: &str, scale: f32) -> Result<Pixmap> {
    let options = Options { fontdb: FONTS.clone(), font_family: FAMILY.into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(draw_error)?;
    let size = |length: f32| (length * scale).ceil() as u32;
    let pixmap = Pixmap::new(size(tree.size().width()), size(tree.size().height()));
    let mut pixmap = pixmap.ok_or_else(|| draw_error("the SVG has no size"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    Ok(pixmap)
}
