//! What names mean where they stand, as far as guards and fences care.

use super::{Found, Res, Walk, disagree, fields, list, names, text};
use crate::sql::catalog::{Relation, SYSTEM_COLUMNS};
use crate::sql::functions::{self, Field};
use crate::sql::tree::Value;
use std::sync::Arc;

/// By which columns refer to an item of FROM, or to the target of a write: its alias, else the name that it has by itself.
pub(super) fn called_as<'v>(item: &'v Value, own: &'v str) -> &'v str {
    if item["alias"].is_null() { own } else { text(&item["alias"], "aliasname") }
}

/// One query level: its items in order of appearance.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    pub(super) items: Vec<Seen>,
    /// What is walked runs on rows that have passed the level's filter.
    pub(super) passed: bool,
}

/// An item of FROM, or the target of a write.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// By which columns refer to it.
    pub(super) name: String,
    /// The listed relation whose columns it has.
    pub(super) relation: Option<Arc<Relation>>,
    /// Its guard, where a filter of this level has it.
    pub(super) guard: Option<Found>,
    /// An outer join may have made its row up.
    pub(super) nullable: bool,
    /// Shared, or has shared relations inside.
    pub(super) shared: bool,
    /// Has inside a table with a hidden column that stands in a barrier.
    pub(super) late: bool,
    /// What is walked stands in a fence of its guard.
    pub(super) fenced: bool,
    /// The alias of a join that has guarded relations inside, of which no fence can speak.
    pub(super) open: bool,
    /// The alias of what USING merges of the relations beside it.
    pub(super) merged: bool,
    /// The target of a write hides this column of its own.
    pub(super) hides: Option<String>,
    /// The client named it by an alias: a name with a schema is not it.
    pub(super) aliased: bool,
    /// The schema of what the client named without an alias, and what stands as a subquery.
    pub(super) was_in: Option<String>,
    /// System columns that the subquery in a table's place shows besides.
    pub(super) carried: Vec<String>,
    /// Stands in a join, where bare names find no system column.
    pub(super) joined: bool,
    /// On the left of a RIGHT or FULL JOIN on whose right side the walk is, or the target of a write in whose FROM it is: nothing there
    /// can name it.
    pub(super) unnamed: bool,
}

impl Level {
    /// These row locks fall on no item that has shared rows, and reach into no barrier, for all its rows.
    pub(super) fn locks_its_own(&self, clauses: &[Value]) -> Res<()> {
        if self.locks(clauses, |item| item.late) {
            return disagree("rows are locked before they are looked at");
        }
        if self.locks(clauses, |item| item.shared) { disagree("rows that all tenants share are locked") } else { Ok(()) }
    }

    fn locks(&self, clauses: &[Value], such: impl Fn(&Seen) -> bool) -> bool {
        clauses.iter().any(|clause| {
            let rels = fields(clause, "LockingClause").map(|c| list(c, "locked_rels")).unwrap_or_default();
            let named: Vec<&str> = rels.iter().filter_map(|r| fields(r, "RangeVar")).map(|r| text(r, "relname")).collect();
            self.items.iter().any(|i| such(i) && (rels.is_empty() || named.contains(&i.name.as_str())))
        })
    }

    /// Rows of it are still to be filtered by way of their parents.
    pub(super) fn is_by_parent(&self) -> bool {
        self.items.iter().any(|i| !i.fenced && i.guard.as_ref().is_some_and(|g| !g.exists.is_null()))
    }

    fn find(&self, name: &str) -> Option<&Seen> {
        self.items.iter().find(|i| i.name == name)
    }
}

/// The column by whose NULL a fence tells that a row is absent.
fn absent_by(part: &Value) -> &str {
    let test = list(&part["node"]["BoolExpr"], "args").first().and_then(|a| fields(a, "NullTest"));
    let column = test.and_then(|t| fields(&t["arg"], "ColumnRef")).map(|c| list(c, "fields")).unwrap_or_default();
    column.last().and_then(|c| fields(c, "String")).map(|s| text(s, "sval")).unwrap_or_default()
}

impl Walk<'_> {
    /// Each guard of a fence speaks of a relation that a filter guards by the same column: where it is false the row is removed anyway,
    /// so the fence can keep an error from being raised and cannot change a result.
    /// Gives the references that it guards.
    pub(super) fn fence_holds(&self, case: &Value) -> Res<Vec<String>> {
        let mut guarded = Vec::new();
        let condition = list(case, "args").first().and_then(|w| fields(w, "CaseWhen")).map(|w| &w["expr"]).unwrap_or(&Value::Null);
        let alone = std::slice::from_ref(condition);
        for part in Self::parts(condition, 1).unwrap_or(alone) {
            let (found, absent) = match self.guard(part) {
                Some(found) => (Some(found), None),
                None => (Self::parts(part, 2).and_then(|p| self.guard(p.last()?)), Some(absent_by(part))),
            };
            match found.filter(|f| self.is_guarded(f, absent)) {
                Some(found) => guarded.push(found.reference),
                None => return disagree("a fence is for no guarded relation"),
            }
        }
        Ok(guarded)
    }

    /// Notes whether what is walked stands in a fence of these references' guards; gives those of which the contrary was noted.
    pub(super) fn fence_off(&mut self, references: &[String], fenced: bool) -> Vec<String> {
        let mut changed = Vec::new();
        for name in references {
            let found = self.levels.iter_mut().rev().find_map(|l| l.items.iter_mut().find(|i| i.name == *name));
            if let Some(item) = found.filter(|i| i.fenced != fenced) {
                item.fenced = fenced;
                changed.push(name.clone());
            }
        }
        changed
    }

    /// A bare name looked up level by level: it may find a guarded row that still needs its guard, and a nearer item takes the name by which
    /// a fence would speak of that row. Of a join no bare name finds a system column.
    pub(super) fn is_behind_a_namesake(&self, column: &str) -> bool {
        let mut nearer: Vec<&str> = Vec::new();
        for level in self.levels.iter().rev() {
            let having = |i: &&Seen| !i.unnamed && i.relation.as_ref().is_some_and(|r| r.has_column(column));
            let ends = level.items.iter().filter(having).any(|i| !i.joined || !SYSTEM_COLUMNS.contains(&column));
            if level.items.iter().filter(having).any(|i| !level.passed && i.guard.is_some() && nearer.contains(&i.name.as_str())) {
                return true;
            }
            if ends {
                return false;
            }
            nearer.extend(level.items.iter().map(|i| i.name.as_str()));
        }
        false
    }

    /// `schema.table` finds a table that has no alias, wherever it stands, and a fence speaks of the nearest item of that name: whether these
    /// may be two.
    pub(super) fn is_behind_its_namesake(&self, schema: &str, table: &str) -> bool {
        let named: Vec<&Seen> = self.levels.iter().flat_map(|l| &l.items).filter(|i| i.name == table).collect();
        let that = |i: &&Seen| !i.aliased && i.relation.as_ref().is_some_and(|r| r.schema == schema && r.name == table);
        self.own_schema().is_none() && named.len() > 1 && !named.iter().all(that)
    }

    /// From here on the innermost level's filter has been passed.
    pub(super) fn passed(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.passed = true;
        }
    }

    /// Whether the reference means a guarded relation here. Unless `absent` rows pass too, the row must certainly be there.
    fn is_guarded(&self, found: &Found, absent: Option<&str>) -> bool {
        let mut levels = self.levels.iter().rev().enumerate();
        let Some((up, item)) = levels.find_map(|(up, level)| Some((up, level.find(&found.reference)?))) else { return false };
        let never_null = |column: &str| item.relation.as_ref().and_then(|r| r.stored_column(column)).is_some_and(|c| c.not_null);
        let there = match absent {
            Some(column) => never_null(column),
            None => up == 0 && !item.nullable,
        };
        item.guard.as_ref() == Some(found) && there
    }

    /// `x.f` is the call `f(x)` where `f` is no column of x: then `f` must not be the name of a function that is not allowed.
    pub(super) fn field(&self, item: Option<&str>, field: &str) -> Res<()> {
        self.shows_no_lock(item, field)?;
        let item = item.and_then(|name| self.levels.iter().rev().find_map(|l| l.find(name)));
        if item.and_then(|i| i.relation.as_ref()).is_some_and(|r| r.has_column(field)) {
            return Ok(());
        }
        let call = functions::field(field);
        let hides = item.is_some_and(|i| i.hides.is_some() || i.late);
        if self.catalog.unsafe_fields.contains(field) || call == Field::Refused || (hides && call != Field::Nothing) {
            return disagree("a field could be the call of a function");
        }
        Ok(())
    }

    /// `x.f`, or `(x).f`, where f may be the call of a function that can fail.
    pub(super) fn calls_by_field(&self, node: &Value) -> bool {
        let searches = self.catalog.hazards.collations;
        let own = |field: &str| self.catalog.hazards.is_own_type(field);
        let raises = |field: &str| own(field) || matches!(functions::field(field), Field::Call { raises } if raises || searches);
        let find = |name: &str| self.levels.iter().rev().find_map(|l| l.find(name));
        let is_column = |item: &Seen, field: &str| item.relation.as_ref().is_some_and(|r| r.has_column(field));
        if node["indirection"].is_null() {
            let parts = list(node, "fields");
            let named = names(parts);
            let ([.., item, field], true) = (named.as_slice(), named.len() == parts.len()) else { return false };
            let by_parent = || self.levels.iter().any(|l| !l.passed && l.is_by_parent());
            return raises(field) && find(item).is_some_and(|i| if i.relation.is_some() { !is_column(i, field) } else { by_parent() });
        }
        let row = fields(&node["arg"], "ColumnRef").map(|c| names(list(c, "fields")));
        let row = row.and_then(|names| if let [one] = names.as_slice() { find(one) } else { None });
        let mut steps = list(node, "indirection").iter().map(|step| fields(step, "String").map(|s| text(s, "sval")));
        let first = steps.next().flatten().is_some_and(|f| raises(f) && !row.is_some_and(|item| is_column(item, f)));
        first || steps.flatten().any(raises)
    }
}
