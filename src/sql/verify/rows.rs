//! `verify_rows`: columns that the wall adds at the end of what a statement returns. Each is the tenant column of a relation of the statement's
//! own level, and stands where one column more changes nothing else.

use super::scopes::Level;
use super::{Found, Res, Walk, disagree, fields, kind, list, names, text};
use crate::policy::TableRule;
use crate::sql::rows::Checked;
use crate::sql::tree::Value;

/// What the names of such columns begin with.
const OWN: &str = "partywall row ";

impl Walk<'_> {
    /// Takes the added columns off a statement; the walk proves them when it knows the statement's level.
    pub(super) fn detach_rows(&mut self, f: &mut Value, stmt: &Value, client: &str) -> Res<()> {
        // A client that names a column so gets none.
        if client.contains(OWN) {
            return Ok(());
        }
        let mut added = Vec::new();
        let Some(statement) = f.pointer_mut("/stmt/node").and_then(Value::as_object_mut) else { return Ok(()) };
        let Some((name, statement)) = statement.iter_mut().next() else { return Ok(()) };
        let way = match name {
            "SelectStmt" => "/target_list",
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" => "/returning_clause/exprs",
            _ => return Ok(()),
        };
        let Some(Value::Array(targets)) = statement.pointer_mut(way) else { return Ok(()) };
        while let Some(last) = targets.last().filter(|t| is_own(t)) {
            added.push(self.added_column(last)?);
            targets.pop();
        }
        added.reverse();
        if added.is_empty() {
            return Ok(());
        }
        if way == "/target_list" && !is_plain(statement, &self.catalog.aggregates) {
            return disagree("a column was added to what is grouped");
        }
        let mut taken = Vec::new();
        for found in &mut added {
            if !found.column.starts_with(OWN) {
                continue;
            }
            if taken.contains(&found.column) || stands_whole(stmt) {
                return disagree("a hidden column could show");
            }
            taken.push(std::mem::take(&mut found.column));
            let from = statement.get_mut("from_clause").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default();
            let shown = taken.last().and_then(|name| from.iter_mut().find_map(|item| taken_off(item, &found.reference, name)));
            match shown {
                Some(column) => found.column = column,
                None => return disagree("an added column is of no relation here"),
            }
        }
        self.added = Some(added);
        Ok(())
    }

    /// Each of them is the tenant column of an item of this level.
    pub(super) fn rows_belong(&mut self, added: Option<Vec<Found>>, level: &Level) -> Res<()> {
        for found in added.unwrap_or_default() {
            if found.column.is_empty() {
                self.parent_belongs(&found, level)?;
                continue;
            }
            let item = level.items.iter().find(|i| i.name == found.reference);
            let relation = item.and_then(|i| i.relation.as_ref());
            let (Some(item), Some(relation)) = (item, relation) else { return disagree("an added column is of no relation here") };
            let is_tenants = matches!(&relation.rule, TableRule::Scoped { column, .. } if *column == found.column);
            match relation.stored_column(&found.column).filter(|_| is_tenants) {
                Some(column) => self.proof.rows.push(Checked { type_oid: column.type_oid, nullable: item.nullable }),
                None => return disagree("an added column is not the tenant's"),
            }
        }
        Ok(())
    }

    /// The column tells whose the parent of an item's row is.
    fn parent_belongs(&mut self, found: &Found, level: &Level) -> Res<()> {
        for item in &level.items {
            let Some(relation) = item.relation.as_ref().filter(|r| matches!(r.rule, TableRule::Through(_))) else { continue };
            let (text, type_oid) = self.owner_text(relation, &item.name)?;
            if self.expected(&text)? == found.exists {
                self.proof.rows.push(Checked { type_oid, nullable: item.nullable });
                return Ok(());
            }
        }
        disagree("an added query does not tell whose a row here is")
    }

    /// `reference.column AS "partywall row n"`, or a query by way of parents in the column's place.
    fn added_column(&self, target: &Value) -> Res<Found> {
        let Some(target) = fields(target, "ResTarget") else { return disagree("an added column is none") };
        if !list(target, "indirection").is_empty() {
            return disagree("an added column computes something");
        }
        if fields(&target["val"], "SubLink").is_some() {
            return Ok(Found { reference: String::new(), column: String::new(), exists: self.bare(&target["val"]) });
        }
        let column = fields(&target["val"], "ColumnRef").filter(|c| list(c, "fields").len() == 2);
        match column.map(|c| names(list(c, "fields"))).as_deref() {
            Some([reference, column]) => {
                Ok(Found { reference: (*reference).to_owned(), column: (*column).to_owned(), exists: Value::Null })
            }
            _ => disagree("an added column computes something"),
        }
    }
}

fn is_own(target: &Value) -> bool {
    fields(target, "ResTarget").is_some_and(|t| text(t, "name").starts_with(OWN))
}

/// Takes the last column, if it has this name, off the subquery that stands in FROM under this alias; gives the column of its table that it is.
fn taken_off(item: &mut Value, alias: &str, name: &str) -> Option<String> {
    let (kind, item) = item.get_mut("node")?.as_object_mut()?.iter_mut().next()?;
    match kind {
        "JoinExpr" => match taken_off(item.get_mut("larg")?, alias, name) {
            None => taken_off(item.get_mut("rarg")?, alias, name),
            found => found,
        },
        "RangeSubselect" if text(&item["alias"], "aliasname") == alias => {
            let select = item.pointer_mut("/subquery/node/SelectStmt")?;
            let inside = select["from_clause"].as_array()?.first()?;
            let inside = fields(inside, "RangeTableSample").map_or(inside, |sample| &sample["relation"]);
            let table = text(fields(inside, "RangeVar")?, "relname").to_owned();
            let targets = select["target_list"].as_array_mut()?;
            let last = fields(targets.last()?, "ResTarget")?;
            let parts = list(fields(&last["val"], "ColumnRef")?, "fields");
            let plain = text(last, "name") == name && list(last, "indirection").is_empty() && parts.len() == 2;
            let column = match names(parts).as_slice() {
                [of, column] if plain && *of == table => (*column).to_owned(),
                _ => return None,
            };
            targets.pop();
            Some(column)
        }
        _ => None,
    }
}

/// Whether the client's statement may have some table's columns without naming them: by a star, by its name, or by new names for them.
fn stands_whole(stmt: &Value) -> bool {
    let mut items = Vec::new();
    let mut bare = Vec::new();
    let unknown = stmt.has(&mut |key, v| {
        // The wall's own name spelt by escapes does not stand in the text as it is.
        if v.as_str().is_some_and(|name| name.contains(OWN.trim_end())) {
            return true;
        }
        match key {
            "AStar" => return true,
            "colnames" => return !v.as_array().is_none_or(Vec::is_empty),
            "relname" | "aliasname" => items.push(v.as_str().unwrap_or_default().to_owned()),
            "ColumnRef" if list(v, "fields").len() == 1 => bare.extend(names(list(v, "fields")).into_iter().map(str::to_owned)),
            _ => {}
        }
        false
    });
    unknown || bare.iter().any(|name| items.contains(name))
}

/// No DISTINCT, grouping, set operation, and no call that may be an aggregate of this level.
fn is_plain(select: &Value, aggregates: &std::collections::HashSet<String>) -> bool {
    let empty = ["distinct_clause", "group_clause", "values_lists"].iter().all(|k| list(select, k).is_empty());
    let none = ["having_clause", "larg", "rarg", "into_clause"].iter().all(|k| select[*k].is_null());
    empty && none && ["target_list", "sort_clause"].iter().all(|k| list(select, k).iter().all(|v| !aggregated(v, true, aggregates)))
}

fn aggregated(value: &Value, here: bool, aggregates: &std::collections::HashSet<String>) -> bool {
    if let Some(call) = fields(value, "FuncCall") {
        let named = names(list(call, "funcname")).last().is_some_and(|n| aggregates.is_empty() || aggregates.contains(*n));
        let inner = call["agg_star"] == Value::Bool(true) && !here;
        if named && call["over"].is_null() && !inner {
            return true;
        }
    }
    let here = here && kind(value).is_none_or(|(k, _)| k != "SubLink");
    match value {
        Value::Object(all) => all.values().any(|v| aggregated(v, here, aggregates)),
        Value::Array(all) => all.iter().any(|v| aggregated(v, here, aggregates)),
        _ => false,
    }
}
