//! Indexes and ALTER TABLE: of the session's own temporary table, with nothing in them that is not proved as any expression.

use super::scopes::{Level, Seen};
use super::{Res, Walk, disagree, fields, kind, list, text};
use crate::sql::private::TEMP;
use crate::sql::tree::Value;
use pg_query::protobuf::AlterTableType as Type;

impl Walk<'_> {
    pub(super) fn index_of_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let bare = ["options", "exclude_op_names"].iter().all(|k| list(f, k).is_empty()) && text(f, "table_space").is_empty();
        if !bare || f["concurrent"] != Value::Bool(false) {
            return disagree("CREATE INDEX in another form");
        }
        self.own_temp(f, c)?;
        for key in ["index_params", "index_including_params"] {
            let (fs, cs) = (list(f, key), list(c, key));
            if fs.len() != cs.len() {
                return disagree("an index of other columns");
            }
            for (f, c) in fs.iter().zip(cs) {
                let (Some(f), Some(c)) = (fields(f, "IndexElem"), fields(c, "IndexElem")) else {
                    return disagree("an index of something else");
                };
                if ["collation", "opclass", "opclassopts"].iter().any(|k| !list(f, k).is_empty()) {
                    return disagree("an index by something of the user's");
                }
                self.rest(f, c, &[])?;
            }
        }
        self.rest(f, c, &["relation", "index_params", "index_including_params"])?;
        self.levels.pop();
        Ok(())
    }

    pub(super) fn alter_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "cmds"), list(c, "cmds"));
        if fs.len() != cs.len() || super::temp::refers(f) {
            return disagree("ALTER TABLE does something else");
        }
        self.own_temp(f, c)?;
        for (f, c) in fs.iter().zip(cs) {
            let (Some(f), Some(c)) = (fields(f, "AlterTableCmd"), fields(c, "AlterTableCmd")) else {
                return disagree("ALTER TABLE does something else");
            };
            self.alteration(f, c)?;
        }
        self.rest(f, c, &["relation", "cmds"])?;
        self.levels.pop();
        Ok(())
    }

    fn alteration(&mut self, f: &Value, c: &Value) -> Res<()> {
        let known = f["subtype"].as_i64().and_then(|t| Type::try_from(i32::try_from(t).ok()?).ok());
        let (fd, cd) = (&f["def"], &c["def"]);
        match known {
            Some(Type::AtDropColumn | Type::AtSetNotNull | Type::AtDropNotNull | Type::AtDropConstraint | Type::AtColumnDefault) => {
                self.same(fd, cd)?;
            }
            Some(Type::AtAddColumn | Type::AtAddConstraint) => self.part_of_temp(fd, cd)?,
            Some(Type::AtAlterColumnType) => match (kind(fd), kind(cd)) {
                (Some(("ColumnDef", f)), Some(("ColumnDef", c))) if list(f, "constraints").is_empty() => self.rest(f, c, &[])?,
                _ => return disagree("a column becomes something else"),
            },
            _ => return disagree("this ALTER TABLE is not proved"),
        }
        if !f["newowner"].is_null() {
            return disagree("a table gets another owner");
        }
        self.rest(f, c, &["def"])
    }

    /// The statement's table is the temporary one that the client names; its columns can be named from here on.
    fn own_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (f, c) = (&f["relation"], &c["relation"]);
        if !self.is_temp(c) || text(f, "schemaname") != TEMP || text(f, "relname") != text(c, "relname") {
            return disagree("a table that is not the session's own is changed");
        }
        self.rest(f, c, &["schemaname"])?;
        self.levels.push(Level { items: vec![Seen { name: text(f, "relname").to_owned(), ..Seen::default() }], passed: false });
        Ok(())
    }
}
