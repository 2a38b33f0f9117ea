//! What is asked of upstream. All names are qualified, so no search_path can mislead them.

use crate::sql::catalog::CatalogQuery;

/// What the backstop needs, also when the wall starts.
pub const BACKSTOP: &[CatalogQuery] = &[
    CatalogQuery {
        name: "live_role",
        // 4: a role that it can become, or whose rights it has, and that is above row-level security or reads the server's files.
        sql: "SELECT u.rolname, u.rolsuper, u.rolbypassrls, pg_catalog.current_setting('server_version_num'), (SELECT r.rolname FROM pg_catalog.pg_roles r \
              WHERE r.oid <> u.oid AND (r.rolsuper OR r.rolbypassrls OR r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')) \
              AND pg_catalog.pg_has_role(u.oid, r.oid, 'MEMBER') ORDER BY 1 LIMIT 1) FROM pg_catalog.pg_roles u WHERE u.rolname = current_user",
    },
    CatalogQuery {
        name: "live_tables",
        sql: "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, pg_catalog.pg_has_role(c.relowner, 'USAGE'), \
              COALESCE(c.reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1,security_invoker=yes}'::text[], false), \
              o.oid, o.rolname, o.rolsuper OR o.rolbypassrls, pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
              AND (pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') OR pg_catalog.has_table_privilege(c.oid, 'DELETE')) \
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner \
              WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 2, 3",
    },
    CatalogQuery {
        name: "live_columns",
        sql: "SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, a.attnotnull \
              FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum",
    },
    CatalogQuery {
        name: "live_policies",
        // 7: the owners of views and rules for whom it holds.
        sql: "WITH owners AS MATERIALIZED (SELECT DISTINCT c.relowner AS oid FROM pg_catalog.pg_class c WHERE c.relhasrules AND c.oid >= 16384) \
              SELECT p.polrelid, p.polname, p.polpermissive, p.polcmd, EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS r(oid) WHERE r.oid = 0 OR pg_catalog.pg_has_role(r.oid, 'USAGE')), \
              pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), \
              (SELECT pg_catalog.string_agg(o.oid::text, ' ') FROM owners o WHERE EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS r(oid) WHERE r.oid = 0 OR pg_catalog.pg_has_role(o.oid, r.oid, 'USAGE'))) \
              FROM pg_catalog.pg_policy p ORDER BY 1, 2",
    },
    CatalogQuery {
        name: "live_reads",
        // What a view's query and the rules of any relation name.
        sql: "SELECT DISTINCT r.ev_class, d.refobjid, c.relkind, n.nspname, c.relname FROM pg_catalog.pg_rewrite r \
              JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE r.ev_class >= 16384 AND d.refobjid <> r.ev_class AND r.ev_enabled <> 'D' ORDER BY 1, 2",
    },
    CatalogQuery { name: "live_parents", sql: "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY 1, inhseqno" },
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

/// What `check --live` asks besides: code that runs on the server, and what hangs together.
pub const CODE: &[CatalogQuery] = &[
    CatalogQuery {
        name: "live_routines",
        // With an empty path each name in a body that the server holds as a tree is printed with its schema.
        sql: "WITH bare AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS path) \
              SELECT p.oid, n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid), l.lanname, p.prosecdef, p.prokind, \
              (SELECT o FROM pg_catalog.unnest(p.proconfig) AS c(o) WHERE o LIKE 'search_path=%'), p.pronargs, r.rolname, \
              CASE WHEN b.path = '' AND l.lanname IN ('sql', 'plpgsql') AND p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END, \
              (SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid WHERE d.objid = p.oid AND d.deptype = 'e' \
              AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass LIMIT 1) \
              FROM bare b CROSS JOIN pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
              JOIN pg_catalog.pg_roles r ON r.oid = p.proowner WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 2, 3, 1",
    },
    CatalogQuery {
        name: "live_triggers",
        sql: "WITH bare AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS path) \
              SELECT t.tgrelid, t.tgname, t.tgfoid, pg_catalog.pg_get_triggerdef(CASE WHEN b.path = '' THEN t.oid END) FROM bare b CROSS JOIN pg_catalog.pg_trigger t \
              WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgparentid = 0 ORDER BY 1, 2",
    },
    CatalogQuery {
        name: "live_event_triggers",
        sql: "SELECT evtname, evtfoid FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' ORDER BY 1",
    },
    CatalogQuery {
        name: "live_rules",
        sql: "WITH bare AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS path) \
              SELECT r.ev_class, r.rulename, pg_catalog.pg_get_ruledef(CASE WHEN b.path = '' THEN r.oid END) FROM bare b CROSS JOIN pg_catalog.pg_rewrite r \
              JOIN pg_catalog.pg_class c ON c.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2",
    },
    CatalogQuery {
        name: "live_views",
        sql: "WITH bare AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS path) \
              SELECT c.oid, pg_catalog.pg_get_viewdef(CASE WHEN b.path = '' THEN c.oid END), r.rolname FROM bare b CROSS JOIN pg_catalog.pg_class c \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner \
              WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'",
    },
    CatalogQuery {
        name: "live_expressions",
        sql: "WITH RECURSIVE bare AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS path), \
              held(rel, typ) AS (SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
              AND n.nspname NOT LIKE 'pg\\_%' UNION SELECT h.rel, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END \
              FROM held h JOIN pg_catalog.pg_type t ON t.oid = h.typ WHERE t.typtype = 'd' OR t.typelem <> 0) \
              SELECT d.adrelid, CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated column' END, a.attname, pg_catalog.pg_get_expr(CASE WHEN b.path = '' THEN d.adbin END, d.adrelid) \
              FROM bare b CROSS JOIN pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
              UNION ALL SELECT k.conrelid, 'CHECK', k.conname, pg_catalog.pg_get_expr(CASE WHEN b.path = '' THEN k.conbin END, k.conrelid) \
              FROM bare b CROSS JOIN pg_catalog.pg_constraint k WHERE k.contype = 'c' AND k.conrelid <> 0 AND k.conislocal \
              UNION ALL SELECT h.rel, 'domain', t.typname, pg_catalog.pg_get_expr(CASE WHEN b.path = '' THEN k.conbin END, 0::pg_catalog.oid) \
              FROM bare b CROSS JOIN held h JOIN pg_catalog.pg_constraint k ON k.contypid = h.typ JOIN pg_catalog.pg_type t ON t.oid = h.typ WHERE k.contype = 'c' \
              UNION ALL SELECT i.indrelid, 'index', x.relname, pg_catalog.pg_get_indexdef(CASE WHEN b.path = '' THEN i.indexrelid END) \
              FROM bare b CROSS JOIN pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE i.indexrelid >= 16384 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) \
              UNION ALL SELECT p.polrelid, 'policy', p.polname, pg_catalog.pg_get_expr(CASE WHEN b.path = '' THEN e.tree END, p.polrelid) \
              FROM bare b CROSS JOIN pg_catalog.pg_policy p CROSS JOIN LATERAL (VALUES (p.polqual), (p.polwithcheck)) AS e(tree) WHERE e.tree IS NOT NULL",
    },
    CatalogQuery {
        name: "live_extensions",
        sql: "SELECT objid FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = 'pg_catalog.pg_class'::pg_catalog.regclass",
    },
    CatalogQuery {
        name: "live_identities",
        sql: "SELECT a.attrelid, a.attname FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> '' ORDER BY 1, a.attnum",
    },
];
