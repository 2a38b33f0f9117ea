//! Hidden tenant columns: nothing that came from the client can name one, and a star or a whole row shows none.
//!
//! In FROM the table is a subquery of exactly its other columns. Where it stands itself, as the target of a write, each name, star and whole
//! row is looked up again; stars of RETURNING stand written out.

use super::scopes::{Level, Seen};
use super::system::carried;
use super::write::Target;
use super::{Res, Walk, disagree, fields, is_zero, kind, list, names, text};
use crate::sql::catalog::Relation;
use crate::sql::tree::Value;
use std::borrow::Cow;

impl Walk<'_> {
    /// Whether the subquery in a table's place shows its columns one by one, in order, under their names, and which system columns behind them.
    /// A barrier is noted.
    pub(super) fn shows_the_visible(&mut self, select: &Value, relation: &Relation) -> Option<Vec<String>> {
        let offset = &select["limit_offset"];
        if !offset.is_null() {
            self.late += 1;
        }
        let (own, more) = list(select, "target_list").split_at_checked(relation.columns.len())?;
        let wanted = relation.columns.iter().map(|c| (relation.name.as_str(), c.name.as_str()));
        let all = own.iter().map(|t| column_of(t)).eq(wanted.map(Some)) && (offset.is_null() || is_zero(offset));
        if all { carried(more, relation) } else { None }
    }

    /// A reference that the client wrote: names, perhaps with a star behind them.
    pub(super) fn visible(&self, names: &[&str], star: bool) -> Res<()> {
        self.nothing_carried(names, star)?;
        let mut all = self.levels.iter().flat_map(|l| &l.items).filter_map(|i| i.hides.as_deref());
        let Some(first) = all.next() else { return Ok(()) };
        match (names, star) {
            ([], true) if self.levels.last().is_some_and(|l| l.items.iter().any(|i| i.hides.is_some())) => {
                disagree("a star shows a hidden column")
            }
            ([.., table], true) if self.written(table).is_some() => disagree("a star shows a hidden column"),
            ([.., table, field], false) if self.written(table) == Some(field) => disagree("a hidden column is named"),
            ([name], false) if first == *name || all.any(|h| h == *name) => self.stops_before(name),
            ([name], false) if self.written(name).is_some() => {
                let column = self.levels.iter().flat_map(|l| &l.items).filter_map(|i| i.relation.as_ref()).any(|r| r.has_column(name));
                if column { Ok(()) } else { disagree("a whole row shows a hidden column") }
            }
            _ => Ok(()),
        }
    }

    /// What is hidden of the written table that this name means; OLD and NEW are its names in RETURNING.
    fn written(&self, name: &str) -> Option<&str> {
        let mut items = self.levels.iter().rev().flat_map(|l| &l.items);
        match items.find(|i| i.name == name) {
            Some(item) => item.hides.as_deref(),
            None if name == "old" || name == "new" => self.levels.iter().flat_map(|l| &l.items).find_map(|i| i.hides.as_deref()),
            None => None,
        }
    }

    /// `public.orders.id` of the client's, where the final text says `orders.id`: without its schema, if the nearest item of that name is a
    /// subquery in the place of that very table, named by nothing else.
    pub(super) fn without_schema(&self, f: &Value, c: &Value) -> Option<Value> {
        let parts = list(c, "fields");
        let (3, 2, None) = (parts.len(), list(f, "fields").len(), self.own_schema()) else { return None };
        let [schema, table] = names(&parts[..2])[..] else { return None };
        let nearest = self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == table)?;
        nearest.was_in.as_ref().filter(|was_in| *was_in == schema)?;
        let mut short = c.clone();
        short["fields"].as_array_mut()?.remove(0);
        Some(short)
    }

    /// A bare name is found at a level within the one where it would be the hidden column.
    fn stops_before(&self, name: &str) -> Res<()> {
        for level in self.levels.iter().rev() {
            if level.items.iter().any(|i| i.hides.as_deref() == Some(name)) {
                return disagree("a hidden column is named");
            }
            if level.items.iter().filter_map(|i| i.relation.as_ref()).any(|r| r.has_column(name)) {
                return Ok(());
            }
        }
        disagree("a hidden column may be named")
    }

    /// Both with RETURNING lists without the client's stars, each of which must stand written out in `f`.
    pub(super) fn without_stars<'v>(
        &self,
        f: &'v Value,
        c: &'v Value,
        level: &Level,
        from: &[Value],
    ) -> Res<(Cow<'v, Value>, Cow<'v, Value>)> {
        let (mut left, mut client) = (Cow::Borrowed(f), Cow::Borrowed(c));
        let (exprs, theirs) = (list(&f["returning_clause"], "exprs"), list(&c["returning_clause"], "exprs"));
        if level.items.first().is_some_and(|i| i.hides.is_some()) && !(exprs.is_empty() && theirs.is_empty()) {
            let (kept, asked) = self.without_own_stars(exprs, theirs, level, from)?;
            left.to_mut()["returning_clause"]["exprs"] = kept;
            client.to_mut()["returning_clause"]["exprs"] = asked;
        }
        Ok((left, client))
    }

    /// GROUP BY as the client wrote it, and behind it columns that a primary key in it makes dependent within the tenant.
    pub(super) fn groups(&mut self, f: &[Value], c: &[Value], targets: &[Value]) -> Res<()> {
        let Some((theirs, added)) = f.split_at_checked(c.len()) else { return disagree("GROUP BY lost something") };
        theirs.iter().zip(c).try_for_each(|(f, c)| self.same(f, c))?;
        if added.is_empty() {
            return Ok(());
        }
        let sets = c.is_empty() || c.iter().any(|g| fields(g, "GroupingSet").is_some());
        let Some(level) = self.levels.last().filter(|_| !sets) else { return disagree("GROUP BY gained something") };
        let groups: Vec<&Value> = c.iter().map(|g| numbered(g, targets).unwrap_or(g)).collect();
        for column in added {
            let parts = fields(column, "ColumnRef").map(|c| list(c, "fields")).unwrap_or_default();
            let [reference, name] = names(parts)[..] else { return disagree("GROUP BY gained something") };
            let item = level.items.iter().find(|i| i.name == reference && i.hides.is_none() && parts.len() == 2);
            let relation = item.and_then(|i| i.relation.as_ref()).filter(|r| r.column(name).is_some());
            if !relation.is_some_and(|r| depends(r, reference, level, &groups)) {
                return disagree("GROUP BY gained a column that no key tells");
            }
        }
        Ok(())
    }

    /// No plan of a statement whose guards name a hidden column.
    pub(super) fn plan_may_be_shown(&self, before: usize) -> Res<()> {
        let mut hiding = self.catalog.relations.values().filter(|r| r.hidden.is_some()).map(|r| format!("{}.{}", r.schema, r.name));
        let seen = self.proof.relations.get(before..).unwrap_or_default();
        if hiding.any(|name| seen.contains(&name)) { disagree("a plan shows a hidden column") } else { Ok(()) }
    }
}

impl Target {
    /// None of these names of columns is the hidden one.
    pub(super) fn hides_from(&self, targets: &[Value]) -> Res<()> {
        let hidden = self.relation.hides();
        let name = |t: &Value| fields(t, "ResTarget").map(|t| text(t, "name").to_owned()).unwrap_or_default();
        if hidden.is_some() && targets.iter().any(|t| Some(name(t).as_str()) == hidden) {
            return disagree("a hidden column is written");
        }
        Ok(())
    }
}

/// The target that a number in GROUP BY counts, where each before it is one column.
fn numbered<'v>(group: &Value, targets: &'v [Value]) -> Option<&'v Value> {
    let number = fields(group, "AConst")?["val"]["Ival"]["ival"].as_u64()?;
    let counted = targets.get(..usize::try_from(number).ok()?)?;
    let values: Option<Vec<&Value>> = counted.iter().map(|t| fields(t, "ResTarget").map(|t| &t["val"])).collect();
    let star = |value: &&Value| {
        let steps = match kind(value) {
            Some(("ColumnRef", c)) => list(c, "fields"),
            Some(("AIndirection", i)) => list(i, "indirection"),
            _ => &[],
        };
        steps.last().and_then(kind).is_some_and(|(k, _)| k == "AStar")
    };
    values.filter(|v| !v.iter().any(star)).and_then(|v| v.last().copied())
}

/// Whether these groups have the primary key of a table, but for the column that it hides.
fn depends(relation: &Relation, reference: &str, level: &Level, groups: &[&Value]) -> bool {
    let Some(key) = relation.keys.iter().find(|k| k.primary && k.unique && !k.partial) else { return false };
    let alone = |name: &str| {
        let without = |i: &&Seen| i.name != reference && i.relation.as_ref().is_none_or(|r| r.has_column(name));
        !level.items.iter().any(|i| without(&i))
    };
    let has = |wanted: &String| {
        groups.iter().copied().filter_map(|g| fields(g, "ColumnRef")).any(|g| match names(list(g, "fields")).as_slice() {
            [one] => *one == wanted && list(g, "fields").len() == 1 && alone(one),
            [of, one] => *of == reference && *one == wanted,
            _ => false,
        })
    };
    let mut own = key.columns.iter().filter(|c| Some(c.as_str()) != relation.hides()).peekable();
    own.peek().is_some() && own.all(has)
}

/// `reference.column` or `reference.*` as a whole target, under no other name.
pub(super) fn shown(target: &Value) -> Option<(String, String)> {
    if let Some((reference, column)) = column_of(target) {
        return Some((reference.to_owned(), column.to_owned()));
    }
    match star_of(target)?.as_slice() {
        [reference] => Some(((*reference).to_owned(), String::new())),
        _ => None,
    }
}

fn column_of(target: &Value) -> Option<(&str, &str)> {
    let target = fields(target, "ResTarget").filter(|t| text(t, "name").is_empty() && list(t, "indirection").is_empty())?;
    let parts = list(fields(&target["val"], "ColumnRef")?, "fields");
    match names(parts).as_slice() {
        [reference, column] if parts.len() == 2 => Some((reference, column)),
        _ => None,
    }
}

pub(super) fn star_of(target: &Value) -> Option<Vec<&str>> {
    let target = fields(target, "ResTarget").filter(|t| text(t, "name").is_empty() && list(t, "indirection").is_empty())?;
    let parts = list(fields(&target["val"], "ColumnRef")?, "fields");
    let (last, before) = parts.split_last()?;
    kind(last).is_some_and(|(k, _)| k == "AStar").then(|| names(before))
}

/// Whether a star shows each item of this part of FROM by itself.
pub(super) fn is_plain(item: &Value) -> bool {
    match kind(item) {
        Some(("JoinExpr", join)) => {
            let bare = join["is_natural"] != Value::Bool(true) && list(join, "using_clause").is_empty() && join["alias"].is_null();
            bare && is_plain(&join["larg"]) && is_plain(&join["rarg"])
        }
        _ => true,
    }
}

/// A view's query as the tenant has it: one column less where the policy hides it.
pub(super) fn without_column(definition: &Value, view: &Relation) -> Res<Value> {
    let mut left = definition.clone();
    let Some(hidden) = view.hides() else { return Ok(left) };
    let named = |target: &Value| {
        let Some(target) = fields(target, "ResTarget") else { return false };
        let column = fields(&target["val"], "ColumnRef").map(|c| names(list(c, "fields")));
        let own = column.as_ref().and_then(|c| c.last().copied()).unwrap_or_default();
        (if text(target, "name").is_empty() { own } else { text(target, "name") }) == hidden
    };
    let simple = definition["larg"].is_null() && ["distinct_clause", "values_lists"].iter().all(|k| list(definition, k).is_empty());
    let kept: Vec<Value> = list(definition, "target_list").iter().filter(|t| !named(t)).cloned().collect();
    if !simple || kept.len() + 1 != list(definition, "target_list").len() {
        return disagree("a view's hidden column is not one of its columns");
    }
    left["target_list"] = kept.into();
    Ok(left)
}
