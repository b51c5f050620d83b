//! FITS headers (FITS 4.0, section 4). The cards are kept as in the file and parsed when a key is looked up.

use std::{cmp::Ordering, sync::OnceLock};

/// Bytes of a card.
pub(super) const CARD: usize = 80;
/// Longer headers are looked up in their sorted names: that of an image with 999 axes is asked for as many keys.
const FEW_CARDS: usize = 256;

/// The most cards that continue a string: 68 kB, as a header could be one string of 18 MB, which every row of a file would copy.
const MAX_CONTINUED: usize = 1000;

/// A header: its cards before `END`.
#[derive(Debug, Clone, Default)]
pub struct Header {
    cards: Vec<u8>,
    /// The indices of the cards with a value, by their names, then by their order. Made when a long header is first asked.
    sorted: OnceLock<Vec<u32>>,
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.cards == other.cards
    }
}

impl Eq for Header {}

/// The value of a card.
#[derive(Debug, Clone, PartialEq)]
pub enum CardValue {
    /// `'text'`, or anything that is not one of the others.
    Text(String),
    /// `T` or `F`.
    Logical(bool),
    /// A number without decimal point and exponent.
    Integer(i64),
    /// The same where it does not fit in 64 bits, as written: identifiers of SDSS above 2^63.
    BigInteger(String),
    /// Any other number.
    Real(f64),
}

impl CardValue {
    /// The value as text, as written in tables.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) | Self::BigInteger(text) => text.clone(),
            Self::Logical(value) => (if *value { "true" } else { "false" }).to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
        }
    }

    /// The value as a number, if it is a number.
    pub fn to_number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Real(value) => Some(*value),
            Self::BigInteger(digits) => digits.parse().ok(),
            Self::Text(_) | Self::Logical(_) => None,
        }
    }
}

impl CardValue {
    /// The number that a text is, as in a header without quotes: `-7`, `1.5E3`, `1.5D3`.
    pub(crate) fn of_number(text: &str) -> Option<Self> {
        number(text)
    }
}

impl Header {
    /// A header of cards of 80 bytes, without `END`.
    pub(super) fn new(cards: Vec<u8>) -> Self {
        Self { cards, sorted: OnceLock::new() }
    }

    /// The cards, 80 bytes each.
    pub fn cards(&self) -> std::slice::ChunksExact<'_, u8> {
        self.cards.chunks_exact(CARD)
    }

    /// The names of the cards with a value, in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.cards().filter_map(name_of).map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// The value of a key; `None` if the key is missing or undefined. The first card of a key is used. Long strings (`CONTINUE`)
    /// are joined, up to 1,000 cards. Keys longer than eight characters are looked up as `HIERARCH`.
    pub fn get(&self, key: &str) -> Option<CardValue> {
        let at = self.find(key)?;
        let mut cards = self.cards().skip(at);
        let field = value_field(cards.next()?, key)?;
        let Some(mut text) = quoted(field) else { return unquoted(field) };
        for card in cards.take(MAX_CONTINUED) {
            if !text.ends_with('&') || !card.starts_with(b"CONTINUE  ") {
                break;
            }
            let Some(more) = quoted(card[10..].trim_ascii_start()) else { break };
            text.pop();
            text.push_str(&more);
        }
        Some(CardValue::Text(text.trim_end().to_owned()))
    }

    /// The index of the first card with a key.
    fn find(&self, key: &str) -> Option<usize> {
        let cards = self.cards();
        if cards.len() <= FEW_CARDS || key.starts_with("HIERARCH ") {
            return self.cards().position(|card| value_field(card, key).is_some());
        }
        let name = |at: u32| name_of(&self.cards[at as usize * CARD..][..CARD]).unwrap_or_default();
        let sorted = self.sorted.get_or_init(|| {
            let named = |(at, card)| name_of(card).map(|_| at);
            let mut sorted: Vec<u32> = (0..).zip(cards).filter_map(named).collect();
            sorted.sort_by(|a, b| without_case(name(*a), name(*b)).then(a.cmp(b)));
            sorted
        });
        let first = sorted.partition_point(|at| without_case(name(*at), key.as_bytes()) == Ordering::Less);
        let at = *sorted.get(first)?;
        (without_case(name(at), key.as_bytes()) == Ordering::Equal).then_some(at as usize)
    }

    /// A key of any type as text; `None` also if it is empty.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| value.to_text().trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A number; `None` if the key is missing or undefined.
    ///
    /// # Errors
    /// When the value is not a number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, WrongKey> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.to_number().map(Some).ok_or_else(|| WrongKey::new(key, &value, "a number"))
    }

    /// An integer; `None` if the key is missing or undefined.
    ///
    /// # Errors
    /// When the value is not an integer.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, WrongKey> {
        match self.get(key) {
            None => Ok(None),
            Some(CardValue::Integer(value)) => Ok(Some(value)),
            Some(value) => Err(WrongKey::new(key, &value, "an integer")),
        }
    }

    /// An integer that the standard requires.
    pub(super) fn required(&self, key: &str) -> Result<i64, String> {
        self.integer(key)?.ok_or_else(|| format!("key `{key}` is missing, expected an integer"))
    }

    /// Whether a key has the logical value true.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(CardValue::Logical(true))
    }
}

/// A key whose value has the wrong type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key `{key}` is `{}`, expected {expected}", found.escape_debug())]
pub struct WrongKey {
    key: String,
    found: String,
    expected: &'static str,
}

impl WrongKey {
    fn new(key: &str, value: &CardValue, expected: &'static str) -> Self {
        Self { key: key.to_owned(), found: value.to_text().chars().take(40).collect(), expected }
    }
}

impl From<WrongKey> for String {
    fn from(error: WrongKey) -> Self {
        error.to_string()
    }
}

/// The text after the `=` of a card, if the card has this key.
fn value_field<'a>(card: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let (name, rest) = card.split_at(8);
    let key = key.as_bytes();
    // Most cards are passed by their first letter.
    if name[0] != b'H' && !key.first().is_some_and(|letter| letter.eq_ignore_ascii_case(&name[0])) {
        return None;
    }
    if name.starts_with(b"HIERARCH") {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let found = rest[..equals].trim_ascii();
        let wanted = key.strip_prefix(b"HIERARCH ").unwrap_or(key);
        return found.eq_ignore_ascii_case(wanted).then(|| rest[equals + 1..].trim_ascii_start());
    }
    let same =
        key.len() <= 8 && name[..key.len()].eq_ignore_ascii_case(key) && name[key.len()..].trim_ascii().is_empty();
    (same && rest.starts_with(b"=")).then(|| rest[1..].trim_ascii_start())
}

/// The name of a card with a value: what [`value_field`] compares with a key.
fn name_of(card: &[u8]) -> Option<&[u8]> {
    let (name, rest) = card.split_at(8);
    if name.starts_with(b"HIERARCH") {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        return Some(rest[..equals].trim_ascii());
    }
    rest.starts_with(b"=").then(|| name.trim_ascii_end())
}

/// The order of two names, in which case does not count.
fn without_case(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_uppercase).cmp(b.iter().map(u8::to_ascii_uppercase))
}

/// A string in quotes. A doubled quote is one quote; trailing blanks are not significant; the last quote may be missing.
fn quoted(field: &[u8]) -> Option<String> {
    let inside = field.strip_prefix(b"'")?;
    let mut bytes = Vec::with_capacity(inside.len());
    let mut at = 0;
    while let Some(&byte) = inside.get(at) {
        if byte == b'\'' {
            if inside.get(at + 1) != Some(&b'\'') {
                break;
            }
            at += 1;
        }
        bytes.push(byte);
        at += 1;
    }
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn unquoted(field: &[u8]) -> Option<CardValue> {
    let end = field.iter().position(|byte| *byte == b'/').unwrap_or(field.len());
    let text = String::from_utf8_lossy(&field[..end]).trim().to_owned();
    match text.as_str() {
        "" => None,
        "T" => Some(CardValue::Logical(true)),
        "F" => Some(CardValue::Logical(false)),
        _ => Some(number(&text).unwrap_or(CardValue::Text(text))),
    }
}

fn number(text: &str) -> Option<CardValue> {
    // Rust also parses `inf` and `nan`, which are text in a header.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eEdD".contains(&byte)) {
        return None;
    }
    if let Ok(value) = text.parse() {
        return Some(CardValue::Integer(value));
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(CardValue::BigInteger(text.strip_prefix('+').unwrap_or(text).to_owned()));
    }
    let value: f64 = text.replace(['d', 'D'], "E").parse().ok()?;
    value.is_finite().then_some(CardValue::Real(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[&str]) -> Header {
        Header::new(cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect())
    }

    #[test]
    fn values_have_the_type_that_they_are_written_in() {
        let header = header(&[
            "SIMPLE  =                    T / yes",
            "NAXIS1  =                 -100",
            "BSCALE  =              1.5D-03 / Fortran",
            "OBJECT  = 'it''s / here  '     / a quote and a slash",
            "EMPTY   =                      / undefined",
            "DATE    = 2026-11-23",
        ]);
        assert_eq!(header.get("SIMPLE"), Some(CardValue::Logical(true)));
        assert_eq!(header.get("NAXIS1"), Some(CardValue::Integer(-100)));
        assert_eq!(header.get("BSCALE"), Some(CardValue::Real(1.5e-3)));
        assert_eq!(header.text("OBJECT").as_deref(), Some("it's / here"));
        assert_eq!(header.get("EMPTY"), None);
        assert_eq!(header.text("DATE").as_deref(), Some("2026-11-23"));
        assert_eq!(header.get("NAXIS"), None);
    }

    #[test]
    fn integers_beyond_64_bits_keep_all_digits() {
        let header = header(&[
            "SPECOBJ = 10133099161583616512",
            "ID      = -9223372036854775809",
            "FITS    =  9223372036854775807",
            "REAL    = 1E19",
        ]);
        assert_eq!(header.text("SPECOBJ").as_deref(), Some("10133099161583616512"));
        assert_eq!(header.text("ID").as_deref(), Some("-9223372036854775809"));
        assert_eq!(header.get("ID").and_then(|value| value.to_number()), Some(-9223372036854775808.0));
        assert_eq!(header.get("FITS"), Some(CardValue::Integer(i64::MAX)));
        assert_eq!(header.get("REAL"), Some(CardValue::Real(1e19)));
    }

    #[test]
    fn joins_long_strings() {
        let header = header(&["LONG    = 'one &'", "CONTINUE  'two &'", "CONTINUE  'three' / end", "NEXT    = 'x&'"]);
        assert_eq!(header.text("LONG").as_deref(), Some("one two three"));
        assert_eq!(header.text("NEXT").as_deref(), Some("x&"));
    }

    #[test]
    fn joins_a_thousand_cards_and_no_more() {
        let cards = |count: usize| {
            let continued = std::iter::repeat_n("CONTINUE  'x&'", count);
            header(&std::iter::once("LONG    = 'x&'").chain(continued).collect::<Vec<_>>())
        };
        assert_eq!(cards(MAX_CONTINUED - 1).text("LONG").map(|text| text.len()), Some(MAX_CONTINUED + 1));
        assert_eq!(cards(5 * MAX_CONTINUED).text("LONG").map(|text| text.len()), Some(MAX_CONTINUED + 2));
    }

    #[test]
    fn looks_up_long_keys_as_hierarch() {
        let header = header(&["HIERARCH ESO TEL AIRM = 1.25 / airmass"]);
        assert_eq!(header.get("ESO TEL AIRM"), Some(CardValue::Real(1.25)));
        assert_eq!(header.get("HIERARCH ESO TEL AIRM"), Some(CardValue::Real(1.25)));
    }

    #[test]
    fn long_headers_are_read_as_short_ones() {
        let few = [
            "SIMPLE  =                    T / yes",
            "COMMENT = not a value, but looks like one",
            "object  = 'first'",
            "OBJECT  = 'second'",
            "HIERARCH ESO TEL AIRM = 1.25 / airmass",
            "HIERARCH GAIN = 2.5",
            "LONG    = 'one &'",
            "CONTINUE  'two'",
            "HISTORY  GAIN = 7",
        ];
        let mut many = few.map(str::to_owned).to_vec();
        many.extend((0..2 * FEW_CARDS).rev().map(|number| format!("KEY{number:<5}= {number}")));
        let many = header(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let few = header(&few);
        for key in
            ["SIMPLE", "OBJECT", "ESO TEL AIRM", "HIERARCH ESO TEL AIRM", "GAIN", "LONG", "COMMENT", "HISTORY", "X"]
        {
            assert_eq!(many.get(key), few.get(key), "{key}");
        }
        assert_eq!(many.get("gain"), Some(CardValue::Real(2.5)));
        for number in [0, 7, 511] {
            assert_eq!(many.get(&format!("KEY{number}")), Some(CardValue::Integer(number)));
        }
        assert_eq!(many.get("KEY512"), None);
        assert_eq!(many.clone(), many);
    }

    #[test]
    fn names_the_key_of_a_value_of_the_wrong_type() {
        let header = header(&["NAXIS1  = 'abc'", "BITPIX  = 1.5"]);
        let message = |key| header.integer(key).expect_err("not an integer").to_string();
        assert_eq!(message("NAXIS1"), "key `NAXIS1` is `abc`, expected an integer");
        assert_eq!(message("BITPIX"), "key `BITPIX` is `1.5`, expected an integer");
        assert_eq!(header.number("NAXIS1").expect_err("text").to_string(), "key `NAXIS1` is `abc`, expected a number");
    }
}
