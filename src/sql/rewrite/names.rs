//! Names of objects as text: a cast to regclass and its kin, a call of to_regclass and its kin, a literal where a number is wanted.
//!
//! The wall resolves a literal itself. What is computed is looked up by the server and counts only where it is one that may be known; not where a
//! text may name types besides (`f(secret)`), for those fail where they are not there.

use super::catalogs::Mode;
use super::shape::{filled, is_text, reg_type, string_of};
use super::{Res, Rewriter};
use crate::sql::catalogs::functions::Argument;
use crate::sql::catalogs::{quote_name, quote_text, regtypes};
use crate::sql::scope::Traits;
use crate::sql::{Refusal, functions, nodes, settings};
use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, FuncCall, Node, a_const};

impl Rewriter<'_> {
    pub(super) fn reg_cast(&mut self, expr: &mut Node, type_name: &str) -> Res<Traits> {
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
        if let Some(text) = literal.filter(|text| type_name != "regrole" || regtypes::is_number(text) || text == "-") {
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
        let texts = is_text(&operand) || string_of(&operand).is_some();
        let text = match (texts, mode) {
            (true, mode) => regtypes::looked_up(system, type_name, mode == Mode::Number, false),
            (false, Mode::Shown) => regtypes::shown(system, type_name),
            (false, Mode::Number) => regtypes::set_of(type_name).map(|_| "$1::pg_catalog.oid".to_owned()),
        };
        let text = text.ok_or_else(|| unsupported().at(self.at(place)))?;
        self.mark_number(&operand);
        let traits = self.expr(&mut operand)?;
        let operand = [operand];
        self.once(&text, &operand).map_err(|r| r.at(self.at(place)))?;
        *expr = filled(&text, &operand)?;
        Ok(traits.raising())
    }

    /// What a literal becomes, and whether it is still a name.
    fn literal(&self, text: &str, type_name: &str, mode: Mode) -> Res<(String, bool)> {
        let catalog = self.cx.catalog;
        if regtypes::is_number(text) || text == "-" {
            let number =
                if text == "-" { 0 } else { text.parse().map_err(|_| Refusal::with_state("22003", "value out of range for type oid"))? };
            let known = regtypes::set_of(type_name).is_some_and(|set| set != "role" && catalog.system.known.has(set, number));
            return if known || mode == Mode::Number {
                Ok((number.to_string(), false))
            } else {
                Err(Refusal::not_understood("an object by this number is not supported"))
            };
        }
        let by_name = !matches!(type_name, "regclass" | "regnamespace");
        catalog.resolve_named(text, type_name).map(|found| (found, by_name)).ok_or_else(|| absent(text, type_name))
    }

    /// `to_regclass(x)` and its kin.
    pub(super) fn look_up_call(&mut self, expr: &mut Node, type_name: &str) -> Res<Traits> {
        let Some(NodeEnum::FuncCall(call)) = expr.node.as_mut() else { return Ok(Traits::default()) };
        let place = call.location;
        let [operand] = call.args.as_mut_slice() else {
            return Err(Refusal::no_function(&format!("to_{type_name}(…)")).at(self.at(place)));
        };
        let mut operand = std::mem::take(operand);
        let mode = self.mode(place)?;
        let system = &self.cx.catalog.system;
        if type_name == "regnamespace" && system.own_schema.is_some() {
            return Err(Refusal::not_understood("this call is not supported").at(self.at(place)));
        }
        if let Some(text) = string_of(&operand).filter(|_| !matches!(type_name, "regclass" | "regrole")) {
            let found = self.cx.catalog.resolve_named(&text, type_name);
            *expr = filled(&regtypes::named(type_name, found.as_deref(), mode == Mode::Number), &[])?;
            return Ok(Traits::default());
        }
        let traits = self.expr(&mut operand)?;
        let text = regtypes::looked_up(&self.cx.catalog.system, type_name, mode == Mode::Number, true)
            .ok_or_else(|| Refusal::not_understood(format!("to_{type_name} of a computed name is not supported")).at(self.at(place)))?;
        let operand = [operand];
        self.once(&text, &operand).map_err(|r| r.at(self.at(place)))?;
        *expr = filled(&text, &operand)?;
        Ok(traits.raising())
    }

    /// `regclass('orders')`, `tsquery('a & b')`: a type's name in a call's place is a cast, where no function can be meant (parse_func.c,
    /// func_get_detail): of a literal always, of another expression where no function has the name.
    pub(super) fn typed_call(&mut self, expr: &mut Node, name: &str) -> Res<Option<Traits>> {
        let Some(NodeEnum::FuncCall(call)) = expr.node.as_mut() else { return Ok(None) };
        let catalog = self.cx.catalog;
        let [operand] = call.args.as_slice() else { return Ok(None) };
        let named = regtypes::set_of(name).is_some();
        let known = named || functions::is_type(name);
        let taken = catalog.user_functions.contains(name) || catalog.types.contains_key(name) || functions::find(name).is_some();
        let unread = !catalog.system.is_read() || catalog.system.functions.contains(name);
        if !known || taken || !is_bare(call) || (string_of(operand).is_none() && (named || unread)) {
            return Ok(None);
        }
        let location = call.location;
        *expr = nodes::cast(call.args.remove(0), name);
        if let Some(NodeEnum::TypeCast(cast)) = expr.node.as_mut() {
            cast.location = location;
        }
        if named {
            return self.reg_cast(expr, name).map(Some);
        }
        let Some(NodeEnum::TypeCast(cast)) = expr.node.as_mut() else { return Ok(None) };
        if let Some(type_name) = cast.type_name.as_ref() {
            self.search_cast(cast.arg.as_deref(), type_name)?;
        }
        self.optional(cast.arg.as_mut()).map(|traits| Some(traits.raising()))
    }

    /// `current_setting('x', true)` of a setting that the server does not have.
    pub(super) fn is_missing_setting(&self, call: &FuncCall) -> bool {
        let [name, missing] = call.args.as_slice() else { return false };
        let yes = |n: &Node| match &n.node {
            Some(NodeEnum::AConst(c)) => matches!(&c.val, Some(a_const::Val::Boolval(b)) if b.boolval),
            _ => false,
        };
        let absent = |name: String| {
            !settings::may_show(&name) && settings::refused(&name, &self.cx.catalog.settings.names, "examine").sqlstate == "42704"
        };
        is_bare(call) && yes(missing) && string_of(name).is_some_and(absent)
    }

    /// `attrelid::regclass IN ('orders')`: the literals are names as well.
    pub(super) fn resolve_beside(&self, x: &mut AExpr) -> Res<()> {
        let types = [x.lexpr.as_deref(), x.rexpr.as_deref()].into_iter().flatten().filter_map(compared_type);
        let Some(type_name) = types.into_iter().next() else { return Ok(()) };
        if !nodes::names(&x.name).is_some_and(|n| matches!(n.last(), Some(&("=" | "<>")))) {
            return Ok(());
        }
        for side in [x.lexpr.as_mut(), x.rexpr.as_mut()].into_iter().flatten() {
            let all = match side.node.as_mut() {
                Some(NodeEnum::List(list)) => list.items.as_mut_slice(),
                _ => std::slice::from_mut(side.as_mut()),
            };
            for value in all {
                let Some(text) = string_of(value).filter(|t| !regtypes::is_number(t) && t != "-") else { continue };
                let place = nodes::location(value).and_then(|l| self.at(l));
                let found = self.cx.catalog.resolve_named(&text, type_name).ok_or_else(|| absent(&text, type_name).at(place))?;
                *value = nodes::text(&found);
            }
        }
        Ok(())
    }

    /// A literal where a catalog's function takes an object.
    pub(super) fn literal_argument(&self, text: &str, kind: &Argument) -> Res<Node> {
        let catalog = self.cx.catalog;
        if *kind == Argument::Table {
            let (_, schema, name) = catalog.resolve_relation(text).ok_or_else(|| absent(text, "regclass"))?;
            return Ok(nodes::text(&format!("{}.{}", quote_name(&schema), quote_name(&name))));
        }
        if regtypes::is_number(text) {
            return Ok(nodes::text(text));
        }
        let type_name = kind.named_type().unwrap_or("regclass");
        let found = catalog.resolve_named(text, type_name).ok_or_else(|| absent(text, type_name))?;
        if matches!(type_name, "regclass" | "regnamespace") {
            return Ok(nodes::text(&found));
        }
        filled(&format!("{}::pg_catalog.{type_name}", quote_text(&found)), &[])
    }
}

/// The type of an operand whose literals are names of what has a number that the wall knows.
fn compared_type(operand: &Node) -> Option<&'static str> {
    let name = match &operand.node {
        Some(NodeEnum::TypeCast(x)) => x.type_name.as_ref().and_then(reg_type)?,
        Some(NodeEnum::FuncCall(x)) => regtypes::looked_up_by(nodes::names(&x.funcname)?.last()?)?.to_owned(),
        _ => return None,
    };
    ["regclass", "regnamespace"].into_iter().find(|t| *t == name)
}

/// The server's words for a name that is not there.
fn absent(text: &str, type_name: &str) -> Refusal {
    let (state, what) = match type_name {
        "regclass" => ("42P01", "relation"),
        "regnamespace" => ("3F000", "schema"),
        "regtype" => ("42704", "type"),
        "regcollation" => ("42704", "collation"),
        "regoper" | "regoperator" => return Refusal::with_state("42883", format!("operator does not exist: {text}")),
        _ => ("42883", "function"),
    };
    Refusal::with_state(state, format!("{what} \"{text}\" does not exist"))
}

/// A call with nothing but its arguments.
fn is_bare(call: &FuncCall) -> bool {
    call.agg_order.is_empty()
        && call.agg_filter.is_none()
        && call.over.is_none()
        && !call.agg_distinct
        && !call.func_variadic
        && !call.agg_star
        && !call.agg_within_group
        && !call.args.iter().any(|a| matches!(a.node, Some(NodeEnum::NamedArgExpr(_))))
}

/// `set_config('TimeZone', 'UTC', false)` is a SET; the name is a literal, and so is the value, or it is a parameter where any will do.
pub(super) fn setting_call(catalog: &crate::sql::Catalog, name: &str, args: &[Node]) -> Res<()> {
    let literal = |n: Option<&Node>| match n.and_then(|n| n.node.as_ref()) {
        Some(NodeEnum::AConst(c)) => match &c.val {
            Some(a_const::Val::Sval(s)) => Some(s.sval.clone()),
            _ => None,
        },
        _ => None,
    };
    let refused = || {
        Refusal::not_allowed(format!("permission denied for function {name}")).detail("Only a literal name of a safe setting is allowed.")
    };
    let setting = literal(args.first()).ok_or_else(refused)?;
    if name == "current_setting" {
        return if settings::may_show(&setting) { Ok(()) } else { Err(settings::refused(&setting, &catalog.settings.names, "examine")) };
    }
    if matches!(args.get(1).and_then(|n| n.node.as_ref()), Some(NodeEnum::ParamRef(_))) && catalog.settings.admit_any(&setting) {
        return Ok(());
    }
    let value = literal(args.get(1)).ok_or_else(refused)?;
    catalog.settings.admit(&setting, Some(&value))
}
