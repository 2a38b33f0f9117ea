//! What people type, without a server: exit codes and what is printed.

use serde_json::Value;
use std::process::Command;

/// Exit code, standard output, standard error; typed in the project's directory.
fn typed(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partywall"));
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn explain(more: &[&str]) -> (i32, String, String) {
    typed(&[&["explain", "--policy", "policies/shop.yaml", "--tenant", "acme"], more].concat())
}

#[test]
fn explain_shows_the_text_and_the_policys_line() {
    let (code, out, _) = explain(&["SELECT * FROM orders"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("SELECT * FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme'\n"), "{out}");
    let line = 1 + include_str!("../../policies/shop.yaml").lines().position(|l| l.contains("public.orders:")).unwrap();
    assert!(out.contains(&format!("(policies/shop.yaml:{line})")), "{out}");
    assert!(out.contains("note: schema of policies/shop.sql"), "{out}");
}

#[test]
fn explain_points_at_what_is_refused() {
    let (code, out, _) = explain(&["SELECT 1,\n  pg_read_file('/etc/passwd')"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("refused: 42883 "), "{out}");
    assert!(out.contains("\n  2 |   pg_read_file('/etc/passwd')\n        ^\n"), "{out}");
    let (code, out, _) = explain(&["--json", "SELECT * FROM secrets"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, told["refused"].as_str(), told["position"].as_u64()), (1, Some("42P01"), Some(15)));
}

#[test]
fn explain_as_json() {
    let (code, out, _) = explain(&["--json", "DELETE FROM orders"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(told["rewritten"], "DELETE FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) 'acme'");
    assert_eq!((&told["reasons"][0]["kind"], &told["reasons"][0]["subject"]), (&"guard".into(), &"public.orders".into()));
}

#[test]
fn a_policy_alone_is_enough_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("alone.yaml");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/shop.yaml"), &alone).unwrap();
    let path = alone.to_str().unwrap();
    let (code, out, _) = typed(&["explain", "--policy", path, "--tenant", "acme", "SELECT * FROM orders"]);
    assert_eq!(code, 0);
    assert!(out.contains("'acme'") && out.contains("note: no schema was given"), "{out}");
    let (code, _, err) = typed(&["explain", "--policy", path, "--tenant", "acme", "INSERT INTO orders VALUES (1, 2)"]);
    assert_eq!(code, 2);
    assert!(err.contains("--schema"), "{err}");
}

#[test]
fn redis_commands_are_explained_too() {
    let (code, out, _) = explain(&["--redis", "MSET a 1 b 'two words'"]);
    assert_eq!((code, out.lines().next()), (0, Some("MSET acme:a 1 acme:b \"two words\"")), "{out}");
    let (code, out, _) = explain(&["--redis", "--json", "GET k"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["rewritten"]), (0, &serde_json::json!(["GET", "acme:k"])));
    let (code, out, _) = explain(&["--redis", "MONITOR"]);
    assert!(code == 1 && out.starts_with("refused: NOPERM "), "{out}");
    assert_eq!(explain(&["--redis", "GET 'k"]).0, 2);
}

#[test]
fn wrong_usage_is_two() {
    assert_eq!(typed(&["explain", "--policy", "policies/shop.yaml", "--tenant", "No:Tenant", "SELECT 1"]).0, 2);
    assert_eq!(typed(&["explain", "--nonsense"]).0, 2);
    assert_eq!(typed(&["nonsense"]).0, 2);
}

#[test]
fn check_tells_every_finding_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("partywall.yaml");
    let text = "listeners: []\nupstreams:\n  db: { adress: 127.0.0.1:5432 }\npolicies: nowhere/\n";
    std::fs::write(&config, text).unwrap();
    let path = config.to_str().unwrap();
    let (code, out, _) = typed(&["check", "--config", path]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("{path}:3:9\n 3 |   db: {{ adress: 127.0.0.1:5432 }}\n   |         ^\n")), "{out}");
    assert!(out.contains("fix: did you mean `address`?"), "{out}");
    let (code, out, _) = typed(&["check", "--json", "--config", path]);
    let findings: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    let found = findings.iter().find(|f| f["message"] == "unknown key `adress`").unwrap();
    assert_eq!((found["line"].as_u64(), found["column"].as_u64()), (Some(3), Some(9)));
    assert!(findings.len() >= 3 && findings.iter().all(|f| !f["fix"].as_str().unwrap().is_empty()), "{out}");
    assert_eq!(typed(&["check", "--config", "deploy/partywall.yaml"]).0, 0);
    assert_eq!(typed(&["check", "--json", "--config", "deploy/partywall.yaml"]).1, "[]\n");
}

#[test]
fn explain_tells_what_a_role_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roles.yaml");
    let roles = "roles: { clerk: { postgres: { public.orders: { select: [id] } }, redis: { commands: [get] } } }\n";
    std::fs::write(&path, format!("{}{roles}", include_str!("../../policies/shop.yaml"))).unwrap();
    let as_role = |role: &str, more: &[&str]| {
        let whose = ["explain", "--policy", path.to_str().unwrap(), "--tenant", "acme", "--role", role];
        typed(&[&whose[..], more].concat())
    };
    let schema = ["--schema", "policies/shop.sql"];
    assert_eq!(as_role("clerk", &[&schema[..], &["SELECT id FROM orders"]].concat()).0, 0);
    let (code, out, _) = as_role("clerk", &[&schema[..], &["SELECT * FROM orders"]].concat());
    assert!(code == 1 && out.starts_with("refused: 42501 permission denied for table orders"), "{out}");
    let (code, out, _) = as_role("clerk", &["--redis", "SET a b"]);
    assert!(code == 1 && out.contains("NOPERM"), "{out}");
    assert_eq!(as_role("clerk", &["--redis", "GET a"]).0, 0);
    let (code, _, err) = as_role("boss", &["--redis", "GET a"]);
    assert!(code == 2 && err.contains("`boss` is no role of policy `shop`"), "{err}");
}
