//! Formats numbers, durations and dates for readers.

use arrow::temporal_conversions::timestamp_s_to_datetime;

/// A number with at most four significant digits, without trailing zeros.
pub(super) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A count with its digits in groups of three, separated by narrow spaces: `1 234 567`.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A duration: `850 ms`, `12.3 s`, `4 min 07 s`, `2 h 05 min`.
pub(super) fn duration(seconds: f64) -> String {
    let rounded = seconds.max(0.0).round() as u64;
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s.max(0.0) * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{} min {:02} s", rounded / 60, rounded % 60),
        _ => format!("{} h {:02} min", rounded / 3600, rounded % 3600 / 60),
    }
}

/// The date and time in UTC of seconds since 1970: `2026-11-26 04:09:53 UTC`.
pub(super) fn timestamp(unix_seconds: f64) -> String {
    let time = timestamp_s_to_datetime(unix_seconds.floor() as i64);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_numbers_with_four_significant_digits() {
        let cases = [
            (0.0, "0"),
            (0.980_666_7, "0.9807"),
            (-0.000_846_395, "-0.0008464"),
            (0.05, "0.05"),
            (37.636_04, "37.64"),
            (12_345.678, "12346"),
            (6.998e-6, "7.00e-6"),
            (1.5e9, "1.50e9"),
            (100.0, "100"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
        assert_eq!(significant(f64::NAN), "NaN");
    }

    #[test]
    fn groups_digits_and_splits_durations_into_units() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(999), "999");
        assert_eq!([0.85, 12.34, 247.2, 7500.0].map(duration), ["850 ms", "12.3 s", "4 min 07 s", "2 h 05 min"]);
    }

    #[test]
    fn formats_timestamps_as_dates() {
        // Expected values: `date -u -d @N`.
        assert_eq!(timestamp(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(timestamp(951_782_400.5), "2000-02-29 00:00:00 UTC");
        assert_eq!(timestamp(1_795_666_193.27), "2026-11-26 04:09:53 UTC");
        assert_eq!(timestamp(4_107_542_399.0), "2100-02-28 23:59:59 UTC");
    }
}
