//! Whole rows of a written table with a hidden column: built of its other columns, in order, and nothing else.

use super::catalogs::{equal, tree};
use super::scopes::Seen;
use super::{Res, Walk, disagree, fields, kind, list, names};
use crate::sql::catalogs::quote_name;
use crate::sql::tree::Value;

impl Walk<'_> {
    /// The client's row `t`, or `t.*` as one value, as a query of its columns. None: it is no such row, or it stands as it is.
    pub(super) fn own_row(&self, f: &Value, c: &Value) -> Option<Res<()>> {
        let column = fields(c, "ColumnRef").filter(|_| fields(f, "SubLink").is_some())?;
        let item = self.row_of(column)?;
        let name = quote_name(&item.name);
        let columns: Vec<String> =
            item.relation.iter().flat_map(|r| &r.columns).map(|c| format!("{name}.{}", quote_name(&c.name))).collect();
        let wanted = tree(&format!("SELECT (SELECT COALESCE({name}.*) FROM (SELECT {}) {name})", columns.join(", ")));
        let target = wanted.as_ref().and_then(|w| fields(list(fields(w, "SelectStmt")?, "target_list").first()?, "ResTarget"));
        let same = target.is_some_and(|t| equal(&t["val"], f));
        Some(if same { Ok(()) } else { disagree("a row is not built of its columns") })
    }

    fn row_of(&self, column: &Value) -> Option<&Seen> {
        let parts = list(column, "fields");
        let named = names(parts);
        let name = match (named.as_slice(), parts.len()) {
            ([name], 2) if parts.last().and_then(kind).is_some_and(|(k, _)| k == "AStar") => *name,
            ([name], 1) => {
                let all = self.levels.iter().flat_map(|l| &l.items).filter_map(|i| i.relation.as_ref());
                Some(*name).filter(|name| !all.clone().any(|r| r.has_column(name)))?
            }
            _ => return None,
        };
        let item = self.levels.iter().rev().flat_map(|l| &l.items).find(|i| i.name == name)?;
        Some(item).filter(|i| i.hides.is_some() && i.relation.as_ref().is_some_and(|r| !r.has_column(name)))
    }

    /// `ROW(t.*, …)`: a star over such a table is its columns.
    pub(super) fn row(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (fs, mut at) = (list(f, "args"), 0);
        for part in list(c, "args") {
            let star = fields(part, "ColumnRef").filter(|c| list(c, "fields").len() == 2 && names(list(c, "fields")).len() == 1);
            let Some(item) = star.and_then(|s| self.row_of(s)) else {
                self.same(fs.get(at).unwrap_or(&Value::Null), part)?;
                at += 1;
                continue;
            };
            for column in item.relation.iter().flat_map(|r| &r.columns) {
                let shown = fs.get(at).and_then(|v| fields(v, "ColumnRef")).map(|r| list(r, "fields")).unwrap_or_default();
                if shown.len() != 2 || names(shown) != [item.name.as_str(), column.name.as_str()] {
                    return disagree("a star in a row is not written out");
                }
                at += 1;
            }
        }
        if at != fs.len() { disagree("a row has other parts") } else { self.rest(f, c, &["args"]) }
    }
}
