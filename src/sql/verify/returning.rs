//! RETURNING: its list, in which the target has two more names (PostgreSQL 18).

use super::scopes::Seen;
use super::{Res, Walk, disagree, fields, list, text};
use crate::sql::newer;
use crate::sql::tree::Value;
use pg_query::protobuf::ReturningOptionKind;

impl Walk<'_> {
    /// No server of before `version` takes this for a call of somebody's function.
    pub(super) fn since(&self, name: &str, version: u32) -> Res<()> {
        if newer::may_be_a_call(self.catalog, name, version) { disagree("an older server would call a function") } else { Ok(()) }
    }

    /// The rows as they were and as they are have passed what the target's rows have passed.
    pub(super) fn returning(&mut self, f: &Value, c: &Value) -> Res<()> {
        let called = |kind: ReturningOptionKind| {
            let options = list(c, "options").iter().filter_map(|o| fields(o, "ReturningOption"));
            options
                .filter(|o| o["option"].as_i64() == Some(i64::from(kind as i32)))
                .map(|o| text(o, "value").to_owned())
                .collect::<Vec<_>>()
        };
        let (old, new) = (called(ReturningOptionKind::ReturningOptionOld), called(ReturningOptionKind::ReturningOptionNew));
        if old.len() + new.len() != list(c, "options").len() || old.len() > 1 || new.len() > 1 {
            return disagree("RETURNING has other options");
        }
        if self.levels.last().and_then(|l| l.items.first()).is_some_and(|i| i.hides.is_some()) {
            let named = !list(c, "options").is_empty();
            return if named { disagree("another name of a written table may show a hidden column") } else { self.rest(f, c, &[]) };
        }
        let before = self.levels.last().map_or(0, |l| l.items.len());
        for (given, usual) in [(old.first(), "old"), (new.first(), "new")] {
            let Some(level) = self.levels.last_mut() else { return disagree("RETURNING of nothing") };
            let Some(target) = level.items.first() else { return disagree("RETURNING of nothing") };
            let name = given.map_or(usual, String::as_str);
            match (level.items.iter().any(|i| i.name == name), given) {
                (true, Some(_)) => return disagree("a name stands twice in RETURNING"),
                (true, None) => {}
                (false, _) => {
                    let relation = target.relation.clone();
                    level.items.push(Seen { name: name.to_owned(), relation, aliased: true, ..Seen::default() });
                }
            }
        }
        let proved = self.rest(f, c, &[]);
        if let Some(level) = self.levels.last_mut() {
            level.items.truncate(before);
        }
        proved
    }
}
