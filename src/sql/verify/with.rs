//! WITH: query by query, each by itself.

use super::{MATERIALIZED, Res, Walk, disagree, fields, list, text};
use crate::sql::tree::Value;

impl Walk<'_> {
    pub(super) fn with(&mut self, f: &Value, c: &Value) -> Res<()> {
        if f.is_null() && c.is_null() {
            return Ok(());
        }
        let (fctes, cctes) = (list(f, "ctes"), list(c, "ctes"));
        let recursive = c.get("recursive").and_then(Value::as_bool).unwrap_or_default();
        if fctes.len() != cctes.len() || f.get("recursive") != c.get("recursive") {
            return disagree("WITH differs");
        }
        let every = cctes.iter().filter_map(|c| fields(c, "CommonTableExpr")).map(|c| text(c, "ctename").to_owned());
        self.ctes.push(if recursive { every.collect() } else { Vec::new() });
        for (f, c) in fctes.iter().zip(cctes) {
            let (Some(f), Some(c)) = (fields(f, "CommonTableExpr"), fields(c, "CommonTableExpr")) else { return disagree("WITH differs") };
            self.with_query(f, c)?;
            if f["ctematerialized"] != c["ctematerialized"] && f["ctematerialized"].as_i64() != Some(MATERIALIZED) {
                return disagree("WITH differs");
            }
            self.rest(f, c, &["ctequery", "ctematerialized"])?;
            if let Some(names) = self.ctes.last_mut().filter(|_| !recursive) {
                names.push(text(c, "ctename").to_owned());
            }
        }
        Ok(())
    }
}
