//! Expressions: each node kind that passes stands here by name; the rest is refused.

use super::shape::{compares_rows, is_row, plain_pattern};
use super::{Res, Rewriter, free, from};
use crate::sql::catalogs::search;
use crate::sql::private::TEMP;
use crate::sql::scope::{Traits, Use, is_past_a_namesake, passes_a_namesake};
use crate::sql::{Refusal, functions, newer, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, AIndirection, CaseExpr, ColumnRef, Node, SubLink, SubLinkType, TypeCast, TypeName, WindowDef};

impl Rewriter<'_> {
    /// Rewrites an expression in place; says which columns it reads and whether it can raise on them.
    pub(super) fn expr(&mut self, expr: &mut Node) -> Res<Traits> {
        let (column, call) = (matches!(expr.node, Some(NodeEnum::ColumnRef(_))), matches!(expr.node, Some(NodeEnum::FuncCall(_))));
        let meets = self.meets_collations(expr);
        let mut traits = self.any_expr(expr)?;
        if meets {
            traits = traits.raising();
        }
        self.distance(expr, &traits)?;
        self.raisings += usize::from(traits.raises());
        if column || (call && traits.uses.contains(&Use::Any)) {
            self.reads.extend(traits.uses.iter().filter(|_| self.sublinks > 0).cloned());
        }
        Ok(traits)
    }

    fn any_expr(&mut self, expr: &mut Node) -> Res<Traits> {
        let nameless = std::mem::take(&mut self.nameless);
        if let Some(traits) = self.replaced(expr)? {
            return Ok(traits);
        }
        let place = nodes::location(expr);
        let Some(inner) = expr.node.as_mut() else { return Ok(Traits::default()) };
        match inner {
            NodeEnum::ColumnRef(column) => {
                self.referred(column)?;
                self.column(column, nameless)
            }
            NodeEnum::ParamRef(parameter) => self.parameter(parameter.number).map(|()| Traits::varying()),
            NodeEnum::SqlvalueFunction(_) => Ok(Traits::varying()),
            NodeEnum::AConst(_) | NodeEnum::AStar(_) | NodeEnum::String(_) | NodeEnum::Integer(_) => Ok(Traits::default()),
            NodeEnum::AExpr(operation) => self.operation(operation),
            NodeEnum::BoolExpr(x) => self.exprs(&mut x.args),
            NodeEnum::FuncCall(call) => self.call(call),
            NodeEnum::TypeCast(x) => self.cast(x),
            NodeEnum::CaseExpr(x) => self.case(x),
            NodeEnum::CaseWhen(x) => {
                let mut traits = self.optional(x.expr.as_mut())?;
                traits.add(self.optional(x.result.as_mut())?);
                Ok(traits)
            }
            NodeEnum::SubLink(link) => self.sublink(link),
            NodeEnum::NullTest(x) => {
                self.values_alone(x.arg.as_deref());
                self.optional(x.arg.as_mut())
            }
            NodeEnum::BooleanTest(x) => self.optional(x.arg.as_mut()),
            NodeEnum::AIndirection(x) => self.indirection(x),
            NodeEnum::AArrayExpr(x) => self.array(x),
            NodeEnum::RowExpr(x) => self.row_parts(&mut x.args),
            NodeEnum::CoalesceExpr(x) => self.exprs(&mut x.args).map(|traits| self.converted(traits, &x.args)),
            NodeEnum::MinMaxExpr(x) => {
                let shapes = self.may_be_shapes(&x.args);
                let traits = self.exprs(&mut x.args).map(|traits| self.converted(traits, &x.args))?;
                Ok(if shapes { traits.raising() } else { traits })
            }
            NodeEnum::List(x) => self.no_own_star(&x.items).and_then(|()| self.exprs(&mut x.items)),
            NodeEnum::GroupingFunc(x) => self.exprs(&mut x.args),
            NodeEnum::GroupingSet(x) => self.exprs(&mut x.content),
            NodeEnum::SortBy(x) => {
                if !x.use_op.is_empty() {
                    self.operator_name(&x.use_op, x.location)?;
                }
                self.optional(x.node.as_mut())
            }
            NodeEnum::NamedArgExpr(x) => self.optional(x.arg.as_mut()),
            NodeEnum::CollateClause(x) => {
                collation(&x.collname)?;
                let sure = functions::is_sure_collation(&nodes::names(&x.collname).unwrap_or_default());
                let mut traits = self.optional(x.arg.as_mut())?;
                // What fails is the comparison around it, with whatever column stands on its other side.
                traits.raising.extend((!sure && !left_out!(self.cx, ChosenCollation)).then_some(Use::Any));
                Ok(traits)
            }
            NodeEnum::ResTarget(x) if x.indirection.is_empty() => {
                x.val.as_ref().map_or(Ok(()), |v| self.inner_target(v))?;
                self.target_value(x.val.as_mut())
            }
            NodeEnum::WindowDef(x) => self.window(x),
            NodeEnum::MergeSupportFunc(x) => self.since("merge_action", newer::V17, x.location).map(|()| Traits::varying()),
            NodeEnum::XmlExpr(x) => self.xml(x),
            NodeEnum::XmlSerialize(x) => self.xml_serialize(x),
            json => self.json(json, place),
        }
    }

    /// What is another expression in the final text.
    fn replaced(&mut self, expr: &mut Node) -> Res<Option<Traits>> {
        if self.schema_expr(expr) {
            return Ok(Some(Traits::default()));
        }
        if let Some(traits) = self.catalog_expr(expr)? {
            return Ok(Some(traits));
        }
        // Rows of other types cannot be compared.
        Ok(self.whole_row(expr).map(|used| Traits { uses: vec![used], ..Traits::default() }.raising()))
    }

    /// A column by the name that it has in the final text.
    fn referred(&mut self, column: &mut ColumnRef) -> Res<()> {
        self.column_of_subquery(column);
        self.system_column(column)?;
        self.column_schema(column)
    }

    fn case(&mut self, x: &mut CaseExpr) -> Res<Traits> {
        let row = x.arg.as_deref().is_some_and(is_row);
        let quiet = x.arg.is_none() || (self.implicit_operators(&["="])? && !row && !self.compares_shapes(x));
        let mut traits = self.optional(x.arg.as_mut())?;
        traits.add(self.exprs(&mut x.args)?);
        traits.add(self.optional(x.defresult.as_mut())?);
        let (whens, results) = nodes::arms(x);
        let traits = self.converted(self.converted(traits, &whens), &results);
        Ok(if quiet { traits } else { traits.raising() })
    }

    fn cast(&mut self, x: &mut TypeCast) -> Res<Traits> {
        let place = x.location;
        let type_name = x.type_name.as_mut().ok_or_else(|| self.unknown_at("this expression", Some(place)))?;
        let text = nodes::names(&type_name.names).is_some_and(|n| n.last() == Some(&"text")) && type_name.array_bounds.is_empty();
        let quiet = text && !self.cx.catalog.hazards.casts;
        if quiet {
            self.values_alone(x.arg.as_deref());
        }
        let mut traits = self.optional(x.arg.as_mut())?;
        traits.varies |= !self.is_made_while_planning(x.arg.as_deref(), type_name);
        if !self.search_cast(x.arg.as_deref(), type_name)? {
            self.type_name(type_name)?;
        }
        Ok(if quiet { traits } else { traits.raising() })
    }

    /// A list of expressions.
    pub(super) fn exprs(&mut self, list: &mut [Node]) -> Res<Traits> {
        let mut traits = Traits::default();
        for item in list {
            traits.add(self.expr(item)?);
        }
        Ok(traits)
    }

    /// An expression that may be absent.
    pub(super) fn optional(&mut self, expr: Option<&mut Box<Node>>) -> Res<Traits> {
        expr.map_or(Ok(Traits::default()), |e| self.expr(e))
    }

    fn parameter(&mut self, number: i32) -> Res<()> {
        let number = u16::try_from(number).ok().filter(|n| *n > 0 && self.cx.parameters);
        let Some(number) = number else { return Err(Refusal::with_state("42P02", "there is no parameter of this number")) };
        self.client_params = self.client_params.max(number);
        self.seen.push(number);
        Ok(())
    }

    fn column(&self, column: &ColumnRef, nameless: bool) -> Res<Traits> {
        let place = self.at(column.location);
        let star = matches!(column.fields.last().and_then(|n| n.node.as_ref()), Some(NodeEnum::AStar(_)));
        let named = if star { &column.fields[..column.fields.len() - 1] } else { &column.fields[..] };
        let names = nodes::names(named).ok_or_else(|| Refusal::not_understood("this column reference is not supported").at(place))?;
        self.visible(&names, star, place)?;
        let (table, past) = match (names.as_slice(), star) {
            ([schema, table, _], false) | ([schema, table], true) => (*table, is_past_a_namesake(&self.levels, schema, table)),
            _ => ("", false),
        };
        if past && self.cx.catalog.home.schema().is_none() && !left_out!(self.cx, Namesake) {
            return Err(Refusal::not_understood(format!("\"{table}\" with its schema may be another table than the nearest of that name"))
                .hint("Give the two different aliases, and write columns with these.")
                .at(place));
        }
        let used = match (names.as_slice(), star) {
            // It stands for columns of its own level.
            ([], true) => Use::Beside,
            ([name], false) => {
                if !nameless {
                    self.own_names(name, place)?;
                }
                self.tells_no_lock(None, name, place)?;
                if passes_a_namesake(&self.levels, name) && !left_out!(self.cx, Namesake) {
                    return Err(Refusal::not_understood(format!(
                        "column \"{name}\" may be of a table behind a nearer one of the same name"
                    ))
                    .hint("Give the two different aliases, or write the column with its table's.")
                    .at(place));
                }
                Use::Bare((*name).to_owned())
            }
            ([relation], true) => Use::Of((*relation).to_owned()),
            ([relation, field] | [_, relation, field], false) => {
                let call = self.field(field, Some(relation), place)?;
                let traits = Traits { uses: vec![Use::Of((*relation).to_owned())], ..Traits::default() };
                return Ok(if call || !self.is_stored(&names, star) { traits.raising() } else { traits });
            }
            ([_, relation], true) => Use::Of((*relation).to_owned()),
            _ => return Err(Refusal::not_understood("cross-database references are not supported").at(place)),
        };
        let traits = Traits { uses: vec![used], ..Traits::default() };
        Ok(if self.is_stored(&names, star) { traits } else { traits.raising() })
    }

    /// The operand of IS NULL, or of a cast to text: a whole row's values come out, not the names of its columns.
    pub(super) fn values_alone(&mut self, operand: Option<&Node>) {
        self.nameless = operand.is_some_and(|n| matches!(n.node, Some(NodeEnum::ColumnRef(_))));
    }

    /// `x IS DISTINCT FROM NULL` is as good as `x IS NOT NULL`.
    pub(super) fn told_from_null(&mut self, x: &AExpr) {
        let null = |n: &Node| matches!(&n.node, Some(NodeEnum::AConst(c)) if c.isnull);
        let distinct = x.kind == AExprKind::AexprDistinct as i32 || x.kind == AExprKind::AexprNotDistinct as i32;
        if distinct && x.rexpr.as_deref().is_some_and(null) {
            self.values_alone(x.lexpr.as_deref());
        }
    }

    fn indirection(&mut self, x: &mut AIndirection) -> Res<Traits> {
        let mut row = None;
        if let Some(NodeEnum::ColumnRef(column)) = x.arg.as_ref().and_then(|a| a.node.as_ref()) {
            self.column(column, true)?;
            row = nodes::names(&column.fields).filter(|n| n.len() == 1).and_then(|n| n.first().map(|n| (*n).to_owned()));
        }
        let mut traits = self.optional(x.arg.as_mut())?;
        traits.varies = true;
        for step in &mut x.indirection {
            match step.node.as_mut() {
                Some(NodeEnum::String(name)) => {
                    let call = self.field(&name.sval, row.take().as_deref(), None)?;
                    traits = if call { traits.raising() } else { traits };
                }
                Some(NodeEnum::AStar(_)) => {}
                Some(NodeEnum::AIndices(index)) => {
                    traits.add(self.optional(index.lidx.as_mut())?);
                    traits.add(self.optional(index.uidx.as_mut())?);
                    traits = traits.raising();
                    // It costs nothing, and fails where the array is of a fixed length, as `name` is.
                    traits.raising.extend((index.is_slice && !left_out!(self.cx, Arrays)).then_some(Use::Any));
                }
                _ => return Err(Refusal::not_understood("this subscript is not supported")),
            }
        }
        Ok(traits)
    }

    fn operation(&mut self, x: &mut AExpr) -> Res<Traits> {
        self.told_from_null(x);
        self.resolve_beside(x)?;
        let span = free::span_from_now(x);
        // Of another text of this shape it may not be true.
        self.asked.set(self.asked.get() || span.is_some());
        let short = span == Some(true);
        let mut traits = self.optional(x.lexpr.as_mut())?;
        traits.add(self.optional(x.rexpr.as_mut())?);
        traits.varies |= self.is_late_operator(x);
        Ok(if short || self.is_quiet(x)? { traits } else { traits.raising() })
    }

    /// Whether an operation itself never raises on a stored value. Errors: it is not PostgreSQL's own.
    pub(super) fn is_quiet(&self, x: &AExpr) -> Res<bool> {
        let meets = self.collations && [&x.lexpr, &x.rexpr].into_iter().all(|side| side.as_deref().is_some_and(super::collations::brings));
        Ok(!meets
            && !self.meets_other_array(x)
            && self.is_quiet_operation(x)?
            && self.compares_alike([x.lexpr.as_deref(), x.rexpr.as_deref()]))
    }

    fn is_quiet_operation(&self, x: &AExpr) -> Res<bool> {
        let kind = AExprKind::try_from(x.kind).unwrap_or(AExprKind::Undefined);
        if matches!(kind, AExprKind::AexprBetween | AExprKind::AexprNotBetween | AExprKind::AexprBetweenSym | AExprKind::AexprNotBetweenSym)
        {
            let shapes = [&x.lexpr, &x.rexpr].into_iter().flatten().any(|side| self.may_be_shape(side));
            return Ok(self.implicit_operators(&["<", ">", "<=", ">="])? && !shapes);
        }
        let name = self.operator_name(&x.name, x.location)?;
        if compares_rows(x) || self.is_whole_row(x.lexpr.as_deref()) || self.is_whole_row(x.rexpr.as_deref()) {
            return Ok(false);
        }
        if [&x.lexpr, &x.rexpr].into_iter().flatten().any(|side| self.may_be_shape(side)) {
            return Ok(false);
        }
        let pattern_is_plain = x.rexpr.as_ref().is_some_and(|r| plain_pattern(r));
        Ok(match kind {
            AExprKind::AexprOp | AExprKind::AexprOpAny | AExprKind::AexprOpAll => self.quiet_operator(&name),
            AExprKind::AexprLike | AExprKind::AexprIlike => {
                pattern_is_plain && !self.cx.catalog.operators.contains(&name) && self.takes_any_collation(&name)
            }
            AExprKind::AexprIn | AExprKind::AexprDistinct | AExprKind::AexprNotDistinct | AExprKind::AexprNullif => {
                !self.cx.catalog.operators.contains(&name)
            }
            AExprKind::AexprSimilar => false,
            _ => return Err(Refusal::not_understood("this operator is not supported").at(self.at(x.location))),
        })
    }

    /// The bare name of an operator that is PostgreSQL's own, or calls listed functions only.
    pub(super) fn operator_name(&self, name: &[Node], location: i32) -> Res<String> {
        let names = nodes::names(name).unwrap_or_default();
        let bare = match names.as_slice() {
            [bare] if self.cx.catalog.operators.contains(*bare) => *bare,
            [bare] if !self.cx.catalog.user_operators.contains(*bare) && functions::find_operator(bare).is_some() => *bare,
            [schema, bare] if *schema != "pg_catalog" && self.cx.catalog.operators.contains(*bare) => *bare,
            ["pg_catalog", bare] if functions::find_operator(bare).is_some() => *bare,
            _ => {
                let shown = names.last().copied().unwrap_or("?");
                return Err(Refusal::with_state("42883", format!("operator does not exist: {shown}")).at(self.at(location)));
            }
        };
        Ok(bare.to_owned())
    }

    /// Can this operator not fail on any stored value?
    pub(super) fn quiet_operator(&self, operator: &str) -> bool {
        if self.cx.catalog.operators.contains(operator) || !self.takes_any_collation(operator) {
            return false;
        }
        match functions::find_operator(operator) {
            Some(functions::Operator::Quiet) => true,
            Some(functions::Operator::Json) => !self.cx.catalog.has_json && !self.loose,
            Some(functions::Operator::Raises) | None => false,
        }
    }

    /// Operators that PostgreSQL looks up by name where the client wrote none (CASE x WHEN, BETWEEN); whether they are its own.
    pub(super) fn implicit_operators(&self, names: &[&str]) -> Res<bool> {
        names.iter().try_for_each(|name| self.operator_name(&[nodes::string(name)], -1).map(|_| ()))?;
        Ok(!names.iter().any(|name| self.cx.catalog.operators.contains(*name)))
    }

    /// The same where they run on rows that no guard has seen yet (USING, CYCLE): none of them calls an application's function.
    pub(super) fn own_operators(&self, names: &[&str]) -> Res<()> {
        if self.implicit_operators(names)? {
            return Ok(());
        }
        Err(Refusal::not_understood("USING, NATURAL and CYCLE are not supported where the application has operators of that name"))
    }

    pub(super) fn sublink(&mut self, link: &mut SubLink) -> Res<Traits> {
        let alone = std::mem::take(&mut self.alone);
        let mut traits = self.optional(link.testexpr.as_mut())?;
        let name = if link.oper_name.is_empty() { "=".to_owned() } else { self.operator_name(&link.oper_name, link.location)? };
        let uncompared = [SubLinkType::ExistsSublink, SubLinkType::ExprSublink, SubLinkType::ArraySublink];
        let converts = self.conversions.wanted && !uncompared.iter().any(|kind| link.sub_link_type == *kind as i32);
        let fails = converts || !self.quiet_operator(&name) || self.test_fails(link);
        let Some(NodeEnum::SelectStmt(select)) = link.subselect.as_mut().and_then(|s| s.node.as_mut()) else {
            return Err(Refusal::not_understood("this kind of subquery is not supported").at(self.at(link.location)));
        };
        traits.uses.push(Use::Beside);
        let (mut early, mut late) = (false, false);
        if !left_out!(self.cx, Sublink) {
            let raisings = self.raisings;
            let reads = self.reads.len();
            self.sublinks += 1;
            let output = self.select(select)?;
            self.sublinks -= 1;
            traits.uses.extend(self.reads[reads..].iter().cloned());
            // PostgreSQL makes a join of it, and of what it gives a condition at its scans.
            let joins = link.sub_link_type == SubLinkType::AnySublink as i32;
            if joins && (fails || output.raises()) && !left_out!(self.cx, AnyBarrier) {
                from::barrier(select);
            }
            early = self.early_subquery(raisings);
            // It is run only once a row needs it, and then what fails in it tells that there is such a row.
            let tells = self.reads[reads..].contains(&Use::Any);
            // One that is no condition of its own fails, locks or takes its time for such a row, whatever is in it.
            late = (!alone || (tells && self.raisings != raisings)) && !left_out!(self.cx, LazySublink);
            // More than one row is an error.
            self.raisings += usize::from(link.sub_link_type == SubLinkType::ExprSublink as i32);
        }
        if late {
            // Its cost is nothing, and what asks for it may be a condition of any level.
            traits.raising.push(Use::Any);
        }
        if converts || early || (fails && link.testexpr.is_some()) {
            traits = traits.raising();
        }
        if link.sub_link_type == SubLinkType::CteSublink as i32 || link.sub_link_type == SubLinkType::MultiexprSublink as i32 {
            return Err(Refusal::not_understood("this kind of subquery is not supported").at(self.at(link.location)));
        }
        Ok(traits)
    }

    pub(super) fn window(&mut self, window: &mut WindowDef) -> Res<Traits> {
        self.sorted_calls += 1;
        let mut traits = self.exprs(&mut window.partition_clause)?;
        traits.add(self.exprs(&mut window.order_clause)?);
        traits.add(self.optional(window.start_offset.as_mut())?);
        traits.add(self.optional(window.end_offset.as_mut())?);
        Ok(traits)
    }

    fn is_user_type(&self, schema: &str, name: &str) -> bool {
        let catalog = self.cx.catalog;
        catalog.home.meant(schema).is_some_and(|schema| catalog.types.get(name).is_some_and(|s| s == schema))
    }

    /// Why a name is that of no type. Values of a lasting table's row type are none that the wall knows: a text becomes one by the input functions of
    /// all its columns, also of a hidden one.
    fn no_type(&self, names: &[&str]) -> Refusal {
        let listed = match names {
            [name] => self.cx.catalog.find("", name),
            [schema, name] => self.cx.catalog.find(schema, name),
            _ => None,
        };
        match listed {
            Some(relation) => Refusal::not_understood(format!("values of the row type of \"{}\" are not supported", relation.name))
                .hint("Name the columns: jsonb_to_record(…) AS t(id int, …), or CAST each by itself."),
            None => Refusal::with_state("42704", format!("type \"{}\" does not exist", names.join("."))),
        }
    }

    /// Checks a type's name; a user's own type is qualified in place.
    pub(super) fn type_name(&mut self, type_name: &mut TypeName) -> Res<()> {
        let place = self.at(type_name.location);
        let names = nodes::names(&type_name.names).unwrap_or_default();
        self_contained(type_name).map_err(|r| r.at(place))?;
        match names.as_slice() {
            names if search::is_search_type(names) && self.cx.catalog.only_names_search_by_literals() => {
                Err(Refusal::not_understood("a value of this type is not supported here").at(place))
            }
            // The rows of a temporary table; its name stands before any other.
            [name] | [TEMP, name] if self.cx.private.temps.row_type(name).is_some() => {
                self.private = true;
                type_name.names = vec![nodes::string(TEMP), nodes::string(name)];
                Ok(())
            }
            ["pg_catalog", name] if functions::is_type(name) => Ok(()),
            ["information_schema", name] if functions::is_information_domain(name) => Ok(()),
            [name] if self.cx.catalog.types.contains_key(*name) && left_out!(self.cx, OwnType) => Ok(()),
            [name] if self.cx.catalog.types.contains_key(*name) => {
                let qualified = vec![nodes::string(&self.cx.catalog.types[*name]), nodes::string(name)];
                type_name.names = qualified;
                Ok(())
            }
            [name] if functions::is_type(name.strip_prefix('_').unwrap_or(name)) => Ok(()),
            [schema, name] if self.is_user_type(schema, name) => {
                let schema = self.cx.catalog.types[*name].clone();
                type_name.names = vec![nodes::string(&schema), nodes::string(name)];
                Ok(())
            }
            _ => Err(self.no_type(&names).at(place)),
        }
    }
}

fn self_contained(type_name: &TypeName) -> Res<()> {
    let plain = !type_name.pct_type && !type_name.setof && type_name.typmods.iter().all(|m| matches!(m.node, Some(NodeEnum::AConst(_))));
    if plain { Ok(()) } else { Err(Refusal::not_understood("this form of a type name is not supported")) }
}

/// COLLATE of a built-in collation.
fn collation(name: &[Node]) -> Res<()> {
    match nodes::names(name).unwrap_or_default().as_slice() {
        [_] | ["pg_catalog", _] => Ok(()),
        _ => Err(Refusal::not_understood("this collation is not supported")),
    }
}
