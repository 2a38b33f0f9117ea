//! System columns of a table that stands as a subquery: it shows each at most once under the one name that the client cannot use, each
//! reference to one is to the item that the client meant, and no star, whole row or join shows one.

use super::hidden::{is_plain, shown, star_of};
use super::scopes::{Level, Seen};
use super::{Res, Walk, disagree, fields, list, names, text};
use crate::sql::catalog::{Relation, SYSTEM_COLUMNS};
use crate::sql::tree::Value;

/// The system column that such a name shows.
fn carried_by(name: &str) -> Option<&str> {
    name.strip_prefix("partywall_").filter(|system| SYSTEM_COLUMNS.contains(system))
}

/// What the subquery shows behind the table's columns: system columns of it, each once.
pub(super) fn carried(targets: &[Value], relation: &Relation) -> Option<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for target in targets {
        let target = fields(target, "ResTarget").filter(|t| list(t, "indirection").is_empty())?;
        let system = carried_by(text(target, "name"))?;
        let parts = list(fields(&target["val"], "ColumnRef")?, "fields");
        let same = parts.len() == 2 && names(parts) == [relation.name.as_str(), system];
        if !same || all.iter().any(|one| one == system) || relation.has_column(text(target, "name")) {
            return None;
        }
        all.push(system.to_owned());
    }
    Some(all)
}

impl Seen {
    /// A star or a whole row of it would show what does not exist for the client.
    pub(super) fn shows_more(&self) -> bool {
        self.hides.is_some() || !self.carried.is_empty()
    }
}

impl Walk<'_> {
    /// `t.partywall_ctid` for the client's `ctid` of that very table; None where the final text names no such column.
    pub(super) fn system_column(&mut self, f: &Value, c: &Value) -> Option<Res<()>> {
        let (fs, cs) = (list(f, "fields"), list(c, "fields"));
        if names(cs).last().is_some_and(|name| carried_by(name).is_some()) {
            return Some(disagree("the client names a column of the wall's own"));
        }
        let system = names(fs).last().and_then(|name| carried_by(name))?.to_owned();
        let (own, theirs) = (names(fs), names(cs));
        let ([item, _], 2) = (own.as_slice(), fs.len()) else { return Some(disagree("a system column is named otherwise")) };
        let meant = match theirs.as_slice() {
            [name] => *name == system && self.system_alone(&system) == Some(*item),
            [table, name] => *name == system && table == item,
            _ => false,
        };
        let carries = self.nearest(item).is_some_and(|i| i.carried.contains(&system));
        if theirs.len() != cs.len() || !meant || !carries {
            return Some(disagree("a system column is another one's"));
        }
        if let (Some(f), Some(c)) = (f["location"].as_u64(), c["location"].as_u64()) {
            self.proof.places.push((f as usize, c as usize));
        }
        Some(Ok(()))
    }

    fn nearest(&self, name: &str) -> Option<&Seen> {
        self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == name)
    }

    /// The one item outside of joins at the innermost level that certainly has system columns, where nothing further in could have them.
    fn system_alone(&self, system: &str) -> Option<&str> {
        for level in self.levels.iter().rev() {
            let mut having = level.items.iter().filter(|i| !i.joined && i.may_have(system));
            match (having.next(), having.next()) {
                (None, _) => {}
                (Some(one), None) => return Some(one.name.as_str()),
                _ => return None,
            }
        }
        None
    }

    /// No star, and no name that stands for a row, shows what is carried.
    pub(super) fn nothing_carried(&self, names: &[&str], star: bool) -> Res<()> {
        let carries = |item: Option<&Seen>| item.is_some_and(|i| !i.carried.is_empty());
        let shows = match names {
            [] => self.levels.last().is_some_and(|l| l.items.iter().any(|i| carries(Some(i)))),
            [.., table] if star => carries(self.nearest(table)),
            [name] => {
                let column = self.levels.iter().flat_map(|l| &l.items).filter_map(|i| i.relation.as_ref()).any(|r| r.has_column(name));
                !column && carries(self.nearest(name))
            }
            _ => false,
        };
        if shows { disagree("a row shows a system column") } else { Ok(()) }
    }

    /// Target lists without the client's stars over what must not be shown whole, each of which stands written out in `f`.
    pub(super) fn without_own_stars(&self, f: &[Value], c: &[Value], level: &Level, from: &[Value]) -> Res<(Value, Value)> {
        let (mut kept, mut asked, mut at) = (Vec::new(), Vec::new(), 0);
        for expr in c {
            let Some(wanted) = self.written_out(expr, level, from)? else {
                kept.extend(f.get(at).cloned());
                asked.push(expr.clone());
                at += 1;
                continue;
            };
            let run = f.get(at..at + wanted.len()).unwrap_or_default();
            if !run.iter().map(shown).eq(wanted.iter().map(|w| Some(w.clone()))) {
                return disagree("a star is not written out");
            }
            at += wanted.len();
        }
        if at != f.len() { disagree("other columns are shown") } else { Ok((kept.into(), asked.into())) }
    }

    /// The target list of a query whose level is the innermost.
    pub(super) fn targets(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, cs) = (list(f, "target_list"), list(c, "target_list"));
        let Some(level) = self.levels.last().filter(|_| cs.iter().any(|t| star_of(t).is_some())) else {
            return self.same_at("target_list", &f["target_list"], &c["target_list"]);
        };
        let (kept, asked) = self.without_own_stars(fs, cs, level, list(c, "from_clause"))?;
        self.same_at("target_list", &kept, &asked)
    }

    /// What stands in the place of a client's star: `(reference, column)`, the column empty for a star. None: it may stand.
    fn written_out(&self, expr: &Value, level: &Level, from: &[Value]) -> Res<Option<Vec<(String, String)>>> {
        let columns = |item: &Seen| -> Res<Vec<(String, String)>> {
            let Some(relation) = item.relation.as_ref() else { return disagree("a star cannot be written out") };
            Ok(relation.columns.iter().map(|c| (item.name.clone(), c.name.clone())).collect())
        };
        match star_of(expr).as_deref() {
            Some([]) if level.items.iter().any(Seen::shows_more) => {
                if !from.iter().all(is_plain) || level.items.iter().any(|i| i.name.is_empty()) {
                    return disagree("a star cannot be written out");
                }
                let one = |i: &Seen| if i.shows_more() { columns(i) } else { Ok(vec![(i.name.clone(), String::new())]) };
                Ok(Some(level.items.iter().map(one).collect::<Res<Vec<_>>>()?.concat()))
            }
            Some([name]) => {
                let item = level.items.iter().find(|i| i.name == *name).or_else(|| self.nearest(name));
                item.filter(|i| i.shows_more()).map(columns).transpose()
            }
            _ => Ok(None),
        }
    }

    /// A join that takes all columns of both sides, or has a name of its own, has nothing carried in it; none is joined by such a name.
    pub(super) fn joins_nothing_carried(&self, join: &Value, inside: &[Seen]) -> Res<()> {
        let all = join["is_natural"] == Value::Bool(true) || !join["alias"].is_null();
        let named = names(list(join, "using_clause")).into_iter().any(|name| carried_by(name).is_some());
        if named || (all && inside.iter().any(|i| !i.carried.is_empty())) {
            return disagree("a join shows or uses a system column");
        }
        Ok(())
    }
}

impl Seen {
    /// Whether a bare name of a system column could be one of this item's: a view and a join have none, of a subquery it is not known.
    fn may_have(&self, system: &str) -> bool {
        match &self.relation {
            Some(relation) if relation.kind == 'v' => relation.has_column(system),
            _ => self.name != "excluded" || self.hides.is_none(),
        }
    }
}
