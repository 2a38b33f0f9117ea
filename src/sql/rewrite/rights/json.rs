//! SQL/JSON: what its expressions read.

use super::names::{Item, Level};
use super::{Res, Walk};
use pg_query::NodeEnum;
use pg_query::protobuf::{JsonAggConstructor, JsonBehavior, JsonKeyValue, JsonTable, JsonValueExpr, Node};

impl Walk<'_> {
    pub(super) fn json(&mut self, node: &NodeEnum) -> Res<()> {
        match node {
            NodeEnum::JsonObjectConstructor(x) => self.exprs(&x.exprs),
            NodeEnum::JsonArrayConstructor(x) => self.exprs(&x.exprs),
            NodeEnum::JsonObjectAgg(x) => {
                x.arg.as_deref().map_or(Ok(()), |pair| self.json_pair(pair))?;
                self.json_aggregate(x.constructor.as_deref())
            }
            NodeEnum::JsonArrayAgg(x) => {
                self.json_value(x.arg.as_deref())?;
                self.json_aggregate(x.constructor.as_deref())
            }
            NodeEnum::JsonKeyValue(x) => self.json_pair(x),
            NodeEnum::JsonValueExpr(x) => self.json_value(Some(x)),
            NodeEnum::JsonArgument(x) => self.json_value(x.val.as_deref()),
            NodeEnum::JsonIsPredicate(x) => self.optional(x.expr.as_deref()),
            NodeEnum::JsonParseExpr(x) => self.json_value(x.expr.as_deref()),
            NodeEnum::JsonScalarExpr(x) => self.optional(x.expr.as_deref()),
            NodeEnum::JsonSerializeExpr(x) => self.json_value(x.expr.as_deref()),
            NodeEnum::JsonFuncExpr(x) => {
                self.json_value(x.context_item.as_deref())?;
                self.optional(x.pathspec.as_deref())?;
                self.exprs(&x.passing)?;
                self.json_behavior(x.on_empty.as_deref())?;
                self.json_behavior(x.on_error.as_deref())
            }
            _ => Err(Self::unknown()),
        }
    }

    fn json_aggregate(&mut self, x: Option<&JsonAggConstructor>) -> Res<()> {
        let x = x.ok_or_else(Self::unknown)?;
        self.exprs(&x.agg_order)?;
        self.optional(x.agg_filter.as_deref())?;
        x.over.as_deref().map_or(Ok(()), |over| self.window(over))
    }

    fn json_pair(&mut self, x: &JsonKeyValue) -> Res<()> {
        self.optional(x.key.as_deref())?;
        self.json_value(x.value.as_deref())
    }

    fn json_value(&mut self, x: Option<&JsonValueExpr>) -> Res<()> {
        x.map_or(Ok(()), |x| self.optional(x.raw_expr.as_deref()))
    }

    fn json_behavior(&mut self, x: Option<&JsonBehavior>) -> Res<()> {
        x.map_or(Ok(()), |x| self.optional(x.expr.as_deref()))
    }

    /// JSON_TABLE, and the columns that it has.
    pub(super) fn json_table(&mut self, x: &JsonTable, level: &mut Level) -> Res<()> {
        let mut columns = Vec::new();
        self.beside(level, |walk| {
            walk.json_value(x.context_item.as_deref())?;
            walk.exprs(&x.passing)?;
            walk.json_behavior(x.on_error.as_deref())?;
            walk.json_columns(&x.columns, &mut columns)
        })?;
        let (name, columns) = super::queries::aliased(x.alias.as_ref(), "json_table", columns);
        level.items.push(Item::rows(&name, columns, false, Vec::new()));
        Ok(())
    }

    fn json_columns(&mut self, all: &[Node], names: &mut Vec<String>) -> Res<()> {
        for column in all {
            let Some(NodeEnum::JsonTableColumn(x)) = &column.node else { return Err(Self::unknown()) };
            names.extend((!x.name.is_empty()).then(|| x.name.clone()));
            self.json_behavior(x.on_empty.as_deref())?;
            self.json_behavior(x.on_error.as_deref())?;
            self.json_columns(&x.columns, names)?;
        }
        Ok(())
    }
}
