//! Whether the catalog may be another than it was: a question that is cheap enough to be asked every few seconds. DDL that raises no error in
//! anybody's session (a column's type, a collation, a cast, a key that is gone) is seen by it alone.
//!
//! Of each of the system's tables: how many rows there are, and the sum of the transactions that wrote them. Whatever is written later has a
//! higher number than all before it, so that no change leaves both as they were. What is temporary, and what cannot change what is read, is left out.

use super::catalogs::quote_text;
use crate::policy::Home;

/// Rows of relations, by the column that names the relation.
const OF_RELATIONS: &[(&str, &str)] = &[
    ("pg_class", "oid"),
    ("pg_attribute", "attrelid"),
    ("pg_attrdef", "adrelid"),
    ("pg_constraint", "conrelid"),
    ("pg_index", "indrelid"),
    ("pg_trigger", "tgrelid"),
    ("pg_rewrite", "ev_class"),
    ("pg_inherits", "inhrelid"),
    ("pg_partitioned_table", "partrelid"),
    ("pg_statistic_ext", "stxrelid"),
    ("pg_policy", "polrelid"),
];

/// Whole tables. What a tenant's DDL can write is not among them.
const WHOLE: &[&str] = &[
    "pg_proc",
    "pg_operator",
    "pg_cast",
    "pg_collation",
    "pg_extension",
    "pg_language",
    "pg_conversion",
    "pg_ts_config",
    "pg_event_trigger",
    "pg_auth_members",
    "pg_db_role_setting",
];

const FIGURES: &str = "pg_catalog.count(*), COALESCE(pg_catalog.sum(x.xmin::pg_catalog.text::pg_catalog.int8), 0)";

/// The question, for those who live at `home`: of a schema only what is in it, so that tenants' DDL does not make work for all others.
pub fn question(home: &Home) -> String {
    let schemas = match home.schema() {
        Some(own) => format!("n.nspname = {}", quote_text(own)),
        None => "n.nspname NOT LIKE 'pg\\_temp\\_%' AND n.nspname NOT LIKE 'pg\\_toast%'".to_owned(),
    };
    let schemas = format!("(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE {schemas})");
    let relations = format!("(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace IN {schemas})");
    let part = |name: &str, condition: &str| format!("SELECT '{name}', {FIGURES} FROM pg_catalog.{name} x{condition}");
    let mut parts: Vec<String> = OF_RELATIONS
        .iter()
        .map(|(name, column)| match *column {
            "conrelid" => part(name, &format!(" WHERE x.conrelid IN {relations} OR x.connamespace IN {schemas} AND x.conrelid = 0")),
            "oid" => part(name, &format!(" WHERE x.relnamespace IN {schemas}")),
            column => part(name, &format!(" WHERE x.{column} IN {relations}")),
        })
        .collect();
    parts.extend(WHOLE.iter().map(|name| part(name, "")));
    parts.push(part("pg_type", &format!(" WHERE x.typnamespace IN {schemas}")));
    parts.push(part("pg_namespace", &format!(" WHERE x.oid IN {schemas}")));
    // Whose a sequence is, and what an extension has.
    parts.push(part(
        "pg_depend",
        &format!(
            " WHERE x.deptype = 'e' OR x.deptype IN ('a', 'i') AND x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
             AND x.refclassid = x.classid AND x.refobjid IN {relations}"
        ),
    ));
    // Roles' own table is not for everybody.
    parts.push(
        "SELECT 'pg_roles', pg_catalog.count(*) FILTER (WHERE r.rolsuper), pg_catalog.count(*) FILTER (WHERE r.rolbypassrls) FROM pg_catalog.pg_roles r"
            .to_owned(),
    );
    parts.join(" UNION ALL ")
}
