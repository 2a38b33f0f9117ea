//! What is asked of upstream. All names are qualified, so no search_path can mislead them.

use crate::sql::catalog::CatalogQuery;

/// What the backstop needs, also when the wall starts.
pub const BACKSTOP: &[CatalogQuery] = &[
    CatalogQuery { name: "live_role", sql: "SELECT rolname, rolsuper, rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user" },
    CatalogQuery {
        name: "live_tables",
        sql: "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, pg_catalog.pg_has_role(c.relowner, 'USAGE'), \
              COALESCE(c.reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1,security_invoker=yes}'::text[], false) \
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 2, 3",
    },
    CatalogQuery {
        name: "live_columns",
        sql: "SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, a.attnotnull \
              FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum",
    },
    CatalogQuery {
        name: "live_policies",
        sql: "SELECT p.polrelid, p.polname, p.polpermissive, p.polcmd, EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS r(oid) WHERE r.oid = 0 OR pg_catalog.pg_has_role(r.oid, 'USAGE')), \
              pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_catalog.pg_policy p ORDER BY 1, 2",
    },
];

/// All the rest.
pub const QUERIES: &[CatalogQuery] = &[
    CatalogQuery {
        name: "live_keys",
        sql: "SELECT i.indrelid, x.relname, i.indisprimary, i.indisunique OR i.indisexclusion, COALESCE(k.conname, ''), i.indpred IS NOT NULL OR i.indexprs IS NOT NULL, \
              COALESCE(a.attname, ''), i.indisexclusion FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
              CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS p(attnum, n) \
              LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') \
              LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.attnum AND p.attnum > 0 \
              WHERE p.n <= i.indnkeyatts ORDER BY 1, 2, p.n",
    },
    CatalogQuery {
        name: "live_foreign",
        sql: "SELECT k.conrelid, k.conname, k.confrelid, c.attname, a.attname, k.confdeltype, k.confupdtype, k.condeferrable, k.condeferred FROM pg_catalog.pg_constraint k \
              CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) WITH ORDINALITY AS f(own, theirs, n) \
              JOIN pg_catalog.pg_attribute c ON c.attrelid = k.conrelid AND c.attnum = f.own JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = f.theirs \
              WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, 2, f.n",
    },
];
