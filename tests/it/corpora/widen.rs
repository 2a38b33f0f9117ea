//! A statement of the schema as an operator runs it on the shared database: tables gain the tenant column, and keys within them hold it.

use super::derive::COLUMN;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, AlterTableType, ConstrType, Constraint, Node};

/// The statement with the tenant column; None where it has no part in it.
pub fn widened(sql: &str) -> Option<String> {
    let mut tree = pg_query::parse(sql, pg_query::ParserOptions::default()).ok()?.protobuf;
    let mut changed = false;
    for statement in &mut tree.stmts {
        changed |= match statement.stmt.as_mut()?.node.as_mut()? {
            NodeEnum::CreateStmt(create) => table(create),
            NodeEnum::AlterTableStmt(alter) => commands(alter),
            NodeEnum::IndexStmt(index) if index.unique && lasting(index.relation.as_ref()) => {
                let name = pg::IndexElem { name: COLUMN.into(), ordering: 1, nulls_ordering: 1, ..Default::default() };
                index.index_params.insert(0, node(NodeEnum::IndexElem(Box::new(name))));
                true
            }
            _ => false,
        };
    }
    changed.then(|| pg_query::deparse(&tree, pg_query::DeparseOptions::default()).ok()).flatten()
}

fn node(inner: NodeEnum) -> Node {
    Node { node: Some(inner) }
}

fn string(text: &str) -> Node {
    node(NodeEnum::String(pg::String { sval: text.into() }))
}

fn lasting(relation: Option<&pg::RangeVar>) -> bool {
    relation.is_some_and(|r| r.relpersistence != "t" && r.schemaname != "pg_temp")
}

fn table(create: &mut pg::CreateStmt) -> bool {
    if !lasting(create.relation.as_ref()) || create.of_typename.is_some() {
        return false;
    }
    let name = create.relation.as_ref().map(|r| r.relname.clone()).unwrap_or_default();
    let elements = std::mem::take(&mut create.table_elts);
    let (mut columns, mut keys, mut like) = (Vec::new(), Vec::new(), false);
    for mut element in elements {
        match element.node.as_mut() {
            Some(NodeEnum::ColumnDef(column)) => keys.extend(taken_out(column, &name)),
            Some(NodeEnum::Constraint(constraint)) => wide(constraint, &name),
            Some(NodeEnum::TableLikeClause(_)) => like = true,
            _ => {}
        }
        columns.push(element);
    }
    // A copy has the column already, and so has a partition.
    if !like && create.partbound.is_none() {
        let type_name = pg::TypeName { names: vec![string("text")], typemod: -1, ..Default::default() };
        let not_null = Constraint { contype: ConstrType::ConstrNotnull as i32, ..Default::default() };
        let constraints = vec![node(NodeEnum::Constraint(Box::new(not_null)))];
        let column =
            pg::ColumnDef { colname: COLUMN.into(), type_name: Some(type_name), constraints, is_local: true, ..Default::default() };
        columns.push(node(NodeEnum::ColumnDef(Box::new(column))));
    }
    columns.extend(keys);
    create.table_elts = columns;
    true
}

fn commands(alter: &mut pg::AlterTableStmt) -> bool {
    if !lasting(alter.relation.as_ref()) {
        return false;
    }
    let name = alter.relation.as_ref().map(|r| r.relname.clone()).unwrap_or_default();
    let mut more = Vec::new();
    let mut changed = false;
    for command in &mut alter.cmds {
        let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut() else { continue };
        match command.def.as_mut().and_then(|d| d.node.as_mut()) {
            Some(NodeEnum::ColumnDef(column)) => more.extend(taken_out(column, &name)),
            Some(NodeEnum::Constraint(constraint)) => {
                wide(constraint, &name);
                changed = true;
            }
            _ => {}
        }
    }
    changed |= !more.is_empty();
    alter.cmds.extend(more.into_iter().map(|key| {
        let (subtype, def) = (AlterTableType::AtAddConstraint as i32, Some(Box::new(key)));
        node(NodeEnum::AlterTableCmd(Box::new(pg::AlterTableCmd { subtype, def, behavior: 1, ..Default::default() })))
    }));
    changed
}

/// A column's own keys as keys of the table.
fn taken_out(column: &mut pg::ColumnDef, table: &str) -> Vec<Node> {
    let is_key = |n: &Node| match &n.node {
        Some(NodeEnum::Constraint(c)) => {
            [ConstrType::ConstrPrimary, ConstrType::ConstrUnique, ConstrType::ConstrForeign].contains(&c.contype())
        }
        _ => false,
    };
    let mut keys: Vec<Node> = Vec::new();
    let mut kept: Vec<Node> = Vec::new();
    for constraint in std::mem::take(&mut column.constraints) {
        // DEFERRABLE and its kin stand behind their constraint as nodes of their own.
        let follows = match &constraint.node {
            Some(NodeEnum::Constraint(c)) => matches!(
                c.contype(),
                ConstrType::ConstrAttrDeferrable
                    | ConstrType::ConstrAttrNotDeferrable
                    | ConstrType::ConstrAttrDeferred
                    | ConstrType::ConstrAttrImmediate
            ),
            _ => false,
        };
        match (follows, keys.last_mut().and_then(|k| k.node.as_mut())) {
            (true, Some(NodeEnum::Constraint(key))) => {
                let Some(NodeEnum::Constraint(c)) = &constraint.node else { continue };
                key.deferrable |= matches!(c.contype(), ConstrType::ConstrAttrDeferrable | ConstrType::ConstrAttrDeferred);
                key.initdeferred |= c.contype() == ConstrType::ConstrAttrDeferred;
            }
            _ if is_key(&constraint) => keys.push(constraint),
            _ => kept.push(constraint),
        }
    }
    column.constraints = kept;
    for key in &mut keys {
        let Some(NodeEnum::Constraint(key)) = key.node.as_mut() else { continue };
        let own = vec![string(&column.colname)];
        if key.contype() == ConstrType::ConstrForeign {
            key.fk_attrs = own
        } else {
            key.keys = own
        }
        wide(key, table);
    }
    keys
}

/// A key that holds the tenant column, under the name that it would have without it.
fn wide(key: &mut Constraint, table: &str) {
    let columns = |list: &[Node]| {
        let names = list.iter().filter_map(|n| match &n.node {
            Some(NodeEnum::String(s)) => Some(s.sval.as_str()),
            _ => None,
        });
        names.collect::<Vec<_>>().join("_")
    };
    let mut name = |text: String| {
        if key.conname.is_empty() && text.len() < 64 {
            key.conname = text;
        }
    };
    match ConstrType::try_from(key.contype).unwrap_or(ConstrType::Undefined) {
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique if key.indexname.is_empty() => {
            if key.contype == ConstrType::ConstrUnique as i32 {
                name(format!("{table}_{}_key", columns(&key.keys)));
            }
            key.keys.insert(0, string(COLUMN));
        }
        ConstrType::ConstrForeign => {
            name(format!("{table}_{}_fkey", columns(&key.fk_attrs)));
            if matches!(key.fk_del_action.as_str(), "n" | "d") && key.fk_del_set_cols.is_empty() {
                key.fk_del_set_cols = key.fk_attrs.clone();
            }
            key.fk_attrs.insert(0, string(COLUMN));
            if !key.pk_attrs.is_empty() {
                key.pk_attrs.insert(0, string(COLUMN));
            }
        }
        _ => {}
    }
}

#[test]
fn keys_gain_the_tenant_column() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE DEFERRABLE, b int REFERENCES u ON DELETE SET NULL)";
    let wanted = "CREATE TABLE t (id int, a text, b int, owner_tenant text NOT NULL, PRIMARY KEY (owner_tenant, id), \
                  CONSTRAINT t_a_key UNIQUE (owner_tenant, a) DEFERRABLE, \
                  CONSTRAINT t_b_fkey FOREIGN KEY (owner_tenant, b) REFERENCES u ON DELETE SET NULL (b))";
    assert_eq!(widened(sql).as_deref(), Some(wanted));
    let sql = "ALTER TABLE ONLY t ADD COLUMN c int UNIQUE, ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES u (id)";
    let wanted = "ALTER TABLE ONLY t ADD COLUMN c int, ADD CONSTRAINT f FOREIGN KEY (owner_tenant, c) REFERENCES u (owner_tenant, id), \
                  ADD CONSTRAINT t_c_key UNIQUE (owner_tenant, c)";
    assert_eq!(widened(sql).as_deref(), Some(wanted));
    assert_eq!(widened("CREATE UNIQUE INDEX i ON t (a)").as_deref(), Some("CREATE UNIQUE INDEX i ON t USING btree (owner_tenant, a)"));
    assert_eq!(widened("CREATE TEMP TABLE t (id int PRIMARY KEY)"), None);
}
