//! Statements that are no query: each kind that passes stands here by name. Those that hold a query or a relation are in `session`.

use super::{Res, Rewriter};
use crate::sql::{Kind, Refusal, nodes, paths, settings};
use pg_query::NodeEnum;
use pg_query::protobuf::{DiscardMode, Node, SelectStmt, TransactionStmtKind, VacuumStmt, VariableSetKind, VariableSetStmt, a_const};

impl Rewriter<'_> {
    pub(super) fn utility(&mut self, node: &mut NodeEnum) -> Res<Kind> {
        if let Some(kind) = self.show_path(node) {
            return Ok(kind);
        }
        match node {
            NodeEnum::TransactionStmt(x) => {
                use TransactionStmtKind as K;
                never_deferrable(&mut x.options);
                match K::try_from(x.kind).unwrap_or(K::Undefined) {
                    K::TransStmtBegin | K::TransStmtStart => Ok(Kind::Transaction),
                    K::TransStmtCommit | K::TransStmtRollback => Ok(Kind::End),
                    K::TransStmtSavepoint => Ok(Kind::Savepoint(x.savepoint_name.clone())),
                    K::TransStmtRelease => Ok(Kind::Release(x.savepoint_name.clone())),
                    K::TransStmtRollbackTo => Ok(Kind::RollbackTo(x.savepoint_name.clone())),
                    _ => Err(Refusal::not_allowed("two-phase commit is not allowed")
                        .detail("A prepared transaction keeps its locks when the session is gone, and its name is everybody's.")),
                }
            }
            NodeEnum::VariableSetStmt(x) => {
                let kind = set(self.cx.catalog, x)?;
                if x.kind == VariableSetKind::VarSetMulti as i32 {
                    never_deferrable(&mut x.args);
                }
                if x.name.eq_ignore_ascii_case("search_path") && x.kind == VariableSetKind::VarSetValue as i32 {
                    self.set_path(&mut x.args);
                }
                Ok(kind)
            }
            NodeEnum::VariableShowStmt(x) if settings::may_show(&x.name) => Ok(Kind::Setting),
            NodeEnum::VariableShowStmt(x) => Err(settings::refused(&x.name, &self.cx.catalog.settings.names, "examine")),
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

/// A deferrable transaction waits for all transactions of the whole server that are serializable and write (predicate.c, GetSafeSnapshot), other
/// tenants' too: it becomes one that does not wait, and is as serializable.
fn never_deferrable(modes: &mut [Node]) {
    for mode in modes {
        if let Some(NodeEnum::DefElem(mode)) = mode.node.as_mut()
            && mode.defname == "transaction_deferrable"
        {
            mode.arg = nodes::boxed(nodes::integer(0));
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

fn set(catalog: &crate::sql::Catalog, x: &mut VariableSetStmt) -> Res<Kind> {
    use VariableSetKind as K;
    match K::try_from(x.kind).unwrap_or(K::Undefined) {
        K::VarSetMulti if matches!(x.name.as_str(), "TRANSACTION" | "SESSION CHARACTERISTICS") => Ok(Kind::Transaction),
        K::VarResetAll => Ok(Kind::SearchPath { path: None, local: false }),
        K::VarSetDefault | K::VarReset if x.name.eq_ignore_ascii_case("search_path") => {
            Ok(Kind::SearchPath { path: None, local: x.is_local })
        }
        // A custom one would come to be; it is not the server's to know.
        _ if !x.name.contains('.')
            && !settings::may_show(&x.name)
            && !matches!(x.name.as_str(), "TRANSACTION" | "TRANSACTION SNAPSHOT" | "SESSION CHARACTERISTICS") =>
        {
            Err(settings::refused(&x.name, &catalog.settings.names, "set parameter"))
        }
        K::VarSetDefault | K::VarReset => settings::may_set(&x.name, None).map(|()| Kind::Setting),
        K::VarSetValue if x.name.eq_ignore_ascii_case("search_path") => search_path(catalog, x),
        K::VarSetValue => {
            let values: Option<Vec<String>> = x.args.iter().map(constant).collect();
            // SET TIME ZONE INTERVAL … is a cast; that setting takes any value.
            let value = values.map(|v| v.join(", "));
            if value.is_none() && !catalog.settings.admit_any(&x.name) {
                return Err(Refusal::not_understood("this value is not supported"));
            }
            if value.as_ref().is_some_and(|value| catalog.settings.lifts(&x.name, value)) {
                // The operator's own, which RESET and SHOW tell.
                (x.kind, x.args) = (K::VarSetDefault as i32, Vec::new());
                return Ok(Kind::Setting);
            }
            catalog.settings.admit(&x.name, value.as_deref()).map(|()| Kind::Setting)
        }
        _ => Err(Refusal::not_understood("this form of SET is not supported")),
    }
}

/// The path may be set to schemas that the policy knows, or to none.
fn search_path(catalog: &crate::sql::Catalog, x: &VariableSetStmt) -> Res<Kind> {
    let wanted: Option<Vec<String>> = x.args.iter().map(constant).collect();
    paths::meant(catalog, wanted).map(|path| Kind::SearchPath { path: Some(path), local: x.is_local })
}

/// `SELECT set_config('search_path', '…', false)` and nothing else; the name is qualified in place. None where the statement is another.
pub(super) fn path_call(catalog: &crate::sql::Catalog, select: &mut SelectStmt) -> Res<Option<Kind>> {
    let alone =
        SelectStmt { limit_option: select.limit_option, op: select.op, target_list: select.target_list.clone(), ..Default::default() }
            == *select;
    let target = match select.target_list.as_mut_slice() {
        [one] if alone => one.node.as_mut(),
        _ => None,
    };
    let Some(NodeEnum::ResTarget(target)) = target else { return Ok(None) };
    let Some(NodeEnum::FuncCall(call)) = target.val.as_mut().and_then(|v| v.node.as_mut()) else { return Ok(None) };
    let named = matches!(nodes::names(&call.funcname).as_deref(), Some(["set_config"] | ["pg_catalog", "set_config"]));
    let [name, value, local] = call.args.as_slice() else { return Ok(None) };
    let plain = call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none() && !call.agg_distinct && !call.func_variadic;
    let path_named = string(name).is_some_and(|n| n.eq_ignore_ascii_case("search_path"));
    if !named || !plain || !path_named || !target.indirection.is_empty() {
        return Ok(None);
    }
    // The path is pinned there; SET says it in the client's words.
    if catalog.home.schema().is_some() {
        return Err(paths::refused());
    }
    let path = string(value).and_then(|v| paths::path(catalog, &paths::names(&v)?)).ok_or_else(paths::refused)?;
    let Some(local) = truth(local) else { return Err(paths::refused()) };
    call.funcname = vec![nodes::string("pg_catalog"), nodes::string("set_config")];
    Ok(Some(Kind::SearchPath { path: Some(path), local }))
}

fn string(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::AConst(c)) => match &c.val {
            Some(a_const::Val::Sval(s)) => Some(s.sval.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn truth(node: &Node) -> Option<bool> {
    match &node.node {
        Some(NodeEnum::AConst(c)) => match &c.val {
            Some(a_const::Val::Boolval(b)) => Some(b.boolval),
            _ => None,
        },
        _ => None,
    }
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
