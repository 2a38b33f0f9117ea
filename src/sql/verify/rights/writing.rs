//! Writes: the right on what is written, and SELECT on what is read for it.

use super::super::scopes::called_as;
use super::reading::Shape;
use super::sources::Source;
use super::{Of, Reader, Relation, Res, disagree, fields, kind, list, text};
use crate::policy::Verb;
use crate::sql::tree::Value;
use pg_query::protobuf::{CmdType, MergeMatchKind, OnConflictAction};
use std::sync::Arc;

impl Reader<'_> {
    pub(super) fn write(&mut self, name: &str, x: &Value) -> Res<Shape> {
        let before = self.with(&x["with_clause"])?;
        let shape = self.write_itself(name, x);
        self.queries.truncate(before);
        shape
    }

    fn write_itself(&mut self, name: &str, x: &Value) -> Res<Shape> {
        let var = &x["relation"];
        let called = called_as(var, text(var, "relname"));
        let relation = self.relation(var)?;
        let target = relation.as_ref().map_or_else(|| Source::other(called, Vec::new(), true), |r| Source::table(called, r, &[]));
        let verb = match name {
            "InsertStmt" => Some(Verb::Insert),
            "UpdateStmt" => Some(Verb::Update),
            "DeleteStmt" => Some(Verb::Delete),
            _ => None,
        };
        if let (Some(relation), Some(verb)) = (&relation, verb) {
            self.want(relation, verb, Of::Any);
        }
        match verb {
            Some(Verb::Insert) => self.insert(x, relation.as_ref(), target),
            Some(_) => {
                let mut frame = Vec::new();
                for item in list(x, "from_clause").iter().chain(list(x, "using_clause")) {
                    self.from(item, &mut frame)?;
                }
                frame.push(target.clone());
                self.within(frame, |reader| {
                    reader.sets(relation.as_ref(), list(x, "target_list"))?;
                    reader.walk(&x["where_clause"])?;
                    reader.returning(&x["returning_clause"], &target)
                })
            }
            None => self.merge(x, relation.as_ref(), target),
        }
    }

    fn insert(&mut self, x: &Value, relation: Option<&Arc<Relation>>, target: Source) -> Res<Shape> {
        self.walk(&x["select_stmt"])?;
        let named = list(x, "cols");
        if let Some(relation) = relation {
            if named.is_empty() {
                let count = fields(&x["select_stmt"], "SelectStmt").map(|s| self.count(s));
                self.writes_first(relation, count)?;
            }
            self.writes(relation, Verb::Insert, named)?;
        }
        let shown = target.clone();
        self.within(vec![target], |reader| {
            named.iter().filter_map(|c| fields(c, "ResTarget")).try_for_each(|c| reader.walk(&c["indirection"]))?;
            reader.conflict(&x["on_conflict_clause"], relation, &shown)?;
            reader.returning(&x["returning_clause"], &shown)
        })
    }

    /// Without a list the first columns are written; without a source none are.
    fn writes_first(&mut self, relation: &Arc<Relation>, count: Option<Option<usize>>) -> Res<()> {
        let count = match count {
            None => 0,
            // There the statement goes on without the columns' names.
            Some(_) if relation.is_own() => {
                self.want(relation, Verb::Insert, Of::All);
                return Ok(());
            }
            Some(Some(count)) => count,
            Some(None) => relation.columns.iter().filter(|c| !c.computed).count(),
        };
        let columns: Vec<String> = relation.columns.iter().take(count).map(|c| c.name.clone()).collect();
        columns.iter().for_each(|column| self.column_of(relation, Verb::Insert, column));
        Ok(())
    }

    /// How many columns a source has; None where that is not known.
    fn count(&self, x: &Value) -> Option<usize> {
        if !x["larg"].is_null() {
            return self.count(&x["larg"]);
        }
        if let Some(row) = list(x, "values_lists").first().and_then(|r| fields(r, "List")) {
            return Some(list(row, "items").len());
        }
        let targets = list(x, "target_list");
        let mut stars = false;
        for target in targets {
            stars |= target.has(&mut |key, value| key == "AStar" && !value.is_null());
        }
        (!stars).then_some(targets.len())
    }

    fn writes(&mut self, relation: &Arc<Relation>, verb: Verb, targets: &[Value]) -> Res<()> {
        for target in targets {
            match fields(target, "ResTarget").map(|t| text(t, "name")) {
                Some(name) => self.column_of(relation, verb, name),
                None => return disagree("a target is no column"),
            }
        }
        Ok(())
    }

    /// SET: the columns, and whatever the values and subscripts read.
    fn sets(&mut self, relation: Option<&Arc<Relation>>, targets: &[Value]) -> Res<()> {
        relation.map_or(Ok(()), |r| self.writes(r, Verb::Update, targets))?;
        targets.iter().try_for_each(|t| self.walk(t))
    }

    fn conflict(&mut self, x: &Value, relation: Option<&Arc<Relation>>, target: &Source) -> Res<()> {
        if x.is_null() {
            return Ok(());
        }
        let infer = &x["infer"];
        self.walk(infer.get("index_elems").unwrap_or(&Value::Null))?;
        self.walk(infer.get("where_clause").unwrap_or(&Value::Null))?;
        let constraint = text(infer, "conname");
        if let (Some(relation), false) = (relation, constraint.is_empty()) {
            match relation.keys.iter().find(|k| k.name == constraint && !k.partial) {
                None => self.want(relation, Verb::Select, Of::All),
                Some(key) => {
                    let read: Vec<&String> = key.columns.iter().filter(|c| relation.has_column(c)).collect();
                    read.into_iter().for_each(|column| self.column_of(relation, Verb::Select, column));
                }
            }
        }
        if x["action"].as_i64() != Some(i64::from(OnConflictAction::OnconflictUpdate as i32)) {
            return Ok(());
        }
        let excluded = Source { name: "excluded".to_owned(), ..target.clone() };
        self.within(vec![target.clone(), excluded], |reader| {
            reader.sets(relation, list(x, "target_list"))?;
            reader.walk(&x["where_clause"])
        })
    }

    fn returning(&mut self, x: &Value, target: &Source) -> Res<Shape> {
        if x.is_null() {
            return Ok((Vec::new(), false));
        }
        let mut frame = self.frames.last().cloned().unwrap_or_default();
        let given = list(x, "options").iter().filter_map(|o| fields(o, "ReturningOption")).map(|o| text(o, "value"));
        for name in ["old", "new"].into_iter().chain(given).filter(|n| !frame.iter().any(|s| s.name == *n)).collect::<Vec<_>>() {
            frame.push(Source { name: name.to_owned(), qualified: true, ..target.clone() });
        }
        self.within(frame, |reader| {
            reader.walk(&x["exprs"])?;
            Ok(reader.output(list(x, "exprs")))
        })
    }

    fn merge(&mut self, x: &Value, relation: Option<&Arc<Relation>>, target: Source) -> Res<Shape> {
        let mut source = Vec::new();
        self.from(&x["source_relation"], &mut source)?;
        let both: Vec<Source> = source.iter().cloned().chain([target.clone()]).collect();
        self.within(both.clone(), |reader| reader.walk(&x["join_condition"]))?;
        for when in list(x, "merge_when_clauses") {
            let Some(("MergeWhenClause", when)) = kind(when) else { return disagree("MERGE has something else") };
            let is = |kind: MergeMatchKind| when["match_kind"].as_i64() == Some(i64::from(kind as i32));
            let frame = if is(MergeMatchKind::MergeWhenMatched) {
                both.clone()
            } else if is(MergeMatchKind::MergeWhenNotMatchedByTarget) {
                source.clone()
            } else {
                vec![target.clone()]
            };
            self.within(frame, |reader| {
                reader.walk(&when["condition"])?;
                reader.action(when, relation)
            })?;
        }
        self.within(both, |reader| reader.returning(&x["returning_clause"], &target))
    }

    fn action(&mut self, when: &Value, relation: Option<&Arc<Relation>>) -> Res<()> {
        let is = |command: CmdType| when["command_type"].as_i64() == Some(i64::from(command as i32));
        let targets = list(when, "target_list");
        if is(CmdType::CmdNothing) {
            // It writes nothing, and its count of rows tells of the target's all the same.
            relation.into_iter().for_each(|r| self.want(r, Verb::Select, Of::Any));
            return Ok(());
        }
        if is(CmdType::CmdUpdate) {
            return self.sets(relation, targets);
        }
        let verb = if is(CmdType::CmdDelete) { Verb::Delete } else { Verb::Insert };
        if let Some(relation) = relation {
            self.want(relation, verb, Of::Any);
            if verb == Verb::Insert && targets.is_empty() {
                self.writes_first(relation, Some(Some(list(when, "values").len())))?;
            }
            self.writes(relation, Verb::Insert, targets)?;
        }
        self.walk(&when["target_list"])?;
        self.walk(&when["values"])
    }
}
