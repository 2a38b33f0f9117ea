//! CREATE TEMP TABLE: whatever it refers to is the session's own too, what it computes is proved as any expression, and its form is one of a few.

use super::scopes::{Level, Seen};
use super::{Res, Walk, disagree, fields, kind, list, names, text};
use crate::sql::private::TEMP;
use crate::sql::tree::Value;
use pg_query::protobuf::ConstrType as Constr;

/// Kinds of constraints that hold nothing but names of own columns and proved expressions.
const CONSTRAINTS: &[Constr] = &[
    Constr::ConstrNull,
    Constr::ConstrNotnull,
    Constr::ConstrDefault,
    Constr::ConstrIdentity,
    Constr::ConstrGenerated,
    Constr::ConstrCheck,
    Constr::ConstrPrimary,
    Constr::ConstrUnique,
    Constr::ConstrExclusion,
    Constr::ConstrForeign,
    Constr::ConstrAttrDeferrable,
    Constr::ConstrAttrNotDeferrable,
    Constr::ConstrAttrDeferred,
    Constr::ConstrAttrImmediate,
];

/// What LIKE copies beside columns that is no expression: INCLUDING COMMENTS, COMPRESSION, IDENTITY, STORAGE (parsenodes.h, TableLikeOption).
const NO_EXPRESSIONS: i64 = 0b1_0010_0011;

impl Walk<'_> {
    /// `CREATE TEMP TABLE pg_temp.name (…)`
    pub(super) fn create_temp(&mut self, f: &Value, c: &Value) -> Res<()> {
        let plain = f["of_typename"].is_null()
            && list(f, "constraints").is_empty()
            && ["tablespacename", "access_method"].iter().all(|k| text(f, k).is_empty())
            && list(f, "options").iter().all(is_storage);
        let (fs, cs) = (list(f, "table_elts"), list(c, "table_elts"));
        let (fp, cp) = (list(f, "inh_relations"), list(c, "inh_relations"));
        if !plain || fs.len() != cs.len() || fp.len() != cp.len() {
            return disagree("CREATE TEMP TABLE has other parts");
        }
        for (f, c) in fp.iter().zip(cp) {
            let (Some(f), Some(c)) = (fields(f, "RangeVar"), fields(c, "RangeVar")) else { return disagree("a parent is no table") };
            self.another_of_own(f, c, None)?;
        }
        let name = text(&f["relation"], "relname").to_owned();
        self.levels.push(Level { items: vec![Seen { name: name.clone(), ..Seen::default() }], passed: false });
        fs.iter().zip(cs).try_for_each(|(f, c)| self.part_of_temp(f, c, &name))?;
        self.partition_key(&f["partspec"], &c["partspec"])?;
        self.partition_bound(&f["partbound"], &c["partbound"])?;
        self.levels.pop();
        let parents = fp.iter().filter_map(|p| fields(p, "RangeVar")).map(|p| text(p, "relname").to_owned()).collect();
        self.new_temp(&f["relation"], &c["relation"], 'r', parents)?;
        for sequence in fs.iter().filter_map(|e| fields(e, "ColumnDef")).filter(|c| has_sequence(c)) {
            self.now_there(&format!("{name}_{}_seq", text(sequence, "colname")), 'S', vec![name.clone()]);
        }
        self.rest(f, c, &["relation", "table_elts", "inh_relations", "partspec", "partbound"])
    }

    /// What a temporary table refers to is the temporary one that the client means: `itself`, or one that is there.
    pub(super) fn another_of_own(&mut self, f: &Value, c: &Value, itself: Option<&str>) -> Res<()> {
        let same = text(f, "schemaname") == TEMP && text(f, "relname") == text(c, "relname") && text(f, "catalogname").is_empty();
        let near = text(c, "catalogname").is_empty() && matches!(text(c, "schemaname"), "" | TEMP);
        if !same || !(self.is_temp(c) || (near && itself == Some(text(c, "relname")))) {
            return disagree("a temporary table refers to one that lasts");
        }
        self.rest(f, c, &["schemaname"])
    }

    /// A column or a constraint; what it computes is proved as any expression.
    pub(super) fn part_of_temp(&mut self, f: &Value, c: &Value, table: &str) -> Res<()> {
        match (kind(f), kind(c)) {
            (Some(("ColumnDef", f)), Some(("ColumnDef", c))) => {
                let (fs, cs) = (list(f, "constraints"), list(c, "constraints"));
                if fs.len() != cs.len() || !list(f, "fdwoptions").is_empty() || !f["raw_default"].is_null() {
                    return disagree("a column has other parts");
                }
                fs.iter().zip(cs).try_for_each(|(f, c)| self.part_of_temp(f, c, table))?;
                if is_serial(&f["type_name"]) {
                    return if f["type_name"]["names"] == c["type_name"]["names"] {
                        self.rest(f, c, &["constraints", "type_name"])
                    } else {
                        disagree("a column has another type")
                    };
                }
                self.rest(f, c, &["constraints"])
            }
            (Some(("Constraint", f)), Some(("Constraint", c))) => self.constraint_of_temp(f, c, table),
            // It takes columns and no row.
            (Some(("TableLikeClause", f)), Some(("TableLikeClause", c))) => {
                let seen = self.proof.relations.len();
                let like = self.table_of(&f["relation"], &c["relation"])?.relation;
                if like.hidden.is_some() {
                    return disagree("a hidden column would be shown");
                }
                let told = c["options"].as_i64().is_none_or(|options| options & !NO_EXPRESSIONS != 0);
                if told && self.catalog.system.hidden.is_copied(like.oid) {
                    return disagree("what the catalogs do not show would be copied");
                }
                self.proof.relations.truncate(seen);
                self.rest(&f["relation"], &c["relation"], &["schemaname"])?;
                self.rest(f, c, &["relation"])
            }
            _ => disagree("a temporary table has other parts"),
        }
    }

    fn constraint_of_temp(&mut self, f: &Value, c: &Value, table: &str) -> Res<()> {
        let known = f["contype"].as_i64().is_some_and(|n| CONSTRAINTS.iter().any(|k| i64::from(*k as i32) == n));
        let excludes = f["contype"].as_i64() == Some(i64::from(Constr::ConstrExclusion as i32));
        let identity = f["contype"].as_i64() == Some(i64::from(Constr::ConstrIdentity as i32));
        let methods: &[&str] = if excludes { &["", "btree", "hash", "gist", "spgist"] } else { &[""] };
        let plain = text(f, "indexspace").is_empty()
            && methods.contains(&text(f, "access_method"))
            && list(f, "options").iter().all(|o| if identity { is_number_option(o) } else { is_storage(o) });
        if !known || !plain || f["pktable"].is_null() != c["pktable"].is_null() {
            return disagree("a constraint of another kind");
        }
        if !f["pktable"].is_null() {
            self.another_of_own(&f["pktable"], &c["pktable"], Some(table))?;
        }
        let (fs, cs) = (list(f, "exclusions"), list(c, "exclusions"));
        if fs.len() != cs.len() {
            return disagree("a constraint excludes something else");
        }
        for (f, c) in fs.iter().zip(cs) {
            let parts = |v| fields(v, "List").map(|l| list(l, "items")).unwrap_or_default();
            let ([fe, fo], [ce, co]) = (parts(f), parts(c)) else { return disagree("a constraint excludes something else") };
            self.index_element(fe, ce)?;
            let name = |v| fields(v, "List").map(|l| names(list(l, "items"))).unwrap_or_default();
            if name(fo).is_empty() || name(fo) != name(co) {
                return disagree("a constraint excludes by another operator");
            }
            self.operator(name(fo))?;
        }
        self.rest(f, c, &["pktable", "exclusions"])
    }

    /// An element of an index or an exclusion: by the default operators of its type.
    pub(super) fn index_element(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (Some(f), Some(c)) = (fields(f, "IndexElem"), fields(c, "IndexElem")) else { return disagree("an index of something else") };
        let collation = matches!(names(list(f, "collation")).as_slice(), [] | [_] | ["pg_catalog", _]);
        if !collation || ["opclass", "opclassopts"].iter().any(|k| !list(f, k).is_empty()) {
            return disagree("an index by something of the user's");
        }
        self.rest(f, c, &[])
    }

    fn partition_key(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f.is_null() && c.is_null() {
            return Ok(());
        }
        let (fs, cs) = (list(f, "part_params"), list(c, "part_params"));
        if f.is_null() || c.is_null() || fs.len() != cs.len() {
            return disagree("a table is parted otherwise");
        }
        for (f, c) in fs.iter().zip(cs) {
            let (Some(f), Some(c)) = (fields(f, "PartitionElem"), fields(c, "PartitionElem")) else {
                return disagree("a table is parted by something else");
            };
            if !list(f, "opclass").is_empty() || list(f, "collation").len() > 1 {
                return disagree("a table is parted by something of the user's");
            }
            self.rest(f, c, &[])?;
        }
        self.rest(f, c, &["part_params"])
    }

    /// FOR VALUES …
    pub(super) fn partition_bound(&mut self, f: &Value, c: &Value) -> Res<()> {
        match (f.is_null(), c.is_null()) {
            (true, true) => Ok(()),
            (false, false) => self.rest(f, c, &[]),
            _ => disagree("a part has other bounds"),
        }
    }
}

/// A storage parameter that concerns the table's own pages.
pub(super) fn is_storage(option: &Value) -> bool {
    const KNOWN: &[&str] =
        &["fillfactor", "toast_tuple_target", "vacuum_truncate", "vacuum_index_cleanup", "parallel_workers", "deduplicate_items"];
    let Some(option) = fields(option, "DefElem") else { return false };
    let name = text(option, "defname").to_ascii_lowercase();
    let plain = option["arg"].is_null() || matches!(kind(&option["arg"]), Some(("Integer" | "Float" | "Boolean" | "String", _)));
    let known = KNOWN.contains(&name.as_str()) || name.starts_with("autovacuum_") || name == "log_autovacuum_min_duration";
    plain && known && matches!(text(option, "defnamespace"), "" | "toast")
}

/// An option of a sequence that is a number or nothing.
pub(super) fn is_number_option(option: &Value) -> bool {
    let known = ["start", "increment", "minvalue", "maxvalue", "cache", "cycle", "restart"];
    fields(option, "DefElem").is_some_and(|o| {
        known.contains(&text(o, "defname")) && (o["arg"].is_null() || matches!(kind(&o["arg"]), Some(("Integer" | "Float" | "Boolean", _))))
    })
}

/// A pseudo-type that makes a sequence of the table's own.
fn is_serial(type_name: &Value) -> bool {
    let serial = ["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];
    matches!(names(list(type_name, "names")).as_slice(), [one] if serial.contains(one))
}

/// The server makes a sequence with this column, and names it by both.
fn has_sequence(column: &Value) -> bool {
    let identity =
        |c: &Value| fields(c, "Constraint").is_some_and(|c| c["contype"].as_i64() == Some(i64::from(Constr::ConstrIdentity as i32)));
    is_serial(&column["type_name"]) || list(column, "constraints").iter().any(identity)
}
