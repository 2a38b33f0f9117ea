//! What lies in a tenant's own place: written, locked and emptied as in a database of its own; only names are judged.

use super::from::{Filter, barriers, push};
use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::scope::{Item, Scope, Thing, Traits, Use};
use crate::sql::{Kind, Refusal, nodes, sequences};
use pg_query::NodeEnum;
use pg_query::protobuf::{CmdType, DropBehavior, FuncCall, InferClause, MergeStmt, MergeWhenClause, Node, RangeVar, TruncateStmt, a_const};
use std::sync::Arc;

impl Rewriter<'_> {
    /// The table without a guard that a name means: a temporary one, or the tenant's own. It is qualified in place.
    pub(super) fn unguarded(&mut self, var: &mut RangeVar) -> Option<Arc<Relation>> {
        if let Some(table) = self.temp(var) {
            return Some(table);
        }
        let own = self.cx.catalog.own(&var.schemaname, &var.relname).filter(|_| var.catalogname.is_empty())?.clone();
        if !left_out!(self.cx, OwnSchema) {
            var.schemaname.clone_from(&own.schema);
        }
        Some(own)
    }

    /// What ON CONFLICT infers a key from.
    pub(super) fn infer_unguarded(&mut self, infer: Option<&mut Box<InferClause>>) -> Res<()> {
        let Some(infer) = infer else { return Ok(()) };
        for element in &mut infer.index_elems {
            match element.node.as_mut() {
                Some(NodeEnum::IndexElem(e)) if e.collation.is_empty() && e.opclass.is_empty() => self.optional(e.expr.as_mut())?,
                _ => return Err(Refusal::not_understood("this conflict target is not supported")),
            };
        }
        self.optional(infer.where_clause.as_mut()).map(|_| ())
    }

    /// MERGE into such a table.
    pub(super) fn merge_unguarded(&mut self, x: &mut MergeStmt, mut scope: Scope) -> Res<()> {
        let fences = self.fences;
        let Some(source) = x.source_relation.as_mut() else { return Err(Refusal::not_understood("MERGE without a source")) };
        let mut sources = Scope::default();
        if !self.from_item(source, Filter::None, &mut sources)?.is_empty() {
            return Err(Refusal::not_understood("this source of MERGE is not supported"));
        }
        for item in sources.items {
            let source = push(&mut scope, item.name, item.thing)?;
            (source.nullable, source.aliased) = (item.nullable, item.aliased);
        }
        self.levels.push(scope);
        self.optional(x.join_condition.as_mut())?;
        for when in &mut x.merge_when_clauses {
            match when.node.as_mut() {
                Some(NodeEnum::MergeWhenClause(when)) => self.merge_when_unguarded(when)?,
                _ => return Err(Refusal::not_understood("this part of MERGE is not supported")),
            }
        }
        self.returning(x.returning_clause.as_mut())?;
        self.levels.pop();
        if self.fences != fences
            && let Some(source) = x.source_relation.as_mut()
        {
            barriers(std::slice::from_mut(source.as_mut()));
        }
        Ok(())
    }

    fn merge_when_unguarded(&mut self, when: &mut MergeWhenClause) -> Res<()> {
        self.optional(when.condition.as_mut())?;
        match CmdType::try_from(when.command_type).unwrap_or(CmdType::Undefined) {
            CmdType::CmdUpdate => self.assignments(&mut when.target_list),
            CmdType::CmdInsert => {
                for target in &mut when.target_list {
                    match target.node.as_mut() {
                        Some(NodeEnum::ResTarget(t)) => self.target_indirection(t)?,
                        _ => return Err(Refusal::not_understood("this part of MERGE is not supported")),
                    }
                }
                let computed = |n: &&mut Node| !matches!(n.node, Some(NodeEnum::SetToDefault(_)));
                when.values.iter_mut().filter(computed).try_for_each(|value| self.expr(value).map(|_| ()))
            }
            CmdType::CmdDelete | CmdType::CmdNothing => Ok(()),
            _ => Err(Refusal::not_understood("this part of MERGE is not supported")),
        }
    }

    /// The name by which the new row of an upsert is read.
    pub(super) fn excluded(table: &Arc<Relation>) -> Item {
        let thing = if table.is_own() { Thing::Shared(table.clone()) } else { Thing::Opaque };
        Item::new("excluded", thing)
    }

    /// `setval` of an own sequence: by a literal name, or the one that a column owns.
    pub(super) fn setval(&mut self, call: &mut FuncCall) -> Res<Traits> {
        let plain = call.over.is_none() && call.agg_filter.is_none() && call.agg_order.is_empty() && matches!(call.args.len(), 2 | 3);
        let Some((first, rest)) = call.args.split_first_mut().filter(|_| plain) else { return Err(Refusal::no_function("setval(…)")) };
        match literal_name(first) {
            Some(text) => {
                let lasting = if self.cx.catalog.is_own_place() { sequences::resolve(self.cx.catalog, &text) } else { None };
                let sent = self.temp_sequence(&text).or(lasting);
                let sent = sent.ok_or_else(|| no_setval("Only a sequence of this session's own may be set."))?;
                *first = nodes::text(&sent);
            }
            None if is_owned_by_column(first) && self.cx.catalog.is_own_place() && self.cx.catalog.home.schema().is_none() => {
                self.expr(first)?;
            }
            None => {
                return Err(no_setval("Only a literal name of a sequence, or pg_get_serial_sequence(…), is allowed."));
            }
        }
        self.exprs(rest)?;
        call.funcname = vec![nodes::string("pg_catalog"), nodes::string("setval")];
        Ok(Traits { uses: vec![Use::Any], ..Traits::default() }.raising())
    }

    /// TRUNCATE of own tables alone, or of temporary ones, is the server's own; None where there are others.
    pub(super) fn truncate_own(&mut self, x: &mut TruncateStmt) -> Res<Option<Kind>> {
        let var = |n: &Node| match &n.node {
            Some(NodeEnum::RangeVar(var)) => Some(var.clone()),
            _ => None,
        };
        let vars: Vec<RangeVar> = x.relations.iter().filter_map(var).collect();
        let is_own = |v: &RangeVar| self.temp_of(v).is_none() && self.cx.catalog.own(&v.schemaname, &v.relname).is_some();
        // Only what is temporary can refer to it.
        if vars.len() == x.relations.len() && vars.iter().all(|v| self.temp_of(v).is_some()) {
            let items = x.relations.iter_mut().filter_map(|i| i.node.as_mut());
            for item in items {
                if let NodeEnum::RangeVar(var) = item {
                    self.temp(var);
                }
            }
            return Ok(Some(Kind::Setting));
        }
        if vars.len() != x.relations.len() || !vars.iter().all(is_own) {
            return Ok(None);
        }
        let mut oids = Vec::new();
        for item in &mut x.relations {
            if let Some(NodeEnum::RangeVar(var)) = item.node.as_mut() {
                oids.extend(self.unguarded(var).map(|r| r.oid));
            }
        }
        if x.behavior == DropBehavior::DropCascade as i32 && !self.cx.catalog.cascades_inside(&oids) && !left_out!(self.cx, OwnCascade) {
            return Err(Refusal::not_allowed("TRUNCATE … CASCADE is not allowed").detail("Tables elsewhere refer to these."));
        }
        Ok(Some(Kind::Setting))
    }
}

fn no_setval(why: &str) -> Refusal {
    Refusal::not_allowed("permission denied for function setval").detail(why)
}

/// The name in `'name'` or `'name'::regclass`.
fn literal_name(node: &Node) -> Option<String> {
    match node.node.as_ref()? {
        NodeEnum::AConst(c) => match c.val.as_ref()? {
            a_const::Val::Sval(s) => Some(s.sval.clone()),
            _ => None,
        },
        NodeEnum::TypeCast(x) => {
            let name = x.type_name.as_ref().filter(|t| t.array_bounds.is_empty() && t.typmods.is_empty())?;
            let regclass = matches!(nodes::names(&name.names)?.as_slice(), ["regclass"] | ["pg_catalog", "regclass"]);
            x.arg.as_deref().filter(|a| regclass && matches!(a.node, Some(NodeEnum::AConst(_)))).and_then(literal_name)
        }
        _ => None,
    }
}

/// `pg_get_serial_sequence(…)`
fn is_owned_by_column(node: &Node) -> bool {
    let Some(NodeEnum::FuncCall(call)) = &node.node else { return false };
    matches!(nodes::names(&call.funcname).as_deref(), Some(["pg_get_serial_sequence"] | ["pg_catalog", "pg_get_serial_sequence"]))
}
