//! PostgreSQL's own catalogs: each reference is exactly the query of the table, each look-up by name or number exactly its expression.

use super::{Res, Walk, disagree, fields, is_place, is_zero, kind, list, names, text};
use crate::sql::catalogs::functions::{self, Argument, Template};
use crate::sql::catalogs::{Answer, Form, quote_name, quote_text, regtypes};
use crate::sql::settings;
use crate::sql::tree::{self, Value};

/// A place in an expression where the client's own argument stands.
struct Hole<'v> {
    client: &'v Value,
    /// What a literal name has to have become.
    literal: Option<String>,
    /// The same as an expression.
    made: Option<Value>,
}

impl<'v> Hole<'v> {
    /// One where the client's own argument stands as it is.
    fn own(client: &'v Value) -> Self {
        Self { client, literal: None, made: None }
    }
}

impl Walk<'_> {
    /// A relation of the system: None if the client names another.
    pub(super) fn catalog_item(&mut self, fk: &str, f: &Value, c: &Value) -> Option<Res<()>> {
        let (schema, name) = (text(c, "schemaname"), text(c, "relname"));
        if schema.is_empty() && self.ctes.iter().flatten().any(|n| n == name) {
            return None;
        }
        let schema = self.catalog.system.schema_of(schema, name)?;
        Some(self.catalog_reference(schema, name, fk, f, c))
    }

    fn catalog_reference(&mut self, schema: &str, name: &str, fk: &str, f: &Value, c: &Value) -> Res<()> {
        let forms: &[Form] = if self.tableoid { &[Form::WithTableoid, Form::Plain] } else { &[Form::Plain] };
        for form in forms {
            match (self.catalog.system.answer(schema, name, *form), fk) {
                (Some(Answer::Open), "RangeVar") if text(f, "schemaname") == schema => {
                    self.proof.relations.push(format!("{schema}.{name}"));
                    return self.rest(f, c, &["schemaname"]);
                }
                (Some(Answer::Query(query)), "RangeSubselect") => {
                    let Some(wanted) = tree(&query) else { return disagree("a catalog's query cannot be read") };
                    let alias = if c["alias"].is_null() {
                        text(&f["alias"], "aliasname") == text(c, "relname") && list(&f["alias"], "colnames").is_empty()
                    } else {
                        f["alias"] == c["alias"]
                    };
                    let plain = text(c, "catalogname").is_empty() && f["lateral"] == Value::Bool(false);
                    if alias && plain && equal(&wanted, &without_barrier(&f["subquery"], &wanted)) {
                        self.note_relations(&wanted);
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        disagree("a catalog is not read as it has to be")
    }

    /// An expression of the client's that looks into the catalogs: None if it does not.
    pub(super) fn catalog_expr(&mut self, f: &Value, c: &Value) -> Option<Res<()>> {
        let (ck, cv) = kind(c)?;
        if let Some(proved) = self.search_names(c).err().map(Err).or_else(|| self.lock_call(f, c)) {
            return Some(proved);
        }
        match ck {
            "FuncCall" => {
                let cname = names(list(cv, "funcname"));
                let name = match cname.as_slice() {
                    [name] | ["pg_catalog", name] => *name,
                    _ => return None,
                };
                if name == "pg_typeof" {
                    list(cv, "args").iter().for_each(|a| self.allow(a));
                    return (!self.may_show(cv)).then(|| disagree("a type is named where it is looked up"));
                }
                if let Some(proved) = self.missing_setting(f, cv, name) {
                    return Some(proved);
                }
                if let Some(type_name) = regtypes::looked_up_by(name) {
                    return Some(self.look_up_call(f, cv, type_name));
                }
                if let Some(proved) = self.typed_call(f, cv, name) {
                    return Some(proved);
                }
                if regtypes::takes_anything(name) {
                    list(cv, "args").iter().for_each(|a| self.allow(a));
                }
                let is_false = |v: &Value| fields(v, "AConst").is_some_and(|c| c["val"]["Boolval"]["boolval"] == Value::Bool(false));
                if name == "current_schemas" && list(cv, "args").iter().all(is_false) {
                    return None;
                }
                if name == "current_setting" && !list(cv, "args").first().is_some_and(is_open) {
                    return None;
                }
                functions::find(name).map(|templates| self.catalog_call(f, cv, name, templates))
            }
            "TypeCast" => match reg_type(&cv["type_name"]) {
                Some(type_name) => Some(self.reg_cast(f, cv, type_name)),
                None => {
                    if is_plain_scalar(&cv["type_name"]) {
                        self.allow(&cv["arg"]);
                    }
                    None
                }
            },
            "AExpr" => {
                self.note_names(cv);
                None
            }
            "AConst" => self.name_beside(f, cv),
            "ColumnRef"
                if matches!(names(list(cv, "fields")).as_slice(), [s, r, ..] if self.catalog.system.schema_of(s, r).is_some())
                    && list(cv, "fields").len() == 3
                    && fields(f, "ColumnRef").is_some_and(|f| list(f, "fields").len() == 2) =>
            {
                let (all, short) = (list(cv, "fields"), list(fields(f, "ColumnRef")?, "fields"));
                let same = all[1..].iter().zip(short).all(|(a, b)| equal(a, b));
                Some(if same { Ok(()) } else { disagree("a column lost its schema") })
            }
            "ColumnRef" if kind(f).is_some_and(|(k, _)| k == "CaseExpr") && self.may_show(cv) => {
                let shown =
                    ["regproc", "regtype", "regclass"].iter().filter_map(|t| regtypes::shown(&self.catalog.system, t)).collect::<Vec<_>>();
                let hole = [Hole::own(c)];
                Some(self.one_of(f, &shown, &hole))
            }
            _ => None,
        }
    }

    pub(super) fn may_show(&self, c: &Value) -> bool {
        c["location"].as_i64().is_some_and(|place| self.allowed.contains(&place))
    }

    fn catalog_call(&mut self, f: &Value, c: &Value, name: &str, templates: &[Template]) -> Res<()> {
        if !is_bare(c) {
            return disagree("a catalog function is called in another way");
        }
        let (arguments, variadic) = (list(c, "args"), c["func_variadic"] == Value::Bool(true));
        for template in templates.iter().filter(|t| t.arguments.len() == arguments.len() && t.is_variadic() == variadic) {
            let Some(holes) = self.holes(template, arguments) else { continue };
            let mut text = template.text(&self.catalog.system);
            // Its value names an object: a number where it is not shown.
            let in_from = c["location"].as_i64().is_some_and(|place| self.rows_call == Some(place));
            match name {
                "pg_partition_tree" if !in_from => return disagree("a function whose rows name objects stands in another place"),
                "pg_partition_root" | "pg_partition_ancestors" if !in_from && !self.may_show(c) => text.push_str("::pg_catalog.oid"),
                _ => {}
            }
            if self.one_of(f, &[text], &holes).is_ok() {
                return Ok(());
            }
        }
        disagree("a catalog function is not called as it has to be")
    }

    fn holes<'v>(&self, template: &Template, arguments: &'v [Value]) -> Option<Vec<Hole<'v>>> {
        let one = |(wanted, client): (&Argument, &'v Value)| {
            let given = string_of(client);
            let named = |text: &str| !regtypes::is_number(text);
            let literal = match (wanted, given) {
                (Argument::Exactly(text), given) => {
                    given.filter(|g| g == text)?;
                    None
                }
                (Argument::Column, _) if is_open(client) => None,
                (Argument::Column, _) => return None,
                (Argument::Literal, given) => {
                    given?;
                    None
                }
                (Argument::Table, given) => {
                    let (_, schema, name) = self.catalog.resolve_relation(given?)?;
                    Some(format!("{}.{}", quote_name(&schema), quote_name(&name)))
                }
                (Argument::Relation, Some(text)) if named(text) => Some(self.catalog.resolve_relation(text)?.0.to_string()),
                (Argument::Namespace, Some(text)) if named(text) => Some(self.catalog.resolve_namespace(text)?.to_string()),
                (Argument::Function | Argument::Type, Some(text)) if named(text) => {
                    let type_name = wanted.named_type()?;
                    let made = format!("{}::pg_catalog.{type_name}", quote_text(&self.catalog.resolve_named(text, type_name)?));
                    return Some(Hole { client, literal: None, made: Some(expression(&made)?) });
                }
                (Argument::Role, given) => {
                    let null = fields(client, "AConst").is_some_and(|c| c["isnull"] == Value::Bool(true));
                    (given.is_some() || null || fields(client, "SqlvalueFunction").is_some()).then_some(None)?
                }
                (Argument::Class, _) => {
                    fields(client, "TypeCast").filter(|c| reg_type(&c["type_name"]) == Some("regclass")).map(|_| None)?
                }
                _ => None,
            };
            Some(Hole { client, literal, made: None })
        };
        template.arguments.iter().zip(arguments).map(one).collect()
    }

    /// The final expression is this one, with the client's own in the place of `$1`.
    pub(super) fn is_form(&mut self, f: &Value, forms: &[String], client: Option<&Value>) -> Res<()> {
        let holes: Vec<Hole<'_>> = client.into_iter().map(Hole::own).collect();
        self.one_of(f, forms, &holes)
    }

    /// The final expression is one of these, with the client's own in the holes.
    fn one_of(&mut self, f: &Value, forms: &[String], holes: &[Hole<'_>]) -> Res<()> {
        let (ctes, filters, levels) = (self.ctes.len(), self.filters.len(), self.levels.len());
        let clients: Vec<Option<&Value>> = holes.iter().map(|h| (h.literal.is_none() && h.made.is_none()).then_some(h.client)).collect();
        for form in forms {
            let Some(wanted) = expression(form) else { continue };
            if !self.stand_still(&wanted, &clients) {
                continue;
            }
            let before = (self.allowed.clone(), self.proof.clone());
            if self.unify(&wanted, f, holes).is_ok() {
                self.note_relations(&wanted);
                return Ok(());
            }
            (self.allowed, self.proof) = before;
            self.levels.truncate(levels);
            self.ctes.truncate(ctes);
            self.filters.truncate(filters);
        }
        disagree("a look into the catalogs is not made as it has to be")
    }

    fn unify(&mut self, wanted: &Value, f: &Value, holes: &[Hole<'_>]) -> Res<()> {
        if let Some(("ParamRef", p)) = kind(wanted) {
            let index = p["number"].as_i64().and_then(|n| usize::try_from(n - 1).ok());
            let Some(hole) = index.and_then(|i| holes.get(i)) else { return disagree("an expression has another argument") };
            if let Some(made) = &hole.made {
                return if equal(made, f) { Ok(()) } else { disagree("a name was looked up otherwise") };
            }
            return match &hole.literal {
                Some(literal) if string_of(f) == Some(literal.as_str()) => Ok(()),
                Some(_) => disagree("a name was looked up otherwise"),
                None => self.same(f, hole.client),
            };
        }
        match (wanted, f) {
            (Value::Object(w), Value::Object(f)) if w.len() == f.len() => w.iter().try_for_each(|(key, value)| match f.get(key) {
                Some(_) if is_place(key) => Ok(()),
                Some(other) => self.unify(value, other, holes),
                None => disagree("an expression has other fields"),
            }),
            (Value::Array(w), Value::Array(f)) if w.len() == f.len() => w.iter().zip(f).try_for_each(|(w, f)| self.unify(w, f, holes)),
            (w, f) if w == f && !w.is_object() && !w.is_array() => Ok(()),
            _ => disagree("an expression differs"),
        }
    }

    /// The relations that a sanctioned text reads.
    fn note_relations(&mut self, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.note_relations(v)),
            Value::Object(map) => {
                for (key, inner) in map.iter() {
                    if key == "RangeVar" {
                        self.proof.relations.push(format!("{}.{}", text(inner, "schemaname"), text(inner, "relname")));
                    }
                    self.note_relations(inner);
                }
            }
            _ => {}
        }
    }
}

/// Whether a statement is [`settings::DUMP_GUARD`].
pub(super) fn is_dump_guard(statement: &Value) -> bool {
    let target = fields(statement, "SelectStmt").and_then(|s| fields(list(s, "target_list").first()?, "ResTarget"));
    let name = target.and_then(|t| fields(&t["val"], "FuncCall")).map(|call| names(list(call, "funcname")));
    name.is_some_and(|n| n == ["set_config"]) && tree(settings::DUMP_GUARD).is_some_and(|guard| equal(&guard, statement))
}

/// Whether a star could show a catalog's columns: every one does but a `*` by itself in a SELECT from nothing but subqueries, which shows theirs.
pub(super) fn telling_star(part: &Value) -> bool {
    let Some(select) = fields(part, "SelectStmt") else {
        return match part {
            Value::Array(parts) => parts.iter().any(telling_star),
            Value::Object(parts) => parts.get("AStar").is_some() || parts.values().any(telling_star),
            _ => false,
        };
    };
    let from = list(select, "from_clause");
    let from_subqueries = !from.is_empty() && from.iter().filter(|item| fields(item, "RangeSubselect").is_some()).count() == from.len();
    let bare = |target: &Value| match fields(target, "ResTarget").and_then(|t| fields(&t["val"], "ColumnRef")).map(|r| list(r, "fields")) {
        Some([only]) => fields(only, "AStar").is_some(),
        _ => false,
    };
    list(select, "target_list").iter().any(|target| !(from_subqueries && bare(target)) && telling_star(target))
        || select.as_object().is_some_and(|all| all.iter().any(|(key, clause)| key != "target_list" && telling_star(clause)))
}

/// The one statement of a text.
pub(super) fn tree(sql: &str) -> Option<Value> {
    let parsed = pg_query::parse(sql, pg_query::ParserOptions::default()).ok()?;
    let [statement] = parsed.protobuf.stmts.as_slice() else { return None };
    tree::of(&statement.stmt).ok()
}

/// An expression by its text.
fn expression(text: &str) -> Option<Value> {
    let query = tree(&format!("SELECT {text}"))?;
    let target = fields(list(fields(&query, "SelectStmt")?, "target_list").first()?, "ResTarget")?;
    Some(target["val"].clone())
}

/// A call with nothing but its arguments.
pub(super) fn is_bare(call: &Value) -> bool {
    let empty = |k: &&str| call[*k].is_null() || call[*k] == Value::Bool(false) || call[*k].as_array().is_some_and(Vec::is_empty);
    let named = |a: &Value| fields(a, "NamedArgExpr").is_some();
    ["agg_order", "agg_filter", "over", "agg_distinct", "agg_star", "agg_within_group"].iter().all(empty)
        && !list(call, "args").iter().any(named)
}

/// The same but for where things stand.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| is_place(key) || equal(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (a, b) => a == b,
    }
}

/// `OFFSET 0` only keeps conditions outside.
pub(super) fn without_barrier(f: &Value, wanted: &Value) -> Value {
    let mut f = f.clone();
    let barrier = fields(&f, "SelectStmt").is_some_and(|s| is_zero(&s["limit_offset"]) && s["limit_count"].is_null());
    if barrier {
        let option = fields(wanted, "SelectStmt").map(|s| s["limit_option"].clone()).unwrap_or_default();
        let select = &mut f["node"]["SelectStmt"];
        select["limit_offset"] = Value::Null;
        select["limit_option"] = option;
    }
    f
}

pub(super) fn string_of(value: &Value) -> Option<&str> {
    fields(value, "AConst")?["val"]["Sval"]["sval"].as_str()
}

/// A column, or a parameter, perhaps cast.
fn is_open(value: &Value) -> bool {
    match kind(value) {
        Some(("ColumnRef" | "ParamRef", _)) => true,
        Some(("TypeCast", cast)) => fields(&cast["arg"], "ParamRef").is_some(),
        _ => false,
    }
}

/// The name of a type that looks names up.
pub(super) fn reg_type(type_name: &Value) -> Option<&str> {
    let name = match names(list(type_name, "names")).as_slice() {
        [name] | ["pg_catalog", name] => *name,
        _ => return None,
    };
    (regtypes::set_of(name).is_some() && list(type_name, "array_bounds").is_empty()).then_some(name)
}

/// `(SELECT …)` as a value: PostgreSQL's EXPR_SUBLINK.
pub(super) fn is_scalar(link: &Value) -> bool {
    link["sub_link_type"].as_i64() == Some(i64::from(pg_query::protobuf::SubLinkType::ExprSublink as i32))
}

fn is_plain_scalar(type_name: &Value) -> bool {
    let names = names(list(type_name, "names"));
    list(type_name, "array_bounds").is_empty()
        && matches!(names.as_slice(), [n] | ["pg_catalog", n] if matches!(*n, "text" | "varchar" | "name" | "oid" | "int4" | "int8"))
}

#[cfg(test)]
#[path = "catalogs_tests.rs"]
mod tests;
