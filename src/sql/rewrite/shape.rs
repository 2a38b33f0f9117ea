//! The forms of expressions that look into the catalogs: which name an object, which are text, and templates filled in. No judgement here.

use super::Res;
use crate::sql::Refusal;
use crate::sql::catalogs::functions::Argument;
use crate::sql::catalogs::regtypes;
use crate::sql::nodes;
use crate::sql::tree::{self, Value};
use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, Node, TypeName, a_const};

/// Whether an argument is what a template wants.
pub(super) fn fits(wanted: &Argument, given: &Node) -> bool {
    match wanted {
        Argument::Exactly(text) => string_of(given).is_some_and(|s| s == *text),
        Argument::Literal | Argument::Table => string_of(given).is_some(),
        Argument::Role => match &given.node {
            Some(NodeEnum::AConst(c)) => c.isnull || string_of(given).is_some(),
            other => matches!(other, Some(NodeEnum::SqlvalueFunction(_))),
        },
        Argument::Class => match &given.node {
            Some(NodeEnum::TypeCast(x)) => x.type_name.as_ref().and_then(reg_type).as_deref() == Some("regclass"),
            _ => false,
        },
        Argument::Column => match &given.node {
            Some(NodeEnum::TypeCast(x)) => x.arg.as_deref().is_some_and(|a| matches!(a.node, Some(NodeEnum::ParamRef(_)))),
            other => matches!(other, Some(NodeEnum::ColumnRef(_) | NodeEnum::ParamRef(_))),
        },
        _ => !matches!(given.node, Some(NodeEnum::NamedArgExpr(_))),
    }
}

/// Where a value that may name an object stands: a cast to such a type, a call that gives one, a column.
pub(super) fn place_of_named(value: &Node) -> Option<i32> {
    match &value.node {
        Some(NodeEnum::TypeCast(cast)) => cast.type_name.as_ref().and_then(reg_type).map(|_| cast.location),
        Some(NodeEnum::FuncCall(call)) => {
            let names = nodes::names(&call.funcname)?;
            let name = names.last()?;
            regtypes::names_an_object(name).then_some(call.location)
        }
        Some(NodeEnum::ColumnRef(column)) => Some(column.location),
        _ => None,
    }
}

/// A value that names an object, a subquery, or NULL: beside it nothing is looked up.
pub(super) fn is_name_or_null(value: &Node) -> bool {
    match &value.node {
        Some(NodeEnum::AConst(c)) => c.isnull,
        Some(NodeEnum::SubLink(_)) => true,
        Some(NodeEnum::ColumnRef(_)) => false,
        _ => place_of_named(value).is_some(),
    }
}

/// The type of this name that looks names up.
pub(super) fn reg_type(type_name: &TypeName) -> Option<String> {
    let names = nodes::names(&type_name.names)?;
    let name = match names.as_slice() {
        [name] | ["pg_catalog", name] => *name,
        _ => return None,
    };
    (regtypes::set_of(name).is_some() && type_name.array_bounds.is_empty() && !type_name.setof).then(|| name.to_owned())
}

/// A type that no name is looked up in.
pub(super) fn is_plain_scalar(type_name: &TypeName) -> bool {
    let names = nodes::names(&type_name.names).unwrap_or_default();
    type_name.array_bounds.is_empty()
        && matches!(names.as_slice(), [n] | ["pg_catalog", n] if matches!(*n, "text" | "varchar" | "name" | "oid" | "int4" | "int8"))
}

/// The text of a string literal.
pub(super) fn string_of(value: &Node) -> Option<String> {
    match &value.node {
        Some(NodeEnum::AConst(c)) => match &c.val {
            Some(a_const::Val::Sval(s)) => Some(s.sval.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The literal `false`.
pub(super) fn is_false(value: &Node) -> bool {
    matches!(&value.node, Some(NodeEnum::AConst(c)) if matches!(&c.val, Some(a_const::Val::Boolval(b)) if !b.boolval))
}

/// Whether an expression is certainly text and not a number: a call, a concatenation, a parameter, a cast to text.
pub(super) fn is_text(value: &Node) -> bool {
    match &value.node {
        Some(NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::FuncCall(call)) => {
            let texts = &["quote_ident", "concat", "concat_ws", "format", "pg_get_serial_sequence"];
            nodes::names(&call.funcname).is_some_and(|n| n.last().is_some_and(|last| texts.contains(last)))
        }
        Some(NodeEnum::AExpr(x)) => nodes::names(&x.name).is_some_and(|n| n.last() == Some(&"||")),
        Some(NodeEnum::TypeCast(x)) => x.type_name.as_ref().is_some_and(|t| {
            nodes::names(&t.names).is_some_and(|n| matches!(n.last(), Some(&("text" | "varchar" | "name")))) && t.array_bounds.is_empty()
        }),
        _ => false,
    }
}

/// `ROW(…)`, also without the word.
pub(super) fn is_row(value: &Node) -> bool {
    matches!(value.node, Some(NodeEnum::RowExpr(_)))
}

/// Whether an operation compares rows as values, column by column at run time: a type without an equality in one is an error as soon as
/// all before it are equal. Two rows that are written out are compared by operators of their own.
pub(super) fn compares_rows(x: &AExpr) -> bool {
    let (Some(left), Some(right)) = (x.lexpr.as_deref(), x.rexpr.as_deref()) else { return false };
    let flat = |n: &Node| matches!(&n.node, Some(NodeEnum::RowExpr(row)) if !row.args.iter().any(is_row));
    let pair = |left: &Node, right: &Node| (is_row(left) || is_row(right)) && !(flat(left) && flat(right));
    match &right.node {
        _ if x.kind == AExprKind::AexprNullif as i32 => is_row(left) || is_row(right),
        Some(NodeEnum::List(list)) => list.items.iter().any(|item| pair(left, item)),
        _ => pair(left, right),
    }
}

/// A constant LIKE pattern without an escape: no value can make it fail.
pub(super) fn plain_pattern(pattern: &Node) -> bool {
    match &pattern.node {
        Some(NodeEnum::AConst(c)) => matches!(&c.val, Some(a_const::Val::Sval(s)) if !s.sval.contains('\\')),
        _ => false,
    }
}

/// Whether a star may show a catalog's columns. One that stands alone over subqueries only shows what they show.
pub(super) fn has_star(node: &NodeEnum) -> bool {
    tree::of(node).map_or(true, |tree| starred(&tree))
}

fn starred(tree: &Value) -> bool {
    let stars = |part: &Value| part.pointer("/node/ResTarget/val/node/ColumnRef/fields/0/node/AStar").is_some();
    match tree {
        Value::Array(parts) => parts.iter().any(starred),
        Value::Object(parts) => parts.iter().any(|(name, part)| {
            let from = part["from_clause"].as_array().filter(|_| name == "SelectStmt");
            let subqueries = from.is_some_and(|f| !f.is_empty() && f.iter().all(|item| item.pointer("/node/RangeSubselect").is_some()));
            match part.as_object().filter(|_| subqueries) {
                Some(select) => select.iter().any(|(clause, part)| match part.as_array().filter(|_| clause == "target_list") {
                    Some(targets) => targets.iter().any(|target| !stars(target) && starred(target)),
                    None => starred(part),
                }),
                None => name == "AStar" || starred(part),
            }
        }),
        _ => false,
    }
}

/// The query of a catalog as a tree.
pub(super) fn parsed(text: &str) -> Res<Node> {
    let broken = || Refusal::not_understood("a catalog's query cannot be read");
    let mut stmts = pg_query::parse(text, pg_query::ParserOptions::default()).map_err(|_| broken())?.protobuf.stmts;
    match stmts.pop().and_then(|s| s.stmt) {
        Some(stmt) if stmts.is_empty() => Ok(*stmt),
        _ => Err(broken()),
    }
}

/// The expression with each `$n` replaced.
pub(super) fn filled(text: &str, operands: &[Node]) -> Res<Node> {
    let broken = || Refusal::not_understood("a catalog's expression cannot be read");
    let mut query = parsed(&format!("SELECT {text}"))?;
    let Some(NodeEnum::SelectStmt(select)) = query.node.as_mut() else { return Err(broken()) };
    let Some(NodeEnum::ResTarget(target)) = select.target_list.first_mut().and_then(|t| t.node.as_mut()) else { return Err(broken()) };
    let mut value = *target.val.take().ok_or_else(broken)?;
    fill(&mut value, operands).ok_or_else(broken)?;
    Ok(value)
}

/// Walks the node kinds that the templates have.
pub(super) fn fill(value: &mut Node, operands: &[Node]) -> Option<()> {
    let all = |list: &mut [Node]| list.iter_mut().try_for_each(|n| fill(n, operands));
    match value.node.as_mut()? {
        NodeEnum::ParamRef(p) => {
            let index = usize::try_from(p.number).ok()?.checked_sub(1)?;
            *value = operands.get(index)?.clone();
            Some(())
        }
        NodeEnum::FuncCall(x) => all(&mut x.args),
        NodeEnum::BoolExpr(x) => all(&mut x.args),
        NodeEnum::CaseExpr(x) => {
            all(&mut x.args)?;
            x.defresult.as_mut().map_or(Some(()), |n| fill(n, operands))
        }
        NodeEnum::CaseWhen(x) => {
            fill(x.expr.as_mut()?, operands)?;
            fill(x.result.as_mut()?, operands)
        }
        NodeEnum::AExpr(x) => [x.lexpr.as_mut(), x.rexpr.as_mut()].into_iter().flatten().try_for_each(|n| fill(n, operands)),
        NodeEnum::TypeCast(x) => fill(x.arg.as_mut()?, operands),
        NodeEnum::NullTest(x) => fill(x.arg.as_mut()?, operands),
        // These hold no operand.
        NodeEnum::AConst(_) | NodeEnum::SqlvalueFunction(_) | NodeEnum::SubLink(_) => Some(()),
        _ => None,
    }
}
