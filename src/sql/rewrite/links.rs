//! What a written row refers to is the tenant's own: the parent of a `through` table, and the row behind each foreign key that lacks the
//! tenant column. The check stands in the place of the value, so that it runs before the row is stored, and locks the parent as a foreign
//! key does: what it saw is so until the transaction ends.

use super::from::barrier;
use super::linked_row::{Others, may_be_themselves, runs_once};
use super::write::{marker_on, too_few, width};
use super::{Res, Rewriter};
use crate::policy::TableRule;
use crate::sql::catalog::{Column, Relation};
use crate::sql::links::{ForeignKey, key_type};
use crate::sql::scope::{Step, owners};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, InsertStmt, Node, ResTarget, SelectStmt};
use std::sync::Arc;

/// The name of the subquery that holds the values.
const VALUES: &str = "partywall_v";

/// Something that must hold of a row that is written.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Columns of the row and those of the parent.
    pub(super) on: Vec<(String, String)>,
    pub(super) parent: Arc<Relation>,
    /// Begins the error that the check raises; None: that of a row that nobody owns.
    pub(super) prefix: Option<String>,
    /// The parent's row decides whose the row is.
    pub(super) owner: bool,
    /// The row may be its own parent.
    pub(super) itself: bool,
}

impl Rewriter<'_> {
    /// What must hold of each row that is written to a relation.
    pub(super) fn checks(&self, relation: &Relation) -> Res<Vec<Check>> {
        let mut all = Vec::new();
        if let TableRule::Through(through) = &relation.rule
            && !left_out!(self.cx, ThroughInsert)
        {
            let parent = self.parent(&through.schema, &through.table).ok_or_else(|| Refusal::no_relation(&relation.name))?;
            let key = relation.backing().filter(|k| !k.deferrable);
            let prefix = key.map(|k| prefix(relation, k, &through.on));
            all.push(Check { on: through.on.clone(), parent, prefix, owner: true, itself: false });
        }
        for key in &relation.foreign {
            let Some(parent) = self.parent(&key.parent.0, &key.parent.1) else { continue };
            if left_out!(self.cx, ForeignKeys) || !guarded(&parent) || tells_tenant(relation, key, &parent) || is_way(relation, key) {
                continue;
            }
            let prefix = (!key.deferrable).then(|| prefix(relation, key, &key.columns));
            all.push(Check { on: key.columns.clone(), parent, prefix, owner: false, itself: false });
        }
        Ok(all)
    }

    fn parent(&self, schema: &str, name: &str) -> Option<Arc<Relation>> {
        self.cx.catalog.relations.get(&(schema.to_owned(), name.to_owned())).cloned()
    }

    /// The source of an INSERT into a table without a tenant column.
    pub(super) fn plain_source(&mut self, x: &mut InsertStmt) -> Res<()> {
        let Some(source) = x.select_stmt.as_mut() else { return Ok(()) };
        let Some(NodeEnum::SelectStmt(select)) = source.node.as_mut() else {
            return Err(Refusal::not_understood("this INSERT is not supported"));
        };
        if select.values_lists.is_empty() || select.larg.is_some() {
            return self.select(select).map(|_| ());
        }
        if !select.sort_clause.is_empty() || select.limit_count.is_some() || select.limit_offset.is_some() || select.with_clause.is_some() {
            return Err(Refusal::not_understood("VALUES with further clauses is not supported in INSERT"));
        }
        for row in &mut select.values_lists {
            let Some(NodeEnum::List(list)) = row.node.as_mut() else { return Err(Refusal::not_understood("this VALUES is not supported")) };
            for item in list.items.iter_mut().filter(|n| !matches!(n.node, Some(NodeEnum::SetToDefault(_)))) {
                self.expr(item)?;
            }
        }
        Ok(())
    }

    /// INSERT: each row of values, or the query as a whole, is given the checks.
    pub(super) fn insert_checks(&mut self, x: &mut InsertStmt, relation: &Relation) -> Res<()> {
        let mut names = Vec::new();
        let checks = self.checks(relation)?;
        for column in &x.cols {
            let Some(NodeEnum::ResTarget(t)) = &column.node else { return Err(Refusal::not_understood("this INSERT is not supported")) };
            if !t.indirection.is_empty() && checks.iter().any(|c| c.on.iter().any(|(own, _)| *own == t.name)) {
                return Err(Refusal::not_understood(format!("a part of column \"{}\" cannot be written", t.name)));
            }
            if t.indirection.is_empty() && names.contains(&t.name) {
                return Err(Refusal::with_state("42701", format!("column \"{}\" specified more than once", t.name)).at(self.at(t.location)));
            }
            names.push(t.name.clone());
        }
        if !checks.is_empty() {
            rows_fit(x, names.len())?;
        }
        let mut due = Vec::new();
        for check in checks {
            if self.is_due(&check, relation, |own| names.iter().any(|n| n == own))? {
                due.push(check);
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let Some(NodeEnum::SelectStmt(select)) = x.select_stmt.as_mut().and_then(|s| s.node.as_mut()) else { return Ok(()) };
        if select.values_lists.is_empty() || select.larg.is_some() {
            return self.query_checks(select, relation, &names, &due);
        }
        let several = select.values_lists.len() > 1;
        // The server puts another value in an identity's place.
        let replaced = x.r#override == pg::OverridingKind::OverridingUserValue as i32;
        for row in &mut select.values_lists {
            let Some(NodeEnum::List(list)) = row.node.as_mut() else { return Err(Refusal::not_understood("this VALUES is not supported")) };
            let others = Others::Row(&names, list.items.clone());
            let due = if replaced { due.clone() } else { may_be_themselves(&due, relation, &others) };
            self.value_checks(relation, &due, &names, &mut list.items, &others, several)?;
        }
        Ok(())
    }

    /// Whether a check is needed where some columns are written and the others take their defaults. Errors: a default that is not known.
    fn is_due(&self, check: &Check, relation: &Relation, written: impl Fn(&str) -> bool) -> Res<bool> {
        let mut due = true;
        for (own, _) in &check.on {
            let column = relation.column(own).ok_or_else(|| Refusal::no_relation(&relation.name))?;
            if !written(own) {
                due &= self.takes_default(check, relation, column)?;
            }
        }
        Ok(due)
    }

    /// A column takes its default: false where that is NULL, with which no row is stored or no key is broken.
    fn takes_default(&self, check: &Check, relation: &Relation, column: &Column) -> Res<bool> {
        let refused = if column.default {
            Refusal::not_understood(format!("column \"{}\" of \"{}\" must be written by name", column.name, relation.name))
                .detail("Its default may refer to a row of another tenant.")
        } else if check.owner && !column.not_null && !left_out!(self.cx, ThroughInsert) {
            orphan(relation)
        } else {
            return Ok(false);
        };
        Err(refused.hint_at("It is listed", &relation.place))
    }

    /// Puts the checks into the values of one row.
    fn value_checks(
        &mut self,
        relation: &Relation,
        checks: &[Check],
        names: &[String],
        values: &mut [Node],
        others: &Others<'_>,
        several: bool,
    ) -> Res<()> {
        for (index, name) in names.iter().enumerate() {
            // A check stands at the first of its columns that is written.
            let here = |c: &&Check| c.on.iter().find(|(own, _)| names.contains(own)).is_some_and(|(own, _)| own == name);
            let mut due = Vec::new();
            for check in checks.iter().filter(here) {
                let mut needed = true;
                for (own, _) in &check.on {
                    let defaulted = |n: &Node| matches!(n.node, Some(NodeEnum::SetToDefault(_)));
                    let at = names.iter().position(|n| n == own);
                    if at.and_then(|at| values.get(at)).is_some_and(defaulted) {
                        let column = relation.column(own).ok_or_else(|| Refusal::no_relation(&relation.name))?;
                        needed &= self.takes_default(check, relation, column)?;
                    }
                }
                if needed {
                    due.push(check);
                }
            }
            if let Some(value) = values.get_mut(index).filter(|_| !due.is_empty()) {
                *value = self.checked(relation, &due, name, std::mem::take(value), others, several)?;
            }
        }
        Ok(())
    }

    /// `(SELECT CASE WHEN checks THEN c1 END FROM (SELECT value::type AS c1 OFFSET 0) AS partywall_v)`
    fn checked(
        &mut self,
        relation: &Relation,
        checks: &[&Check],
        name: &str,
        value: Node,
        others: &Others<'_>,
        several: bool,
    ) -> Res<Node> {
        let mut columns = vec![name.to_owned()];
        columns.extend(checks.iter().flat_map(|c| &c.on).map(|(own, _)| own.clone()).filter(|own| own != name));
        columns.extend(checks.iter().filter(|c| c.itself).flat_map(|c| &c.on).map(|(_, key)| key.clone()));
        let mut seen = std::collections::HashSet::new();
        columns.retain(|c| seen.insert(c.clone()));
        if matches!(others, Others::Set(..)) && runs_once(&value) {
            return Err(Refusal::not_understood(format!("this value for column \"{name}\" is not supported"))
                .detail("It would be computed once for all rows."));
        }
        let mut targets = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let value = if index == 0 { value.clone() } else { others.value(column)? };
            let val = nodes::boxed(nodes::cast(value, self.key_type_of(relation, column)?));
            targets.push(nodes::node(NodeEnum::ResTarget(Box::new(ResTarget {
                name: format!("c{}", index + 1),
                val,
                location: -1,
                ..Default::default()
            }))));
        }
        let mut values = SelectStmt { target_list: targets, ..nodes::query(Vec::new(), Vec::new()) };
        barrier(&mut values);
        let reference = |column: &str| {
            let at = columns.iter().position(|c| c == column).unwrap_or_default();
            nodes::column(VALUES, &format!("c{}", at + 1))
        };
        let condition = self.conditions(relation, checks, &reference, several)?;
        let result = nodes::case(condition, reference(name), None);
        Ok(nodes::scalar(nodes::query(vec![result], vec![nodes::subquery(values, VALUES, Vec::new())])))
    }

    /// A query's rows: `SELECT c1, CASE WHEN checks THEN c2 END, … FROM (query) AS partywall_v (c1, c2, …)`. What has no type yet in
    /// the query gets it from the column that it is for, so it stands outside.
    fn query_checks(&mut self, select: &mut SelectStmt, relation: &Relation, names: &[String], checks: &[Check]) -> Res<()> {
        let Some(width) = width(select) else {
            return Err(Refusal::not_understood("INSERT from SELECT * is not supported here")
                .detail(format!("Rows of \"{}\" are checked by what they refer to.", relation.name))
                .hint("Name the columns."));
        };
        if width != names.len() {
            return Err(if width > names.len() { Refusal::syntax("INSERT has more expressions than target columns") } else { too_few() });
        }
        let reference = |column: &str| {
            let at = names.iter().position(|c| c == column).unwrap_or_default();
            nodes::column(VALUES, &format!("c{}", at + 1))
        };
        let mut outer = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let due: Vec<&Check> = checks.iter().filter(|c| c.on.first().is_some_and(|(own, _)| own == name)).collect();
            let is_key = checks.iter().any(|c| c.on.iter().any(|(own, _)| own == name));
            let item = match select.target_list.get_mut(index).and_then(|t| t.node.as_mut()).filter(|_| select.larg.is_none()) {
                Some(NodeEnum::ResTarget(t)) => t.val.as_mut().filter(|v| is_bare(v)),
                _ => None,
            };
            let lifted = match item {
                Some(value) if is_key => {
                    **value = nodes::cast(std::mem::take(value), self.key_type_of(relation, name)?);
                    None
                }
                Some(value) => Some(std::mem::replace(&mut **value, nodes::null())),
                None => None,
            };
            outer.push(match lifted {
                Some(value) => value,
                None if due.is_empty() => reference(name),
                None => nodes::case(self.conditions(relation, &due, &reference, true)?, reference(name), None),
            });
        }
        let mut inner = std::mem::take(select);
        barrier(&mut inner);
        let columns = (1..=names.len()).map(|n| nodes::string(&format!("c{n}"))).collect();
        *select = nodes::query(outer, vec![nodes::subquery(inner, VALUES, columns)]);
        Ok(())
    }

    /// SET: a column that leads to a parent takes only what leads to one of the tenant's own.
    pub(super) fn assignment_checks(&mut self, relation: &Relation, reference: &str, targets: &mut [Node]) -> Res<()> {
        let checks = self.checks(relation)?;
        let mut names = Vec::new();
        for target in targets.iter() {
            let Some(NodeEnum::ResTarget(t)) = &target.node else {
                return Err(Refusal::not_understood("this assignment is not supported"));
            };
            names.push(t.name.clone());
        }
        self.moves_no_computed_key(relation, &names)?;
        let due: Vec<Check> = checks.into_iter().filter(|c| c.on.iter().any(|(own, _)| names.contains(own))).collect();
        if due.is_empty() || left_out!(self.cx, OnAssigned) {
            return Ok(());
        }
        let mut values = Vec::new();
        for (target, name) in targets.iter().zip(&names) {
            let Some(NodeEnum::ResTarget(t)) = &target.node else { continue };
            let value = t.val.as_deref().cloned().unwrap_or_default();
            let leads = due.iter().any(|c| c.on.iter().any(|(own, _)| own == name));
            if leads && (!t.indirection.is_empty() || matches!(value.node, Some(NodeEnum::MultiAssignRef(_)))) {
                return Err(Refusal::not_understood(format!("this assignment of column \"{name}\" is not supported"))
                    .hint("Assign it by itself.")
                    .at(self.at(t.location)));
            }
            values.push(value);
        }
        let others = Others::Set(&names, values.clone(), reference.to_owned());
        let moves = due.iter().any(|c| c.parent.oid == relation.oid && c.on.iter().any(|(_, theirs)| names.contains(theirs)));
        self.value_checks(relation, &due, &names, &mut values, &others, moves)?;
        for (target, value) in targets.iter_mut().zip(values) {
            if let Some(NodeEnum::ResTarget(t)) = target.node.as_mut() {
                t.val = nodes::boxed(value);
            }
        }
        Ok(())
    }

    /// MERGE's INSERT: the values of one row.
    pub(super) fn merge_insert_checks(&mut self, relation: &Relation, targets: &[Node], values: &mut [Node]) -> Res<()> {
        let names: Vec<String> = targets.iter().map(name_of).collect();
        let mut due = Vec::new();
        for check in self.checks(relation)? {
            if self.is_due(&check, relation, |own| names.iter().any(|n| n == own))? {
                due.push(check);
            }
        }
        let others = Others::Set(&names, values.to_vec(), String::new());
        self.value_checks(relation, &due, &names, values, &others, true)
    }

    /// COPY cannot look at another table while it reads rows.
    pub(super) fn no_copy_checks(&self, relation: &Relation, columns: &[String]) -> Res<()> {
        for check in self.checks(relation)? {
            if self.is_due(&check, relation, |own| columns.iter().any(|c| c == own))? && !left_out!(self.cx, CopyChecks) {
                let (own, _) = check.on.first().cloned().unwrap_or_default();
                return Err(Refusal::not_understood(format!("COPY into column \"{own}\" of \"{}\" is not supported", relation.name))
                    .detail(format!("It refers to rows of \"{}\", and COPY cannot tell whose those are.", check.parent.name))
                    .hint("Use INSERT, or put the tenant column into the table and its foreign key."));
            }
        }
        Ok(())
    }

    /// All checks that stand at one value.
    fn conditions(&mut self, relation: &Relation, checks: &[&Check], reference: &impl Fn(&str) -> Node, several: bool) -> Res<Node> {
        let mut all = Vec::new();
        for check in checks {
            let refs: Vec<Node> = check.on.iter().map(|(own, _)| reference(own)).collect();
            let mut allowed = Vec::new();
            for ((own, _), value) in check.on.iter().zip(&refs) {
                let stored = relation.column(own).is_none_or(|c| !c.not_null);
                if check.owner && stored {
                    let fails = marker_on(value.clone(), "partywall:parent");
                    all.push(nodes::case(nodes::is_not_null(value.clone()), nodes::truth(true), Some(fails)));
                }
                // The server itself refuses the NULL, or no key is broken by it.
                if !(check.owner && stored) {
                    allowed.push(nodes::is_null(value.clone()));
                }
            }
            allowed.push(self.own_parent(check, refs.clone())?);
            if check.itself {
                let equal = |((_, key), own): (&(String, String), &Node)| nodes::operator("=", own.clone(), reference(key));
                allowed.push(nodes::and(check.on.iter().zip(&refs).map(equal).collect()));
            }
            let itself = several && check.parent.oid == relation.oid;
            let fails = match check.prefix.as_deref().filter(|_| !itself) {
                Some(prefix) => broken_key(prefix, refs),
                None => marker_on(refs.into_iter().next().unwrap_or_default(), if itself { "partywall:early" } else { "partywall:parent" }),
            };
            all.push(nodes::case(nodes::or(allowed), nodes::truth(true), Some(fails)));
        }
        Ok(nodes::and(all))
    }

    /// `EXISTS (SELECT 1 FROM parent … FOR KEY SHARE)`
    fn own_parent(&mut self, check: &Check, values: Vec<Node>) -> Res<Node> {
        let (above, last) = self.steps(&check.parent)?;
        let TableRule::Scoped { column, .. } = &last.rule else { return Err(Refusal::no_relation(&check.parent.name)) };
        let type_oid = last.stored_column(column).ok_or_else(|| Refusal::no_relation(&last.name))?.type_oid;
        let parameter = self.tenant_parameter(type_oid)?;
        self.hidden.named |= last.hidden.is_some();
        let (schema, table) = (check.parent.schema.clone(), check.parent.name.clone());
        let mut steps = vec![Step { schema, table, on: check.on.clone() }];
        steps.extend(above);
        self.looked_up.extend(steps.iter().map(|s| (s.schema.clone(), s.table.clone(), self.writes)));
        let mut select = owners(&steps, values, column, parameter);
        let (strength, wait_policy) = (pg::LockClauseStrength::LcsForkeyshare as i32, pg::LockWaitPolicy::LockWaitBlock as i32);
        if !left_out!(self.cx, ParentLock) {
            select.locking_clause =
                vec![nodes::node(NodeEnum::LockingClause(pg::LockingClause { locked_rels: Vec::new(), strength, wait_policy }))];
        }
        Ok(nodes::exists(select))
    }

    fn key_type_of(&self, relation: &Relation, column: &str) -> Res<&'static str> {
        let known = relation.column(column).and_then(|c| key_type(c.type_oid));
        known.ok_or_else(|| {
            Refusal::not_understood(format!("column \"{column}\" of \"{}\" cannot be written", relation.name))
                .detail("It refers to rows of another table by a type that the wall does not compare.")
        })
    }

    /// A statement sees no parent that it makes itself, by another of its parts.
    pub(super) fn no_parents_made(&self) -> Res<()> {
        for (schema, table, write) in &self.looked_up {
            if self.written.iter().any(|(s, t, other)| s == schema && t == table && other != write) {
                return Err(Refusal::not_understood(format!("one statement cannot write \"{table}\" and rows that refer to it"))
                    .detail("What the rows refer to is looked up as it was before the statement.")
                    .hint("Send two statements."));
            }
        }
        Ok(())
    }
}

/// Each row of VALUES has a value for each column.
fn rows_fit(x: &InsertStmt, columns: usize) -> Res<()> {
    let Some(NodeEnum::SelectStmt(select)) = x.select_stmt.as_ref().and_then(|s| s.node.as_ref()) else { return Ok(()) };
    for row in &select.values_lists {
        let Some(NodeEnum::List(list)) = &row.node else { return Err(Refusal::not_understood("this VALUES is not supported")) };
        match list.items.len().cmp(&columns) {
            std::cmp::Ordering::Less => return Err(too_few()),
            std::cmp::Ordering::Greater => return Err(Refusal::syntax("INSERT has more expressions than target columns")),
            std::cmp::Ordering::Equal => {}
        }
    }
    Ok(())
}

pub(super) fn guarded(relation: &Relation) -> bool {
    matches!(relation.rule, TableRule::Scoped { .. } | TableRule::Through(_))
}

/// The key holds both tenant columns, so it can lead to the own rows only.
pub(super) fn tells_tenant(relation: &Relation, key: &ForeignKey, parent: &Relation) -> bool {
    match (&relation.rule, &parent.rule) {
        (TableRule::Scoped { column: own, .. }, TableRule::Scoped { column: theirs, .. }) => {
            key.columns.iter().any(|(a, b)| a == own && b == theirs)
        }
        _ => false,
    }
}

/// The key is the way to the owner, which is checked anyway.
pub(super) fn is_way(relation: &Relation, key: &ForeignKey) -> bool {
    relation.through().is_some_and(|through| {
        let parent = through.schema == key.parent.0 && through.table == key.parent.1;
        parent && through.on.len() == key.columns.len() && through.on.iter().all(|c| key.columns.contains(c))
    })
}

fn orphan(relation: &Relation) -> Refusal {
    Refusal::not_allowed(format!("a row of \"{}\" can only be written below a row of this tenant", relation.name))
}

/// All that the error of a broken key says but the values.
fn prefix(relation: &Relation, key: &ForeignKey, on: &[(String, String)]) -> String {
    let columns: Vec<&str> = on.iter().map(|(own, _)| own.as_str()).collect();
    let says = serde_json::json!([relation.schema, relation.name, key.name, columns.join(", "), key.parent.1]);
    format!("partywall:key:{says}=")
}

/// `('prefix' || COALESCE(value::text, '') || … || '|partywall')::bool`, which always fails.
fn broken_key(prefix: &str, values: Vec<Node>) -> Node {
    let mut joined = nodes::text(prefix);
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            joined = nodes::operator("||", joined, nodes::text(", "));
        }
        let args = vec![nodes::cast(value, "text"), nodes::text("")];
        let shown = nodes::node(NodeEnum::CoalesceExpr(Box::new(pg::CoalesceExpr { args, location: -1, ..Default::default() })));
        joined = nodes::operator("||", joined, shown);
    }
    nodes::cast(nodes::operator("||", joined, nodes::text("|partywall")), "bool")
}

fn name_of(target: &Node) -> String {
    match &target.node {
        Some(NodeEnum::ResTarget(t)) => t.name.clone(),
        _ => String::new(),
    }
}

/// A literal or parameter without a type of its own.
fn is_bare(value: &Node) -> bool {
    matches!(value.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)))
}
