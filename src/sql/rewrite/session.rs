//! Statements around a query or a relation: cursors, PREPARE and EXECUTE, EXPLAIN, LOCK, TRUNCATE, SET CONSTRAINTS.

use super::{Res, Rewriter};
use crate::policy::{Explain, TableRule};
use crate::sql::catalog::Relation;
use crate::sql::{Kind, Preparation, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    self as pg, ConstraintsSetStmt, DeclareCursorStmt, DefElem, DeleteStmt, DropBehavior, ExecuteStmt, ExplainStmt, LockStmt, Node,
    PrepareStmt, TruncateStmt,
};
use std::sync::Arc;

/// DECLARE's WITH HOLD (parsenodes.h).
const CURSOR_OPT_HOLD: i32 = 0x20;
/// The strongest lock that stops no other session's reads or writes: ROW EXCLUSIVE, what a write takes itself.
const LOCK_MODE_MAX: i32 = 3;

impl Rewriter<'_> {
    pub(super) fn session_statement(&mut self, node: &mut NodeEnum) -> Res<Kind> {
        if self.cx.catalog.is_own_place() && self.ddl(node)? {
            return Ok(Kind::Ddl);
        }
        match node {
            NodeEnum::DeclareCursorStmt(x) => self.declare(x),
            NodeEnum::FetchStmt(x) => Ok(Kind::Fetch(x.portalname.clone())),
            NodeEnum::ClosePortalStmt(x) => Ok(Kind::ClosePortal((!x.portalname.is_empty()).then(|| x.portalname.clone()))),
            NodeEnum::PrepareStmt(x) => self.prepare(x),
            NodeEnum::ExecuteStmt(x) => self.execute(x),
            NodeEnum::DeallocateStmt(x) => Ok(Kind::Deallocate((!x.isall).then(|| x.name.clone()))),
            NodeEnum::ExplainStmt(x) => self.explain(x),
            NodeEnum::LockStmt(x) => self.lock(x),
            NodeEnum::ConstraintsSetStmt(x) => self.set_constraints(x),
            NodeEnum::CopyStmt(x) => self.copy(x),
            NodeEnum::CreateStmt(x) => self.create_temp(x),
            NodeEnum::CreateTableAsStmt(x) => self.create_temp_as(x),
            NodeEnum::DropStmt(x) => self.drop_temp(x),
            NodeEnum::IndexStmt(x) => self.index_of_temp(x),
            NodeEnum::AlterTableStmt(x) => self.alter_temp(x),
            NodeEnum::RenameStmt(x) => self.rename_temp(x),
            NodeEnum::CreateSeqStmt(x) => self.create_temp_sequence(x),
            NodeEnum::AlterSeqStmt(x) => self.alter_temp_sequence(x),
            NodeEnum::ListenStmt(x) => {
                let name = x.conditionname.clone();
                self.channel(&mut x.conditionname)?;
                Ok(Kind::Listen(name))
            }
            NodeEnum::NotifyStmt(x) => self.channel(&mut x.conditionname).map(|()| Kind::Setting),
            // UNLISTEN * has no name.
            NodeEnum::UnlistenStmt(x) if x.conditionname.is_empty() => Ok(Kind::Setting),
            NodeEnum::UnlistenStmt(x) => self.channel(&mut x.conditionname).map(|()| Kind::Setting),
            NodeEnum::TruncateStmt(x) => {
                if let Some(kind) = self.truncate_own(x)? {
                    return Ok(kind);
                }
                *node = self.truncate(x)?;
                Ok(Kind::Truncate)
            }
            _ => Err(Refusal::not_understood("this kind of statement is not supported")
                .detail("Tenants may send queries, writes, cursors, transactions and safe settings.")),
        }
    }

    fn declare(&mut self, x: &mut DeclareCursorStmt) -> Res<Kind> {
        match x.query.as_mut().and_then(|q| q.node.as_mut()) {
            Some(NodeEnum::SelectStmt(select)) => self.select(select)?,
            _ => return Err(Refusal::not_understood("this kind of cursor is not supported")),
        };
        if self.has_write {
            return Err(Refusal::not_understood("DECLARE CURSOR must not contain data-modifying statements in WITH"));
        }
        Ok(Kind::Declare { name: x.portalname.clone(), hold: x.options & CURSOR_OPT_HOLD != 0 })
    }

    /// The tenant becomes a literal, for nobody would supply a parameter of the wall's at EXECUTE.
    fn prepare(&mut self, x: &mut PrepareStmt) -> Res<Kind> {
        self.literal = true;
        for argument in &mut x.argtypes {
            match argument.node.as_mut() {
                Some(NodeEnum::TypeName(name)) => self.type_name(name)?,
                _ => return Err(Refusal::not_understood("this parameter type is not supported")),
            }
        }
        let outside = std::mem::replace(&mut self.cx.parameters, true);
        let kind = match x.query.as_mut().and_then(|q| q.node.as_mut()) {
            Some(query @ (NodeEnum::SelectStmt(_) | NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_))) => {
                self.statement(query)?
            }
            _ => return Err(Refusal::not_understood("this kind of statement cannot be prepared")),
        };
        self.cx.parameters = outside;
        if !self.channels.is_empty() {
            return Err(Refusal::not_understood("a channel of PREPARE cannot be a parameter"));
        }
        if !self.own.is_empty() {
            return Err(Refusal::not_understood("a parameter of PREPARE cannot be written into the tenant column")
                .hint("Leave the column out: the wall writes it."));
        }
        let declared = u16::try_from(x.argtypes.len()).map_err(|_| Refusal::with_state("54000", "too many parameters"))?;
        let params = self.client_params.max(declared);
        self.client_params = params;
        Ok(Kind::Prepare(Preparation { name: x.name.clone(), params, kind: Box::new(kind) }))
    }

    fn execute(&mut self, x: &mut ExecuteStmt) -> Res<Kind> {
        self.literal = true;
        self.cx.parameters = false;
        self.exprs(&mut x.params)?;
        Ok(Kind::Execute(x.name.clone()))
    }

    /// Only the plan's shape: costs and row counts tell of all tenants' rows, ANALYZE of those that the guard removed.
    fn explain(&mut self, x: &mut ExplainStmt) -> Res<Kind> {
        let postgres = self.cx.policy.postgres.as_ref();
        if postgres.is_none_or(|p| p.explain == Explain::Deny) {
            return Err(Refusal::not_allowed("EXPLAIN is not allowed")
                .detail("A plan tells of other tenants' rows.")
                .hint(format!("`explain: plan` under postgres in {} lets tenants see plans without costs.", self.cx.policy.file)));
        }
        let mut kept = Vec::new();
        for option in std::mem::take(&mut x.options) {
            let Some(NodeEnum::DefElem(o)) = &option.node else { return Err(Refusal::not_understood("this EXPLAIN is not supported")) };
            match (o.defname.as_str(), switched_on(o)?) {
                ("verbose", Some(true)) => kept.push(option),
                ("format", None) => kept.push(option),
                ("costs", _) | ("verbose" | "analyze" | "buffers" | "timing" | "summary" | "settings" | "wal" | "memory", Some(false)) => {}
                (name, _) => {
                    return Err(Refusal::not_allowed(format!("EXPLAIN option \"{name}\" is not allowed"))
                        .detail("Tenants see plans without costs and counts.")
                        .at(self.at(o.location)));
                }
            }
        }
        let off = nodes::node(NodeEnum::String(pg::String { sval: "off".into() }));
        kept.push(nodes::node(NodeEnum::DefElem(Box::new(DefElem {
            defname: "costs".into(),
            arg: nodes::boxed(off),
            defaction: pg::DefElemAction::DefelemUnspec as i32,
            location: -1,
            ..Default::default()
        }))));
        x.options = kept;
        match x.query.as_mut().and_then(|q| q.node.as_mut()) {
            Some(query @ (NodeEnum::SelectStmt(_) | NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_))) => {
                self.statement(query)?;
                if self.hidden.named && !left_out!(self.cx, HiddenPlan) {
                    return Err(Refusal::not_understood("EXPLAIN of a table with a hidden tenant column is not supported")
                        .detail("The plan would show the column."));
                }
                Ok(Kind::Read)
            }
            _ => Err(Refusal::not_understood("EXPLAIN of this kind of statement is not supported")),
        }
    }

    fn lock(&mut self, x: &mut LockStmt) -> Res<Kind> {
        let own = |catalog: &crate::sql::Catalog, n: &Node| matches!(&n.node, Some(NodeEnum::RangeVar(v)) if catalog.own(&v.schemaname, &v.relname).is_some());
        if x.mode > LOCK_MODE_MAX && !x.relations.iter().all(|n| own(self.cx.catalog, n)) {
            return Err(Refusal::not_allowed("LOCK TABLE in this mode is not allowed")
                .detail("It would keep other tenants from the table.")
                .hint("ACCESS SHARE, ROW SHARE and ROW EXCLUSIVE are allowed; SELECT … FOR UPDATE locks rows."));
        }
        for item in &mut x.relations {
            let Some(NodeEnum::RangeVar(var)) = item.node.as_mut() else {
                return Err(Refusal::not_understood("this LOCK is not supported"));
            };
            let relation = self.relation(var)?;
            if x.mode > 1 && !matches!(relation.rule, TableRule::Scoped { .. } | TableRule::Through(_) | TableRule::Own) {
                return Err(Refusal::not_allowed(format!("permission denied for table {}", relation.name))
                    .hint_at("It is `shared: read`", &relation.place)
                    .at(self.at(var.location)));
            }
        }
        Ok(Kind::Setting)
    }

    fn set_constraints(&mut self, x: &mut ConstraintsSetStmt) -> Res<Kind> {
        for item in &mut x.constraints {
            let Some(NodeEnum::RangeVar(var)) = item.node.as_mut() else {
                return Err(Refusal::not_understood("this SET CONSTRAINTS is not supported"));
            };
            let known = var.catalogname.is_empty()
                && self
                    .cx
                    .catalog
                    .deferrable
                    .iter()
                    .any(|(schema, name)| *name == var.relname && (var.schemaname.is_empty() || *schema == var.schemaname));
            if !known {
                return Err(
                    Refusal::with_state("42704", format!("constraint \"{}\" does not exist", var.relname)).at(self.at(var.location))
                );
            }
            if let Some(meant) = self.cx.catalog.home.meant(&var.schemaname).filter(|_| !var.schemaname.is_empty()) {
                var.schemaname = meant.to_owned();
            }
        }
        Ok(Kind::Setting)
    }

    /// `TRUNCATE a, b` is `WITH partywall_0 AS (DELETE FROM a WHERE …) DELETE FROM b WHERE …`, where no rule or trigger could tell
    /// the two apart.
    fn truncate(&mut self, x: &mut TruncateStmt) -> Res<NodeEnum> {
        if x.restart_seqs {
            return Err(Refusal::not_allowed("TRUNCATE … RESTART IDENTITY is not allowed").detail("Sequences are shared by all tenants."));
        }
        if x.behavior == DropBehavior::DropCascade as i32 {
            return Err(Refusal::not_understood("TRUNCATE … CASCADE is not supported").hint("Name the tables that refer to it."));
        }
        let mut vars = Vec::new();
        for item in std::mem::take(&mut x.relations) {
            match item.node {
                Some(NodeEnum::RangeVar(var)) => vars.push(var),
                _ => return Err(Refusal::not_understood("this TRUNCATE is not supported")),
            }
        }
        let truncated = vars.iter().map(|v| self.relation(&mut v.clone())).collect::<Res<Vec<_>>>()?;
        for relation in &truncated {
            if relation.is_expanded() {
                return Err(Refusal::with_state("42809", format!("\"{}\" is not a table", relation.name)));
            }
            // It becomes a DELETE, which another privilege allows.
            if !relation.may_truncate {
                return Err(Refusal::not_allowed(format!("permission denied for table {}", relation.name)));
            }
            if relation.referenced_by.iter().any(|oid| !truncated.iter().any(|t| t.oid == *oid)) {
                return Err(Refusal::not_understood("cannot truncate a table referenced in a foreign key constraint")
                    .hint(format!("Name the tables that refer to \"{}\", or use DELETE.", relation.name)));
            }
            if relation.triggers_on_delete {
                return Err(Refusal::not_understood(format!("TRUNCATE of \"{}\" is not supported", relation.name))
                    .detail("It has triggers that DELETE or TRUNCATE would fire.")
                    .hint("Use DELETE."));
            }
        }
        let mut deletes = Vec::new();
        for (index, var) in vars.into_iter().enumerate() {
            // Naming a table twice is one truncation, and must not be two deletions.
            let same = |t: &Arc<Relation>| t.oid == truncated[index].oid && t.name == truncated[index].name;
            if !truncated[..index].iter().any(same) {
                let mut delete = NodeEnum::DeleteStmt(Box::new(DeleteStmt { relation: Some(var), ..Default::default() }));
                self.write(&mut delete)?;
                deletes.push(delete);
            }
        }
        let Some(NodeEnum::DeleteStmt(mut last)) = deletes.pop() else { return Err(Refusal::syntax("TRUNCATE of nothing")) };
        if !deletes.is_empty() {
            let ctes = deletes.into_iter().enumerate().map(|(i, d)| cte(&format!("partywall_{i}"), d)).collect();
            last.with_clause = Some(pg::WithClause { ctes, recursive: false, location: -1 });
        }
        Ok(NodeEnum::DeleteStmt(last))
    }

    /// WHERE CURRENT OF takes no other condition beside it and needs none: the cursor's own query is guarded, so the row it stands on
    /// is the tenant's, or the session's own.
    pub(super) fn current_of(&mut self, condition: Option<&Node>, guards: usize) -> Res<bool> {
        let Some(NodeEnum::CurrentOfExpr(x)) = condition.and_then(|c| c.node.as_ref()) else { return Ok(false) };
        let alone = self.levels.last().is_some_and(|level| level.items.len() == 1);
        if guards > 1 || !alone || self.has_ctes || x.cursor_param != 0 {
            return Err(Refusal::not_understood("WHERE CURRENT OF beside other tables is not supported"));
        }
        self.cursor = Some(x.cursor_name.clone());
        Ok(true)
    }
}

fn cte(name: &str, query: NodeEnum) -> Node {
    nodes::node(NodeEnum::CommonTableExpr(Box::new(pg::CommonTableExpr {
        ctename: name.to_owned(),
        ctematerialized: pg::CteMaterialize::Default as i32,
        ctequery: nodes::boxed(nodes::node(query)),
        location: -1,
        ..Default::default()
    })))
}

/// A boolean option as `defGetBoolean` reads it; None where it has a value that is none.
fn switched_on(option: &DefElem) -> Res<Option<bool>> {
    let word = match option.arg.as_ref().and_then(|a| a.node.as_ref()) {
        None => return Ok(Some(true)),
        Some(NodeEnum::Integer(i)) => i.ival.to_string(),
        Some(NodeEnum::Boolean(b)) => b.boolval.to_string(),
        Some(NodeEnum::String(s)) => s.sval.to_ascii_lowercase(),
        _ => return Err(Refusal::not_understood("this option is not supported")),
    };
    Ok(match word.as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    })
}
