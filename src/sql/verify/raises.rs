//! What can fail runs behind the guard: proved here by rules of its own, without a word from the rewriter.
//!
//! PostgreSQL runs the conditions of a scan in an order of its own choice, and moves those above a subquery or a WITH query that it inlines down
//! to the scans in it. So in WHERE and ON each part that can raise an error on a guarded relation's row stands in a fence of that relation's guard,
//! and each query into which such a condition could be moved, or whose own output can fail, is one into which nothing is moved.

use super::hazards::{compares_rows, has_effect};
use super::scopes::Level;
use super::{Pairs, Res, Walk, disagree, fields, free, kind, list, names};
use crate::sql::catalog::Catalog;
use crate::sql::functions;
use crate::sql::tree::Value;
use pg_query::protobuf::AExprKind;

/// What the walk knows of conditions.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// What is walked could run before the guards of its level.
    early: bool,
    /// References whose guards are in the fences around.
    behind: Vec<String>,
    /// How many parts of conditions can fail so far.
    pub(super) raising: usize,
    /// Some WITH query of the statement could be inlined.
    pub(super) open: bool,
    /// Something in the statement may make PostgreSQL convert a column of a `through` table.
    pub(super) converts: bool,
    /// Values that cannot be compared may be in the statement.
    pub(super) odd: bool,
    /// A temporary relation is made with columns that nothing later would know to be such.
    pub(super) misfit: bool,
    /// Something that USING or NATURAL merges may fail as it is compared.
    pub(super) loud: bool,
    /// How much was held before the statement.
    pub(super) held: usize,
    /// Two collations may meet in the statement.
    pub(super) collations: bool,
    /// It may read such a table.
    pub(super) mixes: bool,
    /// A parameter is of a type that does.
    pub(super) loose: bool,
    /// Where in a condition the walk is.
    pub(super) place: free::Place,
    /// In how many aggregates' arguments the walk is, where rows have passed the filter of the aggregate's level.
    pub(super) aggregated: usize,
    /// The filter that is walked next is the condition of a FULL JOIN.
    pub(super) full: bool,
    /// The query that is walked next is an arm of a set operation.
    pub(super) arm: bool,
    /// It reads a catalog, whose filter may cost more than what the client adds.
    pub(super) catalogs: bool,
    /// Something in a WITH query can fail.
    pub(super) with_fails: bool,
    /// Whether the output of the query that is walked next can fail is asked for; and the answer, given while the query's level stood.
    pub(super) asked: bool,
    pub(super) gives: Option<bool>,
    /// The type that is walked next is that of a literal that names a text search object.
    pub(super) literal_search: bool,
}

/// A column as an expression names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use<'v> {
    Of(&'v str),
    Bare(&'v str),
    /// Anything of the innermost level, as a subquery there.
    Near,
    /// Anything in sight, of what reads no column.
    Free,
    /// Anything in sight.
    Any,
}

impl Walk<'_> {
    /// The parts of a filter, which may run before its guards.
    pub(super) fn filter(&mut self, pairs: Pairs<'_>) -> Res<()> {
        let around = (std::mem::replace(&mut self.conditions.early, true), std::mem::take(&mut self.conditions.behind));
        let full = std::mem::take(&mut self.conditions.full);
        let place = std::mem::replace(&mut self.conditions.place, free::Place { full, ..free::Place::condition() });
        let result = self.pairs(pairs);
        self.conditions.place = place;
        (self.conditions.early, self.conditions.behind) = around;
        result
    }

    /// Walks a query of its own: its parts say themselves what may run early.
    pub(super) fn apart<T>(&mut self, walk: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        let around = (std::mem::take(&mut self.conditions.early), std::mem::take(&mut self.conditions.behind));
        let place = std::mem::take(&mut self.conditions.place);
        let result = walk(self);
        self.conditions.place = place;
        (self.conditions.early, self.conditions.behind) = around;
        result
    }

    /// Walks what a fence with these guards holds.
    pub(super) fn behind(&mut self, guards: Vec<String>, walk: impl FnOnce(&mut Self) -> Res<()>) -> Res<()> {
        let depth = self.conditions.behind.len();
        let fenced = self.fence_off(&guards, true);
        self.conditions.behind.extend(guards);
        let result = walk(self);
        self.conditions.behind.truncate(depth);
        self.fence_off(&fenced, false);
        result
    }

    /// Before a part of the client's is walked: one that can fail is behind the guards of all that it reads. Its own parts then need no look.
    pub(super) fn early_part(&mut self, f: &Value, c: &Value) -> Res<bool> {
        let distance = !self.conditions.early && self.is_distance(c);
        if !self.conditions.early && !distance {
            return Ok(false);
        }
        let Some(mut uses) = self.failing_uses(c, self.conditions.place.apart) else { return Ok(false) };
        let by_parent = self.levels.last().is_some_and(|l| !l.passed && l.is_by_parent());
        let place = self.conditions.place;
        let costly = place.full || (place.costly && !self.levels.iter().any(|l| !l.passed && l.is_by_parent()));
        // The name of an object that became its number is a constant.
        let constant = uses.iter().all(|used| *used == Use::Free) && !free::varies(self.catalog, f);
        uses.retain(|used| !(constant || (costly && *used == Use::Free)));
        if uses.is_empty() {
            self.conditions.raising += usize::from(self.conditions.catalogs && !constant);
            return Ok(false);
        }
        if by_parent {
            uses.push(Use::Near);
        }
        if !costly && !self.reads_guarded(&uses) {
            uses.push(Use::Any);
        }
        if self.conditions.aggregated > 0 {
            uses.iter_mut().filter(|used| matches!(used, Use::Free | Use::Any)).for_each(|used| *used = Use::Near);
        }
        self.conditions.raising += 1;
        if self.reads_unguarded(&uses) {
            return disagree("what can fail on a row may run before its guard");
        }
        Ok(std::mem::take(&mut self.conditions.early))
    }

    /// After it.
    pub(super) fn early_again(&mut self, early: bool) {
        self.conditions.early |= early;
    }

    /// How many parts of conditions can fail so far.
    pub(super) fn raising(&self) -> usize {
        self.conditions.raising
    }

    /// What can fail on a row, and what it reads; something that reads no column if the planner does not make a constant of it.
    /// `apart`: it is a condition of its own.
    pub(super) fn failing_uses<'v>(&self, c: &'v Value, apart: bool) -> Option<Vec<Use<'v>>> {
        self.uses_of(c, fields(c, "SubLink").is_some_and(|link| self.tells_late(link, apart)))
    }

    /// `late`: it is a subquery that tells of the row for which it is run.
    fn uses_of<'v>(&self, c: &'v Value, late: bool) -> Option<Vec<Use<'v>>> {
        let mut uses = Vec::new();
        if free::is_call_of_the_walls(self.catalog, c) {
            return None;
        }
        // Comparing by it may fail, whatever stands on the other side.
        if fields(c, "CollateClause").is_some_and(|x| !functions::is_sure_collation(&names(list(x, "collname")))) {
            return Some(vec![Use::Any]);
        }
        if late || self.fails(c) {
            used(self.catalog, c, &mut uses);
            uses.extend((uses.is_empty() && free::varies(self.catalog, c)).then_some(Use::Free));
            let free_of_cost =
                fields(c, "AArrayExpr").is_some_and(free::may_hold_arrays) || fields(c, "AIndirection").is_some_and(free::is_slice);
            uses.extend((late || free_of_cost).then_some(Use::Any));
        } else if self.may_convert_unseen(c, true) {
            used(self.catalog, c, &mut uses);
            uses.push(Use::Free);
        } else if self.may_convert(c) || self.may_convert_unseen(c, false) {
            uses.push(Use::Free);
        }
        (!uses.is_empty()).then_some(uses)
    }

    /// Whether it certainly reads an item whose guard a fence around it could hold.
    fn reads_guarded(&self, uses: &[Use<'_>]) -> bool {
        let items = || self.levels.iter().flat_map(|l| &l.items).filter(|i| i.guard.is_some());
        uses.iter().any(|used| match used {
            Use::Of(name) => items().any(|i| i.name == **name),
            Use::Bare(name) => items().any(|i| i.name == **name || i.relation.as_ref().is_some_and(|r| r.has_column(name))),
            Use::Near | Use::Free | Use::Any => true,
        })
    }

    fn reads_unguarded(&self, uses: &[Use<'_>]) -> bool {
        uses.iter().any(|used| {
            for (up, level) in self.levels.iter().rev().enumerate() {
                let mut certain = matches!(used, Use::Near);
                for item in level.items.iter().filter(|i| !i.unnamed) {
                    let hit = match used {
                        Use::Of(name) => item.name == **name || level.items.iter().any(|i| i.merged && i.name == **name),
                        Use::Bare(name) => item.name == **name || item.open || item.relation.as_ref().is_some_and(|r| r.has_column(name)),
                        Use::Near | Use::Free | Use::Any => true,
                    };
                    certain |= hit && matches!(used, Use::Of(_));
                    if hit && item.open && !(up > 0 && level.passed) {
                        return true;
                    }
                    let open = hit && item.guard.is_some() && !(up > 0 && level.passed) && !self.is_hidden(up, &item.name);
                    if open && !self.conditions.behind.contains(&item.name) {
                        return true;
                    }
                }
                if certain {
                    return false;
                }
            }
            false
        })
    }

    /// An inner level has the name, too.
    fn is_hidden(&self, up: usize, name: &str) -> bool {
        let inner: &[Level] = &self.levels[self.levels.len() - up..];
        inner.iter().any(|l| l.items.iter().any(|i| i.name == name))
    }

    /// Whether this node itself can fail on some value.
    fn fails(&self, c: &Value) -> bool {
        let Some((name, node)) = kind(c) else { return false };
        if self.conversion_fails(name, node) || self.orders_shapes(name, node) || self.meets_collations(name, node) {
            return true;
        }
        match name {
            "TypeCast" => {
                let target = names(list(&node["type_name"], "names"));
                target.last() != Some(&"text") || self.catalog.hazards.casts || !list(&node["type_name"], "array_bounds").is_empty()
            }
            "AArrayExpr" | "XmlExpr" | "XmlSerialize" => true,
            json if json.starts_with("Json") => true,
            "CaseExpr" => !node["arg"].is_null() && (self.catalog.operators.contains("=") || is_row(&node["arg"])),
            "AIndirection" => list(node, "indirection").iter().any(|s| fields(s, "AIndices").is_some()) || self.calls_by_field(node),
            "ColumnRef" => self.calls_by_field(node) || self.works_out(node),
            "FuncCall" => self.call_fails(node),
            "AExpr" => !free::is_short_span_from_now(node) && self.operation_fails(node),
            "SubLink" => {
                let operator = names(list(node, "oper_name")).last().copied().unwrap_or("=").to_owned();
                !node["testexpr"].is_null() && self.operator_fails(&operator)
            }
            _ => false,
        }
    }

    fn call_fails(&self, call: &Value) -> bool {
        let arguments = list(call, "args").len();
        match names(list(call, "funcname")).as_slice() {
            [name] | ["pg_catalog", name] => {
                let listed = self.catalog.functions.iter().any(|(_, n)| n == name);
                let searches = self.catalog.hazards.collations && !functions::is_aggregate(name);
                let measures = functions::measures_shapes(name) && list(call, "args").iter().any(|a| self.may_be_shape(a));
                listed
                    || searches
                    || measures
                    || functions::find_call(name, arguments).is_none_or(|f| f.raises)
                    || has_effect(self.catalog, name)
            }
            _ => true,
        }
    }

    fn operation_fails(&self, x: &Value) -> bool {
        use AExprKind as K;
        let operator = names(list(x, "name")).last().copied().unwrap_or_default().to_owned();
        let whole = |v: &Value| {
            let name = fields(v, "ColumnRef").map(|c| names(list(c, "fields")));
            matches!(name.as_deref(), Some([one]) if self.levels.iter().flat_map(|l| &l.items).any(|i| i.name == *one))
        };
        let shape = |side: &Value| self.may_be_shape(side);
        if self.meets_other_array(x)
            || compares_rows(x)
            || whole(&x["lexpr"])
            || whole(&x["rexpr"])
            || shape(&x["lexpr"])
            || shape(&x["rexpr"])
        {
            return true;
        }
        match x["kind"].as_i64().and_then(|k| K::try_from(i32::try_from(k).ok()?).ok()) {
            Some(K::AexprOp | K::AexprOpAny | K::AexprOpAll) => self.operator_fails(&operator),
            Some(K::AexprLike | K::AexprIlike) => {
                let pattern = fields(&x["rexpr"], "AConst").and_then(|p| p["val"]["Sval"]["sval"].as_str());
                pattern.is_none_or(|p| p.contains('\\')) || self.catalog.operators.contains(&operator) || self.minds_collations(&operator)
            }
            Some(K::AexprIn | K::AexprDistinct | K::AexprNotDistinct | K::AexprNullif) => self.catalog.operators.contains(&operator),
            Some(K::AexprBetween | K::AexprNotBetween | K::AexprBetweenSym | K::AexprNotBetweenSym) => {
                ["<", ">", "<=", ">="].iter().any(|o| self.catalog.operators.contains(*o))
            }
            _ => true,
        }
    }

    pub(super) fn operator_fails(&self, name: &str) -> bool {
        if self.catalog.operators.contains(name) || self.minds_collations(name) {
            return true;
        }
        match functions::find_operator(name) {
            Some(functions::Operator::Quiet) => false,
            Some(functions::Operator::Json) => self.catalog.has_json || self.conditions.loose,
            Some(functions::Operator::Raises) | None => true,
        }
    }

    /// Whether some part of an expression can fail on a column's value.
    pub(super) fn any_fails(&self, c: &Value) -> bool {
        match c {
            Value::Array(all) => all.iter().any(|v| self.any_fails(v)),
            Value::Object(map) => {
                if kind(c).is_some() && self.failing_uses(c, false).is_some() {
                    return true;
                }
                map.iter().any(|(key, inner)| key != "subselect" && self.any_fails(inner))
            }
            _ => false,
        }
    }

    /// A guard by way of a parent is a join, so a subquery beside it may run first: then nothing in it can fail, or it stands in a fence.
    pub(super) fn not_before_parents(&self, query: &Value) -> Res<()> {
        if self.is_before_parents() && (self.sorts_oddly() || self.fails_anywhere(query)) {
            return disagree("what can fail may run before a guard by way of a parent");
        }
        Ok(())
    }

    fn is_before_parents(&self) -> bool {
        self.levels.iter().any(|l| !l.passed && l.is_by_parent())
    }

    /// XMLTABLE reads what stands before it as XML, which fails where it is none.
    pub(super) fn xml_before_parents(&self, table: &Value) -> Res<()> {
        let mut uses = Vec::new();
        used(self.catalog, table, &mut uses);
        if !uses.is_empty() && self.is_before_parents() {
            return disagree("what can fail may run before a guard by way of a parent");
        }
        self.not_before_parents(table)
    }

    /// Whether something in a query, at whatever depth, can fail as it is run: also on rows of the tenant's own, if it tells that it was run.
    pub(super) fn fails_anywhere(&self, c: &Value) -> bool {
        match c {
            Value::Array(all) => all.iter().any(|v| self.fails_anywhere(v)),
            // What is in a subquery is looked at part by part, once.
            Value::Object(map) => {
                (kind(c).is_some() && (free::fails_by_itself(c) || self.uses_of(c, false).is_some()))
                    || map.values().any(|inner| self.fails_anywhere(inner))
            }
            _ => false,
        }
    }

    /// At the end of a statement: no condition that can fail is moved into a WITH query.
    pub(super) fn statement_is_fenced(&mut self) -> Res<()> {
        let conditions = std::mem::take(&mut self.conditions);
        if conditions.misfit {
            return disagree("a temporary relation has columns whose comparison can fail");
        }
        self.no_parents_beside_loud(&conditions)?;
        if conditions.raising > 0 && conditions.open {
            return disagree("a condition that can fail may be moved into a WITH query");
        }
        Ok(())
    }

    /// A part of HAVING without an aggregate is run as WHERE is: then it does not fail.
    pub(super) fn having_part(&mut self, c: &Value, fenced: bool) -> Res<()> {
        if !self.any_fails(c) || self.aggregates(c) {
            return Ok(());
        }
        self.conditions.raising += 1;
        if fenced { Ok(()) } else { disagree("a part of HAVING that can fail may run before the guard") }
    }
}

/// Where conditions of a level can fail, its subqueries keep them out.
pub(super) fn barriers(from: &[Value]) -> Res<()> {
    for item in from {
        match kind(item) {
            Some(("RangeSubselect", sub)) if !fields(&sub["subquery"], "SelectStmt").is_some_and(is_barrier) => {
                return disagree("a condition that can fail may be moved into a subquery");
            }
            Some(("JoinExpr", join)) => barriers(&[join["larg"].clone(), join["rarg"].clone()])?,
            _ => {}
        }
    }
    Ok(())
}

/// A query with a limit or an offset takes no condition from outside.
pub(super) fn is_barrier(select: &Value) -> bool {
    !select["limit_count"].is_null() || !select["limit_offset"].is_null()
}

/// The columns that an expression reads.
pub(super) fn used<'v>(catalog: &Catalog, value: &'v Value, out: &mut Vec<Use<'v>>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| used(catalog, v, out)),
        Value::Object(map) => {
            match kind(value) {
                Some(("ColumnRef", column)) => return out.push(column_use(column)),
                Some(("SubLink", _)) => out.push(Use::Near),
                // A lock is seen from outside.
                Some(("LockingClause", _)) => out.push(Use::Any),
                Some(("FuncCall", call)) if names(list(call, "funcname")).last().is_some_and(|n| has_effect(catalog, n)) => {
                    out.push(Use::Any);
                }
                _ => {}
            }
            map.values().for_each(|v| used(catalog, v, out));
        }
        _ => {}
    }
}

fn column_use(column: &Value) -> Use<'_> {
    let parts = list(column, "fields");
    let named = names(parts);
    match (named.as_slice(), named.len() < parts.len()) {
        // It stands for columns of its own level.
        ([], _) => Use::Near,
        ([.., relation], true) | ([.., relation, _], false) => Use::Of(relation),
        ([name], false) => Use::Bare(name),
    }
}

pub(super) fn is_row(value: &Value) -> bool {
    fields(value, "RowExpr").is_some()
}

#[cfg(test)]
#[path = "raises_tests.rs"]
mod tests;
