//! XML: the expressions with a syntax of their own, and XMLTABLE in FROM. All of them can fail on a stored value.
//!
//! What they read is their operands alone: PostgreSQL's parser of XML loads no external entity, from no file and no network (xml.c).

use super::from::push;
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::scope::{Scope, Thing, Traits};
use pg_query::NodeEnum;
use pg_query::protobuf::{RangeTableFunc, RangeTableFuncCol, XmlExpr, XmlExprOp, XmlSerialize};

impl Rewriter<'_> {
    /// `xmlelement(…)`, `xmlforest(…)` and their kin, and `IS DOCUMENT`.
    pub(super) fn xml(&mut self, x: &mut XmlExpr) -> Res<Traits> {
        // The text that is sent could not hold another version.
        let version = x.args.get(1).filter(|_| x.op == XmlExprOp::IsXmlroot as i32);
        if version.is_some_and(|v| !matches!(v.node, Some(NodeEnum::AConst(_)))) {
            return Err(Refusal::not_understood("a computed version of xmlroot is not supported").at(self.at(x.location)));
        }
        // The planner computes none, not even of constants.
        let mut traits = Traits::varying();
        traits.add(self.exprs(&mut x.named_args)?);
        traits.add(self.exprs(&mut x.args)?);
        Ok(traits.raising())
    }

    /// `xmlserialize(… AS type)`
    pub(super) fn xml_serialize(&mut self, x: &mut XmlSerialize) -> Res<Traits> {
        let mut traits = self.optional(x.expr.as_mut())?;
        traits.varies = true;
        let unknown = Refusal::not_understood("this xmlserialize is not supported").at(self.at(x.location));
        self.type_name(x.type_name.as_mut().ok_or(unknown)?)?;
        Ok(traits.raising())
    }

    /// XMLTABLE: like a function in FROM it sees what stands before it, row by row and behind its guards.
    pub(super) fn xml_table(&mut self, table: &mut RangeTableFunc, scope: &mut Scope) -> Res<()> {
        self.levels.push(scope.clone());
        let raisings = self.raisings;
        let result = if left_out!(self.cx, FromFunction) { Ok(()) } else { self.xml_table_parts(table) };
        let result = result.and_then(|()| self.not_before_parents(raisings, true));
        self.levels.pop();
        result?;
        let name = table.alias.as_ref().map_or("xmltable", |a| &a.aliasname).to_owned();
        push(scope, name, Thing::Opaque).map(|_| ())
    }

    fn xml_table_parts(&mut self, table: &mut RangeTableFunc) -> Res<()> {
        let mut traits = self.exprs(&mut table.namespaces)?;
        traits.add(self.optional(table.docexpr.as_mut())?);
        traits.add(self.optional(table.rowexpr.as_mut())?);
        for column in &mut table.columns {
            let Some(NodeEnum::RangeTableFuncCol(column)) = column.node.as_mut() else {
                return Err(Refusal::not_understood("this column of XMLTABLE is not supported"));
            };
            traits.add(self.xml_column(column)?);
        }
        // Text becomes XML, and what is in it values of the columns' types.
        self.raisings += usize::from(!traits.uses.is_empty());
        Ok(())
    }

    fn xml_column(&mut self, column: &mut RangeTableFuncCol) -> Res<Traits> {
        let mut traits = self.optional(column.colexpr.as_mut())?;
        traits.add(self.optional(column.coldefexpr.as_mut())?);
        column.type_name.as_mut().map_or(Ok(()), |t| self.type_name(t))?;
        Ok(traits)
    }
}
