//! Relations in FROM: each scoped one takes its guard out of a filter that filters exactly its rows.

use super::hidden::without_column;
use super::scopes::{Level, Seen, called_as};
use super::{Hold, Listed, Res, Walk, disagree, fields, hold, is_zero, kind, list, names, statements, text};
use crate::sql::private::TEMP;
use crate::sql::tree::Value;

/// PostgreSQL's JoinType as the tree has it (nodes.h, one more for "undefined").
const INNER: i64 = 1;
const LEFT: i64 = 2;
const FULL: i64 = 3;
const RIGHT: i64 = 4;

impl Walk<'_> {
    /// A FROM list whose relations may be guarded in the innermost filter; `level` holds what stands there already.
    pub(super) fn from_list(&mut self, f: &[Value], c: &[Value], mut level: Level) -> Res<Level> {
        if f.len() != c.len() {
            return disagree("FROM has other items");
        }
        let sink = self.filters.len() - 1;
        // The target of a write stands beside its FROM or USING, but cannot be named inside.
        let targets = level.items.len();
        level.items.iter_mut().for_each(|i| i.unnamed = true);
        f.iter().zip(c).try_for_each(|(f, c)| self.from_item(f, c, &[sink], &mut level))?;
        level.items[..targets].iter_mut().for_each(|i| i.unnamed = false);
        Ok(level)
    }

    pub(super) fn from_item(&mut self, f: &Value, c: &Value, sinks: &[usize], level: &mut Level) -> Res<()> {
        let (Some((fk, fv)), Some((ck, cv))) = (kind(f), kind(c)) else { return disagree("FROM differs") };
        if ck == "RangeVar"
            && let Some(proved) = self.catalog_item(fk, fv, cv)
        {
            proved?;
            let name = called_as(cv, text(cv, "relname"));
            self.conditions.catalogs = true;
            return push(level, Seen { name: name.to_owned(), shared: true, ..Seen::default() });
        }
        if ck == "RangeFunction"
            && let Some(proved) = self.rows_call_in_from(fk, fv, cv, level)
        {
            return proved;
        }
        let late = self.late;
        match (fk, ck) {
            ("RangeVar", "RangeVar") => self.table(fv, cv, sinks, level),
            ("RangeSubselect", "RangeVar") => self.wrapped(fv, cv, level),
            ("JoinExpr", "JoinExpr") => self.join(fv, cv, sinks, level),
            ("RangeTableSample", "RangeTableSample") => self.sample(fv, cv, sinks, level),
            ("RangeSubselect", "RangeTableSample") => self.wrapped_sample(fv, cv, level),
            ("RangeSubselect", "RangeSubselect") => self.subselect(fv, cv, level),
            ("RangeSubselect", "RangeFunction") => self.row_function(fv, cv, level),
            ("RangeFunction", "RangeFunction") => {
                self.beside(level, |walk| {
                    walk.not_before_parents(&cv["functions"])?;
                    walk.rest(fv, cv, &[])
                })?;
                let call = list(fv, "functions").first().and_then(|l| fields(l, "List")).and_then(|l| list(l, "items").first());
                let own = call.and_then(|c| fields(c, "FuncCall")).and_then(|c| names(list(c, "funcname")).last().map(|s| (*s).to_owned()));
                let name = if fv["alias"].is_null() { own.unwrap_or_default() } else { text(&fv["alias"], "aliasname").to_owned() };
                push(level, Seen { name, ..Seen::default() })
            }
            ("RangeTableFunc", "RangeTableFunc") => {
                self.beside(level, |walk| {
                    walk.xml_before_parents(cv)?;
                    walk.rest(fv, cv, &[])
                })?;
                let name = called_as(fv, "xmltable");
                push(level, Seen { name: name.to_owned(), ..Seen::default() })
            }
            ("JsonTable", "JsonTable") => {
                self.beside(level, |walk| {
                    walk.xml_before_parents(cv)?;
                    // It is LATERAL with the word and without it (parse_jsontable.c, transformJsonTable).
                    walk.rest(fv, cv, &["lateral"])
                })?;
                push(level, Seen { name: called_as(fv, "json_table").to_owned(), ..Seen::default() })
            }
            _ => disagree(format!("{ck} became {fk} in FROM")),
        }?;
        if let Some(item) = level.items.last_mut().filter(|_| ck != "JoinExpr") {
            item.late = self.late != late;
        }
        Ok(())
    }

    /// Walks what can see the items that stand before it.
    pub(super) fn beside(&mut self, level: &Level, walk: impl FnOnce(&mut Self) -> Res<()>) -> Res<()> {
        self.levels.push(level.clone());
        let result = walk(self);
        self.levels.pop();
        result
    }

    fn subselect(&mut self, f: &Value, c: &Value, level: &mut Level) -> Res<()> {
        let shared = self.shared;
        let (fs, cs) = (&f["subquery"], &c["subquery"]);
        let (Some(query), Some(_)) = (fields(fs, "SelectStmt"), fields(cs, "SelectStmt")) else {
            return disagree("a subquery is no query");
        };
        self.keeps_out(query, |walk| match f["lateral"] == Value::Bool(true) {
            true => walk.beside(level, |walk| walk.same(fs, cs)),
            false => walk.same(fs, cs),
        })?;
        self.rest(f, c, &["subquery"])?;
        self.not_before_parents(cs)?;
        let name = text(&f["alias"], "aliasname").to_owned();
        push(level, Seen { name, shared: shared != self.shared, ..Seen::default() })
    }

    /// A relation that stands as itself takes its guard from one of the filters.
    fn table(&mut self, f: &Value, c: &Value, sinks: &[usize], level: &mut Level) -> Res<()> {
        let listed = self.relation(f, c)?;
        self.rest(f, c, &["schemaname"])?;
        let reference = called_as(f, text(f, "relname")).to_owned();
        let aliased = !c["alias"].is_null();
        let Some(Listed { relation, column }) = listed else { return push(level, Seen { name: reference, aliased, ..Seen::default() }) };
        if relation.is_expanded() {
            return disagree("a view stands as itself");
        }
        if relation.hidden.is_some() {
            return disagree("a table with a hidden column stands as itself");
        }
        let Some(column) = column else {
            let shared = relation.is_temporary_view() || (relation.schema != TEMP && !relation.is_own());
            self.shared += usize::from(shared);
            return push(level, Seen { name: reference, relation: Some(relation), shared, aliased, ..Seen::default() });
        };
        if !list(&f["alias"], "colnames").is_empty() {
            return disagree("a guarded relation has renamed columns");
        }
        let wanted = self.wanted(&relation, &reference, &column)?;
        for sink in sinks {
            if let Some(index) = self.filters[*sink].iter().position(|g| *g == wanted) {
                self.filters[*sink].remove(index);
                hold(&mut self.proof, Hold::Filter, f, c, &reference);
                self.saw_parents(&relation);
                return push(level, Seen { name: reference, relation: Some(relation), guard: Some(wanted), aliased, ..Seen::default() });
            }
        }
        disagree("a relation has no guard where one is needed")
    }

    /// A built-in method judges each row or block by itself.
    fn sample(&mut self, f: &Value, c: &Value, sinks: &[usize], level: &mut Level) -> Res<()> {
        sampling(f)?;
        self.beside(level, |walk| walk.rest(f, c, &["relation"]))?;
        match (fields(&f["relation"], "RangeVar"), fields(&c["relation"], "RangeVar")) {
            (Some(f), Some(c)) => self.table(f, c, sinks, level),
            _ => disagree("a sample of something else"),
        }
    }

    /// A sample of a wrapped relation is taken inside, by arguments that read nothing beside it.
    fn wrapped_sample(&mut self, f: &Value, c: &Value, level: &mut Level) -> Res<()> {
        let mut plain = f.clone();
        let inside = plain.pointer_mut("/subquery/node/SelectStmt/from_clause/0").map(Value::take).unwrap_or_default();
        let (Some(sample), Some(var)) = (fields(&inside, "RangeTableSample"), fields(&c["relation"], "RangeVar")) else {
            return disagree("a sample became something else");
        };
        sampling(sample)?;
        // Columns are those of levels around: PostgreSQL lets a sample's arguments see neither its table nor what stands beside it.
        let reads = |v: &Value| v.has(&mut |name, _| matches!(name, "SubLink" | "AStar"));
        if reads(&sample["args"]) || reads(&sample["repeatable"]) {
            return disagree("a sample depends on what stands beside it");
        }
        self.rest(sample, c, &["relation"])?;
        plain["subquery"]["node"]["SelectStmt"]["from_clause"][0] = sample["relation"].clone();
        self.wrapped(&plain, var, level)
    }

    /// `(SELECT * FROM schema.t WHERE guard OFFSET 0) AS alias` for `t AS alias`, or a view's own query.
    fn wrapped(&mut self, f: &Value, c: &Value, level: &mut Level) -> Res<()> {
        let Some(select) = fields(&f["subquery"], "SelectStmt") else { return disagree("a relation became a subquery") };
        let alias = if c["alias"].is_null() {
            text(&f["alias"], "aliasname") == text(c, "relname") && list(&f["alias"], "colnames").is_empty()
        } else {
            f["alias"] == c["alias"]
        };
        if !alias || f["lateral"] != Value::Bool(false) {
            return disagree("a wrapped relation has another name");
        }
        let name = text(&f["alias"], "aliasname").to_owned();
        let renamed = !list(&f["alias"], "colnames").is_empty();
        let known = |relation| Some(relation).filter(|_| !renamed);
        if let Some(seen) = self.view(select, c)? {
            let was_in = seen.relation.as_ref().filter(|_| c["alias"].is_null()).map(|r| r.schema.clone());
            let aliased = was_in.is_none();
            return push(level, Seen { name, relation: seen.relation.and_then(known), was_in, aliased, ..seen });
        }
        let [table] = list(select, "from_clause") else { return disagree("a wrapped relation has other company") };
        let Some(table) = fields(table, "RangeVar") else { return disagree("a wrapped relation is none") };
        let Some(Listed { relation, column: Some(column) }) = self.relation(table, c)? else {
            return disagree("a relation is wrapped for nothing");
        };
        let guard = self.guard(&select["where_clause"]);
        let wanted = self.wanted(&relation, text(table, "relname"), &column)?;
        let star = matches!(list(select, "target_list"), [t] if is_star(t));
        let empty = ["distinct_clause", "group_clause", "window_clause", "values_lists", "sort_clause", "locking_clause"];
        let bare = empty.iter().all(|k| list(select, k).is_empty())
            && ["having_clause", "limit_count", "with_clause", "into_clause", "larg", "rarg"].iter().all(|k| select[*k].is_null());
        let same_table = table["alias"].is_null() && table["inh"] == c["inh"] && table["relpersistence"] == c["relpersistence"];
        let shown = match relation.hidden {
            Some(_) => self.shows_the_visible(select, &relation),
            None => (star && is_zero(&select["limit_offset"])).then(Vec::new),
        };
        let fits = list(&f["alias"], "colnames").len() <= relation.columns.len() || relation.hidden.is_none();
        if let Some(carried) = shown.filter(|_| guard == Some(wanted) && fits && bare && same_table) {
            hold(&mut self.proof, Hold::Wrapped, table, c, &name);
            self.saw_parents(&relation);
            let was_in = c["alias"].is_null().then(|| relation.schema.clone());
            let aliased = was_in.is_none();
            push(level, Seen { name, relation: known(relation), was_in, aliased, carried, ..Seen::default() })
        } else {
            disagree("a wrapped relation is not sound")
        }
    }

    /// The item that a view's query makes, proved against the definition that the server gave; None where the name is no view's.
    fn view(&mut self, f: &Value, c: &Value) -> Res<Option<Seen>> {
        let (schema, name) = (text(c, "schemaname"), text(c, "relname"));
        let is_cte = schema.is_empty() && self.ctes.iter().flatten().any(|n| n == name);
        let listed = self.catalog.find(schema, name);
        let read = listed.filter(|r| r.is_expanded()).or_else(|| self.catalog.sequence(schema, name).filter(|_| listed.is_none()));
        let Some(relation) = read.filter(|_| !is_cte && self.temp_of(c).is_none()).cloned() else { return Ok(None) };
        let parsed = statements(relation.definition.as_deref().unwrap_or_default())?;
        let [definition] = parsed.as_slice() else { return disagree("a view is not one query") };
        let Some(definition) = fields(&definition["stmt"], "SelectStmt") else { return disagree("a view is no query") };
        let definition = &without_column(definition, &relation)?;
        let (shared, places, held) = (self.shared, self.proof.places.len(), self.proof.held.len());
        let around = (std::mem::take(&mut self.levels), std::mem::take(&mut self.ctes));
        let result = self.keeps_out(f, |walk| walk.select(f, definition));
        (self.levels, self.ctes) = around;
        // The definition is not the client's text: what was proved in it has no place there.
        self.proof.places.truncate(places);
        self.proof.held[held..].iter_mut().for_each(|h| h.client = None);
        result?;
        Ok(Some(Seen { relation: Some(relation), shared: shared != self.shared, ..Seen::default() }))
    }

    fn join(&mut self, f: &Value, c: &Value, above: &[usize], level: &mut Level) -> Res<()> {
        let (guards, condition) = self.split(&f["quals"], &c["quals"])?;
        self.filters.push(guards);
        let on = [self.filters.len() - 1];
        let above: &[usize] = if f["alias"].is_null() { above } else { &[] };
        let both: Vec<usize> = above.iter().chain(&on).copied().collect();
        let none: &[usize] = &[];
        let kind = f["jointype"].as_i64();
        // A guard in ON removes rows of the nullable side only; the other side's rows would come back with NULLs.
        let (left, right) = match kind {
            Some(INNER) => (both.as_slice(), both.as_slice()),
            Some(LEFT) => (above, on.as_slice()),
            Some(RIGHT) => (on.as_slice(), above),
            Some(FULL) => (none, none),
            _ => return disagree("a join of an unknown kind"),
        };
        if f["is_natural"] == Value::Bool(true) || !list(f, "using_clause").is_empty() {
            self.only_own_operators(&["="])?;
        }
        let first = level.items.len();
        self.from_item(&f["larg"], &c["larg"], left, level)?;
        let middle = level.items.len();
        level.items[first..middle].iter_mut().for_each(|i| i.unnamed = matches!(kind, Some(RIGHT | FULL)));
        self.from_item(&f["rarg"], &c["rarg"], right, level)?;
        level.items[first..middle].iter_mut().for_each(|i| i.unnamed = false);
        self.used_up()?;
        self.using_is_firm(c, level, first)?;
        self.merged_is_safe(c, level, first, middle)?;
        self.joins_nothing_carried(f, &level.items[first..])?;
        let inside = Level { items: level.items[first..].to_vec(), passed: false };
        self.conditions.full = kind == Some(FULL);
        self.beside(&inside, |walk| walk.filter(condition))?;
        self.rest(f, c, &["quals", "larg", "rarg"])?;
        for (index, item) in level.items.iter_mut().enumerate().skip(first) {
            item.joined = true;
            item.nullable |= match kind {
                Some(LEFT) => index >= middle,
                Some(RIGHT) => index < middle,
                Some(FULL) => true,
                _ => false,
            };
        }
        for (key, hides) in [("join_using_alias", false), ("alias", true)] {
            if !f[key].is_null() {
                let any = |of: fn(&Seen) -> bool| hides && level.items[first..].iter().any(of);
                let (shared, late, open) = (any(|i| i.shared), any(|i| i.late), any(|i| i.guard.is_some() || i.open));
                level.items.truncate(if hides { first } else { level.items.len() });
                let name = text(&f[key], "aliasname").to_owned();
                push(level, Seen { name, shared, late, open, merged: !hides, ..Seen::default() })?;
            }
        }
        Ok(())
    }
}

/// A built-in method judges each row or block by itself.
fn sampling(f: &Value) -> Res<()> {
    match names(list(f, "method")).as_slice() {
        ["bernoulli" | "system"] | ["pg_catalog", "bernoulli" | "system"] => Ok(()),
        _ => disagree("this way of sampling is not proved"),
    }
}

/// Adds an item: a name that stands twice could make a guard speak of the wrong one.
pub(super) fn push(level: &mut Level, item: Seen) -> Res<()> {
    if !item.name.is_empty() && level.items.iter().any(|i| i.name == item.name) {
        return disagree("a name stands twice in FROM");
    }
    level.items.push(item);
    Ok(())
}

fn is_star(target: &Value) -> bool {
    let Some(target) = fields(target, "ResTarget") else { return false };
    let column = fields(&target["val"], "ColumnRef");
    let star = column.is_some_and(|c| matches!(list(c, "fields"), [one] if kind(one).is_some_and(|(k, _)| k == "AStar")));
    star && text(target, "name").is_empty() && names(list(target, "indirection")).is_empty()
}
