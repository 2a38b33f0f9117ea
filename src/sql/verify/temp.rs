//! The session's own: temporary tables stand as `pg_temp.name` and nowhere else; channels are the tenant's.

use super::scopes::{Level, Seen};
use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::sql::catalog::Relation;
use crate::sql::private::{TEMP, channel, channel_value, temporary};
use crate::sql::tree::Value;
use crate::sql::{Kind, sequences};
use std::sync::Arc;

impl Walk<'_> {
    /// Does the client's reference mean a temporary table?
    pub(super) fn is_temp(&self, c: &Value) -> bool {
        self.temp_of(c).is_some()
    }

    pub(super) fn temp_of(&self, c: &Value) -> Option<Arc<Relation>> {
        let own = text(c, "catalogname").is_empty() && matches!(text(c, "schemaname"), "" | TEMP);
        self.private.temps.get(text(c, "relname")).filter(|_| own).cloned()
    }

    /// `CREATE TEMP TABLE pg_temp.name (…)`; no relation stands in its parts.
    pub(super) fn create_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.new_temp(&f["relation"], &c["relation"])?;
        let bare = ["inh_relations", "options", "constraints"].iter().all(|k| list(f, k).is_empty())
            && ["partbound", "partspec", "of_typename"].iter().all(|k| f[*k].is_null());
        let (fs, cs) = (list(f, "table_elts"), list(c, "table_elts"));
        if !bare || fs.len() != cs.len() || refers(f) {
            return disagree("CREATE TEMP TABLE has other parts");
        }
        let name = text(&f["relation"], "relname").to_owned();
        self.levels.push(Level { items: vec![Seen { name, ..Seen::default() }], passed: false });
        fs.iter().zip(cs).try_for_each(|(f, c)| self.part_of_temp(f, c))?;
        self.levels.pop();
        self.rest(f, c, &["relation", "table_elts"])
    }

    /// A column or a constraint; what it computes is proved as any expression.
    pub(super) fn part_of_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        match (kind(f), kind(c)) {
            (Some(("ColumnDef", f)), Some(("ColumnDef", c))) => {
                let (fs, cs) = (list(f, "constraints"), list(c, "constraints"));
                if fs.len() != cs.len() {
                    return disagree("a column has other constraints");
                }
                fs.iter().zip(cs).try_for_each(|(f, c)| self.part_of_temp(f, c))?;
                if is_serial(&f["type_name"]) {
                    return if f["type_name"]["names"] == c["type_name"]["names"] {
                        self.rest(f, c, &["constraints", "type_name"])
                    } else {
                        disagree("a column has another type")
                    };
                }
                self.rest(f, c, &["constraints"])
            }
            (Some(("Constraint", f)), Some(("Constraint", c))) => self.rest(f, c, &[]),
            // It takes columns and no row.
            (Some(("TableLikeClause", f)), Some(("TableLikeClause", c))) => {
                let seen = self.proof.relations.len();
                if self.table_of(&f["relation"], &c["relation"])?.relation.hidden.is_some() {
                    return disagree("a hidden column would be shown");
                }
                self.proof.relations.truncate(seen);
                self.rest(&f["relation"], &c["relation"], &["schemaname"])?;
                self.rest(f, c, &["relation"])
            }
            _ => disagree("a temporary table has other parts"),
        }
    }

    /// `CREATE TEMP TABLE pg_temp.name AS query`, also for `SELECT … INTO TEMP name`.
    pub(super) fn create_temp_as(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f["objtype"] != c["objtype"] || f["if_not_exists"] != c["if_not_exists"] {
            return disagree("CREATE makes something else");
        }
        let query = &c["query"];
        self.made_by_query(f, &c["into"], &fields(query, "SelectStmt").cloned().unwrap_or_default())
    }

    pub(super) fn select_into(&mut self, f: &Value, c: &Value) -> Res<()> {
        let mut client = c.clone();
        client["into_clause"] = Value::Null;
        self.made_by_query(f, &c["into_clause"], &client)
    }

    fn made_by_query(&mut self, f: &Value, into: &Value, client: &Value) -> Res<()> {
        let Some(select) = fields(&f["query"], "SelectStmt") else { return disagree("CREATE TEMP TABLE AS something else") };
        // The query does not see the table it makes.
        self.select(select, client)?;
        self.rest(&f["into"], into, &["rel"])?;
        self.new_temp(&f["into"]["rel"], &into["rel"])
    }

    fn new_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let temp = text(f, "relpersistence") == "t" && text(f, "schemaname") == TEMP && text(f, "catalogname").is_empty();
        if !temp || text(f, "relname") != text(c, "relname") || !matches!(text(c, "schemaname"), "" | TEMP) {
            return disagree("CREATE of a table that is not temporary");
        }
        self.rest(f, c, &["schemaname"])?;
        self.private.temps.completed(&Kind::CreateTemp { table: temporary(text(f, "relname"), Vec::new()), vanishes: false });
        Ok(())
    }

    pub(super) fn drop_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "objects"), list(c, "objects"));
        if fs.len() != cs.len() || f["remove_type"] != c["remove_type"] {
            return disagree("DROP of something else");
        }
        let mut dropped = Vec::new();
        for (f, c) in fs.iter().zip(cs) {
            let path = |v: &Value| fields(v, "List").map(|l| names(list(l, "items")).into_iter().map(str::to_owned).collect::<Vec<_>>());
            let (Some(f), Some(c)) = (path(f), path(c)) else { return disagree("DROP of something else") };
            match (f.as_slice(), c.as_slice()) {
                ([schema, f], [c]) if schema == TEMP && f == c => {}
                ([schema, f], [own, c]) if schema == TEMP && own == TEMP && f == c => {}
                _ => return disagree("DROP of something else"),
            }
            dropped.extend(f.into_iter().skip(1));
        }
        self.private.temps.completed(&Kind::DropTemp(dropped));
        self.rest(f, c, &["objects"])
    }

    /// A write to a temporary table: what it reads is proved as in any query.
    pub(super) fn write_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (depth, added) = (self.ctes.len(), self.added.take());
        self.with(&f["with_clause"], &c["with_clause"])?;
        let (ft, ct) = (&f["relation"], &c["relation"]);
        let relation = Some(self.table_of(ft, ct)?.relation);
        self.rest(ft, ct, &["schemaname"])?;
        let name = if ft["alias"].is_null() { text(ft, "relname") } else { text(&ft["alias"], "aliasname") }.to_owned();
        let target = Level { items: vec![Seen { name, relation, ..Seen::default() }], passed: false };
        let from = ["from_clause", "using_clause"].into_iter().find(|k| f.get(k).is_some());
        match from {
            Some(from) => {
                let (guards, condition) = self.split(&f["where_clause"], &c["where_clause"])?;
                self.filters.push(guards);
                let level = self.from_list(list(f, from), list(c, from), target)?;
                self.used_up()?;
                self.rows_belong(added, &level)?;
                self.levels.push(level);
                self.filter(condition)?;
                self.passed();
                self.rest(f, c, &["with_clause", "relation", "where_clause", from])?;
            }
            None if added.is_some() => return disagree("columns were added to a temporary table's"),
            None => self.insert_temp(f, c, target)?,
        }
        self.levels.pop();
        self.ctes.truncate(depth);
        Ok(())
    }

    fn insert_temp(&mut self, f: &Value, c: &Value, target: Level) -> Res<()> {
        self.same(&f["select_stmt"], &c["select_stmt"])?;
        let (fo, co) = (&f["on_conflict_clause"], &c["on_conflict_clause"]);
        if fo.is_null() != co.is_null() {
            return disagree("ON CONFLICT differs");
        }
        if !fo.is_null() {
            let mut level = target.clone();
            let relation = target.items.first().and_then(|t| t.relation.clone()).filter(|r| r.is_own());
            level.items.push(Seen { name: "excluded".to_owned(), relation, ..Seen::default() });
            self.levels.push(level);
            if !fo["infer"].is_null() || !co["infer"].is_null() {
                self.rest(&fo["infer"], &co["infer"], &[])?;
            }
            self.rest(fo, co, &["infer"])?;
            self.levels.pop();
        }
        self.levels.push(target);
        self.rest(f, c, &["with_clause", "relation", "select_stmt", "on_conflict_clause"])
    }

    /// COPY of a temporary table is the client's own.
    pub(super) fn copy_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.table_of(&f["relation"], &c["relation"])?;
        self.rest(&f["relation"], &c["relation"], &["schemaname"])?;
        self.rest(f, c, &["options", "relation"])
    }

    /// LISTEN, NOTIFY, UNLISTEN: the channel is the tenant's own of that name.
    pub(super) fn channel(&mut self, f: &Value, c: &Value) -> Res<()> {
        let name = text(c, "conditionname");
        let wanted = self.private.tenant.as_ref().map(|tenant| channel(tenant, name));
        let all = name.is_empty() && text(f, "conditionname").is_empty();
        if !all && Some(text(f, "conditionname")) != wanted.as_deref() {
            return disagree("a channel is not the tenant's");
        }
        self.rest(f, c, &["conditionname", "payload_location"])
    }

    /// `nextval('"schema"."name"')` of a sequence that a listed table owns, which is the one the client names.
    pub(super) fn sequence(&mut self, f: &Value, c: &Value) -> Res<()> {
        let literal = |v: &Value| Some(fields(v, "AConst")?["val"]["Sval"]["sval"].as_str()?.to_owned());
        let theirs = match list(c, "args") {
            [one] => fields(one, "TypeCast").map_or_else(|| literal(one), |cast| literal(&cast["arg"])),
            _ => None,
        };
        let wanted = theirs.and_then(|name| sequences::resolve(self.catalog, &name));
        match list(f, "args") {
            [one] if wanted.is_some() && literal(one) == wanted => self.rest(f, c, &["funcname", "args"]),
            _ => disagree("a sequence is not a listed table's"),
        }
    }

    /// `pg_notify(channel, …)`: a literal is the tenant's channel; a parameter is mapped when its value is known.
    pub(super) fn notify(&mut self, f: &Value, c: &Value) -> Res<()> {
        let literal = |v: &Value| Some(fields(list(v, "args").first()?, "AConst")?["val"]["Sval"]["sval"].as_str()?.to_owned());
        let parameter = |v: &Value| list(v, "args").first().is_some_and(|a| fields(a, "ParamRef").is_some());
        match (literal(f), literal(c), self.private.tenant.as_ref()) {
            (Some(f), Some(c), Some(tenant)) if f == channel_value(tenant, &c) => {}
            (None, None, _) if parameter(f) && parameter(c) => {}
            _ => return disagree("a channel is not the tenant's"),
        }
        let (fs, cs) = (list(f, "args"), list(c, "args"));
        if fs.len() != cs.len() {
            return disagree("pg_notify has other arguments");
        }
        let from = usize::from(literal(f).is_some());
        fs.iter().zip(cs).skip(from).try_for_each(|(f, c)| self.same(f, c))?;
        self.rest(f, c, &["funcname", "args"])
    }
}

/// Does some constraint refer to another table?
pub(super) fn refers(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(k, v)| (k == "pktable" && !v.is_null()) || refers(v)),
        Value::Array(all) => all.iter().any(refers),
        _ => false,
    }
}

/// A pseudo-type that makes a sequence of the table's own.
fn is_serial(type_name: &Value) -> bool {
    let serial = ["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];
    matches!(names(list(type_name, "names")).as_slice(), [one] if serial.contains(one))
}
