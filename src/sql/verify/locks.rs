//! Advisory locks: each key is exactly the digest that holds the tenant, over the client's own key, and none is taken beyond the bound.

use super::{Held, Hold, Res, Walk, disagree, fields, is_place, kind, list, names};
use crate::sql::tree::Value;

/// Where the tenant stands in [`form`].
const TENANT: i64 = 3;

/// The key that a call with one or two arguments, `$1` and `$2`, must have. Both forms digest 8 bytes, then a text that tells the form and
/// ends in the tenant: no two of them are the same bytes for two tenants, two keys or two forms.
fn form(name: &str, arguments: usize, most: u32) -> Option<String> {
    let (bytes, number) = match arguments {
        1 => ("pg_catalog.int8send($1)", 1),
        2 => ("(pg_catalog.int4send($1) OPERATOR(pg_catalog.||) pg_catalog.int4send($2))", 2),
        _ => return None,
    };
    // What counts is this backend's locks beyond the first `most - 1`: with one there, the text is no number.
    let bound = format!(
        " OPERATOR(pg_catalog.#) ('0' OPERATOR(pg_catalog.||) pg_catalog.query_to_xml('SELECT ''partywall:locks'' AS a FROM pg_catalog.pg_lock_status() l \
         WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) ''advisory'' OFFSET {} LIMIT 1', \
         false, true, '')::pg_catalog.text)::pg_catalog.int8",
        most.checked_sub(1)?
    );
    let bound = if matches!(name, "pg_advisory_unlock" | "pg_advisory_unlock_shared") { "" } else { &bound };
    Some(format!(
        "SELECT ('x' OPERATOR(pg_catalog.||) pg_catalog.substr(pg_catalog.encode(pg_catalog.sha256({bytes} OPERATOR(pg_catalog.||) \
         pg_catalog.convert_to('partywall:lock:{number}:' OPERATOR(pg_catalog.||) $3::pg_catalog.text, 'UTF8')), 'hex'), 1, 16))\
         ::pg_catalog.bit(64)::pg_catalog.int8{bound}"
    ))
}

/// Does the function take or free a lock whose key all sessions of the database share?
pub(super) fn shares_a_key(name: &str) -> bool {
    (name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_")) && name != "pg_advisory_unlock_all"
}

impl Walk<'_> {
    /// A call of the client's that names an advisory lock; None if it is another.
    pub(super) fn lock_call(&mut self, f: &Value, c: &Value) -> Option<Res<()>> {
        let call = fields(c, "FuncCall")?;
        let name = match names(list(call, "funcname")).as_slice() {
            [name] | ["pg_catalog", name] if shares_a_key(name) => (*name).to_owned(),
            _ => return None,
        };
        Some(self.lock_key(f, call, &name))
    }

    fn lock_key(&mut self, f: &Value, c: &Value, name: &str) -> Res<()> {
        let Some(call) = fields(f, "FuncCall").filter(|x| names(list(x, "funcname")) == ["pg_catalog", name]) else {
            return disagree("an advisory lock became another call");
        };
        let keys = list(c, "args");
        let ([key], Some(form)) = (list(call, "args"), form(name, keys.len(), self.catalog.settings.advisory_locks)) else {
            return disagree("an advisory lock has other arguments");
        };
        let wanted = super::statements(&form)?;
        let wanted = fields(&wanted[0]["stmt"], "SelectStmt").and_then(|s| fields(list(s, "target_list").first()?, "ResTarget"));
        self.is_key(&wanted.unwrap_or(&Value::Null)["val"], key, keys)?;
        let client = c["location"].as_u64().and_then(|at| usize::try_from(at).ok());
        self.proof.held.push(Held { hold: Hold::Lock, relation: String::new(), reference: String::new(), client });
        self.rest(call, c, &["funcname", "args"])
    }

    fn is_key(&mut self, wanted: &Value, f: &Value, keys: &[Value]) -> Res<()> {
        if let Some(hole) = fields(wanted, "ParamRef") {
            let number = hole["number"].as_i64().unwrap_or_default();
            if number == TENANT {
                let own = fields(f, "ParamRef").and_then(|p| p["number"].as_i64()).is_some_and(|n| n >= self.first);
                return if own { Ok(()) } else { disagree("an advisory lock is not the tenant's") };
            }
            let key = usize::try_from(number - 1).ok().and_then(|index| keys.get(index));
            return key.map_or_else(|| disagree("an advisory lock has other arguments"), |key| self.same(f, key));
        }
        match (wanted, f) {
            (Value::Object(w), Value::Object(f)) if w.len() == f.len() => w.iter().try_for_each(|(name, part)| match f.get(name) {
                Some(_) if is_place(name) => Ok(()),
                Some(other) => self.is_key(part, other, keys),
                None => disagree("an advisory lock's key has other fields"),
            }),
            (Value::Array(w), Value::Array(f)) if w.len() == f.len() => w.iter().zip(f).try_for_each(|(w, f)| self.is_key(w, f, keys)),
            (w, f) if w == f && !w.is_object() && !w.is_array() => Ok(()),
            _ => match kind(f) {
                Some((kind, _)) => disagree(format!("an advisory lock's key has {kind} in it")),
                None => disagree("an advisory lock's key is another"),
            },
        }
    }
}
