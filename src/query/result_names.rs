//! Names for columns that SQL leaves without one.
//!
//! DataFusion calls a subquery after its first column, so `select (select count(*) from a), (select count(*) from b)` would have two
//! columns `count(*)`, which it refuses. Where several columns are made of subqueries, they are called by their text.

use std::ops::ControlFlow;

use datafusion::sql::{
    parser::Statement,
    sqlparser::ast::{Expr, Ident, Select, SelectItem, Visit, VisitMut, Visitor, VisitorMut},
};

/// Names the subqueries of a statement.
pub(super) fn name_subqueries(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => _ = VisitMut::visit(statement.as_mut(), &mut Names),
        Statement::Explain(explain) => name_subqueries(&mut explain.statement),
        _ => {}
    }
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let is_unnamed = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(expr) if has_subquery(expr));
        if select.projection.iter().filter(|item| is_unnamed(item)).count() > 1 {
            for item in select.projection.iter_mut().filter(|item| is_unnamed(item)) {
                if let SelectItem::UnnamedExpr(expr) = item {
                    let alias = Ident::with_quote('"', expr.to_string());
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn has_subquery(expr: &Expr) -> bool {
    struct Subquery;

    impl Visitor for Subquery {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if matches!(expr, Expr::Subquery(_)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    expr.visit(&mut Subquery).is_break()
}

/// Whether a statement selects all columns of some table.
pub(super) fn has_wildcard(statement: &Statement) -> bool {
    struct Wildcard;

    impl Visitor for Wildcard {
        type Break = ();

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            let is_wildcard =
                |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            if select.projection.iter().any(is_wildcard) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    match statement {
        Statement::Statement(statement) => statement.visit(&mut Wildcard).is_break(),
        Statement::Explain(explain) => has_wildcard(&explain.statement),
        _ => false,
    }
}
