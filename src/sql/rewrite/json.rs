//! SQL/JSON: constructors, JSON_VALUE and its kin, and JSON_TABLE in FROM. All of them can fail on a stored value, if only as text becomes JSON.

use super::from::push;
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::newer::{V16, V17};
use crate::sql::scope::{Scope, Thing, Traits};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    JsonAggConstructor, JsonArrayAgg, JsonBehavior, JsonExprOp, JsonFuncExpr, JsonKeyValue, JsonObjectAgg, JsonOutput, JsonTable,
    JsonTableColumn, JsonValueExpr, Node,
};

impl Rewriter<'_> {
    /// An expression of JSON's; anything else is refused.
    pub(super) fn json(&mut self, node: &mut NodeEnum, place: Option<i32>) -> Res<Traits> {
        // The planner may compute none.
        let mut traits = Traits::varying();
        match node {
            NodeEnum::JsonObjectConstructor(x) => {
                self.since("json_object", V16, x.location)?;
                traits.add(self.exprs(&mut x.exprs)?);
                self.json_output(x.output.as_mut())?;
            }
            NodeEnum::JsonArrayConstructor(x) => {
                self.since("json_array", V16, x.location)?;
                traits.add(self.exprs(&mut x.exprs)?);
                self.json_output(x.output.as_mut())?;
            }
            NodeEnum::JsonObjectAgg(x) => traits.add(self.json_object_agg(x)?),
            NodeEnum::JsonArrayAgg(x) => traits.add(self.json_array_agg(x)?),
            NodeEnum::JsonKeyValue(x) => traits.add(self.json_pair(x)?),
            NodeEnum::JsonValueExpr(x) => traits.add(self.json_value(Some(x))?),
            NodeEnum::JsonArgument(x) => traits.add(self.json_value(x.val.as_mut())?),
            NodeEnum::JsonIsPredicate(x) => traits.add(self.json_operand(x.expr.as_mut())?),
            NodeEnum::JsonParseExpr(x) => {
                self.since("json", V17, x.location)?;
                traits.add(self.json_value(x.expr.as_mut())?);
                self.json_output(x.output.as_mut())?;
            }
            NodeEnum::JsonScalarExpr(x) => {
                self.since("json_scalar", V17, x.location)?;
                traits.add(self.json_operand(x.expr.as_mut())?);
                self.json_output(x.output.as_mut())?;
            }
            NodeEnum::JsonSerializeExpr(x) => {
                self.since("json_serialize", V17, x.location)?;
                traits.add(self.json_value(x.expr.as_mut())?);
                self.json_output(x.output.as_mut())?;
            }
            NodeEnum::JsonFuncExpr(x) => traits.add(self.json_function(x)?),
            _ => return Err(self.unknown_at("this expression", place)),
        }
        Ok(traits.raising())
    }

    fn json_function(&mut self, x: &mut JsonFuncExpr) -> Res<Traits> {
        let name = called(x).ok_or_else(|| self.unknown_at("this expression", Some(x.location)))?;
        self.since(name, V17, x.location)?;
        let mut traits = self.json_value(x.context_item.as_mut())?;
        traits.add(self.json_operand(x.pathspec.as_mut())?);
        traits.add(self.exprs(&mut x.passing)?);
        self.json_output(x.output.as_mut())?;
        traits.add(self.json_behavior(x.on_empty.as_mut())?);
        traits.add(self.json_behavior(x.on_error.as_mut())?);
        Ok(traits)
    }

    fn json_object_agg(&mut self, x: &mut JsonObjectAgg) -> Res<Traits> {
        let place = x.constructor.as_ref().map_or(-1, |c| c.location);
        self.since("json_objectagg", V16, place)?;
        self.aggregated += 1;
        let pair = x.arg.as_mut().map_or(Ok(Traits::default()), |pair| self.json_pair(pair));
        self.aggregated -= 1;
        self.json_aggregate(x.constructor.as_mut(), pair?)
    }

    fn json_array_agg(&mut self, x: &mut JsonArrayAgg) -> Res<Traits> {
        let place = x.constructor.as_ref().map_or(-1, |c| c.location);
        self.since("json_arrayagg", V16, place)?;
        self.aggregated += 1;
        let value = self.json_value(x.arg.as_mut());
        self.aggregated -= 1;
        self.json_aggregate(x.constructor.as_mut(), value?)
    }

    /// What aggregates have in common. HAVING does not count them as ones of its level, so that it fences them.
    fn json_aggregate(&mut self, x: Option<&mut Box<JsonAggConstructor>>, mut traits: Traits) -> Res<Traits> {
        let Some(x) = x else { return Err(Refusal::not_understood("this expression is not supported")) };
        self.json_output(x.output.as_mut())?;
        self.sorted_calls += usize::from(!x.agg_order.is_empty());
        self.aggregated += 1;
        let order = self.exprs(&mut x.agg_order);
        let filter = self.optional(x.agg_filter.as_mut());
        self.aggregated -= 1;
        traits.add(order?);
        traits.add(filter?);
        if let Some(over) = x.over.as_mut() {
            traits.add(self.window(over)?);
        }
        traits.aggregates = false;
        Ok(traits)
    }

    fn json_pair(&mut self, x: &mut JsonKeyValue) -> Res<Traits> {
        let mut traits = self.json_operand(x.key.as_mut())?;
        traits.add(self.json_value(x.value.as_mut())?);
        Ok(traits)
    }

    fn json_value(&mut self, x: Option<&mut Box<JsonValueExpr>>) -> Res<Traits> {
        match x {
            None => Ok(Traits::default()),
            Some(x) if x.formatted_expr.is_some() => Err(Refusal::not_understood("this expression is not supported")),
            Some(x) => self.json_operand(x.raw_expr.as_mut()),
        }
    }

    /// A star would be a whole row there.
    fn json_operand(&mut self, operand: Option<&mut Box<Node>>) -> Res<Traits> {
        let star = |n: &Node| match &n.node {
            Some(NodeEnum::ColumnRef(c)) => matches!(c.fields.last().and_then(|f| f.node.as_ref()), Some(NodeEnum::AStar(_))),
            _ => false,
        };
        match operand {
            Some(operand) if star(operand) => Err(self.unknown("a star here", operand)),
            operand => self.optional(operand),
        }
    }

    fn json_output(&mut self, x: Option<&mut JsonOutput>) -> Res<()> {
        x.and_then(|x| x.type_name.as_mut()).map_or(Ok(()), |t| self.type_name(t))
    }

    fn json_behavior(&mut self, x: Option<&mut Box<JsonBehavior>>) -> Res<Traits> {
        x.map_or(Ok(Traits::default()), |x| self.json_operand(x.expr.as_mut()))
    }

    /// JSON_TABLE: like a function in FROM it sees what stands before it, row by row and behind its guards.
    pub(super) fn json_table(&mut self, table: &mut JsonTable, scope: &mut Scope) -> Res<()> {
        self.levels.push(scope.clone());
        let raisings = self.raisings;
        let result = if left_out!(self.cx, FromFunction) { Ok(()) } else { self.json_table_parts(table) };
        // Text becomes JSON, and what is in it values of the columns' types.
        self.raisings += 1;
        let result = result.and_then(|()| self.not_before_parents(raisings, true));
        self.levels.pop();
        result?;
        let name = table.alias.as_ref().map_or("json_table", |a| &a.aliasname).to_owned();
        push(scope, name, Thing::Opaque).map(|_| ())
    }

    fn json_table_parts(&mut self, table: &mut JsonTable) -> Res<()> {
        self.json_value(table.context_item.as_mut())?;
        self.json_path(table.pathspec.as_mut().and_then(|p| p.string.as_mut()))?;
        self.exprs(&mut table.passing)?;
        self.json_behavior(table.on_error.as_mut())?;
        self.json_columns(&mut table.columns)
    }

    /// A path of JSON_TABLE is a literal.
    fn json_path(&mut self, path: Option<&mut Box<Node>>) -> Res<()> {
        match path.map(|p| &p.node) {
            None | Some(Some(NodeEnum::AConst(_))) => Ok(()),
            _ => Err(Refusal::not_understood("a computed path of JSON_TABLE is not supported")),
        }
    }

    fn json_columns(&mut self, columns: &mut [Node]) -> Res<()> {
        for column in columns {
            let Some(NodeEnum::JsonTableColumn(column)) = column.node.as_mut() else {
                return Err(Refusal::not_understood("this column of JSON_TABLE is not supported"));
            };
            self.json_column(column)?;
        }
        Ok(())
    }

    fn json_column(&mut self, x: &mut JsonTableColumn) -> Res<()> {
        x.type_name.as_mut().map_or(Ok(()), |t| self.type_name(t))?;
        self.json_path(x.pathspec.as_mut().and_then(|p| p.string.as_mut()))?;
        self.json_behavior(x.on_empty.as_mut())?;
        self.json_behavior(x.on_error.as_mut())?;
        self.json_columns(&mut x.columns)
    }
}

/// The name that such an expression has as an output column (parse_target.c, FigureColnameInternal).
pub(super) fn label(node: &NodeEnum) -> Option<&'static str> {
    Some(match node {
        NodeEnum::JsonObjectConstructor(_) => "json_object",
        NodeEnum::JsonArrayConstructor(_) => "json_array",
        NodeEnum::JsonObjectAgg(_) => "json_objectagg",
        NodeEnum::JsonArrayAgg(_) => "json_arrayagg",
        NodeEnum::JsonParseExpr(_) => "json",
        NodeEnum::JsonScalarExpr(_) => "json_scalar",
        NodeEnum::JsonSerializeExpr(_) => "json_serialize",
        NodeEnum::JsonFuncExpr(x) => called(x)?,
        _ => return None,
    })
}

/// Which of JSON_EXISTS, JSON_QUERY and JSON_VALUE it is.
fn called(x: &JsonFuncExpr) -> Option<&'static str> {
    match JsonExprOp::try_from(x.op).ok()? {
        JsonExprOp::JsonExistsOp => Some("json_exists"),
        JsonExprOp::JsonQueryOp => Some("json_query"),
        JsonExprOp::JsonValueOp => Some("json_value"),
        _ => None,
    }
}
