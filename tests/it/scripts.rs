//! The same wire scripts through the wall, where others' rows stand too, and straight to a server that holds one tenant's rows alone: what
//! comes back is the same, message by message.

use crate::smoke::POLICY;
use crate::support::{Client, Postgres, Wall};
use std::path::Path;

#[path = "../postgres/script.rs"]
mod script;

const SCHEMA: &str = "
CREATE TABLE orders (tenant_id text NOT NULL, id int NOT NULL, item text NOT NULL, price numeric, PRIMARY KEY (tenant_id, id));
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE secrets (x text);
INSERT INTO orders VALUES ('acme', 1, 'anvil', 10.50), ('acme', 2, 'rocket', 99), ('acme', 3, 'skates', NULL);
INSERT INTO countries VALUES ('at', 'Austria'), ('be', 'Belgium');";
const OTHERS: &str = "INSERT INTO orders SELECT 'globex', n, 'x' || n, n FROM generate_series(1, 50) n;
INSERT INTO orders VALUES ('acme2', 1, 'anvil', 10.50), ('acm', 4, '0', 0);";

/// Runs a script; what was asked up to an answer, and the answer, a line a message.
fn transcript(port: u16, parameters: &[(&str, &str)], text: &str) -> Vec<(String, String)> {
    let mut client = Client::connect(port, parameters).unwrap();
    let (mut said, mut asked) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        asked += &format!("{line}\n");
        // With a `+` no answer is awaited: the server skips it.
        if let Some(skipped) = line.strip_prefix("+ ") {
            client.send(&script::client(skipped));
            continue;
        }
        client.send(&script::client(line));
        if !line.starts_with("Query") && line != "Sync" && !line.starts_with("Raw Q") {
            continue;
        }
        let mut answer = String::new();
        while let Some((tag, body)) = client.receive() {
            answer += &format!("\n    {}", script::show_server(tag, &without_the_servers_source(tag, &body)));
            if tag == b'Z' {
                break;
            }
        }
        said.push((std::mem::take(&mut asked), answer));
    }
    said
}

/// The wall may leave a position out; one that it gives must be right.
fn alike(wanted: &str, got: &str) -> bool {
    let same = |(wanted, got): (&str, &str)| wanted == got || wanted.split(" P=").next() == Some(got);
    wanted.lines().count() == got.lines().count() && wanted.lines().zip(got.lines()).all(same)
}

/// File, line and routine differ between a server's own errors and the wall's; the wall gives hints of its own and no statements.
fn without_the_servers_source(tag: u8, body: &[u8]) -> Vec<u8> {
    if tag != b'E' && tag != b'N' {
        return body.to_vec();
    }
    let kept = body.split(|b| *b == 0).filter(|f| !f.is_empty() && !b"FLRHW".contains(&f[0]));
    [kept.flat_map(|f| [f, &[0]].concat()).collect(), vec![0]].concat()
}

#[test]
fn the_wall_sounds_like_a_private_server() {
    let mut differences = Vec::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/client");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (shared, private) = (Postgres::shared().database(), Postgres::shared().database());
        shared.psql(&format!("{SCHEMA}{OTHERS}"));
        private.psql(&format!("{SCHEMA}DROP TABLE secrets; ALTER TABLE orders ALTER tenant_id SET DEFAULT 'acme'"));
        let wall = Wall::for_database(&shared, POLICY);
        let others = || shared.psql("SELECT * FROM orders WHERE tenant_id <> 'acme' ORDER BY 1, 2");
        let before = others();
        let direct = transcript(private.port, &[("user", "postgres"), ("database", &private.name)], &text);
        let through = transcript(wall.port("pg"), &[("user", "postgres"), ("partywall.tenant", "acme")], &text);
        for (wanted, got) in direct.iter().zip(&through).filter(|(wanted, got)| !alike(&wanted.1, &got.1)) {
            differences.push(format!("{}: {}\n  private {}\n  wall    {}", path.display(), wanted.0, wanted.1, got.1));
        }
        assert_eq!(direct.len(), through.len(), "{}", path.display());
        assert_eq!(others(), before, "rows of others");
        let rows = "SELECT * FROM orders WHERE tenant_id = 'acme' ORDER BY 1, 2";
        if shared.psql(rows) != private.psql(rows) {
            differences.push(format!("{}: private {}\nwall {}", path.display(), private.psql(rows), shared.psql(rows)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
