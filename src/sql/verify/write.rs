//! Writes: the target is guarded, the tenant column is written by a tenant parameter, and no SET names it.

use super::{Found, Held, Hold, Res, Walk, disagree, fields, hold, kind, list, names, text, utility};
use serde_json::Value;

impl Walk<'_> {
    fn target(&mut self, f: &Value, c: &Value) -> Res<(String, String)> {
        let relation = self.relation(&f["relation"], &c["relation"])?;
        let Some(Some(column)) = relation else { return disagree("the target of a write is not scoped") };
        let (f, c) = (&f["relation"], &c["relation"]);
        self.rest(f, c, &["schemaname"])?;
        let reference = if f["alias"].is_null() { text(f, "relname") } else { text(&f["alias"], "aliasname") };
        Ok((reference.to_owned(), column))
    }

    pub(super) fn update(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.guarded_write(f, c, "from_clause")
    }

    pub(super) fn delete(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.guarded_write(f, c, "using_clause")
    }

    fn guarded_write(&mut self, f: &Value, c: &Value, from: &str) -> Res<()> {
        let depth = self.ctes.len();
        self.with(&f["with_clause"], &c["with_clause"])?;
        let (reference, column) = self.target(f, c)?;
        never_sets(list(f, "target_list"), &column)?;
        if utility::is_current_of(&f["where_clause"], &c["where_clause"]) && list(f, from).is_empty() && f["with_clause"].is_null() {
            return self.rest(f, c, &["relation", "where_clause"]);
        }
        let mut guards = self.filter(&f["where_clause"], &c["where_clause"])?;
        let Some(index) = guards.iter().position(|g| *g == Found { reference: reference.clone(), column: column.clone() }) else {
            return disagree("the target of a write has no guard");
        };
        guards.remove(index);
        hold(&mut self.proof, Hold::Filter, &f["relation"], &c["relation"], &reference);
        self.filters.push(guards);
        let sink = self.filters.len() - 1;
        self.from_list(list(f, from), list(c, from), sink)?;
        self.used_up()?;
        self.rest(f, c, &["with_clause", "relation", "where_clause", from])?;
        self.ctes.truncate(depth);
        Ok(())
    }

    pub(super) fn insert(&mut self, f: &Value, c: &Value) -> Res<()> {
        let depth = self.ctes.len();
        self.with(&f["with_clause"], &c["with_clause"])?;
        let (reference, column) = self.target(f, c)?;
        let added = self.columns(f, c, &column)?;
        let how = if added { Hold::Inserted } else { Hold::Own };
        hold(&mut self.proof, how, &f["relation"], &c["relation"], &reference);
        let (fs, cs) = (&f["select_stmt"], &c["select_stmt"]);
        match (fields(fs, "SelectStmt"), fields(cs, "SelectStmt"), added) {
            (Some(f), None, true) if cs.is_null() => match list(f, "values_lists") {
                [row] if fields(row, "List").is_some_and(|r| list(r, "items").len() == 1) && f["with_clause"].is_null() => {
                    self.tenant_value(&list(&fields(row, "List").unwrap_or(&Value::Null).clone(), "items")[0])?;
                }
                _ => return disagree("DEFAULT VALUES became something else"),
            },
            (Some(f), Some(c), true) => self.source(f, c)?,
            (Some(_), Some(c), false) => {
                own_values(c, position(f, &column))?;
                self.same(fs, cs)?;
            }
            _ => return disagree("the source of an INSERT differs"),
        }
        self.conflict(&f["on_conflict_clause"], &c["on_conflict_clause"], &reference, &column)?;
        self.rest(f, c, &["with_clause", "relation", "cols", "select_stmt", "on_conflict_clause"])?;
        self.ctes.truncate(depth);
        Ok(())
    }

    /// The column list; true if the tenant column was added at its end.
    fn columns(&mut self, f: &Value, c: &Value, column: &str) -> Res<bool> {
        let (fcols, ccols) = (list(f, "cols"), list(c, "cols"));
        let name = |v: &Value| fields(v, "ResTarget").map(|t| text(t, "name").to_owned()).unwrap_or_default();
        let added = fcols.last().is_some_and(|l| name(l) == column) && !ccols.iter().any(|v| name(v) == column);
        let named = if added { &fcols[..fcols.len() - 1] } else { fcols };
        if fcols.iter().filter(|v| name(v) == column).count() != 1 {
            return disagree("the tenant column is not written exactly once");
        }
        if !ccols.is_empty() {
            if named.len() != ccols.len() {
                return disagree("the column list differs");
            }
            named.iter().zip(ccols).try_for_each(|(f, c)| self.same(f, c))?;
            return Ok(added);
        }
        let key = (text(&f["relation"], "schemaname").to_owned(), text(&f["relation"], "relname").to_owned());
        let Some(relation) = self.catalog.relations.get(&key) else { return disagree("the target is not listed") };
        let expected: Vec<&str> = relation.columns.iter().take(named.len()).map(|c| c.name.as_str()).collect();
        let plain = named.iter().all(|v| fields(v, "ResTarget").is_some_and(|t| list(t, "indirection").is_empty() && t["val"].is_null()));
        let in_order = plain && named.iter().map(name).eq(expected.iter().map(|s| (*s).to_owned()));
        if !in_order {
            return disagree("the added column list is not the table's");
        }
        let source = fields(&c["select_stmt"], "SelectStmt");
        let first = source.and_then(|s| list(s, "values_lists").first()).and_then(|r| fields(r, "List"));
        // From a query without stars the number of columns is checked by PostgreSQL: one too few or many is its error.
        if first.is_some_and(|r| list(r, "items").len() != named.len()) {
            return disagree("the added column list has another length");
        }
        Ok(added)
    }

    /// A source whose every row gained the tenant as its last value.
    fn source(&mut self, f: &Value, c: &Value) -> Res<()> {
        let depth = self.ctes.len();
        let is_set = !c["larg"].is_null();
        if is_set {
            self.with(&f["with_clause"], &c["with_clause"])?;
            self.source(&f["larg"], &c["larg"])?;
            self.source(&f["rarg"], &c["rarg"])?;
            let result = self.rest(f, c, &["with_clause", "larg", "rarg"]);
            self.ctes.truncate(depth);
            return result;
        }
        let mut short = f.clone();
        if list(f, "values_lists").is_empty() {
            let target = short["target_list"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
            let Some(target) = fields(&target, "ResTarget") else { return disagree("the tenant's value is missing") };
            self.tenant_value(&target["val"])?;
        } else {
            for row in short["values_lists"].as_array_mut().into_iter().flatten() {
                let last = row["node"]["List"]["items"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
                self.tenant_value(&last)?;
            }
        }
        self.select(&short, c)
    }

    /// `$tenant` or `$tenant::pg_catalog.type`
    fn tenant_value(&self, value: &Value) -> Res<()> {
        let inner = match fields(value, "TypeCast") {
            Some(cast) if names(list(&cast["type_name"], "names")).first() == Some(&"pg_catalog") => &cast["arg"],
            Some(_) => return disagree("the tenant's value is cast to a user's type"),
            None => value,
        };
        let number = fields(inner, "ParamRef").and_then(|p| p["number"].as_i64());
        if number.is_some_and(|n| n >= self.first) { Ok(()) } else { disagree("the tenant column is not written by the wall") }
    }

    fn conflict(&mut self, f: &Value, c: &Value, reference: &str, column: &str) -> Res<()> {
        if f.is_null() && c.is_null() {
            return Ok(());
        }
        let (fi, ci) = (&f["infer"], &c["infer"]);
        if !fi.is_null() && !ci.is_null() {
            let (mut fe, ce) = (list(fi, "index_elems"), list(ci, "index_elems"));
            if fe.len() == ce.len() + 1
                && fields(&fe[ce.len()], "IndexElem").is_some_and(|e| text(e, "name") == column && e["expr"].is_null())
            {
                fe = &fe[..ce.len()];
            }
            if fe.len() != ce.len() {
                return disagree("the conflict target differs");
            }
            fe.iter().zip(ce).try_for_each(|(f, c)| self.same(f, c))?;
            self.rest(fi, ci, &["index_elems"])?;
        } else {
            self.same(fi, ci)?;
        }
        never_sets(list(f, "target_list"), column)?;
        if f["action"].as_i64() != Some(3) {
            return self.rest(f, c, &["infer"]);
        }
        let client = c["location"].as_u64().and_then(|l| usize::try_from(l).ok());
        self.proof.held.push(Held { hold: Hold::Upsert, relation: String::new(), reference: reference.to_owned(), client });
        self.upsert(&f["where_clause"], &c["where_clause"], reference, column)?;
        self.rest(f, c, &["infer", "where_clause"])
    }

    /// `CASE WHEN guard THEN <client's> ELSE <marker>::bool END`: another tenant's row is an error, never a silent nothing.
    fn upsert(&mut self, f: &Value, c: &Value, reference: &str, column: &str) -> Res<()> {
        let Some(case) = fields(f, "CaseExpr") else { return disagree("an upsert has no guard") };
        let [when] = list(case, "args") else { return disagree("an upsert has no guard") };
        let Some(when) = fields(when, "CaseWhen") else { return disagree("an upsert has no guard") };
        let wanted = Found { reference: reference.to_owned(), column: column.to_owned() };
        if self.guard(&when["expr"]) != Some(wanted) || !case["arg"].is_null() {
            return disagree("an upsert has no guard");
        }
        let cast = fields(&case["defresult"], "TypeCast");
        let marked = cast.is_some_and(|t| {
            names(list(&t["type_name"], "names")) == ["pg_catalog", "bool"]
                && fields(&t["arg"], "AExpr").is_some_and(|x| {
                    let literal = fields(&x["lexpr"], "AConst").map(|l| l["val"]["Sval"]["sval"].clone());
                    names(list(x, "name")) == ["pg_catalog", "||"] && literal == Some(Value::from("partywall:upsert"))
                })
        });
        if !marked {
            return disagree("an upsert that meets another tenant's row is not an error");
        }
        if c.is_null() {
            let truth = fields(&when["result"], "AConst").is_some_and(|t| t["val"]["Boolval"]["boolval"] == Value::Bool(true));
            return if truth { Ok(()) } else { disagree("an upsert gained a condition") };
        }
        self.same(&when["result"], c)
    }
}

fn never_sets(targets: &[Value], column: &str) -> Res<()> {
    let sets = targets.iter().filter_map(|t| fields(t, "ResTarget")).any(|t| text(t, "name") == column);
    if sets { disagree("the tenant column is assigned") } else { Ok(()) }
}

fn position(f: &Value, column: &str) -> usize {
    list(f, "cols").iter().position(|v| fields(v, "ResTarget").is_some_and(|t| text(t, "name") == column)).unwrap_or(usize::MAX)
}

/// Where the client names the tenant column, only literals and parameters stand there; their values are checked when they are known.
fn own_values(select: &Value, position: usize) -> Res<()> {
    let rows = list(select, "values_lists");
    let sound = |row: &Value| {
        let value = fields(row, "List").and_then(|r| list(r, "items").get(position));
        value.and_then(kind).is_some_and(|(k, v)| k == "ParamRef" || (k == "AConst" && v["isnull"] == Value::Bool(false)))
    };
    if !rows.is_empty() && rows.iter().all(sound) { Ok(()) } else { disagree("the tenant column takes something that cannot be checked") }
}
