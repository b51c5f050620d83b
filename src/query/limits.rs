//! What a query may ask for: how long its text and how deep its expressions may be.

use std::ops::ControlFlow;

use datafusion::sql::{
    parser::Statement,
    sqlparser::ast::{Expr, Query, SetExpr, Visit, Visitor},
};

/// The longest text of a query.
const MAX_SQL_BYTES: usize = 256 << 10;
/// How deep expressions and unions may be nested. The time to plan a query grows with the square of it or faster: a sum of 2,000
/// terms takes seconds, one of 20,000 more than ten minutes.
const MAX_DEPTH: usize = 1000;

/// Refuses a text that is too long to be a query.
pub(super) fn check_length(sql: &str) -> Result<(), String> {
    if sql.len() <= MAX_SQL_BYTES {
        return Ok(());
    }
    Err(format!("the query has {} bytes, expected at most {MAX_SQL_BYTES}", sql.len()))
}

/// Refuses a statement that would take very long to plan.
pub(super) fn check_depth(statement: &Statement) -> Result<(), String> {
    let statement = match statement {
        Statement::Statement(statement) => statement,
        Statement::Explain(explain) => return check_depth(&explain.statement),
        // Statements that are not queries are refused when they are planned.
        _ => return Ok(()),
    };
    let mut depth = Depth::default();
    let _ = statement.visit(&mut depth);
    if depth.most <= MAX_DEPTH {
        return Ok(());
    }
    Err(format!(
        "an expression or a union of the query is nested {} deep, expected at most {MAX_DEPTH}: write `a in (...)` instead of \
         many `or`, or put parts of it in parentheses",
        depth.most
    ))
}

/// How deep a statement is nested.
#[derive(Default)]
struct Depth {
    now: usize,
    most: usize,
}

impl Depth {
    fn enter(&mut self, levels: usize) -> ControlFlow<()> {
        self.now += levels;
        self.most = self.most.max(self.now);
        ControlFlow::Continue(())
    }
}

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.enter(1)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.now -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.enter(unions(query))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.now -= unions(query);
        ControlFlow::Continue(())
    }
}

/// The levels of a query: `a union b union c` is `(a union b) union c`.
fn unions(query: &Query) -> usize {
    let mut levels = 1;
    let mut body = query.body.as_ref();
    while let SetExpr::SetOperation { left, .. } = body {
        levels += 1;
        body = left;
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message for the only statement of a text, parsed with the stack that the command gives to queries.
    fn refusal(sql: String) -> Option<String> {
        let check = move || {
            let mut statements = super::super::statements(&sql).expect("SQL");
            check_depth(&statements.remove(0)).err()
        };
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(check).expect("a thread");
        thread.join().expect("no panic")
    }

    fn deep(levels: usize) -> String {
        format!("an expression or a union of the query is nested {levels} deep, expected at most 1000")
    }

    #[test]
    fn long_sums_conditions_and_unions_are_refused_and_lists_are_not() {
        let chain = |part: &str, operator: &str, count: usize| vec![part; count].join(operator);
        // The query itself is one level, and each term but the first one more.
        assert_eq!(refusal(format!("select {}", chain("1", "+", 999))), None);
        let message = refusal(format!("select {}", chain("1", "+", 1000))).expect("refused");
        assert!(message.starts_with(&deep(1001)), "{message}");
        let message = refusal(format!("explain select 1 where {}", chain("true", " or ", 2000))).expect("refused");
        assert!(message.starts_with(&deep(2001)), "{message}");
        let message = refusal(chain("select 1", " union all ", 5000)).expect("refused");
        assert!(message.starts_with(&deep(5001)), "{message}");
        assert_eq!(refusal(format!("select 1 where 1 in ({})", chain("1", ",", 20_000))), None);
        // Parts in parentheses are as deep as the deepest of them.
        let part = format!("({})", chain("1", "+", 100));
        assert_eq!(refusal(format!("select {}", chain(&part, "+", 100))), None);
    }

    #[test]
    fn texts_longer_than_a_quarter_of_a_mebibyte_are_refused() {
        assert_eq!(check_length(&" ".repeat(MAX_SQL_BYTES)), Ok(()));
        let message = check_length(&" ".repeat(MAX_SQL_BYTES + 1)).expect_err("refused");
        assert_eq!(message, "the query has 262145 bytes, expected at most 262144");
    }
}
