//! Writes: the target is guarded, the tenant column is written by a tenant parameter, and no SET names it.

use super::from;
use super::scopes::{Level, Seen, called_as};
use super::{Found, Held, Hold, Listed, Res, Walk, disagree, fields, hold, is_zero, kind, list, names, raises, text, utility};
use crate::sql::catalog::{Key, Relation};
use crate::sql::tree::Value;
use crate::sql::views::Event;
use std::borrow::Cow;
use std::sync::Arc;

/// The target of a write: it is scoped.
pub(super) struct Target {
    pub(super) reference: String,
    pub(super) column: String,
    pub(super) relation: Arc<Relation>,
    guard: Found,
    aliased: bool,
}

impl Target {
    /// As an item that a filter guards.
    pub(super) fn seen(&self) -> Seen {
        let (name, guard) = (self.reference.clone(), Some(self.guard.clone()));
        Seen { name, relation: Some(self.relation.clone()), guard, hides: self.hides(), aliased: self.aliased, ..Seen::default() }
    }

    fn hides(&self) -> Option<String> {
        self.relation.hides().map(str::to_owned)
    }

    /// The names of the first columns of the table.
    pub(super) fn first_columns(&self, count: usize) -> Vec<String> {
        self.relation.columns.iter().take(count).map(|c| c.name.clone()).collect()
    }

    /// Is this PostgreSQL's own type of the tenant column, with nothing that could change a value?
    pub(super) fn has_type(&self, name: &Value) -> bool {
        let whole = ["array_bounds", "typmods"].iter().all(|k| list(name, k).is_empty()) && name["setof"] != Value::Bool(true);
        let own = match names(list(name, "names")).as_slice() {
            [own] | ["pg_catalog", own] => (*own).to_owned(),
            _ => return false,
        };
        let wanted: &[&str] = match self.relation.stored_column(&self.column).map(|c| c.type_oid) {
            Some(20) => &["int8"],
            Some(21) => &["int2"],
            Some(23) => &["int4"],
            Some(2950) => &["uuid"],
            _ => &["text", "varchar"],
        };
        whole && wanted.contains(&own.as_str())
    }

    /// Whether every key that this conflict target can mean holds the tenant column.
    fn is_private(&self, infer: &Value) -> bool {
        let holds = |key: &Key| match self.relation.through() {
            Some(through) => through.on.iter().all(|(own, _)| key.columns.contains(own)),
            None => key.columns.contains(&self.column),
        };
        if infer.is_null() {
            return self.relation.keys.iter().all(holds);
        }
        let named = |own: &str| list(infer, "index_elems").iter().filter_map(|e| fields(e, "IndexElem")).any(|e| text(e, "name") == own);
        match text(infer, "conname") {
            "" if self.column.is_empty() => self.relation.through().is_some_and(|t| t.on.iter().all(|(own, _)| named(own))),
            "" => list(infer, "index_elems").iter().filter_map(|e| fields(e, "IndexElem")).any(|e| text(e, "name") == self.column),
            name => self.relation.keys.iter().any(|k| k.name == name && holds(k)),
        }
    }

    /// Takes the target's guard out of those found in a filter.
    pub(super) fn take_guard(&self, guards: &mut Vec<Found>) -> Res<()> {
        let Some(index) = guards.iter().position(|g| *g == self.guard) else { return disagree("the target of a write has no guard") };
        guards.remove(index);
        Ok(())
    }
}

impl Walk<'_> {
    /// A write's target is never a WITH query.
    pub(super) fn target(&mut self, f: &Value, c: &Value) -> Res<Target> {
        let (f, c) = (&f["relation"], &c["relation"]);
        let Listed { relation, column: Some(column) } = self.table_of(f, c)? else {
            return disagree("the target of a write is not scoped");
        };
        self.rest(f, c, &["schemaname"])?;
        let reference = called_as(f, text(f, "relname"));
        let guard = self.wanted(&relation, reference, &column)?;
        Ok(Target { reference: reference.to_owned(), column, relation, guard, aliased: !c["alias"].is_null() })
    }

    pub(super) fn update(&mut self, f: &Value, c: &Value) -> Res<()> {
        if self.is_unguarded(&c["relation"]) {
            return self.write_temp(f, c);
        }
        match self.through_view(f, c, Event::Update)? {
            Some(table) => self.guarded_write(f, &table, "from_clause"),
            None => self.guarded_write(f, c, "from_clause"),
        }
    }

    pub(super) fn delete(&mut self, f: &Value, c: &Value) -> Res<()> {
        if self.is_unguarded(&c["relation"]) {
            return self.write_temp(f, c);
        }
        match self.through_view(f, c, Event::Delete)? {
            Some(table) => self.guarded_write(f, &table, "using_clause"),
            None => self.guarded_write(f, c, "using_clause"),
        }
    }

    fn guarded_write(&mut self, f: &Value, c: &Value, from: &str) -> Res<()> {
        let (depth, added) = (self.ctes.len(), self.added.take());
        self.with(&f["with_clause"], &c["with_clause"])?;
        let raising = self.raising();
        let target = self.target(f, c)?;
        self.sets_own(list(f, "target_list"), &target, false)?;
        if f.get("target_list").is_none() {
            self.keeps_its_rows(&target.relation, None)?;
        }
        let mut plain = Cow::Borrowed(f);
        if !list(f, "target_list").is_empty()
            && let Cow::Owned(unchecked) = self.checked_assignments(&f["target_list"], &target)?
        {
            plain.to_mut()["target_list"] = unchecked;
        }
        if utility::is_current_of(&f["where_clause"], &c["where_clause"]) && list(f, from).is_empty() && f["with_clause"].is_null() {
            let level = Level { items: vec![target.seen()], passed: false };
            self.rows_belong(added, &level)?;
            let (plain, c) = self.without_stars(&plain, c, &level, &[])?;
            self.levels.push(level);
            self.rest(&plain, &c, &["relation", "where_clause"])?;
            self.levels.pop();
            return Ok(());
        }
        let (mut guards, condition) = self.split(&f["where_clause"], &c["where_clause"])?;
        target.take_guard(&mut guards)?;
        self.saw_parents(&target.relation);
        hold(&mut self.proof, Hold::Filter, &f["relation"], &c["relation"], &target.reference);
        self.filters.push(guards);
        let level = self.from_list(list(f, from), list(c, from), Level { items: vec![target.seen()], passed: false })?;
        self.used_up()?;
        self.rows_belong(added, &level)?;
        let (plain, c) = self.without_stars(&plain, c, &level, list(c, from))?;
        self.levels.push(level);
        self.filter(condition)?;
        if self.raising() != raising {
            raises::barriers(list(f, from))?;
        }
        self.passed();
        self.rest(&plain, &c, &["with_clause", "relation", "where_clause", from])?;
        self.levels.pop();
        self.ctes.truncate(depth);
        Ok(())
    }

    pub(super) fn insert(&mut self, f: &Value, c: &Value) -> Res<()> {
        if self.is_unguarded(&c["relation"]) {
            return self.write_temp(f, c);
        }
        let through = self.through_view(f, c, Event::Insert)?;
        let c = through.as_ref().unwrap_or(c);
        let (depth, added_rows) = (self.ctes.len(), self.added.take());
        self.with(&f["with_clause"], &c["with_clause"])?;
        let target = self.target(f, c)?;
        let column = target.column.clone();
        target.hides_from(list(c, "cols"))?;
        let added = self.columns(f, c, &column)?;
        if target.relation.hidden.is_some() && !added {
            return disagree("a hidden column is not written by the wall");
        }
        let how = if added { Hold::Inserted } else { Hold::Own };
        if !column.is_empty() {
            hold(&mut self.proof, how, &f["relation"], &c["relation"], &target.reference);
        }
        self.hold_checks(&f["relation"], &c["relation"], &target);
        let (fs, cs) = (&*self.unchecked_source(f, c, &target)?, &c["select_stmt"]);
        match (fields(fs, "SelectStmt"), fields(cs, "SelectStmt"), added) {
            (Some(f), None, true) if cs.is_null() => match list(f, "values_lists") {
                [row] if fields(row, "List").is_some_and(|r| list(r, "items").len() == 1) && f["with_clause"].is_null() => {
                    self.tenant_value(&list(fields(row, "List").unwrap_or(&Value::Null), "items")[0])?;
                }
                _ => return disagree("DEFAULT VALUES became something else"),
            },
            (Some(f), Some(c), true) => self.source(f, c)?,
            (None, None, false) if column.is_empty() && fs.is_null() && cs.is_null() => {}
            (Some(f), Some(c), false) if column.is_empty() => self.select(f, c)?,
            (Some(fs), Some(cs), false) => {
                let mut plain = fs.clone();
                self.own_arms(&mut plain, cs, position(f, &column), &target)?;
                self.select(&plain, cs)?;
            }
            _ => return disagree("the source of an INSERT differs"),
        }
        let mut level = Level { items: vec![target.seen()], passed: false };
        self.rows_belong(added_rows, &level)?;
        let excluded = Seen { name: "excluded".into(), relation: Some(target.relation.clone()), hides: target.hides(), ..Seen::default() };
        // What RETURNING sees has been written, and so is the tenant's.
        self.levels.push(Level { passed: true, ..level.clone() });
        let (left, client) = self.without_stars(f, c, &level, &[])?;
        self.rest(&left, &client, &["with_clause", "relation", "cols", "select_stmt", "on_conflict_clause"])?;
        if !f["on_conflict_clause"].is_null() {
            from::push(&mut level, excluded)?;
        }
        self.levels.push(level);
        self.conflict(&f["on_conflict_clause"], &c["on_conflict_clause"], &target)?;
        self.levels.truncate(self.levels.len() - 2);
        self.ctes.truncate(depth);
        Ok(())
    }

    /// The column list; true if the tenant column was added at its end.
    fn columns(&mut self, f: &Value, c: &Value, column: &str) -> Res<bool> {
        let (fcols, ccols) = (list(f, "cols"), list(c, "cols"));
        let name = |v: &Value| fields(v, "ResTarget").map(|t| text(t, "name").to_owned()).unwrap_or_default();
        let last = fcols.last().is_some_and(|l| name(l) == column) && !ccols.iter().any(|v| name(v) == column);
        // Without a list of the client's own, the last column is the added one unless the client gave it a value.
        let source = fields(&c["select_stmt"], "SelectStmt");
        let first = source.and_then(|s| list(s, "values_lists").first()).and_then(|r| fields(r, "List")).map(|r| list(r, "items").len());
        let added = last && !(ccols.is_empty() && width(&c["select_stmt"]) == Some(fcols.len()));
        let named = if added { &fcols[..fcols.len() - 1] } else { fcols };
        if !column.is_empty() && fcols.iter().filter(|v| name(v) == column).count() != 1 {
            return disagree("the tenant column is not written exactly once");
        }
        if !ccols.is_empty() {
            if named.len() != ccols.len() {
                return disagree("the column list differs");
            }
            named.iter().zip(ccols).try_for_each(|(f, c)| self.same(f, c))?;
            return Ok(added);
        }
        let key = (text(&f["relation"], "schemaname").to_owned(), text(&f["relation"], "relname").to_owned());
        let Some(relation) = self.catalog.relations.get(&key) else { return disagree("the target is not listed") };
        let expected: Vec<&str> = relation.columns.iter().take(named.len()).map(|c| c.name.as_str()).collect();
        let plain = named.iter().all(|v| fields(v, "ResTarget").is_some_and(|t| list(t, "indirection").is_empty() && t["val"].is_null()));
        let in_order = plain && named.iter().map(name).eq(expected.iter().map(|s| (*s).to_owned()));
        if !in_order {
            return disagree("the added column list is not the table's");
        }
        // From a query without stars the number of columns is checked by PostgreSQL: one too few or many is its error.
        if first.is_some_and(|count| count != named.len()) {
            return disagree("the added column list has another length");
        }
        Ok(added)
    }

    /// A source whose every row gained the tenant as its last value.
    fn source(&mut self, f: &Value, c: &Value) -> Res<()> {
        let depth = self.ctes.len();
        let is_set = !c["larg"].is_null();
        if is_set {
            self.with(&f["with_clause"], &c["with_clause"])?;
            self.source(&f["larg"], &c["larg"])?;
            self.source(&f["rarg"], &c["rarg"])?;
            let result = self.rest(f, c, &["with_clause", "larg", "rarg"]);
            self.ctes.truncate(depth);
            return result;
        }
        let mut short = f.clone();
        if list(f, "values_lists").is_empty() {
            let target = short["target_list"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
            let Some(target) = fields(&target, "ResTarget") else { return disagree("the tenant's value is missing") };
            self.tenant_value(&target["val"])?;
        } else {
            for row in short["values_lists"].as_array_mut().into_iter().flatten() {
                let last = row["node"]["List"]["items"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
                self.tenant_value(&last)?;
            }
        }
        self.select(&short, c)
    }

    /// `$tenant` or `$tenant::pg_catalog.type`
    pub(super) fn tenant_value(&self, value: &Value) -> Res<()> {
        let inner = match fields(value, "TypeCast") {
            Some(cast) if names(list(&cast["type_name"], "names")).first() == Some(&"pg_catalog") => &cast["arg"],
            Some(_) => return disagree("the tenant's value is cast to a user's type"),
            None => value,
        };
        let number = fields(inner, "ParamRef").and_then(|p| p["number"].as_i64());
        if number.is_some_and(|n| n >= self.first) { Ok(()) } else { disagree("the tenant column is not written by the wall") }
    }

    fn conflict(&mut self, f: &Value, c: &Value, target: &Target) -> Res<()> {
        let column = target.column.as_str();
        if f.is_null() && c.is_null() {
            return Ok(());
        }
        let (fi, ci) = (&f["infer"], &c["infer"]);
        if !fi.is_null() && !ci.is_null() {
            let (mut fe, ce) = (list(fi, "index_elems"), list(ci, "index_elems"));
            let hidden = target.hides();
            if hidden.is_some() && ce.iter().filter_map(|e| fields(e, "IndexElem")).any(|e| Some(text(e, "name")) == hidden.as_deref()) {
                return disagree("a hidden column is named");
            }
            if fe.len() == ce.len() + 1
                && fields(&fe[ce.len()], "IndexElem").is_some_and(|e| text(e, "name") == column && e["expr"].is_null())
            {
                fe = &fe[..ce.len()];
            }
            if fe.len() != ce.len() {
                return disagree("the conflict target differs");
            }
            fe.iter().zip(ce).try_for_each(|(f, c)| self.same(f, c))?;
            self.rest(fi, ci, &["index_elems"])?;
        } else {
            self.same(fi, ci)?;
        }
        self.sets_own(list(f, "target_list"), target, true)?;
        if f["action"].as_i64() != Some(3) {
            // A key that tenants share would turn an INSERT into nothing where another has the row.
            return if target.is_private(fi) { self.rest(f, c, &["infer"]) } else { disagree("a conflict may be with another tenant") };
        }
        let client = c["location"].as_u64().and_then(|l| usize::try_from(l).ok());
        let reference = target.reference.clone();
        self.proof.held.push(Held { hold: Hold::Upsert, relation: String::new(), reference, client });
        self.upsert(&f["where_clause"], &c["where_clause"], target)?;
        let mut plain = Cow::Borrowed(f);
        if let Cow::Owned(unchecked) = self.checked_assignments(&f["target_list"], target)? {
            plain.to_mut()["target_list"] = unchecked;
        }
        self.behind(vec![target.reference.clone()], |walk| walk.rest(&plain, c, &["infer", "where_clause"]))
    }

    /// `CASE WHEN guard THEN <client's> ELSE <marker>::bool END`: another tenant's row is an error, never a silent nothing.
    fn upsert(&mut self, f: &Value, c: &Value, target: &Target) -> Res<()> {
        let Some((when, case)) = one_case(f) else { return disagree("an upsert has no guard") };
        if self.guard(&when["expr"]).as_ref() != Some(&target.guard) {
            return disagree("an upsert has no guard");
        }
        self.saw_parents(&target.relation);
        if !is_marker(&case["defresult"], "partywall:upsert") {
            return disagree("an upsert that meets another tenant's row is not an error");
        }
        if c.is_null() {
            let truth = fields(&when["result"], "AConst").is_some_and(|t| t["val"]["Boolval"]["boolval"] == Value::Bool(true));
            return if truth { Ok(()) } else { disagree("an upsert gained a condition") };
        }
        self.behind(vec![target.reference.clone()], |walk| walk.same(&when["result"], c))
    }
}

/// The one WHEN of a CASE without argument, and the CASE.
pub(super) fn one_case(value: &Value) -> Option<(&Value, &Value)> {
    let case = fields(value, "CaseExpr")?;
    let [when] = list(case, "args") else { return None };
    case["arg"].is_null().then_some((fields(when, "CaseWhen")?, case))
}

/// `('marker' OPERATOR(pg_catalog.||) …)::pg_catalog.bool`, which always fails: no such text is a boolean.
pub(super) fn is_marker(value: &Value, marker: &str) -> bool {
    let Some(cast) = fields(value, "TypeCast") else { return false };
    let Some(joined) = fields(&cast["arg"], "AExpr") else { return false };
    let literal = fields(&joined["lexpr"], "AConst").map(|l| &l["val"]["Sval"]["sval"]);
    names(list(&cast["type_name"], "names")) == ["pg_catalog", "bool"]
        && names(list(joined, "name")) == ["pg_catalog", "||"]
        && literal == Some(&Value::from(marker))
        && is_nothing_of_a_column(&joined["rexpr"])
}

/// `COALESCE(pg_catalog.left(column::pg_catalog.text, 0), '')`
fn is_nothing_of_a_column(value: &Value) -> bool {
    let Some([call, empty]) = fields(value, "CoalesceExpr").map(|c| list(c, "args")) else { return false };
    let Some(call) = fields(call, "FuncCall") else { return false };
    let [cast, zero] = list(call, "args") else { return false };
    let Some(cast) = fields(cast, "TypeCast") else { return false };
    names(list(call, "funcname")) == ["pg_catalog", "left"]
        && is_zero(zero)
        && fields(&cast["arg"], "ColumnRef").is_some()
        && names(list(&cast["type_name"], "names")) == ["pg_catalog", "text"]
        && fields(empty, "AConst").is_some_and(|e| e["val"]["Sval"]["sval"] == "")
}

/// How many values each row of a source has; None where a star hides it.
pub(super) fn width(source: &Value) -> Option<usize> {
    let mut select = fields(source, "SelectStmt")?;
    while !select["larg"].is_null() {
        select = &select["larg"];
    }
    if let Some(row) = list(select, "values_lists").first() {
        return Some(list(fields(row, "List")?, "items").len());
    }
    let targets = list(select, "target_list");
    (!targets.iter().any(holds_star)).then_some(targets.len())
}

pub(super) fn holds_star(target: &Value) -> bool {
    let value = fields(target, "ResTarget").map(|t| &t["val"]);
    let last = value.and_then(|v| match kind(v)? {
        ("ColumnRef", c) => list(c, "fields").last(),
        ("AIndirection", i) => list(i, "indirection").last(),
        _ => None,
    });
    last.and_then(kind).is_some_and(|(k, _)| k == "AStar")
}

fn position(f: &Value, column: &str) -> usize {
    list(f, "cols").iter().position(|v| fields(v, "ResTarget").is_some_and(|t| text(t, "name") == column)).unwrap_or(usize::MAX)
}
