//! The units of pixels, as headers and settings write them: a number times a unit, to a power (FITS 4.0, section 4.3).

/// Names of a prefix, as they stand before `Jy` and before a unit that is written out, and what they stand for.
const PREFIXES: [(&str, &str, f64); 12] = [
    ("p", "pico", 1e-12),
    ("n", "nano", 1e-9),
    ("u", "micro", 1e-6),
    ("µ", "micro", 1e-6),
    ("μ", "micro", 1e-6),
    ("m", "milli", 1e-3),
    ("c", "centi", 1e-2),
    ("d", "deci", 1e-1),
    ("h", "hecto", 1e2),
    ("k", "kilo", 1e3),
    ("M", "mega", 1e6),
    ("G", "giga", 1e9),
];
/// Steradian in a square of one arcsec.
const SR_IN_ARCSEC2: f64 = (std::f64::consts::PI / 648_000.0) * (std::f64::consts::PI / 648_000.0);

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Measure {
    /// Flux in a pixel, as multiples of nJy.
    Flux { njy: f64 },
    /// Flux per solid angle, as multiples of nJy in a square arcsec.
    SurfaceBrightness { njy_per_arcsec2: f64 },
    /// Electrons, times a number.
    Electrons { electrons: f64 },
    /// Counts of a detector, or a rate, which only a zero point makes a flux.
    Counts,
}

/// A unit to a power.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PixelUnit {
    pub measure: Measure,
    /// 1 for `nJy`, 2 for `nJy^2`, -2 for `1/nJy^2`.
    pub power: i32,
}

impl PixelUnit {
    /// The unit that a text names, if it is known.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, rest) = leading_number(text.trim());
        let factors = factors(rest)?;
        // The unit of the pixel's content comes first; what follows says per what.
        let mut parts = factors.iter().filter(|factor| !is_per_pixel(factor));
        let content = parts.next()?;
        let power = content.power;
        let unit = base(&content.name)?;
        let per: Vec<&Factor> = parts.collect();
        let measure = match (unit, per.as_slice()) {
            (Base::Flux(njy), []) => Measure::Flux { njy: scaled(number, power)? * njy },
            (Base::Flux(njy), [area]) => {
                let arcsec2 = arcsec2_in(area, power)?;
                Measure::SurfaceBrightness { njy_per_arcsec2: scaled(number, power)? * njy / arcsec2 }
            }
            (Base::Electrons, []) => Measure::Electrons { electrons: scaled(number, power)? },
            (Base::Electrons | Base::Counts, [per]) if is_time(per) => Measure::Counts,
            (Base::Counts, []) => Measure::Counts,
            _ => return None,
        };
        Some(Self { measure, power })
    }
}

/// The number of nJy in a count of an image with an AB zero point: 10^(0.4 * (31.4 - zero point)).
pub(super) fn njy_per_count(zero_point: f64) -> f64 {
    10f64.powf(0.4 * (31.4 - zero_point))
}

/// The number before a unit to a power, for one such unit: `100 nJy^2` are (10 nJy)^2.
fn scaled(number: f64, power: i32) -> Option<f64> {
    let scale = number.powf(1.0 / f64::from(power));
    (scale.is_finite() && scale > 0.0).then_some(scale)
}

/// What the pixels contain, without a prefix.
enum Base {
    /// Multiples of nJy.
    Flux(f64),
    Electrons,
    Counts,
}

/// A unit of a pixel's content. The case of a Jy counts (MJy is not mJy), that of other units does not.
fn base(name: &str) -> Option<Base> {
    if let Some(prefix) = name.strip_suffix("Jy") {
        let factor = if prefix.is_empty() { Some(1.0) } else { short_prefix(prefix).or_else(|| long_prefix(prefix)) };
        return factor.map(|factor| Base::Flux(1e9 * factor));
    }
    let lower = name.to_lowercase();
    let jansky = ["janskys", "jansky"].iter().find_map(|unit| lower.strip_suffix(unit));
    if let Some(prefix) = jansky {
        return long_prefix(prefix).map(|factor| Base::Flux(1e9 * factor));
    }
    let maggy = ["maggies", "maggy", "mgy"].iter().find_map(|unit| lower.strip_suffix(unit));
    if let Some(prefix) = maggy {
        // The prefix of `nMgy` is nano: its M belongs to the unit.
        let factor = long_prefix(prefix).or_else(|| short_prefix(prefix).filter(|_| prefix != "m"));
        return factor.map(|factor| Base::Flux(njy_per_count(0.0) * factor));
    }
    match lower.as_str() {
        "electron" | "electrons" | "e-" | "e" | "elec" => Some(Base::Electrons),
        "adu" | "adus" | "dn" | "dns" | "count" | "counts" | "ct" | "cts" | "cps" => Some(Base::Counts),
        _ => None,
    }
}

fn short_prefix(text: &str) -> Option<f64> {
    PREFIXES.iter().find(|(short, ..)| *short == text).map(|(.., factor)| *factor)
}

/// A prefix that is written out; none is 1.
fn long_prefix(text: &str) -> Option<f64> {
    let long = PREFIXES.iter().find(|(_, long, _)| long.eq_ignore_ascii_case(text));
    if text.is_empty() { Some(1.0) } else { long.map(|(.., factor)| *factor) }
}

/// The square arcsec in the area of a factor of a unit that has another factor to `power`.
fn arcsec2_in(area: &Factor, power: i32) -> Option<f64> {
    let (arcsec2, per) = match area.name.to_ascii_lowercase().as_str() {
        "sr" | "steradian" => (1.0 / SR_IN_ARCSEC2, -power),
        "arcsec" | "asec" | "arcsecond" | "arcseconds" => (1.0, -2 * power),
        "sqarcsec" | "arcsec2" => (1.0, -power),
        "deg" | "degree" => (3600.0 * 3600.0, -2 * power),
        _ => return None,
    };
    (area.power == per).then_some(arcsec2)
}

fn is_time(factor: &Factor) -> bool {
    factor.power == -1 && ["s", "sec", "second", "seconds"].contains(&factor.name.to_ascii_lowercase().as_str())
}

fn is_per_pixel(factor: &Factor) -> bool {
    factor.power < 0 && ["pix", "pixel", "pixels"].contains(&factor.name.to_ascii_lowercase().as_str())
}

/// A factor of a unit: its name and its power.
#[derive(Debug, PartialEq)]
struct Factor {
    name: String,
    power: i32,
}

/// The number at the start of a unit, 1 without one, and the rest.
fn leading_number(text: &str) -> (f64, &str) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(text);
    if text[end..].starts_with('.') {
        end += 1 + digits(&text[end + 1..]);
    }
    if end == 0 || text[..end] == *"." {
        return (1.0, text);
    }
    // `1e-9 Jy`, but not the `e` of `10 electron`.
    if let Some(rest) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let exponent = digits(&rest[sign..]);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let Ok(number) = text[..end].parse::<f64>() else { return (1.0, text) };
    let (power, rest) = leading_power(&text[end..]);
    (number.powi(power), rest.trim_start_matches([' ', '*']))
}

/// The factors of a unit without its number; `None` if the text is not a unit.
fn factors(text: &str) -> Option<Vec<Factor>> {
    let mut rest = text.trim();
    let mut factors = Vec::new();
    let mut sign = 1;
    while !rest.is_empty() {
        let start = rest.trim_start_matches([' ', '*', '.', '(']);
        if let Some(after) = start.strip_prefix('/') {
            (sign, rest) = (-1, after);
            continue;
        }
        let end = start.find(|letter: char| !(letter.is_alphabetic() || letter == 'µ')).unwrap_or(start.len());
        // The charge of an electron belongs to its name.
        let end = if start[..end].eq_ignore_ascii_case("e") && start[end..].starts_with('-') { end + 1 } else { end };
        if end == 0 {
            // A bracket that closes, or the 1 of `1/nJy2`.
            rest = start.strip_prefix(')').or_else(|| start.strip_prefix('1').filter(|_| factors.is_empty()))?;
            continue;
        }
        let after = &start[end..];
        let (power, after) = leading_power(after.strip_prefix(')').unwrap_or(after));
        factors.push(Factor { name: start[..end].to_owned(), power: sign * power });
        // `erg/s/cm2`: each slash is for the factor that follows.
        (sign, rest) = (1, after);
    }
    (!factors.is_empty()).then_some(factors)
}

/// The power at the start of a text, 1 without one, and the rest: `2`, `-1`, `^2`, `**-2`, `^(-2)`.
fn leading_power(text: &str) -> (i32, &str) {
    let marked = text.strip_prefix("**").or_else(|| text.strip_prefix('^')).unwrap_or(text);
    let opened = marked.strip_prefix('(').filter(|_| marked.len() < text.len()).unwrap_or(marked);
    let sign = usize::from(opened.starts_with(['+', '-']));
    let digits = opened[sign..].bytes().take_while(u8::is_ascii_digit).count();
    match opened[..sign + digits].parse::<i32>() {
        Ok(power) if digits > 0 && power != 0 => {
            let rest = &opened[sign + digits..];
            (power, if opened.len() < marked.len() { rest.strip_prefix(')').unwrap_or(rest) } else { rest })
        }
        _ => (1, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of nJy in a unit of flux per pixel.
    fn njy(text: &str) -> Option<f64> {
        match PixelUnit::parse(text)? {
            PixelUnit { measure: Measure::Flux { njy }, power: 1 } => Some(njy),
            _ => None,
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-12
    }

    #[test]
    fn units_of_flux_are_numbers_times_prefixes_times_a_base() {
        for (text, njy) in [
            ("nJy", 1.0),
            ("uJy/pixel", 1e3),
            ("µJy", 1e3),
            ("microJy", 1e3),
            ("mJy pix-1", 1e6),
            ("kJy", 1e12),
            ("MJy", 1e15),
            ("10.0*nanoJansky", 10.0),
            ("nanoJansky", 1.0),
            ("1e-9 Jy", 1.0),
            ("3.631e-06 Jy", 3631.0),
            ("10**-9 Jy", 1.0),
            ("10^3 nJy / pixel", 1e3),
            ("Jansky", 1e9),
        ] {
            let found = super::tests::njy(text).unwrap_or_else(|| panic!("{text}"));
            assert!(near(found, njy), "{text}: {found}");
        }
        // 3631 Jy by convention, 10^(0.4 * 8.9) Jy by the zero point 31.4: they differ by 6e-5.
        for text in ["nanomaggies", "nanomaggy", "nmgy", "nMgy", "1e-9 maggy", "NANOMAGGIES"] {
            let found = njy(text).unwrap_or_else(|| panic!("{text}"));
            assert!((found / 3631.0 - 1.0).abs() < 1e-4, "{text}: {found}");
        }
        assert_eq!(njy_per_count(31.4), 1.0);
        assert!(near(njy_per_count(28.9), 10.0));
    }

    #[test]
    fn other_texts_are_not_units_of_flux() {
        for text in
            ["adu", "electron", "MJy/sr", "mag", "", "1", "Jy/beam", "Jy2", "nJy s", "erg/s/cm2/Hz", "xJy", "JJy"]
        {
            assert_eq!(njy(text), None, "{text}");
        }
    }

    #[test]
    fn counts_electrons_and_rates_are_told_apart() {
        let measure = |text| PixelUnit::parse(text).map(|unit| unit.measure);
        for text in ["electron", "electrons", "e-", "ELECTRONS", "e-/pixel"] {
            assert_eq!(measure(text), Some(Measure::Electrons { electrons: 1.0 }), "{text}");
        }
        for text in ["adu", "DN", "counts", "ADU/s", "electron/s", "e-/s", "DN s-1", "count / s"] {
            assert_eq!(measure(text), Some(Measure::Counts), "{text}");
        }
    }

    #[test]
    fn surface_brightness_is_per_square_arcsec() {
        let brightness = |text| match PixelUnit::parse(text) {
            Some(PixelUnit { measure: Measure::SurfaceBrightness { njy_per_arcsec2 }, power: 1 }) => njy_per_arcsec2,
            other => panic!("{text}: {other:?}"),
        };
        // 1 MJy/sr is 23.504 uJy in a square arcsec.
        for text in ["MJy/sr", "MJy sr-1", "MJy / sr", "1e6 Jy/sr", "MJy sr**-1"] {
            assert!((brightness(text) / 23_504.43 - 1.0).abs() < 1e-6, "{text}: {}", brightness(text));
        }
        assert_eq!(brightness("nJy/arcsec2"), 1.0);
        assert_eq!(brightness("nJy arcsec**-2"), 1.0);
    }

    #[test]
    fn variances_and_weights_have_powers() {
        let found = |text| PixelUnit::parse(text).unwrap_or_else(|| panic!("{text}"));
        for text in ["nJy2", "nJy^2", "nJy**2", "(nJy)^2", "(nJy)**2"] {
            assert_eq!(found(text), PixelUnit { measure: Measure::Flux { njy: 1.0 }, power: 2 }, "{text}");
        }
        for text in ["1/nJy2", "nJy-2", "1/nJy^2", "nJy**(-2)", "1 / (nJy)2"] {
            assert_eq!(found(text).power, -2, "{text}");
        }
        let hundred = found("100 nJy2");
        assert!(matches!(hundred.measure, Measure::Flux { njy } if near(njy, 10.0)), "{hundred:?}");
        let weight = found("0.01 nJy-2");
        assert!(matches!(weight.measure, Measure::Flux { njy } if near(njy, 10.0)), "{weight:?}");
        assert_eq!(found("nanomaggy^(-2)").power, -2);
        assert_eq!(found("electron2").measure, Measure::Electrons { electrons: 1.0 });
    }
}
