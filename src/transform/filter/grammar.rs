//! The grammar of conditions: from text such as `label in [spiral, merger]`.

use std::cmp::Ordering;

use super::condition::{Condition, Literal, LiteralNumber, Predicate};

impl Condition {
    /// Parses a condition, or returns why the text is not one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut tokens = tokens.iter();
        let column = match tokens.next() {
            Some(Token::Word(name) | Token::Name(name)) => name.clone(),
            _ => return Err("it does not begin with a column".into()),
        };
        let rest: Vec<&Token> = tokens.collect();
        let word = |token: &Token, word: &str| matches!(token, Token::Word(text) if text == word);
        let predicate = match rest.as_slice() {
            [Token::Sign(sign), value] => comparison(sign, value)?,
            [is, null] if word(is, "is") && word(null, "null") => Predicate::Null(true),
            [is, not, null] if word(is, "is") && word(not, "not") && word(null, "null") => Predicate::Null(false),
            [within, list @ ..] if word(within, "in") => Predicate::OneOf(true, literals(list)?),
            [not, within, list @ ..] if word(not, "not") && word(within, "in") => {
                Predicate::OneOf(false, literals(list)?)
            }
            [Token::Sign(_)] => return Err("the value is missing".into()),
            [Token::Sign(_), ..] => return Err("expected one value; quote a text that contains blanks".into()),
            _ => return Err(format!("expected a comparison after `{column}`")),
        };
        Ok(Self { column, predicate })
    }
}

fn comparison(sign: &str, value: &Token) -> Result<Predicate, String> {
    let than = value.literal().ok_or("the value is missing")?;
    let (side, or_equal) = match sign {
        "<" => (Ordering::Less, false),
        "<=" => (Ordering::Less, true),
        ">" => (Ordering::Greater, false),
        ">=" => (Ordering::Greater, true),
        "==" => return Ok(Predicate::OneOf(true, vec![than])),
        "!=" => return Ok(Predicate::OneOf(false, vec![than])),
        "=" => return Err("`=` is not a comparison, write `==`".into()),
        sign => return Err(format!("`{sign}` is not a comparison")),
    };
    Ok(Predicate::Ordered { side, or_equal, than })
}

fn literals(list: &[&Token]) -> Result<Vec<Literal>, String> {
    let sign = |token: &Token, sign: &str| matches!(token, Token::Sign(text) if text == sign);
    match list {
        [open, inner @ .., close] if sign(open, "[") && sign(close, "]") && !inner.is_empty() => {
            let items = inner.split(|token| sign(token, ","));
            let literal = |item: &[&Token]| if let [value] = item { value.literal() } else { None };
            items.map(literal).collect::<Option<_>>().ok_or_else(|| "expected values separated by commas".into())
        }
        _ => Err("expected a list after `in`: `[a, b]`".into()),
    }
}

/// A piece of a condition.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Characters without blanks and signs.
    Word(String),
    /// Text in quotes.
    Text(String),
    /// A column name in backticks.
    Name(String),
    /// `<=`, `[`, `,` and so on.
    Sign(String),
}

impl Token {
    fn literal(&self) -> Option<Literal> {
        match self {
            Self::Word(text) => {
                let integer = text.parse().map(LiteralNumber::Integer).ok();
                let real = || text.parse().ok().filter(|x: &f64| !x.is_nan()).map(LiteralNumber::Real);
                Some(Literal { text: text.clone(), number: integer.or_else(real) })
            }
            Self::Text(text) => Some(Literal { text: text.clone(), number: None }),
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
                let end = inner.find(first).ok_or_else(|| format!("{first} is not closed"))?;
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
    fn rejects_texts_that_are_not_conditions() {
        for (text, reason) in [
            ("", "it does not begin with a column"),
            ("< 3", "it does not begin with a column"),
            ("a", "expected a comparison after `a`"),
            ("a 3", "expected a comparison after `a`"),
            ("a <", "the value is missing"),
            ("a = 3", "`=` is not a comparison, write `==`"),
            ("a ! 3", "`!` is not a comparison"),
            ("a == b c", "expected one value; quote a text that contains blanks"),
            ("a in b", "expected a list after `in`: `[a, b]`"),
            ("a in []", "expected a list after `in`: `[a, b]`"),
            ("a in [b c]", "expected values separated by commas"),
            ("a in [b,]", "expected values separated by commas"),
            ("a == 'b", "' is not closed"),
        ] {
            assert_eq!(Condition::parse(text).expect_err(text), reason, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parses_any_text_or_returns_a_reason(
            text in "([a-z]{1,4}|<|>=|==|=|!|in|not|is|null|\\[|\\]|,|'|\"|`|-?[0-9.]{1,4}|é| ){0,9}",
        ) {
            if let Err(reason) = Condition::parse(&text) {
                prop_assert!(!reason.is_empty());
            }
        }
    }
}
