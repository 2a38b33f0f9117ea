//! References to PostgreSQL's own catalogs: relations become the queries of `sql::catalogs`, names and numbers of objects are looked up or
//! shown only where they may be known.
//!
//! A cast to regclass and its kin is an open question to the server: a literal beside it would be looked up by name. So such a value stands
//! only where it is shown (the outermost target list) or at once cast to something else; beside an operator it is a number.

use super::shape::{filled, fits, is_plain_scalar, is_text, once, parsed, place_of_named, reg_type, string_of};
use super::{Res, Rewriter};
use crate::sql::Refusal;
use crate::sql::catalogs::functions::{self, Argument, Template};
use crate::sql::catalogs::{Answer, Form, regtypes};
use crate::sql::nodes;
use crate::sql::scope::Traits;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, Node, RangeSubselect, RangeVar};
use std::collections::{BTreeSet, HashMap};

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
                    return self.type_of(expr).map(|()| None);
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
                if name == "current_setting" && !call.args.first().is_some_and(|a| fits(&Argument::Column, a)) {
                    return Ok(None);
                }
                functions::find(&name).map_or(Ok(None), |templates| self.catalog_call(expr, &name, templates).map(Some))
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
            Some(NodeEnum::ColumnRef(column)) => {
                self.without_schema(column);
                self.named_column(expr)
            }
            _ => Ok(None),
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
        let text = regtypes::shown(system, type_name).ok_or_else(|| Refusal::not_understood("this column is not supported"))?;
        let operand = expr.clone();
        *expr = filled(&text, &[operand])?;
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

    fn reg_cast(&mut self, expr: &mut Node, type_name: &str) -> Res<Traits> {
        let Some(NodeEnum::TypeCast(cast)) = expr.node.as_mut() else { return Ok(Traits::default()) };
        let place = cast.location;
        let mut operand = *cast.arg.take().ok_or_else(|| Refusal::not_understood("a cast of nothing"))?;
        let literal = string_of(&operand);
        // A literal elsewhere is a number like any other.
        let mode = if literal.is_some() { self.catalogs.modes.get(&place).copied().unwrap_or(Mode::Number) } else { self.mode(place)? };
        let system = &self.cx.catalog.system;
        if type_name == "regnamespace" && mode == Mode::Shown && system.own_schema.is_some() {
            return Err(Refusal::not_understood("a value of type regnamespace is not supported here").at(self.at(place)));
        }
        if let Some(text) = literal {
            let (text, by_name) = self.literal(&text, type_name, mode).map_err(|r| r.at(self.at(place)))?;
            let first = if mode == Mode::Shown || by_name { type_name } else { "oid" };
            let mut out = nodes::cast(nodes::text(&text), first);
            if mode == Mode::Number && by_name {
                out = nodes::cast(out, "oid");
            }
            *expr = out;
            return Ok(Traits::default());
        }
        let unsupported = || Refusal::not_understood(format!("a cast of this expression to {type_name} is not supported"));
        let texts = is_text(&operand);
        let text = match (texts, mode) {
            (true, mode) => regtypes::looked_up(system, type_name, mode == Mode::Number, false),
            (false, Mode::Shown) => regtypes::shown(system, type_name),
            (false, Mode::Number) => regtypes::set_of(type_name).map(|_| "$1::pg_catalog.oid".to_owned()),
        };
        let text = text.ok_or_else(|| unsupported().at(self.at(place)))?;
        self.mark_number(&operand);
        let traits = self.expr(&mut operand)?;
        once(&text, 0, &operand).map_err(|r| r.at(self.at(place)))?;
        *expr = filled(&text, &[operand])?;
        Ok(traits.raising())
    }

    /// What a literal becomes, and whether it is still a name.
    fn literal(&self, text: &str, type_name: &str, mode: Mode) -> Res<(String, bool)> {
        let catalog = self.cx.catalog;
        if regtypes::is_number(text) || text == "-" {
            let number =
                if text == "-" { 0 } else { text.parse().map_err(|_| Refusal::with_state("22003", "value out of range for type oid"))? };
            let known = regtypes::set_of(type_name).is_some_and(|set| catalog.system.known.has(set, number));
            return if known || mode == Mode::Number {
                Ok((number.to_string(), false))
            } else {
                Err(Refusal::not_understood("an object by this number is not supported"))
            };
        }
        let absent = |state, what: &str| Refusal::with_state(state, format!("{what} \"{text}\" does not exist"));
        match type_name {
            "regclass" => {
                catalog.resolve_relation(text).map(|(oid, _, _)| (oid.to_string(), false)).ok_or_else(|| absent("42P01", "relation"))
            }
            "regnamespace" => catalog.resolve_namespace(text).map(|oid| (oid.to_string(), false)).ok_or_else(|| absent("3F000", "schema")),
            "regtype" => catalog.resolve_type(text).map(|t| (t, true)).ok_or_else(|| absent("42704", "type")),
            "regproc" => catalog.resolve_function(text, false).map(|t| (t, true)).ok_or_else(|| absent("42883", "function")),
            "regprocedure" => catalog.resolve_function(text, true).map(|t| (t, true)).ok_or_else(|| absent("42883", "function")),
            _ => Err(Refusal::not_understood(format!("a literal of type {type_name} is not supported"))),
        }
    }

    fn look_up_call(&mut self, expr: &mut Node, type_name: &str) -> Res<Traits> {
        let Some(NodeEnum::FuncCall(call)) = expr.node.as_mut() else { return Ok(Traits::default()) };
        let place = call.location;
        let [operand] = call.args.as_mut_slice() else {
            return Err(Refusal::no_function(&format!("to_{type_name}(…)")).at(self.at(place)));
        };
        let mut operand = std::mem::take(operand);
        let mode = self.mode(place)?;
        let traits = self.expr(&mut operand)?;
        let text = regtypes::looked_up(&self.cx.catalog.system, type_name, mode == Mode::Number, true)
            .ok_or_else(|| Refusal::not_understood("this call is not supported"))?;
        once(&text, 0, &operand).map_err(|r| r.at(self.at(place)))?;
        *expr = filled(&text, &[operand])?;
        Ok(traits.raising())
    }

    fn catalog_call(&mut self, expr: &mut Node, name: &str, templates: &'static [Template]) -> Res<Traits> {
        let Some(NodeEnum::FuncCall(call)) = expr.node.as_mut() else { return Ok(Traits::default()) };
        let place = self.at(call.location);
        let plain =
            call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none() && !call.agg_distinct && !call.func_variadic;
        let fits =
            templates.iter().find(|t| t.arguments.len() == call.args.len() && t.arguments.iter().zip(&call.args).all(|(a, n)| fits(a, n)));
        let Some(template) = fits.filter(|_| plain) else {
            if matches!(name, "pg_database_size" | "pg_tablespace_size") {
                return Err(Refusal::not_allowed(format!("permission denied for function {name}"))
                    .detail("It tells of all tenants' rows.")
                    .at(place));
            }
            return Err(Refusal::not_understood(format!("this form of {name} is not supported")).at(place));
        };
        self.no_hidden_sequence(name, &call.args)?;
        let mut arguments = std::mem::take(&mut call.args);
        let mut traits = Traits::default();
        for (argument, kind) in arguments.iter_mut().zip(&template.arguments) {
            if matches!(kind, Argument::Oid | Argument::Relation | Argument::Namespace) {
                self.mark_number(argument);
            }
            match string_of(argument).filter(|_| matches!(kind, Argument::Relation | Argument::Namespace | Argument::Table)) {
                Some(text) => *argument = nodes::text(&self.literal_argument(&text, kind).map_err(|r| r.at(place))?),
                None => traits.add(self.expr(argument)?),
            }
        }
        let text = template.text(&self.cx.catalog.system);
        for (index, argument) in arguments.iter().enumerate() {
            once(&text, index, argument).map_err(|r| r.at(place))?;
        }
        *expr = filled(&text, &arguments)?;
        Ok(traits.raising())
    }

    fn literal_argument(&self, text: &str, kind: &Argument) -> Res<String> {
        let catalog = self.cx.catalog;
        if regtypes::is_number(text) && *kind != Argument::Table {
            return Ok(text.to_owned());
        }
        let no_relation = || Refusal::with_state("42P01", format!("relation \"{text}\" does not exist"));
        match kind {
            Argument::Relation => catalog.resolve_relation(text).map(|(oid, _, _)| oid.to_string()).ok_or_else(no_relation),
            Argument::Table => {
                let (_, schema, name) = catalog.resolve_relation(text).ok_or_else(no_relation)?;
                Ok(format!("{}.{}", crate::sql::catalogs::quote_name(&schema), crate::sql::catalogs::quote_name(&name)))
            }
            _ => catalog
                .resolve_namespace(text)
                .map(|oid| oid.to_string())
                .ok_or_else(|| Refusal::with_state("3F000", format!("schema \"{text}\" does not exist"))),
        }
    }
}
