//! Where a value that names an object by number stands: shown by its name, or a number beside an operator.

use super::catalogs::Mode;
use super::shape::{has_star, is_name_or_null, place_of_named};
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::scope::Scope;
use crate::sql::tree::Value;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, Node, SelectStmt};
use std::collections::BTreeSet;

impl Rewriter<'_> {
    /// A first look at a whole statement, before anything is rewritten.
    pub(super) fn look_for_catalogs(&mut self, node: &NodeEnum, tree: &Value) {
        let inner = match node {
            NodeEnum::PrepareStmt(x) => x.query.as_ref(),
            NodeEnum::DeclareCursorStmt(x) => x.query.as_ref(),
            NodeEnum::ExplainStmt(x) => x.query.as_ref(),
            NodeEnum::CopyStmt(x) => x.query.as_ref(),
            _ => None,
        };
        if let Some(inner) = inner.and_then(|n| n.node.as_ref()) {
            let within = tree.as_object().and_then(|kind| kind.values().next()).map(|fields| &fields["query"]["node"]);
            return self.look_for_catalogs(inner, within.unwrap_or(tree));
        }
        // Most statements work nothing out, and are walked once.
        let within = self.works_out_columns(tree, true);
        self.catalogs.worked_out_within = within;
        self.catalogs.worked_out = within && self.works_out_columns(tree, false);
        let returning = match node {
            NodeEnum::InsertStmt(x) => x.returning_clause.as_ref(),
            NodeEnum::UpdateStmt(x) => x.returning_clause.as_ref(),
            NodeEnum::DeleteStmt(x) => x.returning_clause.as_ref(),
            NodeEnum::MergeStmt(x) => x.returning_clause.as_ref(),
            _ => None,
        };
        returning.iter().flat_map(|r| &r.exprs).for_each(|target| self.mark_shown(value_of(target)));
        let NodeEnum::SelectStmt(select) = node else { return };
        let lower = self.cx.own.text.to_ascii_lowercase();
        if lower.contains("tableoid") {
            tableoids(tree, &mut self.catalogs.tableoid);
            self.catalogs.star = has_star(node) || lower.contains("natural");
        }
        self.catalogs.only = super::rows_calls::only_call(select);
        if select.larg.is_none() {
            for target in select.target_list.iter().chain(&select.sort_clause).chain(&select.group_clause) {
                let value = match &target.node {
                    Some(NodeEnum::SortBy(s)) => s.node.as_deref(),
                    Some(NodeEnum::ResTarget(_)) => value_of(target),
                    _ => Some(target),
                };
                self.mark_shown(value);
            }
            return;
        }
        let mut arms = Vec::new();
        arms_of(select, &mut arms);
        let width = arms.iter().map(|a| a.len()).min().unwrap_or_default();
        for column in 0..width {
            let values: Vec<&Node> = arms.iter().filter_map(|a| value_of(a.get(column)?)).collect();
            // A literal of one arm is looked up as a name of another's type.
            if values.len() == arms.len() && values.iter().all(|v| is_looked_up(v)) {
                values.into_iter().for_each(|v| self.mark_shown(Some(v)));
            }
        }
    }

    /// A value of the outermost target list; also where it comes out of a CASE or a subquery that holds nothing else.
    fn mark_shown(&mut self, value: Option<&Node>) {
        match value.and_then(|v| v.node.as_ref()) {
            Some(NodeEnum::CaseExpr(case)) => {
                let when = case.args.iter().filter_map(|w| match &w.node {
                    Some(NodeEnum::CaseWhen(w)) => w.result.as_deref(),
                    _ => None,
                });
                let branches: Vec<&Node> = when.chain(case.defresult.as_deref()).collect();
                if branches.iter().all(|b| is_name_or_null(b)) {
                    branches.into_iter().for_each(|b| self.mark_shown(Some(b)));
                }
            }
            Some(NodeEnum::SubLink(link)) if link.testexpr.is_none() && link.sub_link_type == pg::SubLinkType::ExprSublink as i32 => {
                if let Some(NodeEnum::SelectStmt(select)) = link.subselect.as_ref().and_then(|s| s.node.as_ref())
                    && select.larg.is_none()
                    && let [target] = select.target_list.as_slice()
                    && let Some(NodeEnum::ResTarget(target)) = &target.node
                {
                    self.mark_shown(target.val.as_deref());
                }
            }
            _ => self.mark(value, Mode::Shown),
        }
    }

    pub(super) fn mark(&mut self, value: Option<&Node>, mode: Mode) {
        if let Some(place) = value.and_then(place_of_named) {
            self.catalogs.modes.entry(place).or_insert(mode);
        }
    }

    /// The catalogs stand as subqueries, which have no system columns but `tableoid`.
    pub(super) fn no_catalog_system(&self, names: &[&str], place: Option<u32>) -> Res<()> {
        let Some(field) = names.last().filter(|name| **name != "tableoid") else { return Ok(()) };
        let catalog = |name: &str| self.catalogs.items.iter().any(|i| i.0 == name);
        let found = match names {
            [.., relation, _] => catalog(relation),
            _ => self.levels.last().is_some_and(|l: &Scope| l.items.iter().any(|i| !i.joined && catalog(&i.name))),
        };
        if found {
            Err(Refusal::not_understood(format!("the system column \"{field}\" of a catalog is not supported")).at(place))
        } else {
            Ok(())
        }
    }
}

fn value_of(target: &Node) -> Option<&Node> {
    match &target.node {
        Some(NodeEnum::ResTarget(t)) => t.val.as_deref(),
        _ => None,
    }
}

/// A value that names an object, whatever stands beside it.
fn is_looked_up(value: &Node) -> bool {
    !matches!(value.node, Some(NodeEnum::ColumnRef(_))) && place_of_named(value).is_some()
}

/// The target lists of a set operation's arms.
fn arms_of<'n>(select: &'n SelectStmt, out: &mut Vec<&'n [Node]>) {
    if select.larg.is_none() {
        return out.push(&select.target_list);
    }
    [&select.larg, &select.rarg].into_iter().flatten().for_each(|arm| arms_of(arm, out));
}

/// By what columns called `tableoid` are qualified.
fn tableoids(tree: &Value, out: &mut BTreeSet<String>) {
    match tree {
        Value::Array(parts) => parts.iter().for_each(|part| tableoids(part, out)),
        Value::Object(parts) => {
            let fields = parts.get("ColumnRef").and_then(|c| c["fields"].as_array()).map(Vec::as_slice).unwrap_or_default();
            let names: Vec<&str> = fields.iter().filter_map(|f| f.pointer("/node/String/sval")?.as_str()).collect();
            match names.as_slice() {
                ["tableoid"] => out.extend([String::new()]),
                [.., relation, "tableoid"] => out.extend([(*relation).to_owned()]),
                _ => {}
            }
            parts.values().for_each(|part| tableoids(part, out));
        }
        _ => {}
    }
}
