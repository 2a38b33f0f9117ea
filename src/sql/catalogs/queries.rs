//! What the loader asks of upstream for the catalogs' sake. The union of edges says which object belongs to which.

use crate::sql::catalog::CatalogQuery;
use crate::sql::queries::spoken_of;

/// Whether a relation is in a schema that the policy speaks of.
macro_rules! of_spoken {
    ($relation:literal) => {
        concat!(
            $relation,
            " IN (SELECT k.oid FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace n ON n.oid = k.relnamespace WHERE ",
            spoken_of!(),
            ")"
        )
    };
}

/// The query whose answer tells of which columns an object is made; only where a column is hidden does that matter.
pub const PARTS: &str = "parts";

/// The query whose answer holds the expressions that may tell of other tenants.
pub const EXPRESSIONS: &str = "expressions";

/// The queries that take as long as all others together. They ask for what only the server's version decides, so that they may run beside the others.
pub const LONG: &[&str] = &["system", "definitions"];

/// Columns of the system's relations, their views' definitions, and whose the objects are.
pub const QUERIES: &[CatalogQuery] = &[
    CatalogQuery {
        name: "system",
        sql: "SELECT n.nspname, c.relname, c.oid, a.attname, t.typname, tn.nspname FROM pg_catalog.pg_class c \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
              JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace \
              WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') AND c.oid < 16384 \
              AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum",
    },
    CatalogQuery {
        name: "definitions",
        sql: "SELECT n.nspname, c.relname, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND c.oid < 16384 AND (n.nspname = 'information_schema' \
              AND c.relname NOT LIKE '\\_%' AND c.relname NOT LIKE '%foreign%' AND c.relname NOT LIKE '%user\\_mapping%' AND c.relname NOT LIKE '%transforms%' \
              OR n.nspname = 'pg_catalog' AND c.relname IN ('pg_tables', 'pg_views', 'pg_matviews', 'pg_indexes', 'pg_rules', 'pg_policies', 'pg_sequences'))",
    },
    CatalogQuery {
        name: "others",
        sql: "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind IN ('i', 'I', 'S') AND c.oid >= 16384",
    },
    CatalogQuery {
        name: PARTS,
        // By the kinds of the edges below; K: the key of a partitioned table.
        sql: concat!(
            "SELECT 'R', i.indexrelid, i.indrelid, pg_catalog.array_to_string(i.indkey::pg_catalog.int2[], ' '), 0::pg_catalog.oid, '', pg_catalog.pg_get_indexdef(i.indexrelid) \
              FROM pg_catalog.pg_index i WHERE i.indrelid >= 16384 \
              UNION ALL SELECT 'C', c.oid, c.conrelid, pg_catalog.array_to_string(c.conkey, ' '), c.confrelid, pg_catalog.array_to_string(c.confkey, ' '), \
              pg_catalog.pg_get_constraintdef(c.oid) FROM pg_catalog.pg_constraint c WHERE c.conrelid >= 16384 \
              UNION ALL SELECT 'G', g.oid, g.tgrelid, '', 0, '', pg_catalog.pg_get_triggerdef(g.oid) FROM pg_catalog.pg_trigger g \
              UNION ALL SELECT 'S', s.oid, s.stxrelid, pg_catalog.array_to_string(s.stxkeys::pg_catalog.int2[], ' '), 0, '', pg_catalog.pg_get_statisticsobjdef(s.oid) \
              FROM pg_catalog.pg_statistic_ext s \
              UNION ALL SELECT 'D', d.oid, d.adrelid, d.adnum::pg_catalog.text, 0, '', pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE ",
            of_spoken!("d.adrelid"),
            " \
              UNION ALL SELECT 'W', w.oid, w.ev_class, '', 0, '', pg_catalog.pg_get_ruledef(w.oid) FROM pg_catalog.pg_rewrite w WHERE w.oid >= 16384 AND ",
            of_spoken!("w.ev_class"),
            " \
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = w.ev_class AND t.relpersistence = 't') \
              UNION ALL SELECT 'K', p.partrelid, p.partrelid, '', 0, '', pg_catalog.pg_get_partkeydef(p.partrelid) FROM pg_catalog.pg_partitioned_table p"
        ),
    },
    CatalogQuery {
        name: EXPRESSIONS,
        // Kind, object, relation, a number, text. X: exclusion constraints by their index; V: CHECKs of domains; T: domains over their base;
        // K: keys of partitioned tables with the default partition; M: values of columns that were added later. Of 10,000 tables few have any:
        // what only draws a number, as serial columns do, is not printed.
        sql: concat!(
            "SELECT 'R', i.indexrelid, i.indrelid, '0', pg_catalog.pg_get_expr(i.indpred, i.indrelid) FROM pg_catalog.pg_index i WHERE i.indrelid >= 16384 AND i.indpred IS NOT NULL AND ",
            of_spoken!("i.indrelid"),
            " \
              UNION ALL SELECT 'R', i.indexrelid, i.indrelid, '0', pg_catalog.pg_get_expr(i.indexprs, i.indrelid) FROM pg_catalog.pg_index i WHERE i.indrelid >= 16384 AND i.indexprs IS NOT NULL AND ",
            of_spoken!("i.indrelid"),
            " \
              UNION ALL SELECT 'X', c.oid, c.conrelid, c.conindid::pg_catalog.text, '' FROM pg_catalog.pg_constraint c WHERE c.contype = 'x' \
              UNION ALL SELECT 'C', c.oid, c.conrelid, '0', pg_catalog.pg_get_expr(c.conbin, c.conrelid) FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.conrelid >= 16384 AND ",
            of_spoken!("c.conrelid"),
            " \
              UNION ALL SELECT 'V', c.oid, c.contypid, '0', pg_catalog.pg_get_expr(c.conbin, 0) FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.contypid >= 16384 \
              UNION ALL SELECT 'T', t.oid, t.typbasetype, '0', t.typdefault FROM pg_catalog.pg_type t WHERE t.typtype = 'd' AND t.oid >= 16384 \
              UNION ALL SELECT 'D', d.oid, d.adrelid, d.adnum::pg_catalog.text, pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d \
              WHERE ",
            of_spoken!("d.adrelid"),
            " AND d.adbin::pg_catalog.text LIKE '%{CONST %' AND d.adbin::pg_catalog.text NOT LIKE ALL (ARRAY['{FUNCEXPR :funcid 1574 %', \
              '{FUNCEXPR :funcid 480 :funcresulttype 23 :funcretset false :funcvariadic false :funcformat 2 :funccollid 0 :inputcollid 0 :args ({FUNCEXPR :funcid 1574 %', \
              '{FUNCEXPR :funcid 714 :funcresulttype 21 :funcretset false :funcvariadic false :funcformat 2 :funccollid 0 :inputcollid 0 :args ({FUNCEXPR :funcid 1574 %']) \
              UNION ALL SELECT 'G', g.oid, g.tgrelid, '0', pg_catalog.pg_get_triggerdef(g.oid) FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class r ON r.oid = g.tgrelid \
              WHERE g.tgqual IS NOT NULL AND r.relpersistence <> 't' AND ",
            of_spoken!("g.tgrelid"),
            " \
              UNION ALL SELECT 'S', s.oid, s.stxrelid, '0', pg_catalog.pg_get_statisticsobjdef(s.oid) FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_class r ON r.oid = s.stxrelid \
              WHERE 'e' = ANY (s.stxkind) AND r.relpersistence <> 't' AND ",
            of_spoken!("s.stxrelid"),
            " \
              UNION ALL SELECT 'W', w.oid, w.ev_class, '0', pg_catalog.pg_get_ruledef(w.oid) FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class r ON r.oid = w.ev_class \
              WHERE w.oid >= 16384 AND (r.relkind <> 'v' OR w.rulename <> '_RETURN') AND r.relpersistence <> 't' AND ",
            of_spoken!("w.ev_class"),
            " \
              UNION ALL SELECT 'K', p.partrelid, p.partrelid, p.partdefid::pg_catalog.text, pg_catalog.pg_get_partkeydef(p.partrelid) FROM pg_catalog.pg_partitioned_table p \
              UNION ALL SELECT 'M', a.attrelid, a.attrelid, a.attnum::pg_catalog.text, '' FROM pg_catalog.pg_attribute a WHERE a.atthasmissing AND a.attrelid >= 16384"
        ),
    },
    CatalogQuery { name: "namespaces", sql: "SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n" },
    CatalogQuery {
        name: "procs",
        sql: "SELECT p.oid, n.nspname, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid >= 16384",
    },
    CatalogQuery {
        name: "edges",
        sql: "SELECT 'R', i.indexrelid, 'R', i.indrelid, '', 0::pg_catalog.oid FROM pg_catalog.pg_index i WHERE i.indrelid >= 16384 \
              UNION ALL SELECT 'R', c.reltoastrelid, 'R', c.oid, '', 0 FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.reltoastrelid <> 0 \
              UNION ALL SELECT 'R', d.objid, 'R', d.refobjid, '', 0 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S' \
              WHERE d.classid = 1259 AND d.refclassid = 1259 AND d.deptype IN ('a', 'i') \
              UNION ALL SELECT 'R', d.refobjid, 'D', d.objid, '', 0 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S' \
              WHERE d.classid = 2604 AND d.refclassid = 1259 \
              UNION ALL SELECT 'R', t.typrelid, 'T', t.oid, '', 0 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' \
              UNION ALL SELECT DISTINCT 'T', a.atttypid, 'R', a.attrelid, '', 0::pg_catalog.oid FROM pg_catalog.pg_attribute a \
              WHERE a.attrelid >= 16384 AND a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped \
              UNION ALL SELECT 'T', c.reltype, 'R', c.oid, '', 0 FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.reltype <> 0 \
              UNION ALL SELECT 'T', t.typelem, 'T', t.oid, '', 0 FROM pg_catalog.pg_type t WHERE t.oid >= 16384 AND t.typelem >= 16384 \
              UNION ALL SELECT 'T', t.typbasetype, 'T', t.oid, '', 0 FROM pg_catalog.pg_type t WHERE t.oid >= 16384 AND t.typbasetype >= 16384 \
              UNION ALL SELECT 'T', r.rngsubtype, 'T', r.rngtypid, '', 0 FROM pg_catalog.pg_range r WHERE r.rngsubtype >= 16384 \
              UNION ALL SELECT 'T', d.objid, 'T', d.refobjid, '', 0 FROM pg_catalog.pg_depend d WHERE d.classid = 1247 AND d.refclassid = 1247 AND d.deptype = 'i' \
              UNION ALL SELECT 'C', c.oid, 'R', c.conrelid, CASE WHEN c.confrelid = 0 THEN '' ELSE 'R' END, c.confrelid FROM pg_catalog.pg_constraint c WHERE c.conrelid <> 0 \
              UNION ALL SELECT 'C', c.oid, 'T', c.contypid, '', 0 FROM pg_catalog.pg_constraint c WHERE c.conrelid = 0 AND c.contypid <> 0 \
              UNION ALL SELECT 'D', d.oid, 'R', d.adrelid, '', 0 FROM pg_catalog.pg_attrdef d \
              UNION ALL SELECT 'G', g.oid, 'R', g.tgrelid, CASE WHEN g.tgconstraint <> 0 THEN 'C' ELSE 'P' END, \
              CASE WHEN g.tgconstraint <> 0 THEN g.tgconstraint ELSE g.tgfoid END FROM pg_catalog.pg_trigger g \
              UNION ALL SELECT 'W', w.oid, 'R', w.ev_class, '', 0 FROM pg_catalog.pg_rewrite w WHERE w.oid >= 16384 \
              UNION ALL SELECT DISTINCT 'U', d.objid, CASE d.refclassid WHEN 1259 THEN 'R' WHEN 1255 THEN 'P' ELSE 'T' END, d.refobjid, '', 0::pg_catalog.oid \
              FROM pg_catalog.pg_depend d WHERE d.classid = 2618 AND d.refclassid IN (1259, 1255, 1247) AND d.objid >= 16384 \
              UNION ALL SELECT 'I', i.inhrelid, 'R', i.inhparent, '', 0 FROM pg_catalog.pg_inherits i \
              UNION ALL SELECT 'S', s.oid, 'R', s.stxrelid, 'N', s.stxnamespace FROM pg_catalog.pg_statistic_ext s \
              UNION ALL SELECT 'N', c.relnamespace, 'R', c.oid, '', 0 FROM pg_catalog.pg_class c WHERE c.oid >= 16384 \
              UNION ALL SELECT 'N', t.typnamespace, 'T', t.oid, '', 0 FROM pg_catalog.pg_type t WHERE t.oid >= 16384 \
              UNION ALL SELECT 'E', d.refobjid, CASE d.classid WHEN 1247 THEN 'T' ELSE 'P' END, d.objid, '', 0 FROM pg_catalog.pg_depend d \
              WHERE d.classid IN (1247, 1255) AND d.refclassid = 3079 AND d.deptype = 'e'",
    },
];
