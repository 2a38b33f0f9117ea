//! Names of output columns: where the wall puts another expression in the place of one without a name, the name stays (parse_target.c,
//! FigureColname).

use super::json;
use super::write::width;
use crate::sql::nodes;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, SubLinkType};

/// The names that the targets of a list have by themselves.
pub(super) fn of(targets: &[Node]) -> Vec<Option<String>> {
    targets.iter().map(|t| unnamed(t).and_then(label)).collect()
}

/// The names that the targets of a list are shown under.
pub(super) fn shown(targets: &[Node]) -> Vec<Option<String>> {
    let one = |target: &Node| match &target.node {
        Some(NodeEnum::ResTarget(t)) if !t.name.is_empty() => Some(t.name.clone()),
        _ => unnamed(target).and_then(label),
    };
    targets.iter().map(one).collect()
}

/// Gives each target that has another name now the one it had.
pub(super) fn keep(targets: &mut [Node], before: Vec<Option<String>>) {
    for (target, before) in targets.iter_mut().zip(before) {
        let now = unnamed(target).and_then(label);
        if let (Some(name), Some(NodeEnum::ResTarget(t))) = (before, target.node.as_mut())
            && now.as_ref() != Some(&name)
        {
            t.name = name;
        }
    }
}

/// The names of output columns as far as they are known; `?column?` is none that a statement names.
pub(super) fn names(targets: &[Node]) -> Vec<String> {
    let name = |target: &Node| match &target.node {
        Some(NodeEnum::ResTarget(t)) if t.name.is_empty() => t.val.as_deref().and_then(label).unwrap_or_else(|| "?column?".to_owned()),
        Some(NodeEnum::ResTarget(t)) => t.name.clone(),
        _ => String::new(),
    };
    targets.iter().map(name).collect()
}

/// The names of a query's columns; None where a star hides them.
pub(super) fn outputs(select: &SelectStmt) -> Option<Vec<String>> {
    if let Some(left) = &select.larg {
        return outputs(left);
    }
    if let Some(NodeEnum::List(row)) = select.values_lists.first().and_then(|r| r.node.as_ref()) {
        return Some((1..=row.items.len()).map(|n| format!("column{n}")).collect());
    }
    let names = names(&select.target_list);
    (names.len() == select.target_list.len() && width(select).is_some()).then_some(names)
}

/// A bare name in ORDER BY, GROUP BY or DISTINCT ON that is the name of an output column.
pub(super) fn names_output(item: &Node, labels: &[String]) -> bool {
    let value = match &item.node {
        Some(NodeEnum::SortBy(x)) => x.node.as_deref(),
        _ => Some(item),
    };
    match value.and_then(|v| v.node.as_ref()) {
        Some(NodeEnum::ColumnRef(c)) => matches!(nodes::names(&c.fields).as_deref(), Some([one]) if labels.iter().any(|l| l == one)),
        _ => false,
    }
}

fn unnamed(target: &Node) -> Option<&Node> {
    match &target.node {
        Some(NodeEnum::ResTarget(t)) if t.name.is_empty() => t.val.as_deref(),
        _ => None,
    }
}

/// The name of a column, a call, a cast, or what shows one of these; None of anything else.
fn label(value: &Node) -> Option<String> {
    strong(value).or_else(|| match &value.node {
        Some(NodeEnum::TypeCast(x)) => nodes::names(&x.type_name.as_ref()?.names)?.last().map(|s| (*s).to_owned()),
        Some(NodeEnum::CaseExpr(_)) => Some("case".to_owned()),
        Some(NodeEnum::CollateClause(x)) => label(x.arg.as_deref()?),
        _ => None,
    })
}

/// A name that a cast or CASE around it takes over.
fn strong(value: &Node) -> Option<String> {
    let last = |names: &[Node]| match names.last().and_then(|n| n.node.as_ref()) {
        Some(NodeEnum::String(s)) => Some(s.sval.clone()),
        _ => None,
    };
    match value.node.as_ref()? {
        NodeEnum::ColumnRef(x) => last(&x.fields),
        NodeEnum::FuncCall(x) => last(&x.funcname),
        NodeEnum::AIndirection(x) => {
            let field = x.indirection.iter().rev().find(|n| matches!(n.node, Some(NodeEnum::String(_))));
            field.map_or_else(|| strong(x.arg.as_deref()?), |f| last(std::slice::from_ref(f)))
        }
        NodeEnum::TypeCast(x) => strong(x.arg.as_deref()?),
        NodeEnum::CollateClause(x) => strong(x.arg.as_deref()?),
        NodeEnum::CaseExpr(x) => strong(x.defresult.as_deref()?),
        NodeEnum::MergeSupportFunc(_) => Some("merge_action".to_owned()),
        json if json::label(json).is_some() => json::label(json).map(str::to_owned),
        NodeEnum::SubLink(x) if x.sub_link_type == SubLinkType::ExprSublink as i32 => match x.subselect.as_ref()?.node.as_ref()? {
            NodeEnum::SelectStmt(select) => match select.target_list.first()?.node.as_ref()? {
                NodeEnum::ResTarget(t) if t.name.is_empty() => label(t.val.as_deref()?),
                NodeEnum::ResTarget(t) => Some(t.name.clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
