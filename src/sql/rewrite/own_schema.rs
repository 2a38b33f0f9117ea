//! A tenant's own schema: the client's `public` is it, in columns, types, functions, constraints and the path; its name is never the client's.

use super::{Res, Rewriter};
use crate::sql::catalogs::own_schema::PATH;
use crate::sql::home::PUBLIC;
use crate::sql::{Kind, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, ColumnRef, FuncCall, Node, ResTarget, SelectStmt, SqlValueFunctionOp};

impl Rewriter<'_> {
    /// `public.orders.id`: the table stands there under the own schema.
    pub(super) fn column_schema(&self, column: &mut ColumnRef) -> Res<()> {
        if self.cx.catalog.home.schema().is_none() || column.fields.len() < 3 {
            return Ok(());
        }
        let place = self.at(column.location);
        let first = nodes::names(&column.fields[..1]).and_then(|n| n.first().map(|s| (*s).to_owned()));
        let meant = first.as_deref().and_then(|first| self.cx.catalog.home.meant(first));
        let Some(meant) = meant else {
            return Err(Refusal::with_state("42P01", "missing FROM-clause entry for table").at(place));
        };
        column.fields[0] = nodes::string(meant);
        Ok(())
    }

    /// An expression that would show the own schema's name: what shows `public` in its place. False where it is none.
    pub(super) fn schema_expr(&self, expr: &mut Node) -> bool {
        if self.cx.catalog.home.schema().is_none() || left_out!(self.cx, SchemaShown) {
            return false;
        }
        let shown = match &expr.node {
            Some(NodeEnum::SqlvalueFunction(x)) if x.op == SqlValueFunctionOp::SvfopCurrentSchema as i32 => {
                nodes::cast(nodes::text(PUBLIC), "name")
            }
            Some(NodeEnum::FuncCall(call)) => match shown(call) {
                Some((text, type_name)) => nodes::cast(nodes::text(text), type_name),
                None => return false,
            },
            _ => return false,
        };
        *expr = shown;
        true
    }

    /// SHOW search_path shows what the client knows.
    pub(super) fn show_path(&self, node: &mut NodeEnum) -> Option<Kind> {
        let NodeEnum::VariableShowStmt(x) = node else { return None };
        self.cx.catalog.home.schema().filter(|_| x.name.eq_ignore_ascii_case("search_path"))?;
        let value = nodes::cast(nodes::text(PATH), "text");
        let target = ResTarget { name: "search_path".into(), val: nodes::boxed(value), location: -1, ..Default::default() };
        *node = NodeEnum::SelectStmt(Box::new(SelectStmt {
            target_list: vec![nodes::node(NodeEnum::ResTarget(Box::new(target)))],
            limit_option: pg::LimitOption::Default as i32,
            op: pg::SetOperation::SetopNone as i32,
            ..Default::default()
        }));
        Some(Kind::Shown)
    }

    /// The path that is set is the own schema.
    pub(super) fn set_path(&self, args: &mut Vec<Node>) {
        if let Some(own) = self.cx.catalog.home.schema() {
            let path = if left_out!(self.cx, SchemaPath) { PUBLIC } else { own };
            *args = vec![nodes::text(path)];
        }
    }
}

/// What a call that tells of the path shows, and its type.
fn shown(call: &FuncCall) -> Option<(&'static str, &'static str)> {
    let names = nodes::names(&call.funcname)?;
    let name = match names.as_slice() {
        [name] | ["pg_catalog", name] => *name,
        _ => return None,
    };
    let literal = |node: &Node| match &node.node {
        Some(NodeEnum::AConst(c)) => c.val.clone(),
        _ => None,
    };
    match (name, call.args.as_slice()) {
        ("current_schema", []) => Some((PUBLIC, "name")),
        ("current_schemas", [one]) => match literal(one)? {
            pg::a_const::Val::Boolval(b) => Some((if b.boolval { "{pg_catalog,public}" } else { "{public}" }, "_name")),
            _ => None,
        },
        ("current_setting", [setting] | [setting, _]) => match literal(setting)? {
            pg::a_const::Val::Sval(s) if s.sval.eq_ignore_ascii_case("search_path") => Some((PATH, "text")),
            _ => None,
        },
        _ => None,
    }
}
