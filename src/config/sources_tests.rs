//! What a listener may say of sources that disagree.

use super::Conflict;
use crate::config::{Files, load};
use std::path::{Path, PathBuf};

/// A listener with these sources and this besides; its policy has `static` so.
struct One<'a>(&'a str, &'a str, &'a str);

impl Files for One<'_> {
    fn text(&self, path: &Path) -> Result<String, String> {
        let Self(sources, more, fixed) = self;
        Ok(match path.to_str().unwrap_or_default() {
            "c.yaml" => format!(
                "listeners:\n  - {{ name: l, protocol: postgres, listen: 127.0.0.1:1, upstream: u, policy: p, identity: [{sources}]{more} }}\n\
                 upstreams: {{ u: {{ address: 127.0.0.1:2 }} }}\npolicies: p\n"
            ),
            _ => format!(
                "version: 1\nname: p\ntenants: {{ id: '[a-z]+' }}\nidentity:\n  static: {{ {fixed} }}\n  startup: {{ trust: [loopback] }}\n  \
                 statement: {{ trust: [loopback] }}\n"
            ),
        })
    }

    fn policies(&self, _: &Path) -> Result<Vec<PathBuf>, String> {
        Ok(vec!["p".into()])
    }
}

#[test]
fn conflict_is_refuse_or_first() {
    let (tenant, env) = ("tenant: acme", "env: TENANT");
    for (sources, more, fixed, wanted) in [
        ("static, startup", "", tenant, Ok(Conflict::Refuse)),
        ("static, startup", ", conflict: refuse", tenant, Ok(Conflict::Refuse)),
        ("startup, static", ", conflict: first", tenant, Ok(Conflict::First)),
        ("static, startup", ", conflict: first", env, Ok(Conflict::First)),
        ("static, statement", ", conflict: first", tenant, Ok(Conflict::First)),
        ("static, startup", ", conflict: first", tenant, Err("`static` is always the one that counts")),
        ("static, startup", ", conflict: last", tenant, Err("unknown way with sources that disagree: `last`")),
        ("static, startup", ", conflict: [first]", tenant, Err("a string is expected here")),
        ("static, startup", ", conflicts: first", tenant, Err("unknown key `conflicts`")),
    ] {
        let said = load(Path::new("c.yaml"), &One(sources, more, fixed)).map(|config| config.listeners[0].conflict);
        let fits = match (&said, wanted) {
            (Ok(is), Ok(wanted)) => *is == wanted,
            (Err(findings), Err(wanted)) => findings.len() == 1 && findings[0].message.contains(wanted) && findings[0].line == 2,
            _ => false,
        };
        assert!(fits, "{sources}{more}: {said:?}");
    }
}
