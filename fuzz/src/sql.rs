//! Statement text → judged for two tenants, both protocols. What is accepted is read by PostgreSQL's grammar as as many statements, every
//! relation in it is guarded ([`super::audit`]), and between two tenants nothing differs but the tenant.

use super::audit::{Audit, Own, Rule};
use super::random::{Random, mutate_bytes, mutate_parts};
use partywall::config::document::{Findings, Reader};
use partywall::policy::{TableRule, TenantId};
use partywall::sql::{Catalog, Judge, Refusal, offline};
use std::sync::{Arc, OnceLock};

/// The judge of `policy.yaml` on `schema.sql`.
pub fn judge() -> &'static Judge {
    static JUDGE: OnceLock<Judge> = OnceLock::new();
    JUDGE.get_or_init(|| {
        let mut findings = Findings::new();
        let mut reader = Reader { file: "policy.yaml".into(), findings: &mut findings };
        let policy = partywall::policy::file::read(&mut reader, include_str!("../policy.yaml"));
        let policy = policy.unwrap_or_else(|| panic!("{findings:?}"));
        let catalog = offline::from_dump(&policy, include_str!("../schema.sql")).unwrap_or_else(|p| panic!("{p:?}"));
        Judge::new(Arc::new(policy), Arc::new(catalog))
    })
}

/// A tenant of that policy.
pub fn tenant(id: &str) -> TenantId {
    judge().policy().tenants.accept(id).unwrap()
}

/// What the catalog says of a relation.
pub fn listed<'c>(catalog: &'c Catalog, schema: &str, name: &str) -> Option<Rule<'c>> {
    match &catalog.relations.get(&(schema.to_owned(), name.to_owned()))?.rule {
        TableRule::Scoped { column, hidden: true } => Some(Rule::Hidden(column)),
        TableRule::Scoped { column, .. } => Some(Rule::Scoped(column)),
        TableRule::Through(through) => Some(Rule::Through(through)),
        TableRule::SharedRead => Some(Rule::Shared),
        _ => None,
    }
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(sql) = std::str::from_utf8(data) else { return };
    simple(sql);
    extended(sql, (data.len() % 3) as u16);
}

fn simple(sql: &str) {
    let judge = judge();
    match judge.simple(sql, &tenant("acme")) {
        Err(refusal) => refused(sql, &refusal),
        Ok(script) => {
            let sent = script.outgoing.as_str();
            held(sql, sent, &|own| *own == Own::Literal("acme".into()));
            assert_eq!(script.kinds.len(), count(sent), "{sql}\nis sent as\n{sent}");
            // One as long as the first: a long channel's name is a digest from some length on.
            if !sql.contains("acme") && !sql.contains("blue") {
                let other = judge.simple(sql, &tenant("blue")).unwrap_or_else(|r| panic!("{sql}\nis refused to another tenant: {r:?}"));
                let (mine, theirs) = (without(sent, "acme"), without(other.outgoing.as_str(), "blue"));
                assert_eq!(mine, theirs, "{sql}\ndiffers between tenants");
            }
        }
    }
}

fn extended(sql: &str, declared: u16) {
    match judge().extended(sql, declared, &tenant("acme")) {
        Err(refusal) => refused(sql, &refusal),
        Ok(prepared) => {
            let sent = prepared.outgoing.as_str();
            assert!(prepared.client_params >= declared, "{sql}");
            assert!(count(sent) <= 1, "{sql}\nis sent as\n{sent}");
            let first = u64::from(prepared.client_params) + 1;
            let last = first + prepared.tenant_types.len() as u64;
            held(sql, sent, &|own| match own {
                Own::Literal(text) => text == "acme",
                Own::Parameter(n) => (first..last).contains(n) || prepared.own.iter().any(|o| u64::from(o.number) == *n),
            });
        }
    }
}

/// Asserts that every relation of what is sent is guarded, and that it is as many statements as the client's.
pub fn held(sql: &str, sent: &str, own: &dyn Fn(&Own) -> bool) {
    let listed = |schema: &str, name: &str| listed(judge().catalog(), schema, name);
    let audit = Audit { listed: &listed, own };
    audit.text(sent).unwrap_or_else(|why| panic!("{why}:\n{sql}\nis sent as\n{sent}"));
    assert_eq!(count(sql), count(sent), "{sql}\nis sent as\n{sent}");
}

fn refused(sql: &str, refusal: &Refusal) {
    assert_eq!(refusal.sqlstate.len(), 5, "{refusal:?}");
    assert!(!refusal.message.is_empty() && !refusal.message.contains('\0'), "{refusal:?}");
    if let Some(at) = refusal.position {
        assert!((1..=sql.chars().count() + 1).contains(&(at as usize)), "{at} is not in\n{sql}");
    }
}

fn count(sql: &str) -> usize {
    let parsed = pg_query::parse(sql, pg_query::ParserOptions::default());
    parsed.unwrap_or_else(|e| panic!("{e}: PostgreSQL does not read\n{sql}")).protobuf.stmts.len()
}

/// Without the tenant's id, also in the name of a channel, whose digest differs.
fn without(sent: &str, id: &str) -> String {
    let text = sent.replace(&format!("{}:{id}:", id.len()), "N:TENANT:").replace(id, "TENANT");
    match text.find("pw#") {
        Some(_) => String::new(),
        None => text,
    }
}

/// Another text that is made of much the same words.
pub fn mutate(data: &[u8], random: &mut Random) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(data) else { return data.to_vec() };
    if random.below(8) == 0 {
        let mut bytes = data.to_vec();
        mutate_bytes(&mut bytes, random);
        return bytes;
    }
    let mut parts: Vec<Vec<u8>> = match pg_query::scan(text) {
        Ok(scan) => scan.tokens.iter().filter_map(|t| text.get(t.start as usize..t.end as usize)).map(|t| t.as_bytes().to_vec()).collect(),
        Err(_) => text.split_whitespace().map(|w| w.as_bytes().to_vec()).collect(),
    };
    mutate_parts(&mut parts, WORDS, random);
    parts.join(&b' ')
}

const WORDS: &[&str] = &[
    "orders",
    "items",
    "loose",
    "countries",
    "secrets",
    "\"Quoted\"",
    "notes",
    "marks",
    "parts",
    "org_id",
    "note_id",
    "marks.note_id",
    "mark",
    "ON CONFLICT (id) DO UPDATE SET",
    "public.orders",
    "public.secrets",
    "pg_class",
    "pg_catalog.pg_stats",
    "pg_temp",
    "tenant_id",
    "orders.tenant_id",
    "id",
    "note",
    "sku",
    "total",
    "o",
    "i",
    "o.*",
    "*",
    "ctid",
    "xmin",
    "tableoid",
    "o",
    "orders.*",
    "(orders).note",
    "$1",
    "$2",
    "$3",
    "1",
    "0",
    "'acme'",
    "'globex'",
    "'x'",
    "E'\\\\x'",
    "U&'\\0061'",
    "$$x$$",
    "null",
    "true",
    "(",
    ")",
    ",",
    ".",
    "=",
    "<>",
    "+",
    "/",
    "||",
    "::int",
    "::text",
    "::regclass",
    "OPERATOR(pg_catalog.=)",
    "OPERATOR(public.=)",
    "->",
    "->>",
    "#>",
    "@>",
    "AND",
    "OR",
    "NOT",
    "IS NULL",
    "IN",
    "EXISTS",
    "ANY",
    "ALL",
    "LIKE",
    "BETWEEN",
    "SELECT",
    "FROM",
    "WHERE",
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "CROSS JOIN",
    "NATURAL JOIN",
    "LATERAL",
    "ON true",
    "USING (id)",
    "ON",
    "AS",
    "GROUP BY",
    "HAVING",
    "ORDER BY",
    "LIMIT 1",
    "OFFSET 0",
    "FOR UPDATE",
    "FOR UPDATE OF",
    "UNION ALL",
    "INTERSECT",
    "EXCEPT",
    "WITH",
    "RECURSIVE",
    "x AS (",
    "MATERIALIZED",
    "INSERT INTO",
    "VALUES",
    "DEFAULT VALUES",
    "ON CONFLICT DO NOTHING",
    "ON CONFLICT (tenant_id, id) DO UPDATE SET",
    "RETURNING",
    "RETURNING *",
    "UPDATE",
    "SET",
    "DELETE FROM",
    "USING",
    "MERGE INTO",
    "WHEN MATCHED THEN",
    "WHEN NOT MATCHED THEN",
    "DO NOTHING",
    "TABLE",
    "ONLY",
    "TABLESAMPLE BERNOULLI (50)",
    "ROWS FROM (",
    "COPY",
    "TO STDOUT",
    "FROM STDIN",
    "TRUNCATE",
    "LOCK TABLE",
    "EXPLAIN",
    "PREPARE p AS",
    "EXECUTE p",
    "DECLARE c CURSOR FOR",
    "FETCH ALL FROM c",
    "CURRENT OF c",
    "CREATE TEMP TABLE t AS",
    "INTO TEMP t",
    "SHOW",
    "RESET",
    "SET LOCAL",
    "search_path",
    "LISTEN",
    "NOTIFY",
    "BEGIN",
    "COMMIT",
    ";",
    "--",
    "/*",
    "*/",
    "CASE WHEN",
    "THEN",
    "ELSE",
    "END",
    "COALESCE(",
    "count(*)",
    "lower(",
    "slugify(",
    "query_to_xml(",
    "set_config(",
    "nextval('orders_id_seq')",
    "row_to_json(o)",
    "OVER (PARTITION BY",
    "FILTER (WHERE",
    "GROUPING SETS ((id), ())",
    "WITHIN GROUP (",
    "ARRAY[",
    "]",
    "[1]",
    "ROW(",
    "INTERVAL '1' DAY",
    "AT TIME ZONE 'UTC'",
    "COLLATE \"C\"",
    "CAST(",
    "generate_series(1,2)",
    "unnest(tags)",
    "json_table(",
    "xmltable(",
    "current_user",
    "DISTINCT",
    "DISTINCT ON (id)",
    "WINDOW w AS (",
    "SEARCH DEPTH FIRST BY id SET s",
    "JSON_ARRAY(",
    "jsonb_path_query(",
];
