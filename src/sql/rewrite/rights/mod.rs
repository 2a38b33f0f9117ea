//! What the session's role may do: each relation that the client names, with the columns of it that are read or written, as PostgreSQL itself asks for
//! privileges (GRANT, and "Description" or "Notes" of each command). The client's own statement is walked, after the rewriter has let it pass: what the
//! wall adds needs no right of the role's.
//!
//! Where a role may read some columns of a table only, a name must certainly not be another one's: one that is looked up past such a table, stars
//! and NATURAL JOIN are refused, for the table may have a column that the wall has not heard of yet.

mod exprs;
mod json;
mod names;
mod queries;
mod writes;

use super::{Context, Res};
use crate::policy::Verb;
use crate::sql::catalog::Relation;
use crate::sql::private::TEMP;
use crate::sql::rights::Rights;
use crate::sql::{Kind, Refusal};
use names::{Item, Level};
use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, CreateStmt, LockStmt, Node, RangeVar, RawStmt, TableLikeClause};
use std::sync::Arc;

/// Refuses what the role may not do in a statement of this kind. Errors: 42501.
pub(super) fn check(context: &Context<'_>, stmt: &RawStmt, kind: &Kind) -> Res<()> {
    let Some(rights) = context.catalog.rights.as_deref().filter(|_| !left_out!(context, RoleRights)) else { return Ok(()) };
    if *kind == Kind::Ddl {
        return Err(rights.hinted(Refusal::not_allowed("permission denied for this change of the database")));
    }
    let Some(node) = stmt.stmt.as_ref().and_then(|n| n.node.as_ref()) else { return Ok(()) };
    Walk { cx: context, rights, levels: Vec::new(), ctes: Vec::new() }.statement(node)
}

/// The state of a walk.
struct Walk<'a> {
    cx: &'a Context<'a>,
    rights: &'a Rights,
    /// Enclosing query levels, innermost last.
    levels: Vec<Level>,
    /// WITH queries in sight, innermost last.
    ctes: Vec<Item>,
}

impl Walk<'_> {
    fn statement(&mut self, node: &NodeEnum) -> Res<()> {
        match node {
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => self.query(node).map(drop),
            NodeEnum::DeclareCursorStmt(x) => self.inner(x.query.as_deref()),
            NodeEnum::PrepareStmt(x) => self.inner(x.query.as_deref()),
            NodeEnum::ExplainStmt(x) => self.inner(x.query.as_deref()),
            NodeEnum::CreateTableAsStmt(x) => self.inner(x.query.as_deref()),
            NodeEnum::ViewStmt(x) => self.inner(x.query.as_deref()),
            NodeEnum::ExecuteStmt(x) => self.exprs(&x.params),
            NodeEnum::CopyStmt(x) => self.copy(x),
            NodeEnum::LockStmt(x) => self.lock(x),
            NodeEnum::TruncateStmt(x) => x.relations.iter().try_for_each(|n| self.whole(n, &[Verb::Truncate])),
            NodeEnum::CreateStmt(x) => self.create(x),
            // Of what is the session's own alone, or of nothing: what else they do is a Kind of its own.
            NodeEnum::TransactionStmt(_)
            | NodeEnum::VariableSetStmt(_)
            | NodeEnum::VariableShowStmt(_)
            | NodeEnum::DiscardStmt(_)
            | NodeEnum::FetchStmt(_)
            | NodeEnum::ClosePortalStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::ConstraintsSetStmt(_)
            | NodeEnum::DropStmt(_)
            | NodeEnum::IndexStmt(_)
            | NodeEnum::AlterTableStmt(_)
            | NodeEnum::RenameStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::ListenStmt(_)
            | NodeEnum::NotifyStmt(_)
            | NodeEnum::UnlistenStmt(_) => Ok(()),
            _ => Err(Self::unknown()),
        }
    }

    fn unknown() -> Refusal {
        Refusal::not_understood("this is not supported for sessions with a role")
    }

    fn inner(&mut self, node: Option<&Node>) -> Res<()> {
        node.and_then(|n| n.node.as_ref()).map_or(Ok(()), |n| self.statement(n))
    }

    fn refused(&self, relation: &Relation) -> Refusal {
        self.rights.refused(relation)
    }

    /// What a name means: a relation that rights are of; None for what is the session's own, or one of PostgreSQL's catalogs.
    fn relation(&self, var: &RangeVar) -> Res<Option<Arc<Relation>>> {
        let (schema, name) = (var.schemaname.as_str(), var.relname.as_str());
        let temporary = (schema.is_empty() || schema == TEMP) && self.cx.private.temps.get(name).is_some();
        if temporary || schema == TEMP || self.cx.catalog.system.schema_of(schema, name).is_some() {
            return Ok(None);
        }
        let found = self.cx.catalog.find(schema, name).or_else(|| self.cx.catalog.sequence(schema, name));
        found.cloned().map(Some).ok_or_else(|| Refusal::no_relation(name))
    }

    /// One of these rights on a whole table.
    fn whole(&self, node: &Node, verbs: &[Verb]) -> Res<()> {
        let Some(NodeEnum::RangeVar(var)) = &node.node else { return Err(Self::unknown()) };
        self.whole_table(var, verbs)
    }

    fn whole_table(&self, var: &RangeVar, verbs: &[Verb]) -> Res<()> {
        match self.relation(var)? {
            Some(relation) if !verbs.iter().any(|v| self.rights.may_all(&relation, *v)) => Err(self.refused(&relation)),
            _ => Ok(()),
        }
    }

    /// "LOCK", Notes: SELECT for ACCESS SHARE, INSERT for ROW EXCLUSIVE and below, UPDATE, DELETE or TRUNCATE for any; before PostgreSQL 16 SELECT alone
    /// for ACCESS SHARE, and INSERT for ROW EXCLUSIVE alone.
    fn lock(&self, x: &LockStmt) -> Res<()> {
        let (share, exclusive) = (x.mode == 1, x.mode == 3);
        let newer = self.cx.catalog.server_version >= 160_000;
        let mut verbs = if share && !newer { Vec::new() } else { vec![Verb::Update, Verb::Delete, Verb::Truncate] };
        verbs.extend(share.then_some(Verb::Select));
        verbs.extend((exclusive || (x.mode < 3 && newer)).then_some(Verb::Insert));
        x.relations.iter().try_for_each(|n| self.whole(n, &verbs))
    }

    /// LIKE reads a table's columns: SELECT on it.
    fn create(&self, x: &CreateStmt) -> Res<()> {
        for element in &x.table_elts {
            if let Some(NodeEnum::TableLikeClause(TableLikeClause { relation: Some(var), .. })) = &element.node {
                self.whole_table(var, &[Verb::Select])?;
            }
        }
        x.inh_relations.iter().try_for_each(|n| match &n.node {
            Some(NodeEnum::RangeVar(var)) => match self.relation(var)? {
                Some(relation) => Err(self.refused(&relation)),
                None => Ok(()),
            },
            _ => Err(Self::unknown()),
        })
    }

    fn copy(&mut self, x: &CopyStmt) -> Res<()> {
        let Some(var) = &x.relation else { return self.inner(x.query.as_deref()) };
        let Some(relation) = self.relation(var)? else { return Ok(()) };
        let verb = if x.is_from { Verb::Insert } else { Verb::Select };
        let named: Vec<&str> = crate::sql::nodes::names(&x.attlist).ok_or_else(Self::unknown)?;
        match named.as_slice() {
            [] => self.all(&relation, verb)?,
            named => named.iter().try_for_each(|column| self.may(&relation, verb, column))?,
        }
        let Some(condition) = &x.where_clause else { return Ok(()) };
        self.levels.push(Level { items: vec![Item::table(&relation.name, relation.clone(), &[])] });
        let checked = self.expr(condition);
        self.levels.pop();
        checked
    }

    /// A right on a column.
    fn may(&self, relation: &Relation, verb: Verb, column: &str) -> Res<()> {
        if self.rights.may(relation, verb, column) { Ok(()) } else { Err(self.refused(relation)) }
    }

    /// A right on some column, whichever.
    fn any(&self, relation: &Relation, verb: Verb) -> Res<()> {
        if self.rights.may_any(relation, verb) { Ok(()) } else { Err(self.refused(relation)) }
    }

    /// A right on all columns. To be written they may be granted one by one: what is written is known.
    fn all(&self, relation: &Relation, verb: Verb) -> Res<()> {
        let written = verb != Verb::Select
            && !relation.is_own()
            && relation.columns.iter().filter(|c| !c.computed).all(|c| self.rights.may(relation, verb, &c.name));
        if written || self.rights.may_all(relation, verb) { Ok(()) } else { Err(self.refused(relation)) }
    }

    /// Only some of its columns may be read.
    fn is_limited(&self, relation: &Relation) -> bool {
        !self.rights.may_all(relation, Verb::Select)
    }
}
