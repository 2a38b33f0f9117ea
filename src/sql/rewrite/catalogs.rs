//! References to PostgreSQL's own catalogs: relations become the queries of `sql::catalogs`, names and numbers of objects are looked up or
//! shown only where they may be known.
//!
//! A cast to regclass and its kin is an open question to the server: a literal beside it would be looked up by name. So such a value stands
//! only where it is shown (the outermost target list) or at once cast to something else; beside an operator it is a number.

use super::shape::{filled, fits, is_false, is_plain_scalar, parsed, place_of_named, reg_type, string_of};
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::catalogs::functions::{self, Argument, Template};
use crate::sql::catalogs::{Answer, Form, regtypes};
use crate::sql::nodes;
use crate::sql::scope::Traits;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, Node, RangeSubselect, RangeVar};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Columns of catalogs that are refused, each with its catalog.
const TELLING: &[(&str, &str)] = &[("pg_sequences", "last_value")];

/// How a value that names an object by number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By name, guarded.
    Shown,
    /// As a number.
    Number,
}

/// What the walk knows of the catalogs in its statement.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Catalog relations so far: name in FROM, schema, relation.
    pub(super) items: Vec<(String, &'static str, String)>,
    /// By byte offset in the client's text: values in the outermost target list, and operands.
    pub(super) modes: HashMap<i32, Mode>,
    /// The names by which columns called `tableoid` are qualified; empty of one that is not.
    pub(super) tableoid: BTreeSet<String>,
    pub(super) star: bool,
    /// A column may be worked out anew at each place that names it.
    pub(super) worked_out: bool,
    /// The same within WITH queries.
    pub(super) worked_out_within: bool,
    /// Calls in FROM of functions whose rows name relations, by byte offset.
    pub(super) rows: HashSet<i32>,
    /// The one that is all there is in its statement: `SELECT * FROM f(…)`.
    pub(super) only: Option<i32>,
}

impl Seen {
    /// Has the walk met any of them?
    pub(super) fn any(&self) -> bool {
        !self.items.is_empty()
    }
}

impl Rewriter<'_> {
    /// A relation of PostgreSQL's own: what stands in its place. None if it is none.
    pub(super) fn catalog_relation(&mut self, var: &RangeVar) -> Res<Option<Node>> {
        let Some(schema) = self.cx.catalog.system.schema_of(&var.schemaname, &var.relname) else { return Ok(None) };
        let place = self.at(var.location);
        let name = var.alias.as_ref().map_or(&var.relname, |a| &a.aliasname);
        let tableoid = self.catalogs.tableoid.contains(name) || self.catalogs.tableoid.contains("");
        if tableoid && self.catalogs.star {
            return Err(Refusal::not_understood("a star beside tableoid of a catalog is not supported")
                .hint("Name the columns.")
                .at(place));
        }
        let form = if tableoid { Form::WithTableoid } else { Form::Plain };
        let alias = var.alias.clone().unwrap_or_else(|| pg::Alias { aliasname: var.relname.clone(), colnames: Vec::new() });
        let item = match self.cx.catalog.system.answer(schema, &var.relname, form) {
            None | Some(Answer::Refused) => {
                return Err(Refusal::not_allowed(format!("permission denied for table {}", var.relname))
                    .detail("It would tell of more than this tenant.")
                    .at(place));
            }
            Some(Answer::Open) => {
                let qualified = RangeVar { schemaname: schema.to_owned(), ..var.clone() };
                nodes::node(NodeEnum::RangeVar(qualified))
            }
            Some(Answer::Query(text)) => {
                let subquery = Some(Box::new(parsed(&text)?));
                nodes::node(NodeEnum::RangeSubselect(Box::new(RangeSubselect { lateral: false, subquery, alias: Some(alias.clone()) })))
            }
        };
        self.catalogs.items.push((alias.aliasname, schema, var.relname.clone()));
        Ok(Some(item))
    }

    /// An expression that looks into the catalogs by a name or a number. None if it does not.
    pub(super) fn catalog_expr(&mut self, expr: &mut Node) -> Res<Option<Traits>> {
        match expr.node.as_mut() {
            Some(NodeEnum::FuncCall(call)) => {
                let name = match nodes::names(&call.funcname).unwrap_or_default().as_slice() {
                    [name] | ["pg_catalog", name] => (*name).to_owned(),
                    _ => return Ok(None),
                };
                if name == "pg_typeof" {
                    call.args.iter().for_each(|a| self.mark(Some(a), Mode::Shown));
                    return self.type_of(expr).map(|()| None);
                }
                if name == "current_setting" && self.is_missing_setting(call) {
                    *expr = nodes::cast(nodes::null(), "text");
                    return Ok(Some(Traits::default()));
                }
                if let Some(type_name) = regtypes::looked_up_by(&name) {
                    return self.look_up_call(expr, type_name).map(Some);
                }
                if regtypes::takes_anything(&name) {
                    call.args
                        .iter()
                        .filter(|a| !matches!(a.node, Some(NodeEnum::ColumnRef(_))))
                        .for_each(|a| self.mark(Some(a), Mode::Shown));
                }
                if name == "current_schemas" && call.args.iter().all(is_false) {
                    return Ok(None);
                }
                if name == "current_setting" && !call.args.first().is_some_and(|a| fits(&Argument::Column, a)) {
                    return Ok(None);
                }
                match functions::find(&name) {
                    Some(templates) => self.catalog_call(expr, &name, templates).map(Some),
                    None => self.typed_call(expr, &name),
                }
            }
            Some(NodeEnum::TypeCast(cast)) => match cast.type_name.as_ref().and_then(reg_type) {
                Some(type_name) => self.reg_cast(expr, &type_name).map(Some),
                None => {
                    let inner = cast.arg.as_deref().and_then(place_of_named);
                    if let Some(place) = inner.filter(|_| cast.type_name.as_ref().is_some_and(is_plain_scalar)) {
                        self.catalogs.modes.insert(place, Mode::Shown);
                    }
                    Ok(None)
                }
            },
            Some(NodeEnum::AExpr(x)) => {
                self.mark_operands(x);
                Ok(None)
            }
            Some(NodeEnum::NullTest(x)) => {
                self.mark_alone(x.arg.as_deref());
                Ok(None)
            }
            // What the query gives is compared with a number then, and never looked up.
            Some(NodeEnum::SubLink(x)) => {
                self.mark_test(x);
                Ok(None)
            }
            Some(NodeEnum::ColumnRef(column)) => {
                self.without_schema(column);
                self.named_column(expr)
            }
            _ => Ok(None),
        }
    }

    /// The operands of an operator: what names an object is a number there.
    pub(super) fn mark_operands(&mut self, x: &pg::AExpr) {
        for side in [x.lexpr.as_deref(), x.rexpr.as_deref()].into_iter().flatten() {
            match &side.node {
                Some(NodeEnum::List(list)) => list.items.iter().for_each(|i| self.mark_number(i)),
                _ => self.mark_number(side),
            }
        }
    }

    /// `x IN (SELECT y …)`: both are numbers.
    pub(super) fn mark_test(&mut self, link: &pg::SubLink) {
        self.mark_alone(link.testexpr.as_deref());
        if let Some(NodeEnum::SelectStmt(select)) = link.subselect.as_ref().and_then(|s| s.node.as_ref())
            && link.testexpr.is_some()
        {
            self.mark_numbers(select);
        }
    }

    fn mark_numbers(&mut self, select: &pg::SelectStmt) {
        for target in &select.target_list {
            if let Some(NodeEnum::ResTarget(t)) = &target.node {
                self.mark(t.val.as_deref(), Mode::Number);
            }
        }
        [&select.larg, &select.rarg].into_iter().flatten().for_each(|arm| self.mark_numbers(arm));
    }

    /// What stands there is a number.
    pub(super) fn number_at(&mut self, place: i32) {
        self.catalogs.modes.entry(place).or_insert(Mode::Number);
    }

    /// A catalog that stands in FROM by this name.
    pub(super) fn note_catalog(&mut self, name: &str, relation: &str) {
        self.catalogs.items.push((name.to_owned(), "pg_catalog", relation.to_owned()));
    }

    /// A value beside which stands no literal.
    pub(super) fn mark_alone(&mut self, value: Option<&Node>) {
        value.into_iter().for_each(|v| self.mark_number(v));
    }

    pub(super) fn mark_number(&mut self, value: &Node) {
        if !matches!(value.node, Some(NodeEnum::ColumnRef(_))) {
            self.mark(Some(value), Mode::Number);
        }
    }

    pub(super) fn mode(&self, place: i32) -> Res<Mode> {
        self.catalogs.modes.get(&place).copied().ok_or_else(|| {
            Refusal::not_understood("a value that names an object is not supported here")
                .detail("What stands beside it would be looked up as a name.")
                .hint("Cast it to text or to oid.")
                .at(self.at(place))
        })
    }

    /// `pg_catalog.pg_class.oid`: what stands in FROM now is a subquery, which has no schema.
    fn without_schema(&self, column: &mut pg::ColumnRef) {
        if column.fields.len() == 3
            && let Some([schema, relation]) = nodes::names(&column.fields[..2]).as_deref()
            && self.catalogs.items.iter().any(|(name, s, r)| name == relation && s == schema && r == relation)
        {
            column.fields.remove(0);
        }
    }

    /// A column that names objects by number: in the outermost target list it is shown by name.
    fn named_column(&mut self, expr: &mut Node) -> Res<Option<Traits>> {
        let Some(NodeEnum::ColumnRef(column)) = &expr.node else { return Ok(None) };
        if self.catalogs.items.is_empty() {
            return Ok(None);
        }
        let star = matches!(column.fields.last().and_then(|n| n.node.as_ref()), Some(NodeEnum::AStar(_)));
        let named = &column.fields[..column.fields.len() - usize::from(star)];
        let names = nodes::names(named).unwrap_or_default();
        let system = &self.cx.catalog.system;
        let level: Vec<&str> = self.levels.last().map(|l| l.items.iter().map(|i| i.name.as_str()).collect()).unwrap_or_default();
        let place = self.at(column.location);
        self.tells_of_others(&names, star, &level).map_err(|r| r.at(place))?;
        let numbers = |(_, schema, relation): &&(String, &'static str, String)| {
            system.columns(schema, relation).any(|c| system.names_by_number(schema, relation, c))
        };
        if star {
            let hit = |i: &&(String, &'static str, String)| names.last().map_or(level.contains(&i.0.as_str()), |n| i.0 == **n);
            if self.catalogs.items.iter().filter(hit).any(|i| numbers(&i)) {
                return Err(Refusal::not_understood("a star over this catalog is not supported").hint("Name the columns.").at(place));
            }
            return Ok(None);
        }
        let whole =
            |i: &&(String, &'static str, String)| names.as_slice() == [i.0.as_str()] && !system.columns(i.1, &i.2).any(|c| c == i.0);
        if self.catalogs.items.iter().find(whole).is_some_and(|i| numbers(&i)) {
            return Err(Refusal::not_understood("a whole row of this catalog is not supported").hint("Name the columns.").at(place));
        }
        let Some(field) = names.last() else { return Ok(None) };
        let qualifier = (names.len() > 1).then(|| names[names.len() - 2]);
        let of = |i: &&(String, &'static str, String)| qualifier.is_none_or(|q| q == i.0) && system.names_by_number(i.1, &i.2, field);
        if !self.catalogs.items.iter().any(|i| of(&i)) {
            return Ok(None);
        }
        if self.catalogs.modes.get(&column.location) != Some(&Mode::Shown) {
            return Ok(None);
        }
        let type_name = if *field == "data_type" { "regtype" } else { "regproc" };
        let type_name = if field.ends_with("relid") { "regclass" } else { type_name };
        let text = regtypes::shown(system, type_name).ok_or_else(|| Refusal::not_understood("this column is not supported"))?;
        let operand = [expr.clone()];
        self.once(&text, &operand).map_err(|r| r.at(place))?;
        *expr = filled(&text, &operand)?;
        Ok(Some(Traits::default()))
    }

    /// A column whose value hangs on all tenants' rows; it is NULL where this does not see it.
    fn tells_of_others(&self, names: &[&str], star: bool, level: &[&str]) -> Res<()> {
        let (field, qualifier) = match names {
            _ if star => (None, names.last()),
            [.., qualifier, field] => (Some(*field), Some(qualifier)),
            [field] => (Some(*field), None),
            [] => (None, None),
        };
        for (name, _, relation) in self.catalogs.items.iter().filter(|i| i.1 == "pg_catalog") {
            let Some((_, column)) = TELLING.iter().find(|(r, _)| r == relation) else { continue };
            let meant = qualifier.map_or(!star || level.contains(&name.as_str()), |q| q == name);
            let whole = qualifier.is_none() && field == Some(name);
            if meant && field.is_none_or(|f| f == *column || whole) {
                return Err(Refusal::not_allowed(format!("permission denied for column \"{column}\" of {relation}"))
                    .detail("It tells of all tenants' rows.")
                    .hint("Name other columns."));
            }
        }
        Ok(())
    }

    /// Bare columns of numbers in an inner target list would be shown as such.
    pub(super) fn inner_target(&self, value: &Node) -> Res<()> {
        let Some(NodeEnum::ColumnRef(column)) = &value.node else { return Ok(()) };
        let names = nodes::names(&column.fields).unwrap_or_default();
        let Some(field) = names.last() else { return Ok(()) };
        let system = &self.cx.catalog.system;
        let hit = self.catalogs.items.iter().any(|(name, schema, relation)| {
            (names.len() == 1 || names[names.len() - 2] == name) && system.names_by_number(schema, relation, field)
        });
        if hit && !self.catalogs.modes.contains_key(&column.location) {
            let place = self.at(column.location);
            return Err(Refusal::not_understood("this column in a subquery is not supported").hint("Cast it to oid.").at(place));
        }
        Ok(())
    }

    /// Whether this name in FROM is a catalog with this column.
    pub(super) fn is_catalog_column(&self, relation: &str, column: &str) -> bool {
        let has = |(name, schema, catalog): &(String, &'static str, String)| {
            name == relation && (column == "tableoid" || self.cx.catalog.system.columns(schema, catalog).any(|c| c == column))
        };
        self.catalogs.items.iter().any(has)
    }

    /// `pg_typeof(x)`: its value names a type.
    fn type_of(&mut self, expr: &mut Node) -> Res<()> {
        let Some(NodeEnum::FuncCall(call)) = &expr.node else { return Ok(()) };
        self.mode(call.location).map(|_| ())
    }

    /// A function's value that names an object: a number where it is not shown.
    fn by_number(&self, name: &str, at: i32, text: String) -> Res<String> {
        match name {
            "pg_partition_tree" if !self.catalogs.rows.contains(&at) => {
                Err(Refusal::not_understood(format!("{name} outside of FROM is not supported")).at(self.at(at)))
            }
            "pg_partition_root" | "pg_partition_ancestors" if !self.catalogs.rows.contains(&at) && self.mode(at)? == Mode::Number => {
                Ok(format!("{text}::pg_catalog.oid"))
            }
            _ => Ok(text),
        }
    }

    fn catalog_call(&mut self, expr: &mut Node, name: &str, templates: &'static [Template]) -> Res<Traits> {
        let Some(NodeEnum::FuncCall(call)) = expr.node.as_mut() else { return Ok(Traits::default()) };
        let (at, place) = (call.location, self.at(call.location));
        let plain = call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none() && !call.agg_distinct;
        let fits = templates.iter().find(|t| {
            t.is_variadic() == call.func_variadic
                && t.arguments.len() == call.args.len()
                && t.arguments.iter().zip(&call.args).all(|(a, n)| fits(a, n))
        });
        let Some(template) = fits.filter(|_| plain) else {
            if matches!(name, "pg_database_size" | "pg_tablespace_size") {
                return Err(Refusal::not_allowed(format!("permission denied for function {name}"))
                    .detail("It tells of all tenants' rows.")
                    .at(place));
            }
            return Err(Refusal::not_understood(format!("this form of {name} is not supported")).at(place));
        };
        self.no_hidden_name(name, &call.args)?;
        let mut arguments = std::mem::take(&mut call.args);
        let mut traits = Traits::default();
        for (argument, kind) in arguments.iter_mut().zip(&template.arguments) {
            if kind.is_number() {
                self.mark_number(argument);
            }
            match string_of(argument).filter(|_| kind.named_type().is_some() || *kind == Argument::Table) {
                Some(text) => *argument = self.literal_argument(&text, kind).map_err(|r| r.at(place))?,
                None => traits.add(self.expr(argument)?),
            }
        }
        let text = template.text(&self.cx.catalog.system);
        self.once(&text, &arguments).map_err(|r| r.at(place))?;
        let text = self.by_number(name, at, text)?;
        *expr = filled(&text, &arguments)?;
        Ok(traits.raising())
    }
}
