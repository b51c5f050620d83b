use super::*;

const STAMP: Stamp = Stamp { size: 100, pixel_scale_arcsec: 0.2 };
const BANDS: [Band; 3] = [Band::G, Band::R, Band::I];

fn image(components: &[Component], stamp: Stamp, bands: &[Band]) -> Vec<f32> {
    let mut out = vec![0.0; bands.len() * stamp.size * stamp.size];
    Renderer::new(stamp).draw(components, bands, &mut out);
    out
}

fn sum(pixels: &[f32]) -> f64 {
    pixels.iter().map(|pixel| f64::from(*pixel)).sum()
}

fn drawn(class: Class, i: usize) -> Galaxy {
    Galaxy::draw(5, &format!("g{i}"), class, [20.0, 22.5])
}

#[test]
fn a_wide_stamp_has_the_flux_of_the_drawn_magnitude() {
    for class in Class::ALL {
        for i in 0..12 {
            let mut galaxy = drawn(class, i);
            galaxy.components.truncate(galaxy.components.len() - usize::from(galaxy.neighbour));
            let wide = image(&galaxy.components, Stamp { size: 700, pixel_scale_arcsec: 0.2 }, &[Band::R]);
            let ratio = sum(&wide) / nanojansky(galaxy.magnitude_r);
            // The missing flux lies beyond 70 arcsec, in the wings of the highest Sersic indices.
            assert!((0.985..1.002).contains(&ratio), "{class:?} {i}: {ratio}");
        }
    }
}

#[test]
fn pixels_agree_with_galsim() {
    for line in include_str!("../../../tests/golden/simulated/sersic.csv").lines() {
        let (name, numbers) = line.split_once(',').expect("a name");
        let numbers: Vec<f64> = numbers.split(',').map(|number| number.parse().expect("a number")).collect();
        let (&[n, radius, axis_ratio, angle, x, y], expected) = numbers.split_at(6) else {
            panic!("{name}: six settings")
        };
        let profile = if n == 0.0 {
            Profile::Gaussian { sigma: radius }
        } else {
            Profile::Sersic { n, half_light_radius: radius, axis_ratio, angle }
        };
        let component = Component { centre: [x, y], profile, flux_r: 1.0, colour: [0.0, 0.0] };
        let pixels = image(&[component], Stamp { size: 32, pixel_scale_arcsec: 0.2 }, &[Band::R]);
        let error: f64 = pixels.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
        let scale: f64 = expected.iter().map(|b| b * b).sum();
        let error = (error / scale).sqrt();
        assert!(error < 1e-4, "{name}: {error:e}");
    }
}

#[test]
fn a_coarse_pixel_is_the_sum_of_the_fine_pixels_in_it() {
    for class in Class::ALL {
        for i in 0..8 {
            let galaxy = drawn(class, i);
            let coarse = image(&galaxy.components, STAMP, &[Band::R]);
            let fine = image(&galaxy.components, Stamp { size: 500, pixel_scale_arcsec: 0.04 }, &[Band::R]);
            let mut summed = vec![0.0; 10_000];
            for (k, value) in fine.iter().enumerate() {
                summed[k / 2500 * 100 + k % 500 / 5] += f64::from(*value);
            }
            let error: f64 = coarse.iter().zip(&summed).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
            let scale: f64 = summed.iter().map(|b| b * b).sum();
            let error = (error / scale).sqrt();
            assert!(error < 3e-3, "{class:?} {i}: {error:e}");
        }
    }
}

#[test]
fn half_the_light_of_a_spheroid_lies_within_its_drawn_radius() {
    let mut seen = 0;
    for i in 0..60 {
        let galaxy = drawn(Class::Elliptical, i);
        let [Component { centre, profile: Profile::Sersic { axis_ratio, angle, .. }, .. }] = galaxy.components[..]
        else {
            continue;
        };
        seen += 1;
        let pixels = image(&galaxy.components, STAMP, &[Band::R]);
        let (sin, cos) = angle.sin_cos();
        let inside = (0..10_000).map(|k| {
            let dx = (f64::from(k % 100) - 49.5) * 0.2 - centre[0];
            let dy = (f64::from(k / 100) - 49.5) * 0.2 - centre[1];
            let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
            let radius = (u * u * axis_ratio + v * v / axis_ratio).sqrt();
            // A pixel at the edge counts in part.
            let part = ((galaxy.half_light_radius_arcsec - radius) / 0.2 + 0.5).clamp(0.0, 1.0);
            part * f64::from(pixels[k as usize])
        });
        let share = inside.sum::<f64>() / nanojansky(galaxy.magnitude_r);
        assert!((share - 0.5).abs() < 0.005, "{i}: {share}");
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn a_galaxy_does_not_depend_on_those_drawn_before() {
    let mut renderer = Renderer::new(STAMP);
    let mut out = vec![0.0; 30_000];
    for i in [3, 1, 2, 1] {
        for class in Class::ALL {
            let galaxy = drawn(class, i);
            renderer.draw(&galaxy.components, &BANDS, &mut out);
            assert_eq!(out, image(&galaxy.components, STAMP, &BANDS), "{class:?} {i}");
            assert!(out.iter().all(|pixel| pixel.is_finite() && *pixel >= 0.0), "{class:?} {i}");
        }
    }
    assert_ne!(Galaxy::draw(6, "g1", Class::Spiral, [20.0, 22.5]), drawn(Class::Spiral, 1));
}

#[test]
fn planes_follow_the_order_of_the_bands_and_have_the_colours_of_the_components() {
    let disc = Profile::Sersic { n: 1.0, half_light_radius: 1.0, axis_ratio: 0.8, angle: 0.0 };
    let component = Component { centre: [0.0, 0.0], profile: disc, flux_r: 100.0, colour: [0.75, 0.25] };
    let pixels = image(&[component], STAMP, &[Band::I, Band::G]);
    let (i, g) = pixels.split_at(10_000);
    let colour = 2.5 * (sum(i) / sum(g)).log10();
    assert!((colour - 1.0).abs() < 1e-5, "{colour}");
}

#[test]
fn galaxies_are_those_of_every_earlier_version() {
    // Components, axis ratio, and sums over the components that depend on their order, of three objects of each class.
    let found = Class::ALL.map(|class| {
        let galaxies: Vec<Galaxy> = (0..3).map(|i| drawn(class, i)).collect();
        let count = galaxies.iter().map(|galaxy| galaxy.components.len()).sum::<usize>() as f64;
        let numbered = || galaxies.iter().flat_map(|galaxy| (1..).zip(&galaxy.components));
        let sum =
            |of: fn(&Component) -> f64| numbered().map(|(k, component)| f64::from(k) * of(component)).sum::<f64>();
        let mut pixels = vec![0.0; 30_000];
        Renderer::new(STAMP).draw(&galaxies[1].components, &BANDS, &mut pixels);
        [
            count,
            galaxies.iter().map(|galaxy| galaxy.axis_ratio + galaxy.position_angle_deg()).sum(),
            sum(|component| component.flux_r),
            sum(|component| component.centre[0]),
            sum(|component| component.centre[1]),
            sum(|component| component.colour[0] + 2.0 * component.colour[1]),
            pixels.iter().enumerate().map(|(i, pixel)| (i % 977) as f64 * f64::from(*pixel)).sum(),
        ]
    });
    let expected = [
        [
            56.0,
            358.704_755_316,
            334_572.214_860_5,
            444.793_385_228,
            149.549_212_176,
            -104.960_421_329,
            13_965_214.650_18,
        ],
        [7.0, 358.452_533_861, 72_083.105_156_651, 30.897_381_833, -13.536_330_150, 17.491_536_831, 13_736_803.407_26],
        [
            116.0,
            359.074_372_196,
            983_943.345_257_2,
            -1_884.379_036_195,
            -918.100_491_975,
            2_090.034_013_008,
            14_389_644.924_89,
        ],
    ];
    for (class, (found, expected)) in Class::ALL.iter().zip(found.into_iter().zip(expected)) {
        for (measure, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                "{class:?} {measure}: {found} {expected}"
            );
        }
    }
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn flux_position_and_neighbour_do_not_reveal_the_class() {
    const N: usize = 1500;
    type GalaxyProperty = fn(&Galaxy) -> f64;
    let measures: [(&str, GalaxyProperty); 6] = [
        ("magnitude", |galaxy| galaxy.magnitude_r),
        ("flux", |galaxy| main_components(galaxy).iter().map(|component| component.flux_r).sum::<f64>().ln()),
        ("radius", |galaxy| galaxy.half_light_radius_arcsec),
        ("x", |galaxy| centroid(main_components(galaxy), 0)),
        ("distance", |galaxy| (0..2).map(|axis| centroid(main_components(galaxy), axis).powi(2)).sum()),
        ("neighbour", |galaxy| f64::from(u8::from(galaxy.neighbour))),
    ];
    for (name, of) in measures {
        let per_class = Class::ALL
            .map(|class| mean(&(0..N).map(|i| of(&drawn(class, 3 * i + class as usize))).collect::<Vec<_>>()));
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let ((mean_a, error_a), (mean_b, error_b)) = (per_class[a], per_class[b]);
            let difference = (mean_a - mean_b).abs() / error_a.hypot(error_b);
            assert!(difference < 4.0, "{name}: {per_class:?}");
        }
    }
}

#[test]
fn a_neighbour_is_in_35_percent_of_the_images() {
    let count = (0..6000).filter(|i| drawn(Class::Elliptical, *i).neighbour).count();
    // The standard deviation of the count is 37.
    assert!(count.abs_diff(2100) < 150, "{count}");
}

#[test]
fn the_measured_size_does_not_reveal_the_class() {
    const N: usize = 150;
    let mut renderer = Renderer::new(STAMP);
    let mut out = vec![0.0; 10_000];
    let sizes = Class::ALL.map(|class| {
        let sizes: Vec<f64> = (0..N)
            .map(|i| {
                let galaxy = drawn(class, i);
                renderer.draw(main_components(&galaxy), &[Band::R], &mut out);
                half_light_radius(&out, galaxy.centre).ln()
            })
            .collect();
        mean(&sizes)
    });
    // The sizes of a class scatter by 0.3: the means may differ by a third of that.
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let difference = (sizes[a].0 - sizes[b].0).abs();
        assert!(difference < 0.1 + 3.0 * sizes[a].1.hypot(sizes[b].1), "{sizes:?}");
    }
}

fn main_components(galaxy: &Galaxy) -> &[Component] {
    &galaxy.components[..galaxy.components.len() - usize::from(galaxy.neighbour)]
}

fn centroid(components: &[Component], axis: usize) -> f64 {
    components.iter().map(|component| component.flux_r * component.centre[axis]).sum::<f64>()
        / components.iter().map(|component| component.flux_r).sum::<f64>()
}

/// The radius around a centre that holds half the light of a stamp, arcsec.
fn half_light_radius(pixels: &[f32], centre: [f64; 2]) -> f64 {
    let mut by_radius: Vec<(f64, f64)> = pixels
        .iter()
        .enumerate()
        .map(|(k, pixel)| {
            let (dx, dy) = ((k % 100) as f64 * 0.2 - 9.9 - centre[0], (k / 100) as f64 * 0.2 - 9.9 - centre[1]);
            (dx.hypot(dy), f64::from(*pixel))
        })
        .collect();
    by_radius.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = by_radius.iter().map(|(_, flux)| flux).sum();
    let mut inside = 0.0;
    by_radius
        .iter()
        .find(|(_, flux)| {
            inside += flux;
            inside >= 0.5 * total
        })
        .map_or(f64::NAN, |(radius, _)| *radius)
}
