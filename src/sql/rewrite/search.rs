//! Names of text search configurations, dictionaries and parsers: literals that name no unknown schema; where schemas are tenants', nothing else.

use super::{Res, Rewriter};
use crate::sql::catalogs::search::{is_search_type, takes_name};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, TypeName, a_const};

impl Rewriter<'_> {
    /// Of a cast; whether the type is one of those, and was looked at.
    pub(super) fn search_cast(&self, operand: Option<&Node>, type_name: &TypeName) -> Res<bool> {
        let names = nodes::names(&type_name.names).unwrap_or_default();
        let own = names.last().is_some_and(|n| self.cx.catalog.types.contains_key(*n) || self.cx.private.temps.row_type(n).is_some());
        if own || !is_search_type(&names) {
            return Ok(false);
        }
        let place = self.at(type_name.location);
        let plain = matches!(names.as_slice(), ["regconfig" | "regdictionary"] | ["pg_catalog", "regconfig" | "regdictionary"]);
        if !plain || !type_name.array_bounds.is_empty() || type_name.setof || !type_name.typmods.is_empty() {
            return Err(Refusal::not_understood("this form of a type name is not supported").at(place));
        }
        self.search_name(operand, true, place).map(|()| true)
    }

    /// Of a call.
    pub(super) fn search_call(&self, name: &str, args: &[Node], place: Option<u32>) -> Res<()> {
        if !takes_name(name, args.len()) {
            return Ok(());
        }
        let named = args.iter().any(|a| matches!(a.node, Some(NodeEnum::NamedArgExpr(_))));
        let by_text = matches!(name, "ts_parse" | "ts_token_type");
        args.iter().take(if named { args.len() } else { 1 }).try_for_each(|arg| {
            let operand = match &arg.node {
                Some(NodeEnum::NamedArgExpr(x)) => x.arg.as_deref(),
                _ => Some(arg),
            };
            self.search_name(operand, by_text, place)
        })
    }

    /// `any`: the server looks up whatever it is, not only what has no type yet.
    fn search_name(&self, operand: Option<&Node>, any: bool, place: Option<u32>) -> Res<()> {
        let catalog = self.cx.catalog;
        let allowed = match operand.and_then(|o| o.node.as_ref()) {
            Some(NodeEnum::AConst(c)) => match &c.val {
                Some(a_const::Val::Sval(text)) => {
                    self.asked.set(true);
                    catalog.may_name_search(&text.sval)
                }
                _ => c.isnull,
            },
            Some(NodeEnum::ParamRef(_)) => !catalog.only_names_search_by_literals(),
            Some(inner) => has_a_type(inner) && (!any || !catalog.only_names_search_by_literals()),
            None => false,
        };
        if allowed {
            return Ok(());
        }
        Err(Refusal::not_understood("this name of a text search object is not supported")
            .hint("Write it as a literal, without a schema or with pg_catalog.")
            .at(place))
    }
}

/// Whether an expression has a type before it is known what it is for. A literal has none, and is read as a name, behind COLLATE too, and as a value
/// of type `unknown` (parse_coerce.c, coerce_type).
fn has_a_type(expr: &NodeEnum) -> bool {
    let known = |names: &[Node]| nodes::names(names).is_some_and(|n| n.last() != Some(&"unknown"));
    match expr {
        NodeEnum::ColumnRef(x) => known(&x.fields),
        NodeEnum::FuncCall(x) => known(&x.funcname),
        NodeEnum::TypeCast(x) => x.type_name.as_ref().is_some_and(|t| known(&t.names)),
        NodeEnum::AExpr(_) | NodeEnum::CaseExpr(_) | NodeEnum::CoalesceExpr(_) | NodeEnum::SubLink(_) => true,
        _ => false,
    }
}
