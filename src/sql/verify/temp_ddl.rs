//! Indexes, ALTER TABLE, RENAME, DROP: of the session's own temporary relations, with nothing in them that is not proved as any expression.

use super::scopes::{Level, Seen};
use super::temp_parts::is_storage;
use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::sql::Kind;
use crate::sql::private::{TEMP, hides_a_system_name};
use crate::sql::tree::Value;
use pg_query::protobuf::{AlterTableType as Type, ObjectType as Object};

/// One of these object types.
fn is_object(value: &Value, all: &[Object]) -> bool {
    value.as_i64().is_some_and(|n| all.iter().any(|o| i64::from(*o as i32) == n))
}

impl Walk<'_> {
    pub(super) fn index_of_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let bare = list(f, "exclude_op_names").is_empty() && text(f, "table_space").is_empty();
        if !bare || f["concurrent"] != Value::Bool(false) || !list(f, "options").iter().all(is_storage) {
            return disagree("CREATE INDEX in another form");
        }
        if self.catalog.system.schema_of("", text(f, "idxname")).is_some() {
            return disagree("an index would be taken for a catalog");
        }
        self.own_temp(f, c)?;
        for key in ["index_params", "index_including_params"] {
            let (fs, cs) = (list(f, key), list(c, key));
            if fs.len() != cs.len() {
                return disagree("an index of other columns");
            }
            fs.iter().zip(cs).try_for_each(|(f, c)| self.index_element(f, c))?;
        }
        self.rest(f, c, &["relation", "index_params", "index_including_params"])?;
        self.levels.pop();
        if !text(f, "idxname").is_empty() {
            self.now_there(text(f, "idxname"), 'i', vec![text(&f["relation"], "relname").to_owned()]);
        }
        Ok(())
    }

    pub(super) fn alter_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "cmds"), list(c, "cmds"));
        if fs.len() != cs.len() || !is_object(&f["objtype"], &[Object::ObjectTable]) {
            return disagree("ALTER TABLE does something else");
        }
        self.own_temp(f, c)?;
        let table = text(&f["relation"], "relname").to_owned();
        for (f, c) in fs.iter().zip(cs) {
            let (Some(f), Some(c)) = (fields(f, "AlterTableCmd"), fields(c, "AlterTableCmd")) else {
                return disagree("ALTER TABLE does something else");
            };
            self.alteration(f, c, &table)?;
        }
        self.rest(f, c, &["relation", "cmds"])?;
        self.levels.pop();
        Ok(())
    }

    fn alteration(&mut self, f: &Value, c: &Value, table: &str) -> Res<()> {
        let known = f["subtype"].as_i64().and_then(|t| Type::try_from(i32::try_from(t).ok()?).ok());
        let (fd, cd) = (&f["def"], &c["def"]);
        match known {
            Some(Type::AtDropColumn | Type::AtSetNotNull | Type::AtDropNotNull | Type::AtDropConstraint | Type::AtColumnDefault) => {
                self.same(fd, cd)?;
            }
            Some(Type::AtValidateConstraint | Type::AtDropIdentity | Type::AtDropExpression | Type::AtClusterOn | Type::AtDropCluster)
                if fd.is_null() && cd.is_null() => {}
            Some(Type::AtSetStatistics | Type::AtSetStorage) if matches!(kind(fd), Some(("Integer" | "String", _))) => self.same(fd, cd)?,
            Some(Type::AtSetRelOptions | Type::AtResetRelOptions) => match (kind(fd), kind(cd)) {
                (Some(("List", f)), Some(("List", c))) if list(f, "items").iter().all(is_storage) => self.rest(f, c, &[])?,
                _ => return disagree("a table gets other options"),
            },
            Some(Type::AtAddColumn | Type::AtAddConstraint | Type::AtAddIdentity) => self.part_of_temp(fd, cd, table)?,
            Some(Type::AtAlterConstraint) => match (kind(fd), kind(cd)) {
                (Some(("AtalterConstraint", f)), Some(("AtalterConstraint", c))) => self.rest(f, c, &[])?,
                _ => return disagree("a constraint becomes something else"),
            },
            Some(Type::AtAlterColumnType) => match (kind(fd), kind(cd)) {
                (Some(("ColumnDef", f)), Some(("ColumnDef", c))) if list(f, "constraints").is_empty() => self.rest(f, c, &[])?,
                _ => return disagree("a column becomes something else"),
            },
            Some(Type::AtAddInherit | Type::AtDropInherit) => match (kind(fd), kind(cd)) {
                (Some(("RangeVar", f)), Some(("RangeVar", c))) => {
                    self.another_of_own(f, c, None)?;
                    self.bound(table, text(f, "relname"), known == Some(Type::AtAddInherit));
                }
                _ => return disagree("a table gets another parent"),
            },
            Some(Type::AtAttachPartition | Type::AtDetachPartition) => match (kind(fd), kind(cd)) {
                (Some(("PartitionCmd", f)), Some(("PartitionCmd", c))) if f["concurrent"] == Value::Bool(false) => {
                    self.another_of_own(&f["name"], &c["name"], None)?;
                    self.partition_bound(&f["bound"], &c["bound"])?;
                    self.bound(text(&f["name"], "relname"), table, known == Some(Type::AtAttachPartition));
                    self.rest(f, c, &["name", "bound"])?;
                }
                _ => return disagree("a table gets another part"),
            },
            _ => return disagree("this ALTER TABLE is not proved"),
        }
        if !f["newowner"].is_null() {
            return disagree("a table gets another owner");
        }
        self.rest(f, c, &["def"])
    }

    fn bound(&mut self, child: &str, parent: &str, bound: bool) {
        let (child, parent) = (child.to_owned(), parent.to_owned());
        self.private.temps.completed(&Kind::BindTemp { child, parent, bound });
    }

    /// RENAME of a temporary relation or of a part of it.
    pub(super) fn rename_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let whole = is_object(&f["rename_type"], &[Object::ObjectTable, Object::ObjectSequence, Object::ObjectIndex]);
        let part = is_object(&f["rename_type"], &[Object::ObjectColumn, Object::ObjectTabconstraint]);
        if !(whole || part) || !f["object"].is_null() || (whole && hides_a_system_name(self.catalog, text(f, "newname"))) {
            return disagree("RENAME of something else");
        }
        self.own_temp(f, c)?;
        self.levels.pop();
        if whole {
            let (from, to) = (text(&f["relation"], "relname").to_owned(), text(f, "newname").to_owned());
            self.private.temps.completed(&Kind::RenameTemp(from, to));
        }
        self.rest(f, c, &["relation"])
    }

    pub(super) fn drop_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "objects"), list(c, "objects"));
        let known = is_object(&f["remove_type"], &[Object::ObjectTable, Object::ObjectSequence, Object::ObjectIndex]);
        if !known || fs.len() != cs.len() || f["concurrent"] != Value::Bool(false) {
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

    /// The statement's table is the temporary one that the client names; its columns can be named from here on.
    fn own_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (f, c) = (&f["relation"], &c["relation"]);
        self.another_of_own(f, c, None).or_else(|_| disagree("a table that is not the session's own is changed"))?;
        self.levels.push(Level { items: vec![Seen { name: text(f, "relname").to_owned(), ..Seen::default() }], passed: false });
        Ok(())
    }
}
