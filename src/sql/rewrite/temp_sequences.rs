//! Sequences: those of the session's own, and calls that draw from a sequence by its name.

use super::{Res, Rewriter};
use crate::sql::private::{self, TEMP};
use crate::sql::scope::{Traits, Use};
use crate::sql::{Kind, Refusal, nodes, sequences};
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterSeqStmt, CreateSeqStmt, FuncCall, Node, TypeName, a_const};

/// Options that are numbers or nothing.
const NUMBERS: &[&str] = &["start", "increment", "minvalue", "maxvalue", "cache", "cycle", "restart"];

impl Rewriter<'_> {
    pub(super) fn create_temp_sequence(&mut self, x: &mut CreateSeqStmt) -> Res<Kind> {
        if x.sequence.as_ref().is_none_or(|s| s.relpersistence != "t") {
            return Err(Refusal::not_allowed("permission denied to create sequences").hint("CREATE TEMP SEQUENCE is allowed."));
        }
        let name = self.new_temp(x.sequence.as_mut())?;
        self.literal = true;
        self.cx.parameters = false;
        let owner = self.sequence_options(&mut x.options)?;
        self.made(private::of_kind('S', &name, owner.into_iter().collect()), false, x.if_not_exists)
    }

    pub(super) fn alter_temp_sequence(&mut self, x: &mut AlterSeqStmt) -> Res<Kind> {
        let name = self.own_temp(x.sequence.as_mut(), "sequence")?;
        let owner = self.sequence_options(&mut x.options)?;
        Ok(owner.map_or(Kind::Setting, |parent| Kind::BindTemp { child: name, parent, bound: true }))
    }

    /// Gives the table whose column is to own the sequence.
    fn sequence_options(&mut self, options: &mut [Node]) -> Res<Option<String>> {
        let unsupported = || Refusal::not_understood("this option of a sequence is not supported");
        let mut owner = None;
        for option in options {
            let Some(NodeEnum::DefElem(option)) = option.node.as_mut() else { return Err(unsupported()) };
            match (option.defname.as_str(), option.arg.as_mut().map(|a| a.node.as_mut())) {
                (name, None | Some(Some(NodeEnum::Integer(_) | NodeEnum::Float(_) | NodeEnum::Boolean(_)))) if NUMBERS.contains(&name) => {}
                ("as", Some(Some(NodeEnum::TypeName(name)))) => self.type_name(name)?,
                ("owned_by", Some(Some(NodeEnum::List(list)))) => {
                    let names: Vec<String> = nodes::names(&list.items).unwrap_or_default().into_iter().map(str::to_owned).collect();
                    let (table, column) = match names.as_slice() {
                        [none] if none == "none" => continue,
                        [table, column] => (table, column),
                        [schema, table, column] if schema == TEMP => (table, column),
                        _ => return Err(unsupported()),
                    };
                    if self.cx.private.temps.get(table).is_none() {
                        return Err(Refusal::no_relation(table));
                    }
                    list.items = vec![nodes::string(TEMP), nodes::string(table), nodes::string(column)];
                    owner = Some(table.clone());
                }
                _ => return Err(unsupported()),
            }
        }
        Ok(owner)
    }

    /// The literal to send for a sequence of the session's own that `text` means.
    pub(super) fn temp_sequence(&mut self, text: &str) -> Option<String> {
        let sent = sequences::temporary(&self.cx.private.temps, text)?;
        self.private = true;
        Some(sent)
    }

    /// `nextval('name')` and `currval` of a sequence that a listed table owns or of the session's own, also written `'name'::regclass`.
    pub(super) fn sequence_call(&mut self, call: &mut FuncCall, name: &str) -> Res<Traits> {
        let literal = |n: &Node| match n.node.as_ref() {
            Some(NodeEnum::AConst(c)) => match &c.val {
                Some(a_const::Val::Sval(s)) => Some(s.sval.clone()),
                _ => None,
            },
            _ => None,
        };
        let text = match call.args.as_slice() {
            [one] => match one.node.as_ref() {
                Some(NodeEnum::TypeCast(x)) if x.type_name.as_ref().is_some_and(is_regclass) => x.arg.as_deref().and_then(literal),
                _ => literal(one),
            },
            _ => None,
        };
        let Some(text) = text.filter(|_| call.over.is_none() && call.agg_filter.is_none() && call.agg_order.is_empty()) else {
            return Err(Refusal::not_allowed(format!("permission denied for function {name}"))
                .detail("Only a literal name of a sequence is allowed."));
        };
        let own = self.temp_sequence(&text);
        let sent = own.or_else(|| sequences::resolve(self.cx.catalog, &text)).ok_or_else(|| Refusal::no_relation(&text))?;
        call.args = vec![nodes::text(if left_out!(self.cx, OwnSequence) { &text } else { &sent })];
        call.funcname = vec![nodes::string("pg_catalog"), nodes::string(name)];
        // Its effect must not tell of rows that the guard removes, so it is fenced like what can fail on any of them.
        Ok(Traits { uses: vec![Use::Any], ..Traits::default() }.raising())
    }
}

fn is_regclass(name: &TypeName) -> bool {
    let plain = name.array_bounds.is_empty() && name.typmods.is_empty();
    plain && matches!(nodes::names(&name.names).as_deref(), Some(["regclass"] | ["pg_catalog", "regclass"]))
}
