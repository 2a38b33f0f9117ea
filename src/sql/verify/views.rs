//! A write through a view, as the write to its table that PostgreSQL would make of it: what the final text is then proved to be, with a guard on the
//! table as on any.

use super::hidden::without_column;
use super::scopes::called_as;
use super::view_names::{Columns, Item, Places, column_ref, parsed, without_places};
use super::write::{holds_star, width};
use super::{Res, Walk, disagree, fields, kind, list, names, statements, text};
use crate::sql::catalog::{Relation, SYSTEM_COLUMNS};
use crate::sql::tree::Value;
use crate::sql::views::{Check, Event};
use std::sync::Arc;

/// Deepest nesting of views that is followed.
const DEEPEST: usize = 8;

/// What lies below a view.
struct Base {
    table: Arc<Relation>,
    /// As FROM names the table: with or without ONLY.
    inh: Value,
    columns: Arc<Columns>,
    /// Each view's condition, whether it is a barrier, and how it is checked; the outermost first.
    views: Vec<(Value, bool, Check)>,
}

impl Walk<'_> {
    /// The client's write as one of the table; None where its target is no view.
    pub(super) fn through_view(&self, f: &Value, c: &Value, event: Event) -> Res<Option<Value>> {
        let var = &c["relation"];
        let (schema, name) = (text(var, "schemaname"), text(var, "relname"));
        let view = self.catalog.find(schema, name).filter(|r| r.kind == 'v' && r.is_expanded() && self.temp_of(var).is_none());
        let Some(view) = view else { return Ok(None) };
        let reference = called_as(var, name);
        let base = self.base(view, event, reference, 0)?;
        base.needs_no_check(event, list(c, "target_list"))?;
        let at = var["alias"].is_null().then(|| view.schema.clone());
        let mut places = self.places(&base.table, reference, Item::View(base.columns.clone(), at));
        let own = list(&c["with_clause"], "ctes").iter().filter_map(|w| fields(w, "CommonTableExpr"));
        places.ctes.extend(own.map(|w| text(w, "ctename").to_owned()));
        let mut new = c.clone();
        match event {
            Event::Insert => base.insert(f, &mut new, &mut places)?,
            Event::Update => base.change(&mut new, &mut places, "from_clause")?,
            Event::Delete => base.change(&mut new, &mut places, "using_clause")?,
        }
        if event == Event::Insert && new["on_conflict_clause"].is_object() {
            let excluded = self.base(view, event, "excluded", 0)?;
            base.conflict(&mut new["on_conflict_clause"], &mut places, excluded.columns)?;
        }
        let alias = Value::object(vec![("aliasname", Value::from(reference)), ("colnames", Vec::new().into())]);
        let var = &mut new["relation"];
        var["schemaname"] = Value::from(base.table.schema.as_str());
        var["relname"] = Value::from(base.table.name.as_str());
        (var["inh"], var["alias"]) = (base.inh.clone(), alias);
        Ok(Some(new))
    }

    fn places(&self, table: &Arc<Relation>, reference: &str, item: Item) -> Places<'_> {
        let levels = vec![vec![(reference.to_owned(), item)]];
        Places { walk: self, table: table.clone(), reference: reference.to_owned(), levels, ctes: self.ctes.concat(), foreign: false }
    }

    /// What a view is of, all the way down to a table.
    fn base(&self, view: &Relation, event: Event, reference: &str, depth: usize) -> Res<Base> {
        if depth > DEEPEST || view.writes.is_code(event) || !view.writes.is_automatic(event) {
            return disagree("a view is not written through by the server itself");
        }
        let parsed_view = statements(view.definition.as_deref().unwrap_or_default())?;
        let [one] = parsed_view.as_slice() else { return disagree("a view is not one query") };
        let Some(query) = fields(&one["stmt"], "SelectStmt") else { return disagree("a view is no query") };
        let query = without_column(query, view)?;
        let var = simple(&query)?;
        let below = self.catalog.find(text(var, "schemaname"), text(var, "relname")).filter(|r| r.schema == text(var, "schemaname"));
        let Some(below) = below else { return disagree("a view reads what is not listed") };
        let mut base = match below.kind {
            'r' | 'p' => {
                let is = below.columns.iter().map(|c| (c.name.clone(), column_ref(&[reference, &c.name]))).collect();
                let stored = below.columns.iter().map(|c| (c.name.clone(), c.name.clone())).collect();
                let order = below.columns.iter().map(|c| c.name.clone()).collect();
                let columns = Arc::new(Columns { order, is, stored, ..Columns::default() });
                Base { table: below.clone(), inh: var["inh"].clone(), columns, views: Vec::new() }
            }
            'v' if below.is_expanded() => self.base(below, event, reference, depth + 1)?,
            _ => return disagree("a view is not of a table"),
        };
        let name = called_as(var, text(var, "relname"));
        let mut places = self.places(&base.table, reference, Item::View(base.columns.clone(), None));
        name.clone_into(&mut places.levels[0][0].0);
        (places.foreign, places.ctes) = (true, Vec::new());
        let columns = columns(view, &query, &base.columns, base.views.is_empty(), &mut places)?;
        let mut condition = query["where_clause"].clone();
        without_places(&mut condition);
        places.put(&mut condition)?;
        base.views.insert(0, (condition, view.writes.barrier, view.writes.check));
        base.columns = Arc::new(columns);
        Ok(base)
    }
}

/// The columns of a view from those of what it reads.
fn columns(view: &Relation, query: &Value, below: &Columns, of_table: bool, places: &mut Places<'_>) -> Res<Columns> {
    let targets = list(query, "target_list");
    if targets.len() != view.columns.len() {
        return disagree("a view's columns are not known");
    }
    let mut own = Columns::default();
    for (column, target) in view.columns.iter().zip(targets) {
        let mut value = fields(target, "ResTarget").map(|t| t["val"].clone()).unwrap_or_default();
        without_places(&mut value);
        let named = fields(&value, "ColumnRef").and_then(|c| names(list(c, "fields")).last().map(|n| (*n).to_owned()));
        let stored = named.as_ref().and_then(|n| below.stored.get(n)).cloned();
        let default = match view.writes.defaults.get(&column.name) {
            Some(text) => Some(parsed(text)?),
            None => named.as_ref().and_then(|n| below.defaults.get(n)).cloned(),
        };
        let system = named.as_deref().filter(|n| SYSTEM_COLUMNS.contains(n));
        match system.filter(|n| !below.is.contains_key(*n)) {
            Some(name) if of_table => value = column_ref(&[&places.reference, name]),
            _ => places.put(&mut value)?,
        }
        own.order.push(column.name.clone());
        own.is.insert(column.name.clone(), value);
        own.stored.extend(stored.map(|s| (column.name.clone(), s)));
        own.defaults.extend(default.map(|d| (column.name.clone(), d)));
    }
    Ok(own)
}

/// The one relation that a query is of which PostgreSQL writes through; what else its list may call the server has told.
fn simple(query: &Value) -> Res<&Value> {
    let bare = ["distinct_clause", "group_clause", "values_lists", "locking_clause"].iter().all(|k| list(query, k).is_empty());
    let whole = ["having_clause", "with_clause", "limit_count", "limit_offset", "larg", "rarg", "into_clause"];
    match list(query, "from_clause") {
        [one] if bare && whole.iter().all(|k| query[*k].is_null()) => match fields(one, "RangeVar") {
            Some(var) if !text(var, "schemaname").is_empty() => Ok(var),
            _ => disagree("a view is not of one relation"),
        },
        _ => disagree("a view is not of one relation"),
    }
}

/// Whether a value hangs on these columns and constants alone, by operators and casts of PostgreSQL's own.
fn hangs_on(value: &Value, columns: &dyn Fn(&str) -> bool) -> bool {
    let Some((kind, node)) = kind(value) else { return value.is_null() };
    let bare = |key: &str| matches!(names(list(node, key)).as_slice(), [_]);
    match kind {
        "AConst" => true,
        "ColumnRef" => matches!(names(list(node, "fields")).as_slice(), [_, name] if list(node, "fields").len() == 2 && columns(name)),
        "BoolExpr" => list(node, "args").iter().all(|v| hangs_on(v, columns)),
        "List" => list(node, "items").iter().all(|v| hangs_on(v, columns)),
        "NullTest" => hangs_on(&node["arg"], columns),
        "AExpr" => bare("name") && hangs_on(&node["lexpr"], columns) && hangs_on(&node["rexpr"], columns),
        "TypeCast" => {
            let own = matches!(names(list(&node["type_name"], "names")).as_slice(), [_] | ["pg_catalog", _]);
            own && hangs_on(&node["arg"], columns)
        }
        _ => false,
    }
}

impl Base {
    /// No stored row has to be looked at: no view checks any, or what it checks by is what the statement's own WHERE has found and leaves.
    fn needs_no_check(&self, event: Event, targets: &[Value]) -> Res<()> {
        let cascades = |upto: usize| self.views[..upto].iter().any(|(_, _, check)| *check == Check::Cascaded);
        let mut checked = self.views.iter().enumerate().filter(|(at, (_, _, check))| *check != Check::None || cascades(*at));
        let set = |name: &str| {
            targets
                .iter()
                .filter_map(|t| fields(t, "ResTarget"))
                .any(|t| self.columns.stored.get(text(t, "name")).is_some_and(|s| s == name))
        };
        let left = |name: &str| !set(name) && self.table.columns.iter().any(|c| c.name == name && !c.computed);
        let plain = self.table.kind == 'r' && !self.table.inherited && !self.table.triggers_on_update && event == Event::Update;
        let fine = event == Event::Delete || checked.all(|(_, (by, _, _))| by.is_null() || (plain && hangs_on(by, &left)));
        if fine { Ok(()) } else { disagree("a view checks rows when they have been stored") }
    }

    /// UPDATE and DELETE.
    fn change(&self, c: &mut Value, places: &mut Places<'_>, from: &'static str) -> Res<()> {
        let mut beside = c[from].clone();
        let own = std::mem::replace(&mut places.levels, vec![Vec::new()]);
        for item in beside.as_array_mut().into_iter().flatten() {
            places.put_item(item)?;
        }
        let items = std::mem::replace(&mut places.levels, own).pop().unwrap_or_default();
        places.levels[0].extend(items);
        if c["target_list"].is_array() {
            self.assigned(&mut c["target_list"])?;
            places.put(&mut c["target_list"])?;
        }
        let mut client = c["where_clause"].take();
        places.put(&mut client)?;
        c["where_clause"] = self.filtered(client)?;
        let from = list(c, from).to_vec();
        self.returned(&mut c["returning_clause"], places, &from)
    }

    fn insert(&self, f: &Value, c: &mut Value, places: &mut Places<'_>) -> Res<()> {
        if list(c, "cols").is_empty() && c["select_stmt"].is_object() {
            let count = match width(&c["select_stmt"]) {
                Some(count) => count,
                // As many as the final text has, which the server holds the query to.
                None => {
                    let tenant = self.table.hides().map(str::to_owned);
                    let last = list(f, "cols").last().and_then(|l| fields(l, "ResTarget")).map(|t| text(t, "name").to_owned());
                    list(f, "cols").len() - usize::from(tenant.is_some() && last == tenant)
                }
            };
            let Some(shown) = self.columns.order.get(..count) else { return disagree("there are more values than columns") };
            c["cols"] = shown.iter().map(|name| column_target(name)).collect::<Res<Vec<Value>>>()?.into();
        }
        self.defaults(c)?;
        if c["cols"].is_array() {
            self.assigned(&mut c["cols"])?;
            places.put(&mut c["cols"])?;
        }
        self.returned(&mut c["returning_clause"], places, &[])
    }

    /// What the views' own defaults add.
    fn defaults(&self, c: &mut Value) -> Res<()> {
        let with = self.columns.order.iter().filter_map(|name| Some((name, self.columns.defaults.get(name)?)));
        for (name, default) in with {
            if c["select_stmt"].is_null() {
                let row = statements("VALUES (1)")?;
                c["select_stmt"] = row.first().map(|s| s["stmt"].clone()).unwrap_or_default();
                without_places(&mut c["select_stmt"]);
                let items = c["select_stmt"].pointer_mut("/node/SelectStmt/values_lists/0/node/List/items").and_then(Value::as_array_mut);
                items.into_iter().for_each(Vec::clear);
            }
            let at = list(c, "cols").iter().position(|t| fields(t, "ResTarget").is_some_and(|t| text(t, "name") == name));
            let rows = c["select_stmt"].pointer_mut("/node/SelectStmt/values_lists").and_then(Value::as_array_mut);
            let rows = rows.map(Vec::as_mut_slice).unwrap_or_default();
            if at.is_none() && rows.is_empty() {
                return disagree("a default of a view's is left out");
            }
            for row in rows {
                let Some(items) = row.pointer_mut("/node/List/items").and_then(Value::as_array_mut) else {
                    return disagree("VALUES differ");
                };
                match at {
                    Some(at) => {
                        let asked = items.get_mut(at).filter(|i| kind(i).is_some_and(|(k, _)| k == "SetToDefault"));
                        asked.into_iter().for_each(|i| *i = default.clone());
                    }
                    None => items.push(default.clone()),
                }
            }
            if at.is_none() {
                let target = column_target(name)?;
                c["cols"].as_array_mut().into_iter().for_each(|cols| cols.push(target.clone()));
            }
        }
        Ok(())
    }

    /// Each assigned column is one of the table's.
    fn assigned(&self, targets: &mut Value) -> Res<()> {
        for target in targets.as_array_mut().into_iter().flatten() {
            let Some(target) = target.pointer_mut("/node/ResTarget") else { return disagree("an assignment is none") };
            let name = text(target, "name").to_owned();
            let Some(stored) = self.columns.stored.get(&name) else { return disagree("a view's column cannot be assigned") };
            target["name"] = Value::from(stored.as_str());
            match (kind(&target["val"]).map(|(k, _)| k), self.columns.defaults.get(&name)) {
                (Some("SetToDefault"), Some(default)) => target["val"] = default.clone(),
                (Some("MultiAssignRef"), Some(_)) => return disagree("a default of a view's may be left out"),
                _ => {}
            }
        }
        Ok(())
    }

    /// The views' conditions around the client's, the outermost next to it.
    fn filtered(&self, client: Value) -> Res<Value> {
        if kind(&client).is_some_and(|(k, _)| k == "CurrentOfExpr") {
            return disagree("a cursor's row is written through a view");
        }
        let mut parts = if client.is_null() { Vec::new() } else { vec![client] };
        for (condition, barrier, _) in self.views.iter().filter(|(condition, _, _)| !condition.is_null()) {
            let own = match fields(condition, "BoolExpr").filter(|b| b["boolop"].as_i64() == Some(1)) {
                Some(and) => list(and, "args").to_vec(),
                None => vec![condition.clone()],
            };
            if *barrier && !parts.iter().all(compares) {
                let mut case = parsed("CASE WHEN 1 THEN 1 END")?;
                let when = case.pointer_mut("/node/CaseExpr/args/0/node/CaseWhen");
                let Some(when) = when else { return disagree("a barrier is none") };
                (when["expr"], when["result"]) = (both(own)?, both(parts)?);
                parts = vec![case];
            } else {
                parts.splice(0..0, own);
            }
        }
        if parts.is_empty() { Ok(Value::Null) } else { both(parts) }
    }

    fn returned(&self, clause: &mut Value, places: &mut Places<'_>, from: &[Value]) -> Res<()> {
        if !list(clause, "options").is_empty() {
            return disagree("OLD and NEW of a view are not proved");
        }
        let Some(exprs) = clause.get_mut("exprs").and_then(Value::as_array_mut) else { return Ok(()) };
        let items = places.levels[0].clone();
        let Some(((own, Item::View(_, schema)), others)) = items.split_first() else { return disagree("a view is none") };
        let mut out = Vec::new();
        for expr in std::mem::take(exprs) {
            let star = fields(&expr, "ResTarget").filter(|_| holds_star(&expr)).and_then(|t| fields(&t["val"], "ColumnRef"));
            let columns = || self.columns.order.iter().map(|name| target(column_ref(&[own, name])));
            match star.map(|s| names(list(s, "fields"))).as_deref() {
                Some([]) => {
                    if !from.iter().all(super::hidden::is_plain) || others.iter().any(|(name, _)| name.is_empty()) {
                        return disagree("a star of RETURNING cannot be written out");
                    }
                    out.extend(columns().collect::<Res<Vec<_>>>()?);
                    for (name, _) in others {
                        let mut all = parsed("x.*")?;
                        let first = all.pointer_mut("/node/ColumnRef/fields/0/node/String");
                        first.into_iter().for_each(|s| s["sval"] = Value::from(name.as_str()));
                        out.push(target(all)?);
                    }
                }
                Some([name]) if name == own => out.extend(columns().collect::<Res<Vec<_>>>()?),
                Some([at, name]) if name == own && schema.as_deref() == Some(*at) => out.extend(columns().collect::<Res<Vec<_>>>()?),
                _ => out.push(expr),
            }
        }
        out.iter_mut().try_for_each(|t| places.put(t))?;
        *exprs = out;
        Ok(())
    }

    fn conflict(&self, clause: &mut Value, places: &mut Places<'_>, excluded: Arc<Columns>) -> Res<()> {
        if clause["infer"].is_object() {
            if !text(&clause["infer"], "conname").is_empty() {
                return disagree("a view has no constraint");
            }
            for element in clause["infer"]["index_elems"].as_array_mut().into_iter().flatten() {
                let Some(element) = element.pointer_mut("/node/IndexElem") else { return disagree("a conflict target is none") };
                if element["expr"].is_null() {
                    let Some(stored) = self.columns.stored.get(text(element, "name")) else {
                        return disagree("a conflict target is no column");
                    };
                    element["name"] = Value::from(stored.as_str());
                } else {
                    places.put(&mut element["expr"])?;
                }
            }
            places.put(&mut clause["infer"]["where_clause"])?;
        }
        places.levels[0].push(("excluded".to_owned(), Item::View(excluded, None)));
        self.assigned(&mut clause["target_list"])?;
        places.put(&mut clause["target_list"])?;
        places.put(&mut clause["where_clause"])
    }
}

/// All of these.
fn both(mut parts: Vec<Value>) -> Res<Value> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let mut and = parsed("true AND true")?;
    and["node"].get_mut("BoolExpr").into_iter().for_each(|x| x["args"] = parts.clone().into());
    Ok(and)
}

/// A column by itself as an output column.
fn target(value: Value) -> Res<Value> {
    let all = statements("SELECT 1")?;
    let one = all.first().and_then(|s| list(fields(&s["stmt"], "SelectStmt")?, "target_list").first().cloned());
    let mut target = one.unwrap_or_default();
    without_places(&mut target);
    target["node"].get_mut("ResTarget").into_iter().for_each(|t| t["val"] = value.clone());
    Ok(target)
}

/// A column's name in the list of an INSERT.
fn column_target(name: &str) -> Res<Value> {
    let mut new = target(Value::Null)?;
    new["node"].get_mut("ResTarget").into_iter().for_each(|t| t["name"] = Value::from(name));
    Ok(new)
}

/// A comparison of columns and values by PostgreSQL's own operators, which nothing makes fail.
fn compares(part: &Value) -> bool {
    if let Some(bool) = fields(part, "BoolExpr") {
        return list(bool, "args").iter().all(compares);
    }
    let Some(x) = fields(part, "AExpr").filter(|x| x["kind"].as_i64() == Some(1)) else { return false };
    let leaf = |side: &Value| match kind(side) {
        Some(("TypeCast", cast)) => fields(&cast["arg"], "AConst").is_some(),
        Some((kind, _)) => matches!(kind, "ColumnRef" | "AConst" | "ParamRef"),
        None => false,
    };
    matches!(names(list(x, "name")).as_slice(), ["=" | "<>" | "<" | "<=" | ">" | ">="]) && leaf(&x["lexpr"]) && leaf(&x["rexpr"])
}
