//! The tile that is chosen, beside a search of all tiles.

use super::{EdgeRule, OverlapRule, PositionCatalogue, Tiles, band_tiles::BandTiles, tile::Tile};
use crate::{
    fits::{CardValue, FitsFile, Limits, Writer},
    random::Stream,
    wcs::SkyPosition,
};

/// A tile of 20 rows and 30 columns.
fn tile(number: usize, cards: &[(&str, CardValue)], settings: &Tiles) -> Tile {
    let cards: Vec<_> = cards.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut file = Writer::new();
    file.image(&[20, 30], &[1.0; 600], &cards);
    let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
    let tiles = Tile::all_of(&file, number, settings, &settings.of_band(0));
    let mut tiles = tiles.unwrap_or_else(|unusable| panic!("{}", unusable.reason));
    assert_eq!(tiles.len(), 1);
    tiles.remove(0)
}

#[test]
fn the_tile_at_a_position_is_that_of_a_search_of_all_tiles() {
    let mut settings = Tiles::new(PositionCatalogue::new("x", "id", "ra", "dec"), [("g", vec!["x"])], 8);
    (settings.edge, settings.overlap) = (EdgeRule::Pad, OverlapRule::Deepest);
    let text = |value: &str| CardValue::Text(value.to_owned());
    let side = 2.0 / 3600.0;
    let mut found = [0; 3];
    for (field, (ra, dec)) in [(10.0, 0.0), (0.0, 89.99), (359.999, -45.0), (120.0, -89.995)].into_iter().enumerate() {
        let mut stream = Stream::new(field as u64, "tiles", "fields");
        let mut offset = |reach: f64| stream.uniform_in(-reach, reach) * side;
        let near = |dx: f64, dy: f64| {
            let dec_deg: f64 = dec + dy;
            let dec_deg = dec_deg.clamp(-89.9999, 89.9999);
            (ra + dx / dec_deg.to_radians().cos().max(1e-4), dec_deg)
        };
        let mut tiles = Vec::new();
        for number in 0..40_i64 {
            let (crval1, crval2) = near(offset(50.0), offset(50.0));
            let (sin, cos) = (offset(180.0) / side).to_radians().sin_cos();
            let cards = [
                ("CTYPE1", text("RA---TAN")),
                ("CTYPE2", text("DEC--TAN")),
                ("CRVAL1", CardValue::Real(crval1)),
                ("CRVAL2", CardValue::Real(crval2)),
                ("CRPIX1", CardValue::Real(15.5)),
                ("CRPIX2", CardValue::Real(10.5)),
                ("CD1_1", CardValue::Real(-side * cos)),
                ("CD1_2", CardValue::Real(side * sin)),
                ("CD2_1", CardValue::Real(side * sin)),
                ("CD2_2", CardValue::Real(side * cos)),
                ("EXPTIME", CardValue::Integer(number % 3)),
            ];
            tiles.push(tile(number as usize, &cards, &settings));
        }
        let positions: Vec<SkyPosition> = (0..400)
            .map(|_| {
                let (ra_deg, dec_deg) = near(offset(80.0), offset(80.0));
                SkyPosition { ra_deg: ra_deg.rem_euclid(360.0), dec_deg }
            })
            .collect();
        // Of all tiles: (whole, depth, distance), the last one negative.
        let expected: Vec<Option<usize>> = positions
            .iter()
            .map(|sky| {
                let candidates = tiles.iter().filter_map(|tile| {
                    let at = tile.wcs.sky_to_pixel(*sky).ok()?;
                    // The first pixel is the smallest one at or above the position minus 4.
                    let whole = at.x > 3.0 && at.x <= 26.0 && at.y > 3.0 && at.y <= 16.0;
                    let middle = tile.wcs.pixel_to_sky(crate::wcs::PixelPosition { x: 14.5, y: 9.5 }).ok()?;
                    let [a, b] = [sky.direction(), middle.direction()];
                    let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    tile.has(at.x, at.y).then_some(((whole, tile.depth, cosine), tile.file))
                });
                candidates.max_by(|(a, _), (b, _)| a.partial_cmp(b).expect("numbers")).map(|(_, file)| file)
            })
            .collect();
        let band = BandTiles::new("g".into(), tiles);
        for (sky, expected) in positions.iter().zip(&expected) {
            let cutout = band.cutout(*sky, 8);
            assert_eq!(cutout.as_ref().map(|cutout| cutout.tile.file), *expected, "{sky:?}");
            found[cutout.map_or(0, |cutout| 1 + usize::from(cutout.is_complete()))] += 1;
        }
    }
    assert!(found.iter().all(|count| *count > 100), "outside, partial and whole: {found:?}");
}

#[test]
fn an_image_of_the_whole_sky_has_a_footprint_of_the_whole_sky() {
    let settings = Tiles::new(PositionCatalogue::new("x", "id", "ra", "dec"), [("g", vec!["x"])], 8);
    let text = |value: &str| CardValue::Text(value.to_owned());
    let wide = |step: f64| {
        let cards = [
            ("CTYPE1", text("RA---CAR")),
            ("CTYPE2", text("DEC--CAR")),
            ("CRVAL1", CardValue::Real(0.0)),
            ("CRVAL2", CardValue::Real(0.0)),
            ("CRPIX1", CardValue::Real(15.5)),
            ("CRPIX2", CardValue::Real(10.5)),
            ("CDELT1", CardValue::Real(-step)),
            ("CDELT2", CardValue::Real(step)),
        ];
        let Tile { footprint, .. } =
            tile(0, &cards, &Tiles { pixel_scale_arcsec: Some(step * 3600.0), ..settings.clone() });
        footprint
    };
    let direction = |ra_deg: f64, dec_deg: f64| SkyPosition { ra_deg, dec_deg }.direction();
    assert_eq!(wide(9.0).radius_deg(), 180.0);
    assert!(wide(9.0).may_have(direction(180.0, 80.0)));
    let narrow = wide(0.1);
    // The corner is 1.5 and 1 degree off, and the circle 5 % larger.
    assert!((narrow.radius_deg() / 1.5_f64.hypot(1.0) - 1.05).abs() < 1e-3, "{}", narrow.radius_deg());
    assert!(narrow.may_have(direction(1.499, -0.999)) && !narrow.may_have(direction(2.0, 0.0)));
}
