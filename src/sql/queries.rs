//! What upstream is asked for the catalog.

/// The text of [`SPOKEN_OF`].
macro_rules! spoken_of {
    () => {
        "n.nspname IS NOT NULL"
    };
}
pub(super) use spoken_of;

/// A query that the loader runs (simple protocol, all values as text), by name.
pub struct CatalogQuery {
    /// Key in the map given to [`Catalog::build`].
    pub name: &'static str,
    /// The text.
    pub sql: &'static str,
}

/// What stands in a query where only schemas that the policy speaks of are asked for; as it is, all of them.
pub const SPOKEN_OF: &str = spoken_of!();

/// Whether an object belongs to an extension that is known to compute and do nothing else: it is the server's as much as pg_catalog's.
macro_rules! known_extension {
    ($class:literal, $object:literal) => {
        concat!(
            "EXISTS (SELECT FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid WHERE x.classid = 'pg_catalog.",
            $class,
            "'::pg_catalog.regclass AND x.objid = ",
            $object,
            " AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND x.deptype = 'e' \
             AND e.extname IN ('citext', 'hstore', 'ltree', 'pg_trgm', 'btree_gin', 'btree_gist', 'vector'))"
        )
    };
}

/// The queries to run, in any order. All names are qualified, so no search_path can mislead them.
pub const QUERIES: &[CatalogQuery] = &[
    CatalogQuery { name: "version", sql: "SELECT pg_catalog.current_setting('server_version_num')" },
    CatalogQuery {
        name: "settings",
        sql: "SELECT pg_catalog.lower(name), CASE WHEN unit = 'ms' THEN reset_val END FROM pg_catalog.pg_settings",
    },
    CatalogQuery {
        name: "path",
        sql: "SELECT s FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS x(s, n) ORDER BY n",
    },
    CatalogQuery {
        name: "relations",
        sql: "SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'), \
              c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid), c.reltype FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 2, 3",
    },
    CatalogQuery {
        name: "columns",
        sql: "SELECT a.attrelid, a.attname, a.atttypid, a.attnotnull, a.attgenerated <> '' OR a.attidentity = 'a', \
              base_type.base, COALESCE(l.collisdeterministic, true), base_type.base IN (114, 199) OR b.typtype IN ('c', 'd') OR e.typtype IN ('c', 'd'), a.attgenerated <> '', a.atthasdef OR a.attidentity <> '', a.attnum, \
              b.typtype = 'e' OR COALESCE(e.typtype = 'e', false) OR EXISTS (SELECT FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_extension s ON s.oid = x.refobjid \
              WHERE x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND x.objid IN (b.oid, e.oid) AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
              AND x.deptype = 'e' AND s.extname IN ('citext', 'hstore', 'ltree')), a.attgenerated = 'v', NULLIF(a.attcollation, 100) \
              FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END AS base FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid) AS base_type ON true \
              JOIN pg_catalog.pg_type b ON b.oid = base_type.base \
              LEFT JOIN pg_catalog.pg_type e ON e.typarray = base_type.base \
              LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
              WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
              AND n.nspname NOT LIKE 'pg\\_%' ORDER BY a.attrelid, a.attnum",
    },
    CatalogQuery { name: "collations", sql: "SELECT c.oid FROM pg_catalog.pg_collation c WHERE NOT c.collisdeterministic" },
    CatalogQuery {
        name: "views",
        // With an empty path each name in a definition is printed with its schema.
        sql: concat!(
            "WITH bare AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS path) \
              SELECT c.oid, pg_catalog.pg_get_viewdef(CASE WHEN b.path = '' THEN c.oid END), \
              (SELECT o.option_value FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'check_option'), \
              (SELECT o.option_value::pg_catalog.bool FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'security_barrier'), \
              (SELECT pg_catalog.bit_or(t.tgtype) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND (t.tgtype & 64) <> 0), \
              (SELECT pg_catalog.string_agg(r.ev_type::pg_catalog.text, '') FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'), \
              (SELECT pg_catalog.json_object_agg(a.attname, pg_catalog.pg_get_expr(d.adbin, CASE WHEN b.path = '' THEN d.adrelid END)) \
              FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = c.oid), \
              pg_catalog.pg_relation_is_updatable(c.oid, false) FROM bare b CROSS JOIN pg_catalog.pg_class c \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' AND ",
            spoken_of!()
        ),
    },
    CatalogQuery {
        name: "keys",
        sql: "SELECT i.indrelid, x.relname, i.indpred IS NOT NULL OR i.indexprs IS NOT NULL, k.n, COALESCE(a.attname, ''), i.indisunique AND i.indimmediate AND i.indisvalid, i.indisprimary FROM pg_catalog.pg_index i \
              JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, n) ON k.n <= i.indnkeyatts \
              LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0 \
              WHERE (i.indisunique OR i.indisexclusion) AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2, 4",
    },
    CatalogQuery {
        name: "references",
        sql: "SELECT k.confrelid, k.conrelid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
              WHERE k.contype = 'f' AND NOT c.relispartition",
    },
    CatalogQuery {
        name: "foreign",
        // Where the parent is partitioned, each partition has a constraint of its own beside the one that was written. The columns that a
        // generated one is computed from: dependencies of the column until PostgreSQL 14, later of its expression (heap.c, StoreAttrDefault).
        sql: "SELECT k.conrelid, n.nspname, p.relname, k.conname, f.n, c.attname, a.attname, k.condeferrable, k.confdeltype, k.confupdtype, k.convalidated, \
              CASE WHEN c.attgenerated <> '' THEN (SELECT COALESCE(pg_catalog.json_agg(b.attname), '[]') FROM pg_catalog.pg_attribute b WHERE b.attrelid = k.conrelid AND b.attnum IN (SELECT d.refobjsubid FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = k.conrelid \
              AND d.refobjsubid <> c.attnum AND (d.classid = d.refclassid AND d.objid = k.conrelid AND d.objsubid = c.attnum OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid IN (SELECT f.oid FROM pg_catalog.pg_attrdef f WHERE f.adrelid = k.conrelid AND f.adnum = c.attnum)))) END, \
              CASE WHEN a.attgenerated <> '' THEN (SELECT COALESCE(pg_catalog.json_agg(b.attname), '[]') FROM pg_catalog.pg_attribute b WHERE b.attrelid = k.confrelid AND b.attnum IN (SELECT d.refobjsubid FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = k.confrelid \
              AND d.refobjsubid <> a.attnum AND (d.classid = d.refclassid AND d.objid = k.confrelid AND d.objsubid = a.attnum OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid IN (SELECT f.oid FROM pg_catalog.pg_attrdef f WHERE f.adrelid = k.confrelid AND f.adnum = a.attnum)))) END \
              FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
              CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) WITH ORDINALITY AS f(own, theirs, n) \
              JOIN pg_catalog.pg_attribute c ON c.attrelid = k.conrelid AND c.attnum = f.own JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = f.theirs \
              WHERE k.contype = 'f' AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint q WHERE q.oid = k.conparentid AND q.conrelid = k.conrelid) ORDER BY 1, 4, 5",
    },
    CatalogQuery {
        name: "triggers",
        sql: "SELECT t.tgrelid, pg_catalog.bool_or((t.tgtype & 40) <> 0), pg_catalog.bool_or((t.tgtype & 6) = 6), pg_catalog.bool_or((t.tgtype & 18) = 18) FROM pg_catalog.pg_trigger t \
              WHERE NOT t.tgisinternal GROUP BY 1",
    },
    CatalogQuery {
        name: "sequences",
        sql: "SELECT d.refobjid, n.nspname, s.relname, (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid) \
              FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid \
              JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') AND s.relkind = 'S'",
    },
    CatalogQuery {
        name: "all_sequences",
        sql: "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind = 'S' AND n.nspname NOT LIKE 'pg\\_%'",
    },
    CatalogQuery {
        name: "deferrable",
        sql: "SELECT k.conrelid, n.nspname, k.conname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace \
              WHERE k.condeferrable",
    },
    CatalogQuery {
        name: "functions",
        // And the relation whose rows it returns, all whose rows are in what it gives out, and those that it takes.
        sql: "SELECT DISTINCT p.proname, n.nspname, t.typrelid, CASE WHEN n.nspname <> 'pg_catalog' THEN \
              (SELECT pg_catalog.string_agg(x.typrelid::pg_catalog.text, ' ') FROM pg_catalog.pg_type o LEFT JOIN pg_catalog.pg_type b ON b.oid = o.typbasetype \
              LEFT JOIN pg_catalog.pg_type e ON e.oid <> 0 AND e.oid IN (o.typelem, b.typelem) CROSS JOIN LATERAL (VALUES (o.typrelid), (b.typrelid), (e.typrelid)) x(typrelid) \
              WHERE o.oid = ANY (p.proallargtypes || p.prorettype) AND x.typrelid <> 0) END, CASE WHEN n.nspname <> 'pg_catalog' THEN \
              (SELECT pg_catalog.string_agg(a.typrelid::pg_catalog.text, ' ') FROM pg_catalog.pg_type a WHERE a.oid = ANY (p.proargtypes) AND a.typrelid <> 0) END \
              FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_type t ON t.oid = p.prorettype",
    },
    CatalogQuery { name: "aggregates", sql: "SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p WHERE p.prokind = 'a'" },
    CatalogQuery {
        name: "operators",
        sql: concat!(
            "SELECT DISTINCT o.oprname, COALESCE(f.nspname, ''), COALESCE(p.proname, ''), ",
            known_extension!("pg_operator", "o.oid"),
            // Those of ltree fail on arrays with NULL in them, and those of vector on different lengths.
            ", EXISTS (SELECT FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid WHERE x.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass \
              AND x.objid = o.oid AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND x.deptype = 'e' AND e.extname IN ('ltree', 'vector')) \
              FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
              LEFT JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode LEFT JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace \
              WHERE n.nspname <> 'pg_catalog'"
        ),
    },
    CatalogQuery {
        name: "types",
        sql: concat!(
            // Those whose casts or bounds run nobody's code; which lasting relations have columns of them; and which functions read and print a base type.
            "SELECT t.typname, n.nspname, EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE (c.castsource = t.oid OR c.casttarget = t.oid) AND c.castfunc >= 16384 AND NOT ",
            known_extension!("pg_proc", "c.castfunc"),
            // Between a range and its multirange.
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid = c.castfunc AND p.prolang = 12 AND p.prosrc LIKE 'multirange\\_constructor_')), t.oid, ",
            known_extension!("pg_type", "t.oid"),
            ", (SELECT pg_catalog.string_agg(DISTINCT a.attrelid::pg_catalog.text, ' ') FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class r ON r.oid = a.attrelid \
              WHERE a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped AND r.relpersistence <> 't'), t.typrelid, \
              (SELECT pg_catalog.string_agg(f.nspname || pg_catalog.chr(31) || p.proname, pg_catalog.chr(30)) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace \
              WHERE t.typtype = 'b' AND p.oid >= 16384 AND p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout) AND NOT ",
            known_extension!("pg_type", "t.oid"),
            "), t.typtype = 'd', CASE WHEN t.typtype = 'd' THEN NULLIF(t.typcollation, 100) END, t.typtype = 'e' OR t.typname IN ('citext', 'hstore', 'ltree'), \
              t.typarray, CASE t.typtype WHEN 'd' THEN t.typbasetype::pg_catalog.text WHEN 'r' THEN (SELECT g.rngsubtype::pg_catalog.text FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid) \
              WHEN 'c' THEN (SELECT pg_catalog.string_agg(m.atttypid::pg_catalog.text, ' ') FROM pg_catalog.pg_attribute m WHERE m.attrelid = t.typrelid AND m.attnum > 0 AND NOT m.attisdropped) END \
              FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
              WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND (t.typtype IN ('e', 'd') \
              OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = t.typrelid AND r.relkind = 'c') \
              OR t.typtype = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid AND (g.rngsubtype < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_type s WHERE s.oid = g.rngsubtype AND s.typtype = 'd' AND s.typbasetype < 16384)) AND g.rngsubopc < 16384 \
              AND g.rngcanonical < 16384 AND g.rngsubdiff < 16384) \
              OR t.typtype = 'm' AND EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_range g ON g.rngtypid = d.refobjid WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass \
              AND d.objid = t.oid AND d.refclassid = d.classid AND d.deptype = 'i' AND (g.rngsubtype < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_type s WHERE s.oid = g.rngsubtype AND s.typtype = 'd' AND s.typbasetype < 16384)) AND g.rngsubopc < 16384 AND g.rngcanonical < 16384 AND g.rngsubdiff < 16384) \
              OR t.typtype = 'b' AND t.typelem = 0)"
        ),
    },
];
