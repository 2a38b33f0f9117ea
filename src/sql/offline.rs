//! A catalog without a server, for `explain`: from a file of CREATE statements ([`from_dump`]), or guessed from the policy ([`guessed`]).
//!
//! Nothing is served on such a catalog. What changes a relation in a way that is not read here is a problem, not a gap.

use super::catalog::{Catalog, CatalogProblem, Rows};
use super::nodes;
use crate::policy::{Home, Policy, TableRule};
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ColumnDef, ConstrType, Constraint, Node, ObjectType, RangeVar, Token};
use std::collections::HashMap;
use types::Named;

mod types;

/// The OID of the first relation of a file; below are the server's own.
const FIRST_OID: u32 = 16384;

#[derive(Clone, Debug, Default)]
struct Column {
    name: String,
    type_oid: u32,
    not_null: bool,
    generated: bool,
    deterministic: bool,
    default: bool,
    /// Comparing its values cannot fail.
    comparable: bool,
    collation: Option<String>,
    /// What it is computed from, as upstream tells it; empty where it is not.
    bases: String,
}

/// A foreign key: its name, the parent, columns of both sides, deferrable, the actions on DELETE and UPDATE, valid.
#[derive(Clone, Debug, Default)]
struct Foreign {
    name: String,
    parent: (String, String),
    columns: Vec<String>,
    theirs: Vec<String>,
    deferrable: bool,
    actions: (String, String),
    valid: bool,
}

#[derive(Clone, Debug, Default)]
struct Table {
    kind: &'static str,
    columns: Vec<Column>,
    /// Name, partial, columns.
    keys: Vec<(String, bool, Vec<String>)>,
    primary: Vec<String>,
    foreign: Vec<Foreign>,
}

/// A function's schema and name, and those of its type.
type Function = ((String, String), Option<(String, String)>);

/// What a file defines.
#[derive(Default)]
struct Schema {
    tables: Vec<((String, String), Table)>,
    functions: Vec<Function>,
    operators: Vec<String>,
    types: Vec<Named>,
    loose_collations: Vec<String>,
    problems: Vec<CatalogProblem>,
}

/// Reads a schema as `pg_dump --schema-only` writes it, or any file of CREATE TABLE statements. Errors: what cannot be read, and what
/// does not fit the policy.
pub fn from_dump(policy: &Policy, text: &str) -> Result<Catalog, Vec<CatalogProblem>> {
    from_dump_for(policy, &Home::Rows, text)
}

/// The same for those who live at `home`.
pub fn from_dump_for(policy: &Policy, home: &Home, text: &str) -> Result<Catalog, Vec<CatalogProblem>> {
    let mut schema = Schema::default();
    match pg_query::parse(&statements_only(text), pg_query::ParserOptions::default()) {
        Err(error) => schema.problem(format!("the schema file cannot be read: {error}")),
        Ok(parsed) => {
            for node in parsed.protobuf.stmts.iter().filter_map(|s| s.stmt.as_ref()?.node.as_ref()) {
                schema.statement(node);
            }
        }
    }
    schema.catalog(policy, home)
}

/// A catalog from the policy alone: each listed table is taken to have every column that `sql` could mean, of type text. So what must be
/// fenced is fenced, if too often. None where the columns must be known: an INSERT without a column list.
pub fn guessed(policy: &Policy, sql: &str) -> Option<Result<Catalog, Vec<CatalogProblem>>> {
    if pg_query::parse(sql, pg_query::ParserOptions::default()).is_ok_and(|p| p.protobuf.stmts.iter().any(needs_columns)) {
        return None;
    }
    let words: Vec<String> = pg_query::scan(sql).map(|s| names(sql, &s.tokens)).unwrap_or_default();
    let mut schema = Schema::default();
    for entry in policy.postgres.as_ref().map(|p| p.tables.as_slice()).unwrap_or_default() {
        let mut names: Vec<String> = words.clone();
        let mut foreign = Vec::new();
        match &entry.rule {
            TableRule::Scoped { column, .. } => names.push(column.clone()),
            TableRule::Through(through) => {
                let (columns, theirs): (Vec<_>, Vec<_>) = through.on.iter().cloned().unzip();
                names.extend(columns.iter().cloned());
                let (name, actions) = (format!("{}_fkey", entry.name), ("c".to_owned(), "c".to_owned()));
                let parent = (through.schema.clone(), through.table.clone());
                foreign.push(Foreign { name, parent, columns, theirs, deferrable: false, actions, valid: true });
            }
            _ => {}
        }
        let tables = policy.postgres.as_ref().map(|p| p.tables.as_slice()).unwrap_or_default();
        let mut keys = Vec::new();
        for child in tables {
            let TableRule::Through(through) = &child.rule else { continue };
            if crate::policy::glob(&entry.schema, &through.schema) && crate::policy::glob(&entry.name, &through.table) {
                let theirs: Vec<String> = through.on.iter().map(|(_, theirs)| theirs.clone()).collect();
                names.extend(theirs.iter().cloned());
                keys.push((format!("{}_key", through.table), false, theirs));
            }
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let column = |name: String| Column { name, type_oid: 25, deterministic: true, comparable: true, ..Column::default() };
        let columns = names.into_iter().map(column).collect();
        let table = Table { kind: "r", columns, keys, foreign, ..Table::default() };
        // A glob stands for the tables that the statement names; one that it does not name must not be missed.
        let parents = tables.iter().filter_map(|t| match &t.rule {
            TableRule::Through(through) => Some(through.table.clone()),
            _ => None,
        });
        let mut meant: Vec<String> =
            if entry.name.contains(['*', '?']) { words.iter().cloned().chain(parents).collect() } else { Vec::new() };
        meant.push(entry.name.clone());
        meant.retain(|name| crate::policy::glob(&entry.name, name));
        for name in meant {
            let key = (entry.schema.clone(), name);
            if !schema.tables.iter().any(|(k, _)| *k == key) {
                schema.tables.push((key, table.clone()));
            }
        }
    }
    let listed = policy.postgres.as_ref().map(|p| p.functions.as_slice()).unwrap_or_default();
    schema.functions.extend(listed.iter().map(|f| ((f.schema.clone(), f.name.clone()), None)));
    Some(schema.catalog(policy, &Home::Rows))
}

/// Every word that could be a name, as PostgreSQL folds it.
fn names(sql: &str, tokens: &[pg_query::protobuf::ScanToken]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for token in tokens {
        let text = sql.get(token.start as usize..token.end as usize).unwrap_or_default();
        let word = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => text.to_lowercase(),
        };
        let is_name = token.token == Token::Ident as i32 || token.keyword_kind != 0;
        if is_name && !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

/// An INSERT with rows and no column list, anywhere in the statement.
fn needs_columns(stmt: &pg_query::protobuf::RawStmt) -> bool {
    fn inside(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Object(fields) => {
                let insert = fields.get("InsertStmt");
                let bare = insert.is_some_and(|i| i["cols"].as_array().is_some_and(Vec::is_empty));
                bare || fields.values().any(inside)
            }
            serde_json::Value::Array(all) => all.iter().any(inside),
            _ => false,
        }
    }
    serde_json::to_value(stmt).is_ok_and(|v| inside(&v))
}

/// Without psql's own lines and the data of COPY.
fn statements_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut data = false;
    for line in text.lines() {
        let upper = line.to_uppercase();
        let starts = upper.starts_with("COPY ") && upper.trim_end().ends_with("FROM STDIN;");
        if !data && !starts && !line.starts_with('\\') {
            out.push_str(line);
        }
        out.push('\n');
        data = starts || (data && line != "\\.");
    }
    out
}

impl Schema {
    fn problem(&mut self, message: String) {
        let fix = "use --config, which reads the live schema".into();
        self.problems.push(CatalogProblem { message, fix, place: None });
    }

    fn statement(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::CreateStmt(create) => {
                let Some(key) = create.relation.as_ref().map(key) else { return };
                let mut table = Table { kind: if create.partspec.is_some() { "p" } else { "r" }, ..Table::default() };
                if create.of_typename.is_some() {
                    self.problem(format!("{}.{}: CREATE TABLE … OF is not read", key.0, key.1));
                }
                for parent in create.inh_relations.iter().filter_map(range) {
                    table.columns.extend(self.table(&parent).map(|t| t.columns.clone()).unwrap_or_default());
                }
                for element in create.table_elts.iter().chain(&create.constraints).filter_map(|n| n.node.as_ref()) {
                    self.element(&key, &mut table, element);
                }
                self.tables.push((key, table));
            }
            NodeEnum::AlterTableStmt(alter) => {
                let Some(key) = alter.relation.as_ref().map(key) else { return };
                for command in alter.cmds.iter().filter_map(|c| c.node.as_ref()) {
                    if let NodeEnum::AlterTableCmd(command) = command {
                        self.alter(&key, command);
                    }
                }
            }
            NodeEnum::IndexStmt(index) if index.unique => {
                let element = |n: &Node| match n.node.as_ref() {
                    Some(NodeEnum::IndexElem(e)) => e.name.clone(),
                    _ => String::new(),
                };
                let columns: Vec<String> = index.index_params.iter().map(element).collect();
                let partial = index.where_clause.is_some() || columns.iter().any(String::is_empty);
                if let Some(table) = index.relation.as_ref().map(key).and_then(|k| self.table_mut(&k)) {
                    table.keys.push((index.idxname.clone(), partial, columns));
                }
            }
            NodeEnum::ViewStmt(view) => self.unreadable(view.view.as_ref(), "v"),
            NodeEnum::CreateTableAsStmt(made) => self.unreadable(made.into.as_ref().and_then(|i| i.rel.as_ref()), "m"),
            NodeEnum::RenameStmt(rename) if rename.relation.is_some() => self.problem("ALTER … RENAME is not read".into()),
            other => self.names_of(other),
        }
    }

    /// Columns of a view depend on what it reads: it is known to be there, with none.
    fn unreadable(&mut self, relation: Option<&RangeVar>, kind: &'static str) {
        if let Some(relation) = relation {
            self.tables.push((key(relation), Table { kind, ..Table::default() }));
        }
    }

    fn names_of(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::CreateFunctionStmt(x) => {
                let returned = x.return_type.as_ref().and_then(|t| nodes::qualified(&t.names));
                self.functions.extend(nodes::qualified(&x.funcname).map(|name| (name, returned)));
            }
            NodeEnum::CreateEnumStmt(made) => self.types.extend(nodes::qualified(&made.type_name).map(Named::of)),
            NodeEnum::CreateDomainStmt(domain) => {
                let base = domain.type_name.as_ref().map_or(0, |t| types::oid(&self.types, t));
                let comparable = domain.type_name.as_ref().is_some_and(|t| types::is_comparable(&self.types, t));
                let collation = domain.coll_clause.as_ref().and_then(|c| nodes::qualified(&c.collname)).map(|(_, name)| name);
                let named = |name| Named { base: Some(base), collation, comparable, ..Named::of(name) };
                self.types.extend(nodes::qualified(&domain.domainname).map(named));
            }
            NodeEnum::DefineStmt(define) if define.kind == ObjectType::ObjectOperator as i32 => {
                self.operators.extend(nodes::qualified(&define.defnames).map(|(_, name)| name));
            }
            NodeEnum::DefineStmt(define) if define.kind == ObjectType::ObjectCollation as i32 => {
                self.loose_collations.extend(nodes::qualified(&define.defnames).map(|(_, name)| name));
            }
            _ => {}
        }
    }

    fn element(&mut self, of: &(String, String), table: &mut Table, element: &NodeEnum) {
        match element {
            NodeEnum::ColumnDef(column) => self.column(of, table, column),
            NodeEnum::Constraint(constraint) => constrain(&of.1, table, constraint, None),
            NodeEnum::TableLikeClause(like) => {
                let columns = like.relation.as_ref().and_then(|r| self.table(r)).map(|t| t.columns.clone());
                table.columns.extend(columns.unwrap_or_default());
            }
            _ => self.problem(format!("{}.{}: a part of its definition is not read", of.0, of.1)),
        }
    }

    fn column(&mut self, of: &(String, String), table: &mut Table, column: &ColumnDef) {
        let of_type = column.type_name.as_ref();
        let type_oid = of_type.map_or(0, |t| types::oid(&self.types, t));
        let comparable = of_type.is_some_and(|t| types::is_comparable(&self.types, t));
        let collation = column.coll_clause.as_ref().and_then(|c| nodes::qualified(&c.collname)).map(|(_, name)| name);
        let collation = collation.or_else(|| of_type.and_then(|t| types::collation(&self.types, t)).cloned());
        let deterministic = collation.as_ref().is_none_or(|c| !self.loose_collations.contains(c));
        let name = column.colname.clone();
        let type_name = column.type_name.as_ref().and_then(|t| nodes::qualified(&t.names)).map(|(_, name)| name);
        let default = type_name.is_some_and(|t| t.ends_with("serial"));
        table.columns.retain(|c| c.name != name);
        table.columns.push(Column {
            name,
            type_oid,
            not_null: column.is_not_null,
            deterministic,
            default,
            comparable,
            collation,
            ..Column::default()
        });
        for constraint in &column.constraints {
            if let Some(NodeEnum::Constraint(constraint)) = &constraint.node {
                constrain(&of.1, table, constraint, Some(&column.colname));
            }
        }
    }

    fn alter(&mut self, of: &(String, String), command: &pg_query::protobuf::AlterTableCmd) {
        let Some(index) = self.tables.iter().position(|(k, _)| k == of) else { return };
        let mut table = std::mem::take(&mut self.tables[index].1);
        let def = command.def.as_ref().and_then(|d| d.node.as_ref());
        let named = |table: &mut Table, change: &dyn Fn(&mut Column)| {
            table.columns.iter_mut().filter(|c| c.name == command.name).for_each(change);
        };
        match (AlterTableType::try_from(command.subtype), def) {
            (Ok(AlterTableType::AtAddColumn), Some(element)) | (Ok(AlterTableType::AtAddConstraint), Some(element)) => {
                self.element(of, &mut table, element);
            }
            (Ok(AlterTableType::AtDropColumn), _) => table.columns.retain(|c| c.name != command.name),
            (Ok(AlterTableType::AtSetNotNull), _) => named(&mut table, &|c| c.not_null = true),
            (Ok(AlterTableType::AtDropNotNull), _) => named(&mut table, &|c| c.not_null = false),
            (Ok(AlterTableType::AtAddIdentity), Some(NodeEnum::Constraint(identity))) if identity.generated_when == "a" => {
                named(&mut table, &|c| c.generated = true);
            }
            (Ok(AlterTableType::AtAlterColumnType | AlterTableType::AtAddInherit | AlterTableType::AtDropExpression), _) => {
                self.problem(format!("{}.{}: an ALTER TABLE is not read", of.0, of.1));
            }
            // Owner, storage, statistics, defaults, triggers, partitions: nothing that is read here.
            _ => {}
        }
        self.tables[index].1 = table;
    }

    fn table(&self, relation: &RangeVar) -> Option<&Table> {
        let key = key(relation);
        self.tables.iter().find(|(k, _)| *k == key).map(|(_, t)| t)
    }

    fn table_mut(&mut self, key: &(String, String)) -> Option<&mut Table> {
        self.tables.iter_mut().find(|(k, _)| k == key).map(|(_, t)| t)
    }

    /// The application's own file has its tables in `public`.
    fn at_home(&mut self, home: &Home) {
        let public = |schema: &mut String| {
            if let Some(own) = home.schema().filter(|_| schema == "public") {
                own.clone_into(schema);
            }
        };
        self.tables.iter_mut().for_each(|(key, table)| {
            public(&mut key.0);
            table.foreign.iter_mut().for_each(|f| public(&mut f.parent.0));
        });
        self.types.iter_mut().for_each(|named| public(&mut named.schema));
    }

    fn catalog(mut self, policy: &Policy, home: &Home) -> Result<Catalog, Vec<CatalogProblem>> {
        self.at_home(home);
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let mut answers: HashMap<&'static str, Rows> = HashMap::new();
        let flag = |b: bool| if b { "t" } else { "f" };
        let mut put = |name: &'static str, row: &[&str]| {
            answers.entry(name).or_default().push(row.iter().map(|c| Some((*c).to_owned())).collect());
        };
        put("path", &["public"]);
        for (number, ((schema, name), table)) in self.tables.iter().enumerate() {
            let oid = oid_of(number);
            put("relations", &[&oid, schema, name, table.kind]);
            for c in &table.columns {
                let type_oid = c.type_oid.to_string();
                let first = [oid.as_str(), &c.name, &type_oid, flag(c.not_null), flag(c.generated), &type_oid];
                let collation = types::collation_number(c.collation.as_deref());
                let more =
                    [flag(c.deterministic), "f", flag(!c.bases.is_empty()), flag(c.default), "", flag(c.comparable), "f", &collation];
                put("columns", &[&first[..], &more].concat());
            }
            for key in &table.foreign {
                let parent = self.tables.iter().find(|(k, _)| *k == key.parent).map(|(_, t)| t.primary.as_slice()).unwrap_or_default();
                let theirs = if key.theirs.is_empty() { parent } else { &key.theirs };
                for (n, (own, theirs)) in key.columns.iter().zip(theirs).enumerate() {
                    let (n, late) = ((n + 1).to_string(), flag(key.deferrable));
                    let (deleted, updated) = (&key.actions.0, &key.actions.1);
                    let bases = table.columns.iter().find(|c| c.name == *own).map(|c| c.bases.as_str()).unwrap_or_default();
                    let first = [oid.as_str(), &key.parent.0, &key.parent.1, &key.name, &n, own, theirs, late];
                    put("foreign", &[&first[..], &[deleted, updated, flag(key.valid), bases]].concat());
                }
            }
            for (key, partial, columns) in &table.keys {
                for (n, column) in columns.iter().enumerate() {
                    let primary = flag(!table.primary.is_empty() && *columns == table.primary);
                    put("keys", &[&oid, key, flag(*partial), &(n + 1).to_string(), column, "t", primary]);
                }
            }
        }
        for ((schema, name), returned) in &self.functions {
            let table = self.tables.iter().position(|(key, _)| Some(key) == returned.as_ref());
            put("functions", &[name, schema, &table.map(oid_of).unwrap_or_default()]);
        }
        self.operators.iter().for_each(|name| put("operators", &[name]));
        for named in &self.types {
            let (domain, collation) = (flag(named.base.is_some()), types::collation_number(named.collation.as_deref()));
            put("types", &[&named.name, &named.schema, "f", "", "", "", "", "", domain, &collation, flag(named.base.is_none())]);
        }
        self.loose_collations.iter().for_each(|name| put("collations", &[name]));
        Catalog::build_for(policy, home, &answers)
    }
}

/// A constraint of the table, or of one column.
fn constrain(of: &str, table: &mut Table, constraint: &Constraint, column: Option<&str>) {
    let mut columns: Vec<String> = nodes::names(&constraint.keys).unwrap_or_default().into_iter().map(str::to_owned).collect();
    columns.extend(column.filter(|_| constraint.keys.is_empty()).map(str::to_owned));
    let each = |table: &mut Table, change: &dyn Fn(&mut Column)| {
        table.columns.iter_mut().filter(|c| columns.contains(&c.name)).for_each(change);
    };
    let kind = ConstrType::try_from(constraint.contype).unwrap_or(ConstrType::Undefined);
    match kind {
        ConstrType::ConstrDefault => each(table, &|c| c.default = true),
        ConstrType::ConstrForeign => {
            let Some(parent) = constraint.pktable.as_ref().map(key) else { return };
            let list = |names: &[Node]| nodes::names(names).unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>();
            let mut columns = list(&constraint.fk_attrs);
            columns.extend(column.filter(|_| constraint.fk_attrs.is_empty()).map(str::to_owned));
            let name = if constraint.conname.is_empty() { format!("{of}_{}_fkey", columns.join("_")) } else { constraint.conname.clone() };
            table.foreign.push(Foreign {
                name,
                parent,
                columns,
                theirs: list(&constraint.pk_attrs),
                deferrable: constraint.deferrable,
                actions: (constraint.fk_del_action.clone(), constraint.fk_upd_action.clone()),
                valid: !constraint.skip_validation,
            });
        }
        ConstrType::ConstrNotnull => each(table, &|c| c.not_null = true),
        ConstrType::ConstrGenerated => {
            let bases = bases_of(constraint);
            each(table, &|c| (c.generated, c.default, c.bases) = (true, true, bases.clone()));
        }
        ConstrType::ConstrIdentity if constraint.generated_when == "a" => each(table, &|c| c.generated = true),
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique => {
            if kind == ConstrType::ConstrPrimary {
                each(table, &|c| c.not_null = true);
                table.primary.clone_from(&columns);
            }
            let end = if kind == ConstrType::ConstrPrimary { "pkey".to_owned() } else { format!("{}_key", columns.join("_")) };
            let name = if constraint.conname.is_empty() { format!("{of}_{end}") } else { constraint.conname.clone() };
            table.keys.push((name, false, columns));
        }
        ConstrType::ConstrExclusion => table.keys.push((constraint.conname.clone(), true, vec![String::new()])),
        _ => {}
    }
}

/// The columns that a generated one is computed from, as upstream tells them.
fn bases_of(constraint: &Constraint) -> String {
    let (mut all, tree) = (Vec::new(), super::tree::of(&constraint.raw_expr).unwrap_or_default());
    tree.has(&mut |kind, part| {
        let column = part["fields"].as_array().filter(|_| kind == "ColumnRef").and_then(|fields| fields.last());
        all.extend(column.and_then(|c| c.pointer("/node/String/sval")?.as_str()).map(str::to_owned));
        false
    });
    serde_json::json!(all).to_string()
}

fn key(relation: &RangeVar) -> (String, String) {
    let schema = if relation.schemaname.is_empty() { "public" } else { &relation.schemaname };
    (schema.to_owned(), relation.relname.clone())
}

fn oid_of(number: usize) -> String {
    FIRST_OID.saturating_add(u32::try_from(number).unwrap_or(u32::MAX)).to_string()
}

fn range(node: &Node) -> Option<RangeVar> {
    match &node.node {
        Some(NodeEnum::RangeVar(var)) => Some(var.clone()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;
