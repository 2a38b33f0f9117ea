//! Sequences: those of the session's own stand as `pg_temp.name`; a call names one of them, or one that a listed table owns.

use super::temp_parts::is_number_option;
use super::{Res, Walk, disagree, fields, list, names, text};
use crate::sql::private::TEMP;
use crate::sql::sequences;
use crate::sql::tree::Value;

impl Walk<'_> {
    /// `CREATE TEMP SEQUENCE pg_temp.name …`
    pub(super) fn create_temp_sequence(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.sequence_options(list(f, "options"), list(c, "options"))?;
        if f["for_identity"] != Value::Bool(false) {
            return disagree("a sequence of something else");
        }
        self.new_temp(&f["sequence"], &c["sequence"], 'S', Vec::new())?;
        self.rest(f, c, &["sequence", "options"])
    }

    pub(super) fn alter_temp_sequence(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.another_of_own(&f["sequence"], &c["sequence"], None)?;
        self.sequence_options(list(f, "options"), list(c, "options"))?;
        self.rest(f, c, &["sequence", "options"])
    }

    fn sequence_options(&mut self, fs: &[Value], cs: &[Value]) -> Res<()> {
        if fs.len() != cs.len() {
            return disagree("a sequence has other options");
        }
        for (f, c) in fs.iter().zip(cs) {
            let (Some(fo), Some(co)) = (fields(f, "DefElem"), fields(c, "DefElem")) else { return disagree("an option is none") };
            match text(fo, "defname") {
                _ if is_number_option(f) => self.rest(fo, co, &[])?,
                "as" if fields(&fo["arg"], "TypeName").is_some() => self.rest(fo, co, &[])?,
                "owned_by" => {
                    let path = |o: &Value| -> Vec<String> {
                        fields(&o["arg"], "List")
                            .map(|l| names(list(l, "items")).into_iter().map(str::to_owned).collect())
                            .unwrap_or_default()
                    };
                    let (theirs, ours) = (path(co), path(fo));
                    let own = match (theirs.as_slice(), ours.as_slice()) {
                        ([none], [same]) => none == "none" && none == same,
                        ([t, c], [schema, ft, fc]) => schema == TEMP && t == ft && c == fc,
                        ([near, t, c], [schema, ft, fc]) => near == TEMP && schema == TEMP && t == ft && c == fc,
                        _ => false,
                    };
                    if !own {
                        return disagree("a sequence goes to another table");
                    }
                    self.rest(fo, co, &["arg"])?;
                }
                _ => return disagree("a sequence has other options"),
            }
        }
        Ok(())
    }

    /// The literal that the sequence of the client's literal has to become.
    pub(super) fn sequence_meant(&self, name: &str) -> Option<String> {
        sequences::temporary(&self.private.temps, name).or_else(|| sequences::resolve(self.catalog, name))
    }

    /// `nextval('"schema"."name"')` of a sequence that is the one the client names.
    pub(super) fn sequence(&mut self, f: &Value, c: &Value) -> Res<()> {
        let literal = |v: &Value| Some(fields(v, "AConst")?["val"]["Sval"]["sval"].as_str()?.to_owned());
        let theirs = match list(c, "args") {
            [one] => fields(one, "TypeCast").map_or_else(|| literal(one), |cast| literal(&cast["arg"])),
            _ => None,
        };
        let wanted = theirs.and_then(|name| self.sequence_meant(&name));
        match list(f, "args") {
            [one] if wanted.is_some() && literal(one) == wanted => self.rest(f, c, &["funcname", "args"]),
            _ => disagree("a sequence is not a listed table's"),
        }
    }

    /// `setval` of a sequence of the session's own, or of the tenant's own place.
    pub(super) fn setval(&mut self, f: &Value, c: &Value) -> Res<()> {
        let ([ff, fr @ ..], [cf, cr @ ..]) = (list(f, "args"), list(c, "args")) else { return disagree("setval of nothing") };
        let literal = |v: &Value| Some(fields(v, "AConst")?["val"]["Sval"]["sval"].as_str()?.to_owned());
        let named = literal(cf).or_else(|| fields(cf, "TypeCast").and_then(|cast| literal(&cast["arg"])));
        let own = self.catalog.is_own_place();
        match named {
            Some(name) if literal(ff).is_some() && literal(ff) == sequences::temporary(&self.private.temps, &name) => {}
            Some(name) if own && literal(ff).is_some() && literal(ff) == self.sequence_meant(&name) => {}
            Some(_) => return disagree("setval of another sequence"),
            None => {
                let call = fields(cf, "FuncCall").map(|x| names(list(x, "funcname")));
                if !own || call.as_deref().and_then(<[_]>::last) != Some(&"pg_get_serial_sequence") {
                    return disagree("setval of another sequence");
                }
                self.same(ff, cf)?;
            }
        }
        if fr.len() != cr.len() {
            return disagree("setval has other arguments");
        }
        fr.iter().zip(cr).try_for_each(|(f, c)| self.same(f, c))?;
        self.rest(f, c, &["funcname", "args"])
    }
}
