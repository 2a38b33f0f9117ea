//! RETURNING: the rows as they were and as they are, which PostgreSQL 18 calls `old` and `new`, or what WITH calls them.

use super::{Res, Rewriter};
use crate::sql::scope::{Item, Thing};
use crate::sql::{Refusal, newer};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ReturningOptionKind};

impl Rewriter<'_> {
    /// Syntax of a newer server, by this name since that version, must not be somebody's function on an older one.
    pub(super) fn since(&self, name: &str, version: u32, location: i32) -> Res<()> {
        match newer::may_be_a_call(self.cx.catalog, name, version) {
            true => Err(Refusal::not_understood(format!("{name} is not supported where the database has a function of that name"))
                .detail("This server would call it.")
                .at(self.at(location))),
            false => Ok(()),
        }
    }

    /// Enters these names beside the items of the innermost level, whose first is the target; gives how many items there were.
    pub(super) fn enter_versions(&mut self, options: &[Node]) -> Res<usize> {
        let mut names = [None, None];
        for option in options {
            let Some(NodeEnum::ReturningOption(option)) = &option.node else {
                return Err(Refusal::not_understood("this part of RETURNING is not supported"));
            };
            let slot = match ReturningOptionKind::try_from(option.option) {
                Ok(ReturningOptionKind::ReturningOptionOld) => &mut names[0],
                Ok(ReturningOptionKind::ReturningOptionNew) => &mut names[1],
                _ => return Err(Refusal::not_understood("this part of RETURNING is not supported")),
            };
            if slot.replace(option.value.clone()).is_some() {
                return Err(Refusal::syntax("OLD and NEW cannot be specified multiple times"));
            }
        }
        let Some(level) = self.levels.last_mut() else { return Ok(0) };
        let before = level.items.len();
        let Some(target) = level.items.first().cloned() else { return Ok(before) };
        if target.hides.is_some() {
            // What `old` and `new` hide then is told where names are looked up (`hidden`); a row of them would show it.
            return match options {
                [] => Ok(before),
                _ => Err(Refusal::not_understood("RETURNING WITH is not supported here")
                    .detail("The table has a column that is not the tenant's to see.")),
            };
        }
        // They have been filtered, or written, already.
        let thing = match &target.thing {
            Thing::Guarded(relation, _) => Thing::Wrapped(relation.clone()),
            other => other.clone(),
        };
        for (given, usual) in names.into_iter().zip(["old", "new"]) {
            let chosen = given.is_some();
            let name = given.unwrap_or_else(|| usual.to_owned());
            let taken = level.items.iter().any(|i| i.name == name);
            if taken && chosen {
                return Err(Refusal::with_state("42712", format!("table name \"{name}\" specified more than once")));
            }
            if !taken {
                level.items.push(Item { aliased: true, ..Item::new(name, thing.clone()) });
            }
        }
        Ok(before)
    }

    /// Leaves them.
    pub(super) fn leave_versions(&mut self, before: usize) {
        if let Some(level) = self.levels.last_mut() {
            level.items.truncate(before);
        }
    }
}
