//! Advisory locks in the tenant's own space: the key becomes 64 bits of a digest over the tenant and the client's key, which the server computes,
//! so that a key may be any expression.

use super::{Res, Rewriter};
use crate::sql::scope::{Traits, Use};
use crate::sql::{Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, FuncCall, Node};

/// PostgreSQL's `text`.
const TEXT: u32 = 25;

/// Functions that take or free a lock by its key.
const BY_KEY: &[&str] = &[
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
];

pub(super) fn is_by_key(name: &str) -> bool {
    BY_KEY.contains(&name)
}

impl Rewriter<'_> {
    /// `pg_advisory_lock(key)` and its kin, whose arguments have been rewritten. `int8send` and `int4send` take what the function itself would
    /// take, and give as many bytes for every key.
    pub(super) fn lock_call(&mut self, call: &mut FuncCall, name: &str, mut traits: Traits) -> Res<Traits> {
        let plain =
            call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none() && !call.agg_distinct && !call.func_variadic;
        let named = call.args.iter().any(|a| matches!(a.node, Some(NodeEnum::NamedArgExpr(_))));
        let mut keys = std::mem::take(&mut call.args).into_iter();
        let (form, bytes) = match (keys.next(), keys.next(), keys.next()) {
            (Some(key), None, None) if plain && !named => ("partywall:lock:1:", function("int8send", vec![key])),
            (Some(one), Some(two), None) if plain && !named => {
                let halves = (function("int4send", vec![one]), function("int4send", vec![two]));
                ("partywall:lock:2:", nodes::operator("||", halves.0, halves.1))
            }
            _ => return Err(Refusal::not_understood(format!("this form of {name} is not supported"))),
        };
        let tenant = nodes::cast(nodes::parameter(self.tenant_parameter(TEXT)?), "text");
        let whose = function("convert_to", vec![nodes::operator("||", nodes::text(form), tenant), nodes::text("UTF8")]);
        let digest = function("sha256", vec![nodes::operator("||", bytes, whose)]);
        let digits = function("substr", vec![function("encode", vec![digest, nodes::text("hex")]), nodes::integer(1), nodes::integer(16)]);
        let bits = bits(nodes::operator("||", nodes::text("x"), digits));
        let key = nodes::cast(bits, "int8");
        let frees = name.starts_with("pg_advisory_unlock");
        call.args = vec![if frees { key } else { bounded(key, self.cx.catalog.settings.advisory_locks) }];
        call.funcname = vec![nodes::string("pg_catalog"), nodes::string(name)];
        // A lock must not tell of rows that the guard removes, so it is fenced like what can fail on any of them.
        traits.uses.push(Use::Any);
        Ok(traits.raising())
    }
}

/// The key, unless the session holds as many locks as it may: they fill a table that all sessions share. The question changes with each call, so that it is asked
/// for each row; its answer is nothing, which leaves the key as it is, or no number.
fn bounded(key: Node, most: u32) -> Node {
    let question = format!(
        "SELECT 'partywall:locks' AS a FROM pg_catalog.pg_lock_status() l WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
         AND l.locktype OPERATOR(pg_catalog.=) 'advisory' OFFSET {} LIMIT 1",
        most.saturating_sub(1)
    );
    let asked = function("query_to_xml", vec![nodes::text(&question), nodes::truth(false), nodes::truth(true), nodes::text("")]);
    let answer = nodes::operator("||", nodes::text("0"), nodes::cast(asked, "text"));
    nodes::operator("#", key, nodes::cast(answer, "int8"))
}

/// `pg_catalog.name(args)`
fn function(name: &str, args: Vec<Node>) -> Node {
    nodes::node(NodeEnum::FuncCall(Box::new(FuncCall {
        funcname: vec![nodes::string("pg_catalog"), nodes::string(name)],
        args,
        funcformat: pg::CoercionForm::CoerceExplicitCall as i32,
        location: -1,
        ..Default::default()
    })))
}

/// `value::pg_catalog.bit(64)`
fn bits(value: Node) -> Node {
    let names = vec![nodes::string("pg_catalog"), nodes::string("bit")];
    let type_name = Some(pg::TypeName { names, typmods: vec![nodes::integer(64)], typemod: -1, location: -1, ..Default::default() });
    nodes::node(NodeEnum::TypeCast(Box::new(pg::TypeCast { arg: nodes::boxed(value), type_name, location: -1 })))
}
