//! Writes: what is written needs a right of its own, and what is read beside it needs SELECT.

use super::names::{Item, Level};
use super::queries::Shown;
use super::{Relation, Res, Walk};
use crate::policy::Verb;
use crate::sql::rewrite::write::width;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    CmdType, DeleteStmt, InsertStmt, MergeMatchKind, MergeStmt, MergeWhenClause, Node, OnConflictAction, OnConflictClause, RangeVar,
    ReturningClause, UpdateStmt,
};
use std::sync::Arc;

/// A target: its relation where rights are of it, and the item that it is to the rest of the statement.
type Target = (Option<Arc<Relation>>, Item);

impl Walk<'_> {
    fn target(&self, var: Option<&RangeVar>) -> Res<Target> {
        let var = var.ok_or_else(Self::unknown)?;
        let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname);
        let relation = self.relation(var)?;
        let item = match &relation {
            Some(relation) => Item::table(name, relation.clone(), &[]),
            None => Item::rows(name, Vec::new(), true, Vec::new()),
        };
        Ok((relation, item))
    }

    fn write_may(&self, relation: &Option<Arc<Relation>>, verb: Verb, column: &str) -> Res<()> {
        relation.as_ref().map_or(Ok(()), |r| self.may(r, verb, column))
    }

    pub(super) fn insert(&mut self, x: &InsertStmt) -> Res<Shown> {
        self.with(x.with_clause.as_ref())?;
        let (relation, item) = self.target(x.relation.as_ref())?;
        let source = x.select_stmt.as_ref().and_then(|s| s.node.as_ref());
        if let Some(source) = source {
            self.query(source)?;
        }
        if let Some(relation) = &relation {
            self.any(relation, Verb::Insert)?;
            match (source, x.cols.is_empty()) {
                (Some(NodeEnum::SelectStmt(source)), true) => self.first_columns(relation, width(source))?,
                (Some(_), true) => return Err(Self::unknown()),
                _ => x.cols.iter().try_for_each(|c| self.may(relation, Verb::Insert, target_name(c)?))?,
            }
        }
        self.levels.push(Level { items: vec![item] });
        let shown = self.insert_rest(x, &relation);
        self.levels.pop();
        shown
    }

    /// Without a column list the first columns are written, as many as there are values.
    fn first_columns(&self, relation: &Relation, width: Option<usize>) -> Res<()> {
        let Some(width) = width.filter(|_| !relation.is_own()) else { return self.all(relation, Verb::Insert) };
        relation.columns.iter().take(width).try_for_each(|c| self.may(relation, Verb::Insert, &c.name))
    }

    fn insert_rest(&mut self, x: &InsertStmt, relation: &Option<Arc<Relation>>) -> Res<Shown> {
        x.cols.iter().try_for_each(|c| self.subscripts(c))?;
        if let Some(conflict) = &x.on_conflict_clause {
            self.conflict(conflict, relation)?;
        }
        self.returning(x.returning_clause.as_ref())
    }

    /// "INSERT", Description: SELECT on the columns by which the arbiter is found and on those that are read, UPDATE on those that are set.
    fn conflict(&mut self, x: &OnConflictClause, relation: &Option<Arc<Relation>>) -> Res<()> {
        if let Some(infer) = &x.infer {
            self.exprs(&infer.index_elems)?;
            self.optional(infer.where_clause.as_deref())?;
            if let (Some(relation), false) = (relation, infer.conname.is_empty()) {
                match relation.keys.iter().find(|k| k.name == infer.conname) {
                    Some(key) if !key.partial => key.columns.iter().try_for_each(|c| match relation.has_column(c) {
                        true => self.may(relation, Verb::Select, c),
                        // It is hidden.
                        false => Ok(()),
                    })?,
                    _ => self.all(relation, Verb::Select)?,
                }
            }
        }
        if x.action != OnConflictAction::OnconflictUpdate as i32 {
            return Ok(());
        }
        let Some(level) = self.levels.last() else { return Err(Self::unknown()) };
        let mut inside = level.clone();
        let excluded = inside.items.first().map(|target| Item { name: "excluded".into(), ..target.clone() });
        inside.items.extend(excluded);
        self.levels.push(inside);
        let result = self.assignments(relation, &x.target_list).and_then(|()| self.optional(x.where_clause.as_deref()));
        self.levels.pop();
        result
    }

    pub(super) fn update(&mut self, x: &UpdateStmt) -> Res<Shown> {
        self.with(x.with_clause.as_ref())?;
        let (relation, item) = self.target(x.relation.as_ref())?;
        if let Some(relation) = &relation {
            self.any(relation, Verb::Update)?;
        }
        self.level_of(item, &x.from_clause)?;
        let result = self
            .assignments(&relation, &x.target_list)
            .and_then(|()| self.optional(x.where_clause.as_deref()))
            .and_then(|()| self.returning(x.returning_clause.as_ref()));
        self.levels.pop();
        result
    }

    pub(super) fn delete(&mut self, x: &DeleteStmt) -> Res<Shown> {
        self.with(x.with_clause.as_ref())?;
        let (relation, item) = self.target(x.relation.as_ref())?;
        if let Some(relation) = &relation {
            self.any(relation, Verb::Delete)?;
        }
        self.level_of(item, &x.using_clause)?;
        let result = self.optional(x.where_clause.as_deref()).and_then(|()| self.returning(x.returning_clause.as_ref()));
        self.levels.pop();
        result
    }

    /// Enters the level of a target and what stands beside it, which cannot see it.
    fn level_of(&mut self, target: Item, from: &[Node]) -> Res<()> {
        let mut level = Level::default();
        from.iter().try_for_each(|item| self.from_item(item, &mut level))?;
        level.items.insert(0, target);
        self.levels.push(level);
        Ok(())
    }

    /// What is set needs UPDATE, and what it is set to whatever is read there.
    fn assignments(&mut self, relation: &Option<Arc<Relation>>, targets: &[Node]) -> Res<()> {
        for target in targets {
            self.write_may(relation, Verb::Update, target_name(target)?)?;
            self.subscripts(target)?;
            if let Some(NodeEnum::ResTarget(target)) = &target.node {
                self.optional(target.val.as_deref())?;
            }
        }
        Ok(())
    }

    /// The subscripts of a target: `a[i]`.
    fn subscripts(&mut self, target: &Node) -> Res<()> {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return Err(Self::unknown()) };
        self.exprs(&target.indirection)
    }

    pub(super) fn returning(&mut self, returning: Option<&ReturningClause>) -> Res<Shown> {
        let Some(returning) = returning else { return Ok(Shown::default()) };
        let Some(level) = self.levels.last().cloned() else { return Err(Self::unknown()) };
        let mut inside = level.clone();
        // PostgreSQL 18: the row as it was and as it is.
        let mut names = vec!["old", "new"];
        for option in returning.options.iter().filter_map(|o| if let Some(NodeEnum::ReturningOption(o)) = &o.node { Some(o) } else { None })
        {
            names.push(&option.value);
        }
        for name in names {
            if !inside.items.iter().any(|i| i.name == name) {
                inside.items.extend(level.items.first().map(|target| Item { name: name.into(), bare: false, what: target.what.clone() }));
            }
        }
        self.levels.push(inside);
        let walked = self.exprs(&returning.exprs);
        let (columns, open) = self.labels(&returning.exprs);
        self.levels.pop();
        walked.map(|()| Shown { columns, open, tables: Vec::new() })
    }

    /// "MERGE", Description: the right of each action, whether it is taken or not, and SELECT on what is read.
    pub(super) fn merge(&mut self, x: &MergeStmt) -> Res<Shown> {
        self.with(x.with_clause.as_ref())?;
        let (relation, item) = self.target(x.relation.as_ref())?;
        let source = x.source_relation.as_deref().ok_or_else(Self::unknown)?;
        let mut sources = Level::default();
        self.from_item(source, &mut sources)?;
        let mut both = sources.clone();
        both.items.insert(0, item.clone());
        self.levels.push(both);
        let mut result = self.optional(x.join_condition.as_deref());
        for when in &x.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &when.node else { return Err(Self::unknown()) };
            let seen = match MergeMatchKind::try_from(when.match_kind) {
                Ok(MergeMatchKind::MergeWhenMatched) => None,
                Ok(MergeMatchKind::MergeWhenNotMatchedByTarget) => Some(sources.clone()),
                Ok(MergeMatchKind::MergeWhenNotMatchedBySource) => Some(Level { items: vec![item.clone()] }),
                _ => return Err(Self::unknown()),
            };
            let inside = seen.is_some();
            self.levels.extend(seen);
            result = result.and_then(|()| self.merge_when(when, &relation));
            if inside {
                self.levels.pop();
            }
        }
        let result = result.and_then(|()| self.returning(x.returning_clause.as_ref()));
        self.levels.pop();
        result
    }

    fn merge_when(&mut self, when: &MergeWhenClause, relation: &Option<Arc<Relation>>) -> Res<()> {
        self.optional(when.condition.as_deref())?;
        let any = |walk: &Self, verb| relation.as_ref().map_or(Ok(()), |r| walk.any(r, verb));
        match CmdType::try_from(when.command_type).unwrap_or(CmdType::Undefined) {
            CmdType::CmdUpdate => {
                any(self, Verb::Update)?;
                self.assignments(relation, &when.target_list)
            }
            CmdType::CmdDelete => any(self, Verb::Delete),
            // Whether rows are met still shows: "SELECT on at least one column" (MERGE, Description).
            CmdType::CmdNothing => any(self, Verb::Select),
            CmdType::CmdInsert => {
                any(self, Verb::Insert)?;
                match relation {
                    Some(relation) if when.target_list.is_empty() => self.first_columns(relation, Some(when.values.len()))?,
                    _ => when.target_list.iter().try_for_each(|t| self.write_may(relation, Verb::Insert, target_name(t)?))?,
                }
                when.target_list.iter().try_for_each(|t| self.subscripts(t))?;
                self.exprs(&when.values)
            }
            _ => Err(Self::unknown()),
        }
    }
}

fn target_name(target: &Node) -> Res<&str> {
    match &target.node {
        Some(NodeEnum::ResTarget(t)) => Ok(&t.name),
        _ => Err(Walk::unknown()),
    }
}
