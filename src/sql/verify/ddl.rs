//! DDL in a tenant's own place: what it names lies there, what it computes is proved as any expression, and its form is one of a few.

use super::scopes::{Level, Seen};
use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::sql::private::TEMP;
use crate::sql::tree::Value;
use pg_query::protobuf::{AlterTableType as Alter, ConstrType as Constr, DropBehavior, ObjectType as Object};

/// Forms of ALTER TABLE that concern columns, defaults and constraints.
const ALTERS: &[Alter] = &[
    Alter::AtAddColumn,
    Alter::AtColumnDefault,
    Alter::AtDropNotNull,
    Alter::AtSetNotNull,
    Alter::AtDropColumn,
    Alter::AtAddConstraint,
    Alter::AtDropConstraint,
    Alter::AtValidateConstraint,
    Alter::AtAlterColumnType,
    Alter::AtAddIdentity,
    Alter::AtDropIdentity,
    Alter::AtDropExpression,
];
/// Kinds of constraints that run no operator and no function but those in their expressions.
const CONSTRAINTS: &[Constr] = &[
    Constr::ConstrNull,
    Constr::ConstrNotnull,
    Constr::ConstrDefault,
    Constr::ConstrIdentity,
    Constr::ConstrGenerated,
    Constr::ConstrCheck,
    Constr::ConstrPrimary,
    Constr::ConstrUnique,
    Constr::ConstrForeign,
    Constr::ConstrAttrDeferrable,
    Constr::ConstrAttrNotDeferrable,
    Constr::ConstrAttrDeferred,
    Constr::ConstrAttrImmediate,
];

fn is_one_of<T: Copy + Into<i32>>(value: &Value, all: &[T]) -> bool {
    value.as_i64().is_some_and(|n| all.iter().any(|one| i64::from((*one).into()) == n))
}

fn bare(f: &Value, lists: &[&str], nodes: &[&str], texts: &[&str]) -> bool {
    lists.iter().all(|k| list(f, k).is_empty()) && nodes.iter().all(|k| f[*k].is_null()) && texts.iter().all(|k| text(f, k).is_empty())
}

impl Walk<'_> {
    /// Proves DDL; None where the statement is another, or the place is not the tenant's own.
    pub(super) fn ddl(&mut self, fk: &str, f: &Value, ck: &str, c: &Value) -> Option<Res<()>> {
        if fk != ck || !self.catalog.is_own_place() {
            return None;
        }
        if matches!(fk, "IndexStmt" | "AlterTableStmt" | "RenameStmt") && text(&f["relation"], "schemaname") == TEMP {
            return None;
        }
        let temporary = |v: &Value| text(v, "relpersistence") == "t" || text(v, "schemaname") == TEMP;
        Some(match fk {
            "CreateStmt" if !temporary(&f["relation"]) => self.create_own(f, c),
            "IndexStmt" => self.index(f, c),
            "ViewStmt" if !temporary(&f["view"]) => self.view_made(f, c),
            "AlterTableStmt" => self.alter(f, c),
            "RenameStmt" => {
                let kinds = [
                    Object::ObjectTable,
                    Object::ObjectView,
                    Object::ObjectIndex,
                    Object::ObjectSequence,
                    Object::ObjectColumn,
                    Object::ObjectTabconstraint,
                ];
                if !is_one_of(&f["rename_type"], &kinds) || !f["object"].is_null() || cascades(f) {
                    return Some(disagree("RENAME of something else"));
                }
                self.made(&f["relation"], &c["relation"]).and_then(|()| self.rest(f, c, &["relation"]))
            }
            "CreateEnumStmt" | "AlterEnumStmt" => {
                self.path(list(f, "type_name"), list(c, "type_name")).and_then(|()| self.rest(f, c, &["type_name"]))
            }
            "DropStmt" if !list(f, "objects").iter().all(in_temp) => self.drop_own(f, c),
            _ => return None,
        })
    }

    /// The schema that a name of the client's stands in, where it is the place's.
    fn schema_for(&self, client: &str) -> Option<String> {
        let seen = if client.is_empty() { self.catalog.search_path.first()?.as_str() } else { client };
        if seen.starts_with("pg_") || seen == "information_schema" {
            return None;
        }
        let meant = self.meant(seen)?;
        self.catalog.home.schema().is_none_or(|own| own == meant).then(|| meant.to_owned())
    }

    fn is_withheld(&self, schema: &str, name: &str) -> bool {
        let path = self.catalog.search_path.first().map_or("public", String::as_str);
        let schema = if schema.is_empty() { path } else { schema };
        self.catalog.withheld.iter().any(|(s, n)| s == schema && n == name)
    }

    /// A name of what is made, changed or perhaps absent.
    fn made(&mut self, f: &Value, c: &Value) -> Res<()> {
        let expected = self.schema_for(text(c, "schemaname"));
        let same = text(f, "relname") == text(c, "relname") && text(f, "catalogname").is_empty() && text(c, "catalogname").is_empty();
        if self.is_withheld(text(c, "schemaname"), text(c, "relname")) {
            return disagree("DDL on what is hidden");
        }
        if !same || expected.as_deref() != Some(text(f, "schemaname")) || text(f, "relpersistence") != "p" {
            return disagree("DDL on something that lies elsewhere");
        }
        self.rest(f, c, &["schemaname"])
    }

    /// The same for a list of names.
    fn path(&self, f: &[Value], c: &[Value]) -> Res<()> {
        let (fnames, cnames) = (names(f), names(c));
        let ([schema, name], true) = (fnames.as_slice(), fnames.len() == f.len()) else {
            return disagree("DDL on a name without a schema");
        };
        let (theirs, same) = match cnames.as_slice() {
            [bare] => ("", bare == name),
            [schema, bare] => (*schema, bare == name),
            _ => return disagree("DDL on another name"),
        };
        if self.is_withheld(theirs, name) {
            return disagree("DDL on what is hidden");
        }
        if same && self.schema_for(theirs).as_deref() == Some(*schema) { Ok(()) } else { disagree("DDL on something that lies elsewhere") }
    }

    /// Runs with a table's columns in sight.
    fn with_columns(&mut self, table: Seen, run: impl FnOnce(&mut Self) -> Res<()>) -> Res<()> {
        self.levels.push(Level { items: vec![table], passed: false });
        let result = run(self);
        self.levels.pop();
        result
    }

    fn create_own(&mut self, f: &Value, c: &Value) -> Res<()> {
        let plain = bare(
            f,
            &["inh_relations", "options", "constraints"],
            &["partbound", "partspec", "of_typename"],
            &["tablespacename", "access_method"],
        );
        let (fs, cs) = (list(f, "table_elts"), list(c, "table_elts"));
        if !plain || fs.len() != cs.len() {
            return disagree("CREATE TABLE has other parts");
        }
        self.made(&f["relation"], &c["relation"])?;
        self.with_columns(Seen { name: text(&f["relation"], "relname").to_owned(), ..Seen::default() }, |w| {
            fs.iter().zip(cs).try_for_each(|(f, c)| w.part(f, c))
        })?;
        self.rest(f, c, &["relation", "table_elts"])
    }

    /// A column or a constraint.
    fn part(&mut self, f: &Value, c: &Value) -> Res<()> {
        match (kind(f), kind(c)) {
            (Some(("ColumnDef", f)), Some(("ColumnDef", c))) => {
                let (fs, cs) = (list(f, "constraints"), list(c, "constraints"));
                if fs.len() != cs.len() || !bare(f, &["fdwoptions"], &[], &["compression", "storage_name"]) {
                    return disagree("a column has other parts");
                }
                fs.iter().zip(cs).try_for_each(|(f, c)| self.part(f, c))?;
                let serial = ["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];
                let is_serial = matches!(names(list(&f["type_name"], "names")).as_slice(), [one] if serial.contains(one));
                if is_serial && f["type_name"]["names"] != c["type_name"]["names"] {
                    return disagree("a column has another type");
                }
                self.rest(f, c, if is_serial { &["constraints", "type_name"] } else { &["constraints"] })
            }
            (Some(("Constraint", f)), Some(("Constraint", c))) => {
                let plain = bare(f, &["exclusions"], &["where_clause"], &["indexspace", "access_method"]);
                if !plain || !is_one_of(&f["contype"], CONSTRAINTS) || f["pktable"].is_null() != c["pktable"].is_null() {
                    return disagree("a constraint of another kind");
                }
                if !f["pktable"].is_null() {
                    self.made(&f["pktable"], &c["pktable"])?;
                }
                self.rest(f, c, &["pktable"])
            }
            _ => disagree("a table has other parts"),
        }
    }

    fn index(&mut self, f: &Value, c: &Value) -> Res<()> {
        let plain = bare(f, &["options", "exclude_op_names"], &[], &["table_space", "idxcomment"]);
        let methods = ["", "btree", "hash", "gin", "gist", "brin", "spgist"];
        let element = |e: &Value, including: bool| {
            fields(e, "IndexElem").is_some_and(|e| {
                let short = list(e, "collation").len() < 2 && list(e, "opclass").len() < 2 && list(e, "opclassopts").is_empty();
                short && (!including || e["expr"].is_null())
            })
        };
        let sound =
            list(f, "index_params").iter().all(|e| element(e, false)) && list(f, "index_including_params").iter().all(|e| element(e, true));
        if !plain || !sound || !methods.contains(&text(f, "access_method")) {
            return disagree("CREATE INDEX has other parts");
        }
        let Some(relation) = self.own_of(&c["relation"]).cloned() else { return disagree("an index of another table") };
        self.made(&f["relation"], &c["relation"])?;
        let (fs, cs) = (list(f, "index_params"), list(c, "index_params"));
        let (fi, ci) = (list(f, "index_including_params"), list(c, "index_including_params"));
        if fs.len() != cs.len() || fi.len() != ci.len() {
            return disagree("CREATE INDEX has other parts");
        }
        let table = Seen { name: relation.name.clone(), relation: Some(relation), ..Seen::default() };
        self.with_columns(table, |w| {
            for (f, c) in fs.iter().chain(fi).zip(cs.iter().chain(ci)) {
                let (Some(f), Some(c)) = (fields(f, "IndexElem"), fields(c, "IndexElem")) else {
                    return disagree("an index of something else");
                };
                w.rest(f, c, &[])?;
            }
            w.rest(f, c, &["relation", "index_params", "index_including_params", "concurrent"])
        })?;
        // Beside other tenants it would wait for them.
        let waits = f["concurrent"] == Value::Bool(true);
        if waits && (self.own_schema().is_some() || f["concurrent"] != c["concurrent"]) {
            return disagree("an index is built concurrently");
        }
        Ok(())
    }

    fn view_made(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (Some(query), Some(client)) = (fields(&f["query"], "SelectStmt"), fields(&c["query"], "SelectStmt")) else {
            return disagree("a view of something else");
        };
        if !list(f, "options").is_empty() {
            return disagree("a view has options");
        }
        self.select(query, client)?;
        self.made(&f["view"], &c["view"])?;
        self.rest(f, c, &["query", "view"])
    }

    fn alter(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "cmds"), list(c, "cmds"));
        if fs.len() != cs.len() || !is_one_of(&f["objtype"], &[Object::ObjectTable]) {
            return disagree("ALTER of something else");
        }
        self.made(&f["relation"], &c["relation"])?;
        self.with_columns(Seen { name: text(&f["relation"], "relname").to_owned(), ..Seen::default() }, |w| {
            fs.iter().zip(cs).try_for_each(|(f, c)| w.alter_command(f, c))
        })?;
        self.rest(f, c, &["relation", "cmds"])
    }

    fn alter_command(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (Some(f), Some(c)) = (fields(f, "AlterTableCmd"), fields(c, "AlterTableCmd")) else { return disagree("ALTER has other parts") };
        if !is_one_of(&f["subtype"], ALTERS) || !f["newowner"].is_null() || !c["newowner"].is_null() {
            return disagree("this form of ALTER TABLE is not proved");
        }
        if cascades(f) && (self.catalog.home.schema().is_some() || !self.catalog.withheld.is_empty()) {
            return disagree("CASCADE could reach what lies elsewhere");
        }
        match kind(&f["def"]) {
            None if c["def"].is_null() => {}
            Some(("ColumnDef" | "Constraint", _)) => self.part(&f["def"], &c["def"])?,
            Some(_) if is_one_of(&f["subtype"], &[Alter::AtColumnDefault]) => self.same(&f["def"], &c["def"])?,
            _ => return disagree("ALTER has other parts"),
        }
        self.rest(f, c, &["def"])
    }

    fn drop_own(&mut self, f: &Value, c: &Value) -> Res<()> {
        let kinds = [Object::ObjectTable, Object::ObjectView, Object::ObjectIndex, Object::ObjectSequence, Object::ObjectType];
        let (fs, cs) = (list(f, "objects"), list(c, "objects"));
        if !is_one_of(&f["remove_type"], &kinds) || fs.len() != cs.len() {
            return disagree("DROP of something else");
        }
        if cascades(f) && (self.catalog.home.schema().is_some() || !self.catalog.withheld.is_empty()) {
            return disagree("CASCADE could reach what lies elsewhere");
        }
        for (f, c) in fs.iter().zip(cs) {
            match (kind(f), kind(c)) {
                (Some(("List", f)), Some(("List", c))) => self.path(list(f, "items"), list(c, "items"))?,
                (Some(("TypeName", f)), Some(("TypeName", c))) if list(f, "array_bounds").is_empty() && list(f, "typmods").is_empty() => {
                    self.path(list(f, "names"), list(c, "names"))?;
                }
                _ => return disagree("DROP of something else"),
            }
        }
        self.rest(f, c, &["objects"])
    }
}

pub(super) fn cascades(f: &Value) -> bool {
    f["behavior"].as_i64() == Some(i64::from(DropBehavior::DropCascade as i32))
}

fn in_temp(object: &Value) -> bool {
    fields(object, "List").is_some_and(|l| names(list(l, "items")).first() == Some(&TEMP))
}
