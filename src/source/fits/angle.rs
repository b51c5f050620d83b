//! Right ascensions and declinations, in degrees or sexagesimal.

use crate::fits::CardValue;

/// A coordinate of an object on the sky.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinate {
    RightAscension,
    Declination,
}

impl Coordinate {
    /// The degrees of a header value. The error is what was expected.
    pub(super) fn degrees(self, value: &CardValue) -> Result<f64, &'static str> {
        match value {
            CardValue::Text(text) => self.degrees_of_text(text),
            value => value.to_number().and_then(|degrees| self.in_range(degrees)).ok_or(self.expected()),
        }
    }

    /// The degrees of a text: a number, or three numbers between colons, blanks or letters (`10:00:28.6`, `10 00 28.6`,
    /// `10h00m28.6s`, `+02d12m21s`). Three numbers of a right ascension are hours, unless its first letter is `d`.
    pub(super) fn degrees_of_text(self, text: &str) -> Result<f64, &'static str> {
        let plain = text.trim().trim_start_matches('+');
        let number = is_decimal(plain).then(|| plain.parse().ok()).flatten();
        number
            .or_else(|| self.sexagesimal(text.trim()))
            .and_then(|degrees| self.in_range(degrees))
            .ok_or(self.expected())
    }

    /// What a value should be.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::RightAscension => "degrees from -180 to 360, or hours as in `10:00:28.6`",
            Self::Declination => "degrees from -90 to 90, also as in `+02:12:21.0`",
        }
    }

    fn in_range(self, degrees: f64) -> Option<f64> {
        let range = if self == Self::RightAscension { -180.0..=360.0 } else { -90.0..=90.0 };
        range.contains(&degrees).then_some(degrees)
    }

    fn sexagesimal(self, text: &str) -> Option<f64> {
        let (sign, rest) = match text.strip_prefix(['-', '\u{2212}']) {
            Some(rest) => (-1.0, rest),
            None => (1.0, text.strip_prefix('+').unwrap_or(text)),
        };
        let is_mark = |letter: char| letter.is_whitespace() || ":hdms°'\"′″".contains(letter);
        let parts: Vec<&str> = rest.split(is_mark).filter(|part| !part.is_empty()).collect();
        let [whole, minutes, seconds] = parts[..] else { return None };
        let in_hours = self == Self::RightAscension && !rest.contains(['d', '°']);
        if !(whole.bytes().chain(minutes.bytes()).all(|byte| byte.is_ascii_digit()) && is_decimal(seconds)) {
            return None;
        }
        let (whole, minutes, seconds): (f64, f64, f64) =
            (whole.parse().ok()?, minutes.parse().ok()?, seconds.parse().ok()?);
        // 60 seconds are what some programs round 59.9999 to.
        if minutes >= 60.0 || seconds > 60.0 || (in_hours && whole > 24.0) {
            return None;
        }
        Some(sign * (whole + minutes / 60.0 + seconds / 3600.0) * if in_hours { 15.0 } else { 1.0 })
    }
}

/// Whether a text is a number without exponent or sign, or with a leading minus.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.') && digits.bytes().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ra(text: &str) -> Option<f64> {
        Coordinate::RightAscension.degrees_of_text(text).ok()
    }

    fn dec(text: &str) -> Option<f64> {
        Coordinate::Declination.degrees_of_text(text).ok()
    }

    #[test]
    fn right_ascensions_with_three_numbers_are_hours() {
        // 10 h 0 m 28.6 s = 10.0079444 h = 150.119166 degrees.
        let expected = 150.0 + 28.6 / 240.0;
        for text in ["10:00:28.6", "10 00 28.6", " 10h00m28.6s ", "10:0:28.60"] {
            assert!((ra(text).expect(text) - expected).abs() < 1e-12, "{text}");
        }
        assert_eq!(ra("150d00m36s"), Some(150.01));
        assert_eq!(ra("150.1"), Some(150.1));
        assert_eq!(ra("+1.501E2"), Some(150.1));
        assert_eq!(ra("-0.5"), Some(-0.5));
    }

    #[test]
    fn the_sign_of_a_declination_holds_for_minutes_and_seconds() {
        assert_eq!(dec("-00:30:00"), Some(-0.5));
        assert_eq!(dec("+02 12 36"), Some(2.21));
        assert_eq!(dec("-89d59m60s"), Some(-90.0));
        assert_eq!(Coordinate::Declination.degrees(&CardValue::Integer(2)), Ok(2.0));
    }

    #[test]
    fn refuses_what_is_no_place_on_the_sky() {
        for text in ["10:00", "10:60:00", "25:00:00", "10:00:28.6:1", "10:-1:00", "361", "nan", "inf", "", "x", "1:2:x"]
        {
            assert_eq!(ra(text), None, "{text}");
        }
        assert_eq!((dec("91"), dec("90:00:01")), (None, None));
        assert!(Coordinate::RightAscension.degrees(&CardValue::Logical(true)).is_err());
    }
}
