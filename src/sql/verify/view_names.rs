//! What a view's columns are called becomes what the view's definition says that they are: the verifier's own way through a client's expressions.
//!
//! The result is what the final text is compared with as if the client had written it. What a name means is looked up as PostgreSQL does it,
//! level by level; where the trees cannot tell, nothing is proved.

use super::scopes::called_as;
use super::{Res, Walk, disagree, fields, is_place, kind, labels, list, names, text};
use crate::sql::catalog::Relation;
use crate::sql::tree::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The subquery that has a view's whole row.
const ROW: &str = "partywall_row";

/// The columns of a view, in order: what each is, in columns of the table, and which of these it is by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) order: Vec<String>,
    pub(super) is: BTreeMap<String, Value>,
    pub(super) stored: BTreeMap<String, String>,
    pub(super) defaults: BTreeMap<String, Value>,
}

/// What stands in a level's FROM, by its name.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A view whose columns are others.
    View(Arc<Columns>, Option<String>),
    /// With these columns.
    Of(Vec<String>),
    /// With any.
    Any,
}

/// Levels of names, the innermost last, and the table that takes the view's place in the first.
pub(super) struct Places<'w> {
    pub(super) walk: &'w Walk<'w>,
    pub(super) table: Arc<Relation>,
    pub(super) reference: String,
    pub(super) levels: Vec<Vec<(String, Item)>>,
    pub(super) ctes: Vec<String>,
    /// The expressions are a view's.
    pub(super) foreign: bool,
}

/// A reference to a column.
pub(super) fn column_ref(parts: &[&str]) -> Value {
    let string = |part: &&str| Value::node("String", Value::object(vec![("sval", Value::from(*part))]));
    let parts: Vec<Value> = parts.iter().map(string).collect();
    Value::node("ColumnRef", Value::object(vec![("fields", parts.into()), ("location", Value::from(-1))]))
}

impl Places<'_> {
    /// Puts the table's columns in the place of the view's.
    pub(super) fn put(&mut self, value: &mut Value) -> Res<()> {
        if self.put_field(value)? {
            return Ok(());
        }
        match kind(value).map(|(name, _)| name.to_owned()).as_deref() {
            Some("ColumnRef") => return self.put_column(value),
            Some("SelectStmt") => {
                let Some(select) = value.pointer_mut("/node/SelectStmt") else { return disagree("a query is none") };
                return self.put_select(select);
            }
            Some("CommonTableExpr" | "RangeSubselect" | "RangeVar" | "JoinExpr" | "RangeFunction" | "RangeTableSample") => {
                return disagree("FROM stands where it cannot");
            }
            Some(kind @ ("RowExpr" | "List" | "ResTarget")) => {
                let key = if kind == "RowExpr" { "args" } else { "items" };
                let one = std::slice::from_ref(&value["node"]["ResTarget"]["val"]);
                let parts = if kind == "ResTarget" { one } else { list(&value["node"][kind], key) };
                if parts.iter().any(|p| self.is_star(p)) {
                    return disagree("a star of a view stands where it cannot");
                }
            }
            _ => {}
        }
        let unnamed = fields(value, "ResTarget").filter(|t| text(t, "name").is_empty());
        let label = unnamed.and_then(|t| labels::label(&t["val"])).map(str::to_owned);
        self.put_inside(value)?;
        if let (Some(label), Some(target)) = (label, value.pointer_mut("/node/ResTarget"))
            && labels::label(&target["val"]) != Some(&label)
        {
            target["name"] = Value::from(label.as_str());
        }
        if let Some(all) = value.pointer("/node/BoolExpr").and_then(one_level) {
            value["node"]["BoolExpr"]["args"] = all.into();
        }
        Ok(())
    }

    fn put_inside(&mut self, value: &mut Value) -> Res<()> {
        match value {
            Value::Array(all) => all.iter_mut().try_for_each(|v| self.put(v)),
            Value::Object(all) => all.iter_mut().try_for_each(|(key, v)| {
                if is_place(key) && self.foreign {
                    *v = Value::from(-1);
                }
                if v.is_object() || v.is_array() { self.put(v) } else { Ok(()) }
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn put_select(&mut self, select: &mut Value) -> Res<()> {
        let known = self.ctes.len();
        for cte in select["with_clause"].get_mut("ctes").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(cte) = cte.pointer_mut("/node/CommonTableExpr") else { return disagree("WITH has something else") };
            self.ctes.push(text(cte, "ctename").to_owned());
            if fields(&cte["ctequery"], "SelectStmt").is_none() {
                return disagree("a write stands within an expression");
            }
            self.put(&mut cte["ctequery"])?;
        }
        for side in ["larg", "rarg"] {
            if select[side].is_object() {
                self.put_select(&mut select[side])?;
            }
        }
        self.levels.push(Vec::new());
        for item in select["from_clause"].as_array_mut().into_iter().flatten() {
            self.put_item(item)?;
        }
        let outputs: Vec<String> = list(select, "target_list").iter().filter_map(output).collect();
        for key in ["where_clause", "target_list", "values_lists", "having_clause", "window_clause", "limit_count", "limit_offset"] {
            self.put(&mut select[key])?;
        }
        for key in ["distinct_clause", "group_clause", "sort_clause"] {
            for item in select[key].as_array_mut().into_iter().flatten() {
                let value = fields(item, "SortBy").map_or(&*item, |s| &s["node"]);
                let bare = fields(value, "ColumnRef").map(|c| names(list(c, "fields")));
                let own = matches!(bare.as_deref(), Some([one]) if outputs.iter().any(|o| o == one));
                if !own {
                    self.put(item)?;
                }
            }
        }
        self.levels.pop();
        self.ctes.truncate(known);
        Ok(())
    }

    /// An item of FROM, which the innermost level gains.
    pub(super) fn put_item(&mut self, item: &mut Value) -> Res<()> {
        if self.foreign
            && let Some(var) = item.pointer_mut("/node/RangeVar")
        {
            var["location"] = Value::from(-1);
        }
        match kind(item).map(|(name, _)| name.to_owned()).as_deref() {
            Some("RangeVar") => {
                let var = &item["node"]["RangeVar"];
                let own = self.ctes.iter().any(|c| c == text(var, "relname"));
                if self.foreign && text(var, "schemaname").is_empty() && !own {
                    return disagree("a view reads a catalog in an expression");
                }
                let named = self.relation(var);
                self.add(named)
            }
            Some("RangeSubselect") => {
                let Some(sub) = item.pointer_mut("/node/RangeSubselect") else { return disagree("a subquery is none") };
                let around = if sub["lateral"] == Value::Bool(true) { None } else { self.levels.pop() };
                let done = self.put(&mut sub["subquery"]);
                self.levels.extend(around);
                done?;
                let columns = columns_of(sub).map_or(Item::Any, Item::Of);
                self.add((text(&sub["alias"], "aliasname").to_owned(), columns))
            }
            Some("RangeFunction") => {
                let Some(function) = item.pointer_mut("/node/RangeFunction") else { return disagree("a function is none") };
                let name = text(&function["alias"], "aliasname").to_owned();
                self.put(&mut function["functions"])?;
                self.add((name, Item::Any))
            }
            Some("JoinExpr") => {
                let Some(join) = item.pointer_mut("/node/JoinExpr") else { return disagree("a join is none") };
                if !join["alias"].is_null() || !join["join_using_alias"].is_null() {
                    return disagree("a join has a name");
                }
                let first = self.levels.last().map_or(0, Vec::len);
                self.put_item(&mut join["larg"])?;
                self.put_item(&mut join["rarg"])?;
                self.put(&mut join["quals"])?;
                if join["is_natural"] == Value::Bool(true) || !list(join, "using_clause").is_empty() {
                    self.levels.last_mut().into_iter().flatten().skip(first).for_each(|(_, columns)| *columns = Item::Any);
                }
                Ok(())
            }
            _ => disagree("this kind of FROM is not proved here"),
        }
    }

    fn add(&mut self, item: (String, Item)) -> Res<()> {
        if let Some(level) = self.levels.last_mut() {
            level.push(item);
        }
        Ok(())
    }

    fn relation(&self, var: &Value) -> (String, Item) {
        let (schema, name) = (text(var, "schemaname"), text(var, "relname"));
        let own = schema.is_empty() && (self.ctes.iter().any(|c| c == name) || self.walk.private.temps.get(name).is_some());
        let renamed = !list(&var["alias"], "colnames").is_empty();
        let found = self.walk.catalog.find(schema, name).filter(|_| !own && !renamed);
        let alias = called_as(var, name);
        (alias.to_owned(), found.map_or(Item::Any, |r| Item::Of(r.columns.iter().map(|c| c.name.clone()).collect())))
    }

    fn put_column(&mut self, value: &mut Value) -> Res<()> {
        let Some(column) = fields(value, "ColumnRef") else { return disagree("a column is none") };
        let (place, parts) = (column["location"].clone(), list(column, "fields"));
        let star = parts.last().and_then(kind).is_some_and(|(k, _)| k == "AStar");
        let all: Vec<String> = names(parts).into_iter().map(str::to_owned).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let found = match (all.as_slice(), star) {
            ([], _) => None,
            (qualifier, true) => match self.view(qualifier) {
                Some((depth, columns)) => Some(self.row(depth, &columns)?),
                None => None,
            },
            ([name], false) => self.alone(name)?,
            ([qualifier @ .., name], false) => match self.view(qualifier) {
                Some((depth, columns)) => Some(self.column(depth, &columns, name)?),
                None if self.walk.catalog.server_version >= 180_000 && matches!(qualifier, ["old" | "new"]) => {
                    return disagree("OLD and NEW of a view are not proved");
                }
                None => None,
            },
        };
        match found {
            Some(new) => *value = new,
            None if !self.foreign => return Ok(()),
            None => {}
        }
        let place = if self.foreign { Value::from(-1) } else { place };
        if let Some((name, _)) = kind(value).map(|(k, v)| (k.to_owned(), v.is_object()))
            && let Some(fields) = value["node"].get_mut(&name)
            && let Some(own) = fields.get_mut("location")
        {
            *own = place;
        }
        Ok(())
    }

    fn is_star(&self, part: &Value) -> bool {
        let parts = fields(part, "ColumnRef").map(|c| list(c, "fields")).unwrap_or_default();
        let star = parts.last().and_then(kind).is_some_and(|(k, _)| k == "AStar");
        star && self.view(&names(parts)).is_some()
    }

    /// The view that a qualifier means, and its level.
    fn view(&self, qualifier: &[&str]) -> Option<(usize, Arc<Columns>)> {
        let (name, schema) = qualifier.split_last()?;
        let meant = |(own, item): &&(String, Item)| match (item, schema.last()) {
            (_, None) => own == name,
            (Item::View(_, at), Some(schema)) => own == name && at.as_deref() == Some(*schema),
            _ => false,
        };
        let (depth, (_, item)) = self.levels.iter().enumerate().rev().find_map(|(d, l)| Some((d, l.iter().find(meant)?)))?;
        if let Item::View(columns, _) = item { Some((depth, columns.clone())) } else { None }
    }

    fn column(&self, depth: usize, columns: &Columns, name: &str) -> Res<Value> {
        self.in_sight(depth)?;
        columns.is.get(name).cloned().map_or_else(|| disagree("a view has no such column"), Ok)
    }

    /// Nothing between this level and the innermost has the name by which the table stands.
    fn in_sight(&self, depth: usize) -> Res<()> {
        let hides = |(name, _): &(String, Item)| *name == self.reference || name == "excluded";
        if self.levels[depth + 1..].iter().flatten().any(hides) { disagree("a subquery hides the table") } else { Ok(()) }
    }

    fn alone(&self, name: &str) -> Res<Option<Value>> {
        let stored = self.table.has_column(name) || self.table.hides() == Some(name);
        let of_view = self.levels[0].iter().any(|(own, i)| matches!(i, Item::View(c, _) if own == name || c.is.contains_key(name)));
        for (depth, level) in self.levels.iter().enumerate().rev() {
            let mut found = level.iter().filter(|(_, item)| match item {
                Item::View(columns, _) => columns.is.contains_key(name),
                Item::Of(columns) => columns.iter().any(|c| c == name),
                Item::Any => false,
            });
            let several = found.clone().count() > 1;
            match found.next() {
                Some((_, Item::View(columns, _))) if !several => return self.column(depth, columns, name).map(Some),
                Some((of, _)) if depth == 0 && !several => return Ok(Some(column_ref(&[of, name]))),
                Some(_) if depth == 0 || found.any(|(_, i)| matches!(i, Item::View(..))) => {
                    return disagree("a name may mean a view's column");
                }
                Some(_) => return Ok(None),
                None if (stored || of_view) && level.iter().any(|(_, i)| matches!(i, Item::Any)) => {
                    return disagree("it cannot be told what a name means");
                }
                None => {}
            }
        }
        match self.view(&[name]) {
            Some((depth, columns)) => self.row(depth, &columns).map(Some),
            None if stored => disagree("a column of the table is named that the view has not"),
            None => Ok(None),
        }
    }

    /// The view's row as a row of a subquery that has its columns.
    fn row(&self, depth: usize, columns: &Columns) -> Res<Value> {
        self.in_sight(depth)?;
        let shown: Vec<String> = columns.order.iter().map(|_| "1 AS c".to_owned()).collect();
        let mut row = parsed(&format!("(SELECT {ROW} FROM (SELECT {}) {ROW})", shown.join(", ")))?;
        let inside = row.pointer_mut("/node/SubLink/subselect/node/SelectStmt/from_clause/0/node/RangeSubselect/subquery/node/SelectStmt");
        let targets = inside.and_then(|s| s["target_list"].as_array_mut());
        for (target, name) in targets.into_iter().flatten().zip(&columns.order) {
            let Some(target) = target.pointer_mut("/node/ResTarget") else { return disagree("a row is none") };
            target["name"] = Value::from(name.as_str());
            target["val"] = columns.is.get(name).cloned().unwrap_or_default();
        }
        Ok(row)
    }

    /// `(v).x`: true where it is a view's column.
    fn put_field(&mut self, value: &mut Value) -> Res<bool> {
        let Some(x) = fields(value, "AIndirection") else { return Ok(false) };
        let whole = fields(&x["arg"], "ColumnRef").map(|c| names(list(c, "fields")));
        let Some([name]) = whole.as_deref() else { return Ok(false) };
        let Some((depth, columns)) = self.view(&[name]) else { return Ok(false) };
        let column = self.levels.iter().flatten().any(|(_, i)| match i {
            Item::View(c, _) => c.is.contains_key(*name),
            Item::Of(c) => c.iter().any(|c| c == name),
            Item::Any => false,
        });
        let [first, rest @ ..] = list(x, "indirection") else { return Ok(false) };
        if column {
            return Ok(false);
        }
        let Some(field) = fields(first, "String") else { return disagree("a star of a view stands where it cannot") };
        let new = self.column(depth, &columns, text(field, "sval"))?;
        if rest.is_empty() {
            *value = new;
            return Ok(true);
        }
        let mut rest = rest.to_vec();
        rest.iter_mut().try_for_each(|step| self.put(step))?;
        value["node"]["AIndirection"]["arg"] = new;
        value["node"]["AIndirection"]["indirection"] = rest.into();
        Ok(true)
    }
}

/// An expression, without its places.
pub(super) fn parsed(expression: &str) -> Res<Value> {
    let all = super::statements(&format!("SELECT {expression}"))?;
    let [one] = all.as_slice() else { return disagree("an expression is none") };
    let Some([target]) = fields(&one["stmt"], "SelectStmt").map(|s| list(s, "target_list")) else {
        return disagree("an expression is none");
    };
    let mut value = fields(target, "ResTarget").map(|t| t["val"].clone()).unwrap_or_default();
    without_places(&mut value);
    Ok(value)
}

pub(super) fn without_places(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(without_places),
        Value::Object(all) => all.iter_mut().for_each(|(key, v)| if is_place(key) { *v = Value::from(-1) } else { without_places(v) }),
        _ => {}
    }
}

/// The arguments of AND or OR as the parser has them: it takes what is left of one into it where that is one of the same.
fn one_level(x: &Value) -> Option<Vec<Value>> {
    let args = list(x, "args");
    let first = fields(args.first()?, "BoolExpr")?;
    let same = first["boolop"] == x["boolop"] && x["boolop"].as_i64() != Some(3);
    same.then(|| list(first, "args").iter().chain(&args[1..]).cloned().collect())
}

/// The name of an output column, as far as it is known.
fn output(target: &Value) -> Option<String> {
    let target = fields(target, "ResTarget")?;
    let name = text(target, "name");
    Some(if name.is_empty() { labels::label(&target["val"]).unwrap_or("?column?") } else { name }.to_owned())
}

/// Names of the columns of a subquery, unless a star hides them.
fn columns_of(sub: &Value) -> Option<Vec<String>> {
    let mut select = fields(&sub["subquery"], "SelectStmt")?;
    while select["larg"].is_object() {
        select = &select["larg"];
    }
    let row = list(select, "values_lists").first().and_then(|r| fields(r, "List"));
    let mut all = match row {
        Some(row) => (1..=list(row, "items").len()).map(|n| format!("column{n}")).collect(),
        None if list(select, "target_list").iter().any(super::write::holds_star) => return None,
        None => list(select, "target_list").iter().map(output).collect::<Option<Vec<_>>>()?,
    };
    for (own, new) in all.iter_mut().zip(names(list(&sub["alias"], "colnames"))) {
        *own = new.to_owned();
    }
    Some(all)
}
