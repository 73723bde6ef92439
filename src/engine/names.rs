//! The names of rewritten expressions.

use datafusion::logical_expr::Expr;

/// An expression with the name of the expression that it replaces.
pub fn named_as(original: &Expr, rewritten: Expr) -> Expr {
    let (qualifier, name) = original.qualified_name();
    if rewritten.qualified_name() == (qualifier.clone(), name.clone()) { rewritten } else { rewritten.alias_qualified(qualifier, name) }
}
