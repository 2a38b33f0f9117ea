//! A tenant's own schema. Two proofs: that the client's `public` became it and nothing else did, and, by a walk over the final text that
//! knows only the schema's name, that nothing in it lies anywhere else than there, in pg_catalog, in pg_temp or in what is shared.

use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::policy::TableRule;
use crate::sql::catalogs::own_schema::PATH;
use crate::sql::catalogs::quote_name;
use crate::sql::private::TEMP;
use crate::sql::tree::Value;

/// The schema that the client takes its tables to be in.
const PUBLIC: &str = "public";
/// PostgreSQL's SVFOP_CURRENT_SCHEMA and VAR_SET_VALUE as the tree has them.
const CURRENT_SCHEMA: i64 = 15;
const SET_VALUE: i64 = 1;

impl Walk<'_> {
    pub(super) fn own_schema(&self) -> Option<&str> {
        self.catalog.home.schema()
    }

    /// The schema that the client's name stands for.
    pub(super) fn meant<'a>(&'a self, client: &'a str) -> Option<&'a str> {
        match self.own_schema() {
            Some(own) if client == PUBLIC => Some(own),
            Some(own) if client == own => None,
            _ => Some(client),
        }
    }

    /// What would show the path, or the schema's name: a constant of the client's view in its place. None where it is none of these.
    pub(super) fn schema_expr(&self, f: &Value, c: &Value) -> Option<Res<()>> {
        self.own_schema()?;
        let (ck, cv) = kind(c)?;
        let (wanted, type_name) = match ck {
            "SqlvalueFunction" if cv["op"].as_i64() == Some(CURRENT_SCHEMA) => (PUBLIC, "name"),
            "FuncCall" => {
                let name = match names(list(cv, "funcname")).as_slice() {
                    [name] | ["pg_catalog", name] => *name,
                    _ => return None,
                };
                let arguments = list(cv, "args");
                let constant = |n: usize| arguments.get(n).and_then(|a| fields(a, "AConst")).map(|a| &a["val"]);
                match (name, arguments.len()) {
                    ("current_schema", 0) => (PUBLIC, "name"),
                    ("current_schemas", 1) => match constant(0).map(|v| v["Boolval"]["boolval"] == Value::Bool(true)) {
                        Some(true) => ("{pg_catalog,public}", "_name"),
                        Some(false) => ("{public}", "_name"),
                        None => return Some(disagree("the path is shown")),
                    },
                    ("current_setting", _) => {
                        let setting = constant(0).and_then(|v| v["Sval"]["sval"].as_str());
                        setting.filter(|s| s.eq_ignore_ascii_case("search_path"))?;
                        (PATH, "text")
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        let cast = fields(f, "TypeCast");
        let same = cast
            .is_some_and(|x| names(list(&x["type_name"], "names")) == ["pg_catalog", type_name] && constant_of(&x["arg"]) == Some(wanted));
        Some(if same { Ok(()) } else { disagree("the path is shown") })
    }

    /// `SELECT '"$user", public'::text AS search_path` for SHOW search_path.
    pub(super) fn show_path(&self, f: &Value, c: &Value) -> Res<()> {
        let shown = self.own_schema().is_some() && text(c, "name").eq_ignore_ascii_case("search_path");
        let bare = ["from_clause", "values_lists", "sort_clause", "locking_clause", "group_clause", "window_clause", "distinct_clause"]
            .iter()
            .all(|k| list(f, k).is_empty())
            && ["where_clause", "having_clause", "with_clause", "into_clause", "larg", "rarg", "limit_count", "limit_offset"]
                .iter()
                .all(|k| f[*k].is_null());
        let [target] = list(f, "target_list") else { return disagree("SHOW became something else") };
        let target = fields(target, "ResTarget").filter(|t| text(t, "name") == "search_path");
        let value = target.and_then(|t| fields(&t["val"], "TypeCast")).and_then(|x| constant_of(&x["arg"]));
        if shown && bare && value == Some(PATH) { Ok(()) } else { disagree("SHOW became something else") }
    }

    /// SET search_path to what the client has sets it to the own schema; None where it is another statement.
    pub(super) fn set_path(&mut self, f: &Value, c: &Value) -> Option<Res<()>> {
        let own = self.own_schema()?.to_owned();
        if !text(c, "name").eq_ignore_ascii_case("search_path") || c["kind"].as_i64() != Some(SET_VALUE) {
            return None;
        }
        let asked = list(c, "args").iter().map(constant_of).all(|a| matches!(a, Some(PUBLIC | "$user")));
        let set = matches!(list(f, "args"), [one] if constant_of(one) == Some(own.as_str()));
        Some(if asked && set { self.rest(f, c, &["args"]) } else { disagree("the path would be another") })
    }

    /// The schema of a column's table: the own one for `public`.
    pub(super) fn column_schema(&mut self, f: &Value, c: &Value) -> Option<Res<()>> {
        self.own_schema()?;
        let (fs, cs) = (list(f, "fields"), list(c, "fields"));
        if cs.len() < 3 || fs.len() != cs.len() {
            return None;
        }
        let (fname, cname) = (names(&fs[..1]), names(&cs[..1]));
        let meant = cname.first().and_then(|name| self.meant(name).map(str::to_owned));
        if meant.as_deref() != fname.first().copied() {
            return Some(disagree("a column is another table's"));
        }
        if let ([.., item, field], true) = (names(fs).as_slice(), names(fs).len() == fs.len())
            && let Err(error) = self.field(Some(item), field)
        {
            return Some(Err(error));
        }
        let rest = fs.iter().zip(cs).skip(1).try_for_each(|(f, c)| self.same(f, c));
        Some(rest.and_then(|()| self.rest(f, c, &["fields"])))
    }

    /// Nothing in the final statement lies elsewhere: by its own walk, from the schema's name alone.
    pub(super) fn all_inside(&self, f: &Value) -> Res<()> {
        let Some(own) = self.own_schema() else { return Ok(()) };
        let mut ctes = Vec::new();
        names_of_ctes(f, &mut ctes);
        self.inside(f, own, &ctes, "")
    }

    fn inside(&self, value: &Value, own: &str, ctes: &[String], parent: &str) -> Res<()> {
        match value {
            Value::Array(all) => all.iter().try_for_each(|v| self.inside(v, own, ctes, parent)),
            Value::Object(map) => map.iter().try_for_each(|(key, inner)| {
                if inner.is_object() {
                    self.node_inside(key, inner, own, ctes, parent)?;
                }
                let node = if key.chars().next().is_some_and(char::is_uppercase) { key } else { parent };
                self.inside(inner, own, ctes, node)
            }),
            _ => Ok(()),
        }
    }

    fn node_inside(&self, key: &str, v: &Value, own: &str, ctes: &[String], parent: &str) -> Res<()> {
        let server = |schema: &str| matches!(schema, "pg_catalog" | TEMP);
        match key {
            "RangeVar" | "relation" | "rel" | "pktable" if v.get("relname").is_some() => {
                let (schema, name) = (text(v, "schemaname"), text(v, "relname"));
                // A WITH query, or what FOR UPDATE OF names.
                let bare =
                    schema.is_empty() && (ctes.iter().any(|c| c == name) || matches!(parent, "LockingClause" | "ConstraintsSetStmt"));
                let shared = |key: &(String, String)| self.catalog.relations.get(key).is_some_and(|r| r.rule == TableRule::SharedRead);
                let listed = schema != PUBLIC && shared(&(schema.to_owned(), name.to_owned()));
                let system = schema == "information_schema" && self.catalog.system.schema_of(schema, name).is_some();
                if !(bare || schema == own || server(schema) || listed || system) {
                    return disagree("a relation lies outside the tenant's schema");
                }
            }
            "TypeName" | "type_name" => match names(list(v, "names")).as_slice() {
                [_] => {}
                [schema, _] if *schema == own || *schema == "pg_catalog" || is_information(schema) => {}
                _ => return disagree("a type lies outside the tenant's schema"),
            },
            "FuncCall" => match names(list(v, "funcname")).as_slice() {
                ["pg_catalog", name @ ("nextval" | "currval" | "setval")] => {
                    let sequence = list(v, "args").first().and_then(constant_of);
                    if !sequence.is_some_and(|s| s.starts_with(&format!("{}.", quote_name(own)))) {
                        return disagree(format!("{name} of a sequence outside the tenant's schema"));
                    }
                }
                ["pg_catalog", _] | [_] => {}
                [schema, name] => {
                    let listed = self.catalog.functions.contains(&((*schema).to_owned(), (*name).to_owned())) && *schema != PUBLIC;
                    if !listed && !is_information(schema) {
                        return disagree("a function lies outside the tenant's schema");
                    }
                }
                _ => return disagree("a function's name is not understood"),
            },
            "AExpr" | "SubLink" | "SortBy" => {
                let operator = ["name", "oper_name", "use_op"].iter().map(|k| names(list(v, k))).find(|n| !n.is_empty());
                if !matches!(operator.as_deref(), None | Some([_] | ["pg_catalog", _])) {
                    return disagree("an operator is not PostgreSQL's own");
                }
            }
            "DropStmt" => {
                let first = |o: &Value| {
                    let path = fields(o, "List").map(|l| list(l, "items")).or_else(|| fields(o, "TypeName").map(|t| list(t, "names")));
                    path.and_then(|p| names(p).first().map(|s| (*s).to_owned()))
                };
                if !list(v, "objects").iter().all(|o| first(o).is_some_and(|s| s == own || s == TEMP)) {
                    return disagree("what is dropped lies outside the tenant's schema");
                }
            }
            "CreateEnumStmt" | "AlterEnumStmt" if names(list(v, "type_name")).first() != Some(&own) => {
                return disagree("a type lies outside the tenant's schema");
            }
            "CollateClause" => match names(list(v, "collname")).as_slice() {
                [_] | ["pg_catalog", _] => {}
                _ => return disagree("a collation lies elsewhere"),
            },
            _ => {}
        }
        Ok(())
    }
}

/// The helpers of PostgreSQL's information schema.
fn is_information(schema: &str) -> bool {
    schema == "information_schema"
}

fn names_of_ctes(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| names_of_ctes(v, out)),
        Value::Object(map) => {
            for (key, inner) in map.iter() {
                if key == "CommonTableExpr" {
                    out.push(text(inner, "ctename").to_owned());
                }
                names_of_ctes(inner, out);
            }
        }
        _ => {}
    }
}

/// A string constant.
fn constant_of(value: &Value) -> Option<&str> {
    fields(value, "AConst")?["val"]["Sval"]["sval"].as_str()
}

#[cfg(test)]
#[path = "own_schema_tests.rs"]
mod tests;
