//! The session's own: temporary tables stand as `pg_temp.name` and nowhere else; channels are the tenant's.

use super::scopes::{Level, Seen, called_as};
use super::{Res, Walk, disagree, fields, list, temp_parts, text, utility};
use crate::sql::Kind;
use crate::sql::catalog::Relation;
use crate::sql::private::{TEMP, channel, channel_value, hides_a_system_name, of_kind};
use crate::sql::tree::Value;
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
        if !list(&f["into"], "options").iter().all(temp_parts::is_storage) {
            return disagree("CREATE TEMP TABLE has other options");
        }
        self.new_temp(&f["into"]["rel"], &into["rel"], 'r', Vec::new())
    }

    /// The name of what is made; `kind` is its pg_class.relkind, and it goes with its parents.
    pub(super) fn new_temp(&mut self, f: &Value, c: &Value, kind: char, parents: Vec<String>) -> Res<()> {
        let temp = text(f, "relpersistence") == "t" && text(f, "schemaname") == TEMP && text(f, "catalogname").is_empty();
        if !temp || text(f, "relname") != text(c, "relname") || !matches!(text(c, "schemaname"), "" | TEMP) {
            return disagree("CREATE of a table that is not temporary");
        }
        if hides_a_system_name(self.catalog, text(f, "relname")) {
            return disagree("a temporary table would be taken for what is PostgreSQL's own");
        }
        self.rest(f, c, &["schemaname"])?;
        self.now_there(text(f, "relname"), kind, parents);
        Ok(())
    }

    /// What the statements behind this one may name.
    pub(super) fn now_there(&mut self, name: &str, kind: char, parents: Vec<String>) {
        self.private.temps.completed(&Kind::CreateTemp { table: of_kind(kind, name, parents), vanishes: false });
    }

    /// A write to a temporary table: what it reads is proved as in any query.
    pub(super) fn write_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (depth, added) = (self.ctes.len(), self.added.take());
        self.with(&f["with_clause"], &c["with_clause"])?;
        let (ft, ct) = (&f["relation"], &c["relation"]);
        let relation = Some(self.table_of(ft, ct)?.relation);
        self.rest(ft, ct, &["schemaname"])?;
        let name = called_as(ft, text(ft, "relname")).to_owned();
        let target = Level { items: vec![Seen { name, relation, ..Seen::default() }], passed: false };
        let from = ["from_clause", "using_clause"].into_iter().find(|k| f.get(k).is_some());
        let positioned = utility::is_current_of(&f["where_clause"], &c["where_clause"]) && f["with_clause"].is_null();
        match from {
            // The row that an own cursor stands on.
            Some(from) if positioned && list(f, from).is_empty() && added.is_none() => {
                self.levels.push(target);
                self.rest(f, c, &["relation", "where_clause"])?;
            }
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
