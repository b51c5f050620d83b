//! Reads a condition as written: `label in [spiral, merger]`.

use std::cmp::Ordering;

use super::condition::{Condition, Number, Test, Value};

impl Condition {
    /// Reads a condition, or says why the text is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut tokens = tokens.iter();
        let column = match tokens.next() {
            Some(Token::Word(name) | Token::Name(name)) => name.clone(),
            _ => return Err("it does not begin with a column".into()),
        };
        let rest: Vec<&Token> = tokens.collect();
        let word = |token: &Token, word: &str| matches!(token, Token::Word(text) if text == word);
        let test = match rest.as_slice() {
            [Token::Sign(sign), value] => compare(sign, value)?,
            [is, null] if word(is, "is") && word(null, "null") => Test::Null(true),
            [is, not, null] if word(is, "is") && word(not, "not") && word(null, "null") => Test::Null(false),
            [within, list @ ..] if word(within, "in") => Test::OneOf(true, values(list)?),
            [not, within, list @ ..] if word(not, "not") && word(within, "in") => Test::OneOf(false, values(list)?),
            [Token::Sign(_)] => return Err("the value is missing".into()),
            [Token::Sign(_), ..] => return Err("more than one value; put a text with blanks in quotes".into()),
            _ => return Err(format!("`{column}` is followed by no comparison")),
        };
        Ok(Self { column, test })
    }
}

fn compare(sign: &str, value: &Token) -> Result<Test, String> {
    let than = value.value().ok_or("the value is missing")?;
    let (side, or_equal) = match sign {
        "<" => (Ordering::Less, false),
        "<=" => (Ordering::Less, true),
        ">" => (Ordering::Greater, false),
        ">=" => (Ordering::Greater, true),
        "==" => return Ok(Test::OneOf(true, vec![than])),
        "!=" => return Ok(Test::OneOf(false, vec![than])),
        "=" => return Err("`=` compares nothing, write `==`".into()),
        sign => return Err(format!("`{sign}` is no comparison")),
    };
    Ok(Test::Ordered { side, or_equal, than })
}

fn values(list: &[&Token]) -> Result<Vec<Value>, String> {
    let sign = |token: &Token, sign: &str| matches!(token, Token::Sign(text) if text == sign);
    match list {
        [open, inner @ .., close] if sign(open, "[") && sign(close, "]") && !inner.is_empty() => {
            let parts = inner.split(|token| sign(token, ","));
            let value = |part: &[&Token]| if let [value] = part { value.value() } else { None };
            parts.map(value).collect::<Option<_>>().ok_or_else(|| "the list is not one of values with commas".into())
        }
        _ => Err("`in` is followed by no list: `[a, b]`".into()),
    }
}

/// A piece of a condition.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Letters and digits.
    Word(String),
    /// In quotes.
    Text(String),
    /// In backticks.
    Name(String),
    /// `<=`, `[`, `,` and so on.
    Sign(String),
}

impl Token {
    fn value(&self) -> Option<Value> {
        match self {
            Self::Word(text) => {
                let whole = text.parse().map(Number::Whole).ok();
                let number = whole.or_else(|| text.parse().ok().filter(|x: &f64| !x.is_nan()).map(Number::Real));
                Some(Value { text: text.clone(), number })
            }
            Self::Text(text) => Some(Value { text: text.clone(), number: None }),
            Self::Name(_) | Self::Sign(_) => None,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or_else(|| format!("a {first} is not closed"))?;
                let inner = inner[..end].to_owned();
                tokens.push(if first == '`' { Token::Name(inner) } else { Token::Text(inner) });
                end + 2
            }
            '[' | ']' | ',' => {
                tokens.push(Token::Sign(first.into()));
                1
            }
            '<' | '>' | '=' | '!' => {
                let length = if rest[1..].starts_with('=') { 2 } else { 1 };
                tokens.push(Token::Sign(rest[..length].to_owned()));
                length
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || "'\"`[],<>=!".contains(c);
                let length = rest.find(ends).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..length].to_owned()));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_condition_is_said_to_be_none() {
        for (text, reason) in [
            ("", "it does not begin with a column"),
            ("< 3", "it does not begin with a column"),
            ("a", "`a` is followed by no comparison"),
            ("a 3", "`a` is followed by no comparison"),
            ("a <", "the value is missing"),
            ("a = 3", "`=` compares nothing, write `==`"),
            ("a ! 3", "`!` is no comparison"),
            ("a == b c", "more than one value; put a text with blanks in quotes"),
            ("a in b", "`in` is followed by no list: `[a, b]`"),
            ("a in []", "`in` is followed by no list: `[a, b]`"),
            ("a in [b c]", "the list is not one of values with commas"),
            ("a in [b,]", "the list is not one of values with commas"),
            ("a == 'b", "a ' is not closed"),
        ] {
            assert_eq!(Condition::parse(text).expect_err(text), reason, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_condition_or_says_why_not(
            text in "([a-z]{1,4}|<|>=|==|=|!|in|not|is|null|\\[|\\]|,|'|\"|`|-?[0-9.]{1,4}|é| ){0,9}",
        ) {
            if let Err(reason) = Condition::parse(&text) {
                prop_assert!(!reason.is_empty());
            }
        }
    }
}
