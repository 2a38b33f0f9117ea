//! Statements that are no query: each kind that passes stands here by name. Those that hold a query or a relation are in `session`.

use super::{Res, Rewriter};
use crate::sql::{Kind, Refusal, settings};
use pg_query::NodeEnum;
use pg_query::protobuf::{DiscardMode, Node, TransactionStmtKind, VacuumStmt, VariableSetKind, VariableSetStmt, a_const};

impl Rewriter<'_> {
    pub(super) fn utility(&mut self, node: &mut NodeEnum) -> Res<Kind> {
        match node {
            NodeEnum::TransactionStmt(x) => {
                use TransactionStmtKind as K;
                match K::try_from(x.kind).unwrap_or(K::Undefined) {
                    K::TransStmtBegin | K::TransStmtStart | K::TransStmtCommit | K::TransStmtRollback => Ok(Kind::Transaction),
                    K::TransStmtSavepoint | K::TransStmtRelease | K::TransStmtRollbackTo => Ok(Kind::Transaction),
                    _ => Err(Refusal::not_allowed("two-phase commit is not allowed")
                        .detail("A prepared transaction keeps its locks when the session is gone, and its name is everybody's.")),
                }
            }
            NodeEnum::VariableSetStmt(x) => set(self.cx.catalog, x),
            NodeEnum::VariableShowStmt(x) if settings::may_show(&x.name) => Ok(Kind::Setting),
            NodeEnum::VariableShowStmt(x) => Err(settings::refused(&x.name, &self.cx.catalog.settings, "examine")),
            NodeEnum::DiscardStmt(x) => match DiscardMode::try_from(x.target).unwrap_or(DiscardMode::Undefined) {
                DiscardMode::DiscardAll => Ok(Kind::DiscardAll),
                DiscardMode::DiscardTemp => Ok(Kind::DiscardTemp),
                DiscardMode::DiscardPlans | DiscardMode::DiscardSequences => Ok(Kind::Discard),
                _ => Err(Refusal::not_understood("this form of DISCARD is not supported")),
            },
            NodeEnum::CheckPointStmt(_) => Err(server_work("CHECKPOINT")),
            NodeEnum::VacuumStmt(x) => Err(server_work(vacuum_name(x))),
            NodeEnum::ClusterStmt(_) => Err(server_work("CLUSTER")),
            NodeEnum::ReindexStmt(_) => Err(server_work("REINDEX")),
            other => self.session_statement(other),
        }
    }
}

/// Work on the whole server, whose cost and traces all tenants would bear.
fn server_work(name: &str) -> Refusal {
    Refusal::not_allowed(format!("{name} is not allowed")).detail("It works on rows of all tenants; it is the operator's to run.")
}

fn vacuum_name(x: &VacuumStmt) -> &'static str {
    if x.is_vacuumcmd { "VACUUM" } else { "ANALYZE" }
}

fn set(catalog: &crate::sql::Catalog, x: &VariableSetStmt) -> Res<Kind> {
    use VariableSetKind as K;
    match K::try_from(x.kind).unwrap_or(K::Undefined) {
        K::VarSetMulti if matches!(x.name.as_str(), "TRANSACTION" | "SESSION CHARACTERISTICS") => Ok(Kind::Transaction),
        K::VarResetAll => Ok(Kind::Setting),
        K::VarSetDefault | K::VarReset if x.name.eq_ignore_ascii_case("search_path") => Ok(Kind::Setting),
        // A custom one would come to be; it is not the server's to know.
        _ if !x.name.contains('.')
            && !settings::may_show(&x.name)
            && !matches!(x.name.as_str(), "TRANSACTION" | "TRANSACTION SNAPSHOT" | "SESSION CHARACTERISTICS") =>
        {
            Err(settings::refused(&x.name, &catalog.settings, "set parameter"))
        }
        K::VarSetDefault | K::VarReset => settings::may_set(&x.name, None).map(|()| Kind::Setting),
        K::VarSetValue if x.name.eq_ignore_ascii_case("search_path") => search_path(catalog, &x.args),
        K::VarSetValue => {
            let values: Option<Vec<String>> = x.args.iter().map(constant).collect();
            // SET TIME ZONE INTERVAL … is a cast; only its name matters, for it is not one of the pinned ones.
            let value = values.map(|v| v.join(", "));
            let pinned =
                matches!(x.name.to_ascii_lowercase().as_str(), "client_encoding" | "standard_conforming_strings" | "client_min_messages");
            if value.is_none() && pinned {
                return Err(Refusal::not_understood("this value is not supported"));
            }
            settings::may_set(&x.name, value.as_deref()).map(|()| Kind::Setting)
        }
        _ => Err(Refusal::not_understood("this form of SET is not supported")),
    }
}

/// The path may be set to what it is.
fn search_path(catalog: &crate::sql::Catalog, args: &[Node]) -> Res<Kind> {
    let wanted: Option<Vec<String>> = args.iter().map(constant).collect();
    let same = wanted.is_some_and(|w| w.iter().filter(|s| *s != "$user").eq(catalog.search_path.iter()));
    if same { Ok(Kind::Setting) } else { Err(Refusal::not_allowed("permission denied to set parameter \"search_path\"")) }
}

fn constant(node: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(c)) = &node.node else { return None };
    match c.val.as_ref()? {
        a_const::Val::Sval(s) => Some(s.sval.clone()),
        a_const::Val::Ival(i) => Some(i.ival.to_string()),
        a_const::Val::Fval(f) => Some(f.fval.clone()),
        a_const::Val::Boolval(b) => Some(b.boolval.to_string()),
        a_const::Val::Bsval(_) => None,
    }
}
