//! Calls: PostgreSQL's own functions by their class, those that the policy lists, and those that mean something of the tenant's own.

use super::{Res, Rewriter, locks, names};
use crate::sql::catalog::SYSTEM_COLUMNS;
use crate::sql::scope::{Traits, Use};
use crate::sql::{Refusal, conversions, functions, nodes};
use pg_query::protobuf::FuncCall;

impl Rewriter<'_> {
    pub(super) fn call(&mut self, call: &mut FuncCall) -> Res<Traits> {
        let reveals = std::mem::take(&mut self.reveals);
        let place = self.at(call.location);
        let names: Vec<String> = nodes::names(&call.funcname).unwrap_or_default().into_iter().map(str::to_owned).collect();
        let (schema, name) = match names.as_slice() {
            [name] => ("", name.as_str()),
            [schema, name] => (schema.as_str(), name.as_str()),
            _ => return Err(Refusal::not_understood("this function name is not supported").at(place)),
        };
        let own = matches!(schema, "" | "pg_catalog");
        if own && matches!(name, "nextval" | "currval" | "setval") {
            let name = name.to_owned();
            return if name == "setval" { self.setval(call) } else { self.sequence_call(call, &name) }.map_err(|r| r.at(place));
        }
        self.own_rows(call, place)?;
        self.counts_no_transactions(name, &call.args, place)?;
        if own {
            self.search_call(name, &call.args, place)?;
        }
        let mut traits = Traits::varying();
        let theirs = self.cx.catalog.user_functions.contains(name) || self.listed_function(schema, name).is_some();
        let known = own && functions::is_aggregate(name) && !theirs;
        // Nothing but an aggregate takes WITHIN GROUP.
        let aggregate = known || call.agg_within_group;
        self.aggregated += usize::from(aggregate);
        self.sorted_calls += usize::from(call.agg_distinct || !call.agg_order.is_empty());
        let args = self.exprs(&mut call.args)?;
        let mut counted = self.exprs(&mut call.agg_order)?;
        counted.add(self.optional(call.agg_filter.as_mut())?);
        self.aggregated -= usize::from(aggregate);
        // Direct arguments do not count.
        let direct = if call.agg_within_group {
            args
        } else {
            counted.add(args);
            Traits::default()
        };
        counted.aggregates |= known && call.over.is_none() && self.is_of_this_level(&counted.uses);
        traits.add(counted);
        traits.add(direct);
        if let Some(over) = call.over.as_mut() {
            traits.add(self.window(over)?);
        }
        // A helper of the information schema's that drivers call: it only takes an array apart.
        if (schema, name) == ("information_schema", "_pg_expandarray") {
            return Ok(traits.raising());
        }
        if own && matches!(name, "set_config" | "current_setting") {
            names::setting_call(self.cx.catalog, name, &call.args).or_else(|r| if self.dump_guard { Ok(()) } else { Err(r.at(place)) })?;
            call.funcname = vec![nodes::string("pg_catalog"), nodes::string(name)];
            traits.uses.extend((name == "set_config").then_some(Use::Any));
            return Ok(traits.raising());
        }
        if own && name == "pg_notify" {
            self.notify_call(call).map_err(|r| r.at(place))?;
            traits.uses.push(Use::Any);
            return Ok(traits.raising());
        }
        if own && locks::is_by_key(name) {
            let name = name.to_owned();
            return self.lock_call(call, &name, traits).map_err(|r| r.at(place));
        }
        self.rows_call(call, name);
        self.listed_call(call, (schema, name), traits, reveals)
    }

    /// An aggregate is of the innermost level that its arguments name, and of its own where they name none (parse_agg.c, check_agg_arguments):
    /// whether that is certainly this one.
    fn is_of_this_level(&self, uses: &[Use]) -> bool {
        let here = |used: &Use| {
            self.levels.last().is_some_and(|level| {
                level.items.iter().any(|item| match used {
                    Use::Of(name) => item.name == *name,
                    Use::Bare(name) => item.has_column(name) && !(item.joined && SYSTEM_COLUMNS.contains(&name.as_str())),
                    Use::Beside | Use::Free | Use::Any => false,
                })
            })
        };
        uses.is_empty() || uses.iter().any(here) || left_out!(self.cx, OuterAggregate)
    }

    /// A function that the policy lists, or one of PostgreSQL's own.
    fn listed_call(&mut self, call: &mut FuncCall, (schema, name): (&str, &str), mut traits: Traits, reveals: bool) -> Res<Traits> {
        let (place, own) = (self.at(call.location), matches!(schema, "" | "pg_catalog"));
        if !reveals && (!own || (schema.is_empty() && self.cx.catalog.user_functions.contains(name))) {
            self.shows_no_hidden(name, place)?;
        }
        if schema.is_empty() && self.cx.catalog.overloads.contains(name) {
            traits.uses.push(Use::Any);
            return Ok(traits.raising());
        }
        if let Some(schema) = self.listed_function(schema, name) {
            // What it does besides is not known.
            traits.uses.push(Use::Any);
            call.funcname = vec![nodes::string(&schema), nodes::string(name)];
            return self.takes_no_hidden(name, place).map(|()| traits.raising());
        }
        if left_out!(self.cx, UnlistedFunction) {
            return Ok(traits.raising());
        }
        match functions::find_call(name, call.args.len()).filter(|_| own) {
            // In FROM, `unnest` of several arrays is a form of its own, and PostgreSQL's whatever the path is.
            Some(_) if name == "unnest" && call.args.len() > 1 && !self.cx.catalog.user_functions.contains(name) => Ok(traits.raising()),
            Some(listed) => {
                call.funcname = vec![nodes::string("pg_catalog"), nodes::string(name)];
                if functions::has_effect(name) && !left_out!(self.cx, Effects) {
                    traits.uses.push(Use::Any);
                    return Ok(traits.raising());
                }
                let converts = self.conversions.wanted && !conversions::is_firm_call(name);
                let measures = functions::measures_shapes(name) && call.args.iter().any(|a| self.may_be_shape(a));
                Ok(if listed.raises || converts || measures || !self.calls_with_any_collation(name) { traits.raising() } else { traits })
            }
            None if self.cx.catalog.unsafe_fields.contains(name) && !self.cx.catalog.user_functions.contains(name) => {
                Err(Refusal::not_allowed(format!("permission denied for function {name}")).at(place))
            }
            None => {
                Err(Refusal::no_function(&format!("{}{name}(…)", if schema.is_empty() { String::new() } else { format!("{schema}.") }))
                    .hint(format!("To let tenants call it, list it under postgres.functions in {}.", self.cx.policy.file))
                    .at(place))
            }
        }
    }

    /// The schema of a function that the policy lists.
    pub(super) fn listed_function(&self, schema: &str, name: &str) -> Option<String> {
        let listed = &self.cx.policy.postgres.as_ref()?.functions;
        let in_schema = |wanted: &str| listed.iter().any(|f| f.name == name && f.schema == wanted);
        let found = if schema.is_empty() {
            self.cx.catalog.search_path.iter().find(|s| in_schema(s)).cloned()
        } else {
            in_schema(schema).then(|| schema.to_owned())
        };
        self.cx.catalog.home.meant(&found?).map(str::to_owned)
    }
}
