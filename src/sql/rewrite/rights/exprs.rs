//! Expressions: every node that the rewriter lets pass, down to the columns that it reads.

use super::{Res, Walk};
use crate::policy::Verb;
use crate::sql::{nodes, sequences};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, SubLink, WindowDef, a_const};

impl Walk<'_> {
    pub(super) fn exprs(&mut self, list: &[Node]) -> Res<()> {
        list.iter().try_for_each(|item| self.expr(item))
    }

    pub(super) fn optional(&mut self, expr: Option<&Node>) -> Res<()> {
        expr.map_or(Ok(()), |e| self.expr(e))
    }

    pub(super) fn expr(&mut self, expr: &Node) -> Res<()> {
        let Some(inner) = expr.node.as_ref() else { return Ok(()) };
        match inner {
            NodeEnum::ColumnRef(x) => self.column(x),
            NodeEnum::ParamRef(_) | NodeEnum::AConst(_) | NodeEnum::SqlvalueFunction(_) | NodeEnum::AStar(_) => Ok(()),
            NodeEnum::MergeSupportFunc(_)
            | NodeEnum::String(_)
            | NodeEnum::Integer(_)
            | NodeEnum::SetToDefault(_)
            | NodeEnum::CurrentOfExpr(_) => Ok(()),
            NodeEnum::AExpr(x) => {
                self.optional(x.lexpr.as_deref())?;
                self.optional(x.rexpr.as_deref())
            }
            NodeEnum::BoolExpr(x) => self.exprs(&x.args),
            NodeEnum::FuncCall(x) => self.call(x),
            NodeEnum::TypeCast(x) => self.optional(x.arg.as_deref()),
            NodeEnum::CaseExpr(x) => {
                self.optional(x.arg.as_deref())?;
                self.exprs(&x.args)?;
                self.optional(x.defresult.as_deref())
            }
            NodeEnum::CaseWhen(x) => {
                self.optional(x.expr.as_deref())?;
                self.optional(x.result.as_deref())
            }
            NodeEnum::SubLink(x) => self.sublink(x),
            NodeEnum::NullTest(x) => self.optional(x.arg.as_deref()),
            NodeEnum::BooleanTest(x) => self.optional(x.arg.as_deref()),
            NodeEnum::AIndirection(x) => {
                self.optional(x.arg.as_deref())?;
                self.exprs(&x.indirection)
            }
            NodeEnum::AIndices(x) => {
                self.optional(x.lidx.as_deref())?;
                self.optional(x.uidx.as_deref())
            }
            NodeEnum::AArrayExpr(x) => self.exprs(&x.elements),
            NodeEnum::RowExpr(x) => self.exprs(&x.args),
            NodeEnum::CoalesceExpr(x) => self.exprs(&x.args),
            NodeEnum::MinMaxExpr(x) => self.exprs(&x.args),
            NodeEnum::List(x) => self.exprs(&x.items),
            NodeEnum::GroupingFunc(x) => self.exprs(&x.args),
            NodeEnum::GroupingSet(x) => self.exprs(&x.content),
            NodeEnum::SortBy(x) => self.optional(x.node.as_deref()),
            NodeEnum::NamedArgExpr(x) => self.optional(x.arg.as_deref()),
            NodeEnum::CollateClause(x) => self.optional(x.arg.as_deref()),
            NodeEnum::ResTarget(x) => self.optional(x.val.as_deref()),
            NodeEnum::MultiAssignRef(x) => self.optional(x.source.as_deref()),
            NodeEnum::WindowDef(x) => self.window(x),
            NodeEnum::IndexElem(x) => match x.name.is_empty() {
                true => self.optional(x.expr.as_deref()),
                false => self.column(&pg_query::protobuf::ColumnRef { fields: vec![nodes::string(&x.name)], location: -1 }),
            },
            NodeEnum::XmlExpr(x) => {
                self.exprs(&x.named_args)?;
                self.exprs(&x.args)
            }
            NodeEnum::XmlSerialize(x) => self.optional(x.expr.as_deref()),
            json => self.json(json),
        }
    }

    fn sublink(&mut self, x: &SubLink) -> Res<()> {
        self.optional(x.testexpr.as_deref())?;
        let query = x.subselect.as_ref().and_then(|s| s.node.as_ref()).ok_or_else(Self::unknown)?;
        self.query(query).map(drop)
    }

    pub(super) fn window(&mut self, x: &WindowDef) -> Res<()> {
        self.exprs(&x.partition_clause)?;
        self.exprs(&x.order_clause)?;
        self.optional(x.start_offset.as_deref())?;
        self.optional(x.end_offset.as_deref())
    }

    fn call(&mut self, x: &FuncCall) -> Res<()> {
        self.exprs(&x.args)?;
        self.exprs(&x.agg_order)?;
        self.optional(x.agg_filter.as_deref())?;
        if let Some(over) = &x.over {
            self.window(over)?;
        }
        // "Sequence Manipulation Functions": UPDATE for nextval and setval, SELECT for currval.
        let verb = match nodes::names(&x.funcname).unwrap_or_default().last() {
            Some(&("nextval" | "setval")) => Verb::Update,
            Some(&"currval") => Verb::Select,
            _ => return Ok(()),
        };
        let Some(text) = x.args.first().and_then(text_of) else { return Err(Self::unknown()) };
        if sequences::temporary(&self.cx.private.temps, text).is_some() {
            return Ok(());
        }
        let sequence = sequences::meant(self.cx.catalog, text).cloned().ok_or_else(Self::unknown)?;
        self.any(&sequence, verb)
    }
}

/// A literal, perhaps cast.
fn text_of(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(c) => match c.val.as_ref()? {
            a_const::Val::Sval(s) => Some(&s.sval),
            _ => None,
        },
        NodeEnum::TypeCast(x) => text_of(x.arg.as_deref()?),
        _ => None,
    }
}
