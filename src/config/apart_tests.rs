//! Two policies before one Redis.

use crate::config::{Files, load};
use std::path::{Path, PathBuf};

/// Two policies with these tenants and Redis rules, before servers at these addresses.
struct Two<'a>([(&'a str, &'a str); 2], [&'a str; 2]);

impl Files for Two<'_> {
    fn text(&self, path: &Path) -> Result<String, String> {
        let policy = |n: usize| {
            let (tenants, redis) = self.0[n];
            format!(
                "version: 1\nname: p{n}\ntenants: {{ id: '{tenants}' }}\nidentity: {{ static: {{ tenant: acme }} }}\nredis: {{ {redis} }}\n"
            )
        };
        let listener = |n: usize| {
            format!("  - {{ name: l{n}, protocol: redis, listen: 127.0.0.1:{n}, upstream: u{n}, policy: p{n}, identity: [static] }}\n")
        };
        let upstream = |n: usize| format!("  u{n}: {{ address: {} }}\n", self.1[n]);
        Ok(match path.to_str().unwrap_or_default() {
            "c.yaml" => format!("listeners:\n{}{}upstreams:\n{}{}policies: p\n", listener(0), listener(1), upstream(0), upstream(1)),
            "0" => policy(0),
            _ => policy(1),
        })
    }

    fn policies(&self, _: &Path) -> Result<Vec<PathBuf>, String> {
        Ok(vec!["0".into(), "1".into()])
    }
}

#[test]
fn keys_of_two_policies_tenants_do_not_meet() {
    let ids = "[a-z]+";
    for (policies, apart) in [
        ([(ids, "prefix: 'a:{tenant}:'"), (ids, "prefix: 'b:{tenant}:'")], true),
        ([(ids, "prefix: '{tenant}:'"), (ids, "prefix: '{tenant}:'")], true),
        ([(ids, "prefix: '{tenant}:'"), (ids, "prefix: '{tenant}::'")], false),
        ([(ids, "prefix: '{tenant}:'"), (ids, "prefix: 'a:{tenant}:'")], false),
        ([(ids, "prefix: 'a:{tenant}:'"), (ids, "prefix: 'a:b:{tenant}:'")], false),
        ([("[a-z]+", "prefix: '{tenant}:x'"), ("[a-w:]+", "prefix: '{tenant}:x'")], false),
        ([("[a-w]+", "prefix: '{tenant}:x'"), ("[a-w:]+", "prefix: '{tenant}:x'")], true),
        ([(ids, "prefix: 'a:{tenant}:', shared: { read: ['config:*'] }"), (ids, "prefix: 'b:{tenant}:'")], true),
        ([(ids, "prefix: 'a:{tenant}:', shared: { read: ['b:*'] }"), (ids, "prefix: 'b:{tenant}:'")], false),
        ([(ids, "prefix: 'a:{tenant}:'"), (ids, "prefix: 'b:{tenant}:', shared: { read: ['?:x'] }")], false),
        ([(ids, "prefix: '{tenant}:', shared: { read: ['config:*'] }"), (ids, "prefix: '{tenant}:'")], false),
        (
            [(ids, "prefix: '{tenant}:', shared: { read: ['config:*'] }"), (ids, "prefix: '{tenant}:', shared: { read: ['config:*'] }")],
            true,
        ),
    ] {
        let said = load(Path::new("c.yaml"), &Two(policies, ["127.0.0.1:6379"; 2])).map(drop);
        let same = said.as_ref().is_err_and(|findings| findings.len() == 1 && findings[0].message.contains("could have the same keys"));
        assert!(if apart { said.is_ok() } else { same }, "{policies:?}: {said:?}");
        assert!(load(Path::new("c.yaml"), &Two(policies, ["127.0.0.1:6379", "127.0.0.1:6380"])).is_ok(), "{policies:?}, two servers");
    }
}
