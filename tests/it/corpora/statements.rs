//! A corpus: its statements in order, what each one is, and where each object is made.

use pg_query::NodeEnum;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where the corpora are.
pub fn folder() -> PathBuf {
    Path::new("../shared/corpora").to_owned()
}

/// What a statement is to the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// SELECT, INSERT, UPDATE, DELETE, MERGE: it is judged.
    Dml,
    /// SELECT … INTO: it is judged, and makes a table.
    Into,
    /// It makes the schema, or changes the session: done directly.
    Schema,
    /// Neither.
    Other,
    /// DROP of an object.
    Drop,
    /// The parser cannot read it.
    Unreadable,
}

/// How many statements a corpus has.
pub fn count(name: &str) -> usize {
    std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap().lines().count()
}

/// A statement of a corpus.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// The session that it belongs to.
    pub session: String,
    /// What it is.
    pub class: Class,
    /// The object that it makes.
    pub makes: Option<Object>,
}

/// Kind (`relation`, `type`, `function`, `schema`) and bare name.
pub type Object = (&'static str, String);

/// All statements of one corpus.
pub struct Corpus {
    /// In order.
    pub statements: Vec<Statement>,
    /// Which statements make an object.
    pub makers: HashMap<Object, Vec<usize>>,
}

impl Corpus {
    /// Reads one; `sessions`: each source file is a session with objects of its own.
    pub fn read(name: &'static str, sessions: bool) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap();
        let mut statements = Vec::new();
        let mut makers: HashMap<Object, Vec<usize>> = HashMap::new();
        for line in text.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let sql = record["sql"].as_str().unwrap_or_default().to_owned();
            let session = if sessions { record["src"].as_str().unwrap_or_default().to_owned() } else { String::new() };
            let (class, makes) = classed(&sql);
            if let Some(object) = &makes {
                makers.entry(object.clone()).or_default().push(statements.len());
            }
            statements.push(Statement { sql, session, class, makes });
        }
        Self { statements, makers }
    }

    /// The sessions in order of their first statement.
    pub fn sessions(&self) -> Vec<(String, Vec<usize>)> {
        let mut all: Vec<(String, Vec<usize>)> = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            match all.iter_mut().find(|(name, _)| *name == statement.session) {
                Some((_, list)) => list.push(index),
                None => all.push((statement.session.clone(), vec![index])),
            }
        }
        all
    }
}

fn classed(sql: &str) -> (Class, Option<Object>) {
    let Ok(parsed) = pg_query::parse(sql, pg_query::ParserOptions::default()) else { return (Class::Unreadable, None) };
    let nodes: Vec<&NodeEnum> = parsed.protobuf.stmts.iter().filter_map(|s| s.stmt.as_ref()).filter_map(|n| n.node.as_ref()).collect();
    let Some(first) = nodes.first() else { return (Class::Other, None) };
    let classes: Vec<Class> = nodes.iter().map(|n| class(n)).collect();
    let class = if classes.iter().all(|c| *c == Class::Dml) { Class::Dml } else { classes[0] };
    (class, made(first))
}

fn class(node: &NodeEnum) -> Class {
    match node {
        NodeEnum::SelectStmt(s) if s.into_clause.is_some() => Class::Into,
        NodeEnum::SelectStmt(_) | NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
            Class::Dml
        }
        NodeEnum::VariableSetStmt(s) if PINNED.contains(&s.name.as_str()) => Class::Other,
        NodeEnum::DropStmt(_) => Class::Drop,
        // Of the whole cluster, of the transaction, with rows, or with no meaning without a run.
        NodeEnum::TransactionStmt(_)
        | NodeEnum::CopyStmt(_)
        | NodeEnum::PrepareStmt(_)
        | NodeEnum::ExecuteStmt(_)
        | NodeEnum::DeallocateStmt(_)
        | NodeEnum::DeclareCursorStmt(_)
        | NodeEnum::FetchStmt(_)
        | NodeEnum::ClosePortalStmt(_)
        | NodeEnum::ExplainStmt(_)
        | NodeEnum::CreatedbStmt(_)
        | NodeEnum::DropdbStmt(_)
        | NodeEnum::AlterDatabaseStmt(_)
        | NodeEnum::AlterDatabaseSetStmt(_)
        | NodeEnum::AlterSystemStmt(_)
        | NodeEnum::AlterRoleSetStmt(_)
        | NodeEnum::CreateTableSpaceStmt(_)
        | NodeEnum::DropTableSpaceStmt(_)
        | NodeEnum::DropRoleStmt(_)
        | NodeEnum::DropOwnedStmt(_)
        | NodeEnum::CreateSubscriptionStmt(_)
        | NodeEnum::CheckPointStmt(_)
        | NodeEnum::VacuumStmt(_)
        | NodeEnum::LockStmt(_)
        | NodeEnum::LoadStmt(_)
        | NodeEnum::CallStmt(_)
        | NodeEnum::TruncateStmt(_)
        | NodeEnum::ReindexStmt(_)
        | NodeEnum::ClusterStmt(_)
        | NodeEnum::ListenStmt(_)
        | NodeEnum::NotifyStmt(_)
        | NodeEnum::UnlistenStmt(_)
        | NodeEnum::VariableShowStmt(_) => Class::Other,
        _ => Class::Schema,
    }
}

/// Settings that change who runs what, how texts are read, or how long it may take.
const PINNED: &[&str] = &[
    "role",
    "session_authorization",
    "client_encoding",
    "standard_conforming_strings",
    "transaction_read_only",
    "default_transaction_read_only",
    "statement_timeout",
    "lock_timeout",
    "default_table_access_method",
    "default_tablespace",
];

/// Whether a statement leaves tables, views, functions, types and keys as they are.
pub fn changes_nothing(sql: &str) -> bool {
    let Ok(parsed) = pg_query::parse(sql, pg_query::ParserOptions::default()) else { return false };
    let nodes = parsed.protobuf.stmts.iter().filter_map(|s| s.stmt.as_ref()).filter_map(|n| n.node.as_ref());
    nodes.into_iter().all(|node| match node {
        NodeEnum::IndexStmt(s) => !s.unique,
        NodeEnum::VariableSetStmt(_)
        | NodeEnum::CommentStmt(_)
        | NodeEnum::GrantStmt(_)
        | NodeEnum::GrantRoleStmt(_)
        | NodeEnum::CreateRoleStmt(_)
        | NodeEnum::AlterRoleStmt(_)
        | NodeEnum::CreateStatsStmt(_)
        | NodeEnum::CreatePolicyStmt(_)
        | NodeEnum::AlterOwnerStmt(_)
        | NodeEnum::ConstraintsSetStmt(_)
        | NodeEnum::AlterDefaultPrivilegesStmt(_)
        | NodeEnum::SecLabelStmt(_) => true,
        _ => false,
    })
}

/// The lasting view that a statement makes, and whether it may take another's place.
pub fn view(sql: &str) -> Option<(String, &'static str)> {
    let parsed = pg_query::parse(sql, pg_query::ParserOptions::default()).ok()?;
    let [statement] = parsed.protobuf.stmts.as_slice() else { return None };
    let Some(NodeEnum::ViewStmt(made)) = statement.stmt.as_ref().and_then(|s| s.node.as_ref()) else { return None };
    let name = made.view.as_ref().filter(|v| v.relpersistence != "t" && v.schemaname != "pg_temp")?;
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let schema = if name.schemaname.is_empty() { String::new() } else { quoted(&name.schemaname) + "." };
    Some((schema + &quoted(&name.relname), if made.replace { "OR REPLACE" } else { "" }))
}

fn made(node: &NodeEnum) -> Option<Object> {
    let last = |names: &[pg_query::protobuf::Node]| match names.last()?.node.as_ref()? {
        NodeEnum::String(s) => Some(s.sval.clone()),
        _ => None,
    };
    let relation = |r: Option<&pg_query::protobuf::RangeVar>| Some(("relation", r?.relname.clone()));
    match node {
        NodeEnum::CreateStmt(s) => relation(s.relation.as_ref()),
        NodeEnum::CreateForeignTableStmt(s) => relation(s.base_stmt.as_ref()?.relation.as_ref()),
        NodeEnum::ViewStmt(s) => relation(s.view.as_ref()),
        NodeEnum::CreateTableAsStmt(s) => relation(s.into.as_ref()?.rel.as_ref()),
        NodeEnum::SelectStmt(s) => relation(s.into_clause.as_ref()?.rel.as_ref()),
        NodeEnum::CreateSeqStmt(s) => relation(s.sequence.as_ref()),
        NodeEnum::CompositeTypeStmt(s) => Some(("type", s.typevar.as_ref()?.relname.clone())),
        NodeEnum::CreateEnumStmt(s) => Some(("type", last(&s.type_name)?)),
        NodeEnum::CreateRangeStmt(s) => Some(("type", last(&s.type_name)?)),
        NodeEnum::CreateDomainStmt(s) => Some(("type", last(&s.domainname)?)),
        NodeEnum::CreateFunctionStmt(s) => Some(("function", last(&s.funcname)?)),
        NodeEnum::DefineStmt(s) if s.kind == pg_query::protobuf::ObjectType::ObjectAggregate as i32 => {
            Some(("function", last(&s.defnames)?))
        }
        NodeEnum::DefineStmt(s) if s.kind == pg_query::protobuf::ObjectType::ObjectType as i32 => Some(("type", last(&s.defnames)?)),
        NodeEnum::CreateSchemaStmt(s) => Some(("schema", s.schemaname.clone())),
        _ => None,
    }
}
