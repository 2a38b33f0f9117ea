//! COPY both ways, by the protocol and by psql: exactly the tenant's rows, whatever the format.

use crate::smoke::{POLICY, shop};
use crate::support::{Client, Database, Wall};
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs psql through the wall with this standard input: output, or the error.
fn psql(wall: &Wall, tenant: &str, sql: &str, input: &str) -> Result<String, String> {
    let mut child = Command::new("psql")
        .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", sql])
        .env("PGPORT", wall.port("pg").to_string())
        .env("PGOPTIONS", format!("-c partywall.tenant={tenant}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn rows(database: &Database) -> String {
    database.psql("SELECT tenant_id, id, item, price FROM orders ORDER BY 1, 2")
}

#[test]
fn rows_go_out() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    assert_eq!(psql(&wall, "acme", "\\copy orders to stdout", "").unwrap(), "acme\t1\tanvil\t10.50\nacme\t2\trocket\t99\n");
    assert_eq!(psql(&wall, "globex", "COPY orders (item, id) TO STDOUT CSV HEADER", "").unwrap(), "item,id\nlaser,1\nwhale,3\n");
    assert_eq!(psql(&wall, "acme", "COPY (SELECT item FROM orders ORDER BY id DESC) TO STDOUT", "").unwrap(), "rocket\nanvil\n");
    assert_eq!(psql(&wall, "nobody", "COPY orders TO STDOUT", "").unwrap(), "");
    assert_eq!(psql(&wall, "acme", "COPY countries TO STDOUT", "").unwrap(), "at\tAustria\nbe\tBelgium\n");
    assert!(psql(&wall, "acme", "COPY secrets TO STDOUT", "").unwrap_err().contains("does not exist"));
    assert!(psql(&wall, "acme", "COPY orders TO '/tmp/x'", "").unwrap_err().contains("not allowed"));
}

#[test]
fn rows_come_in() {
    let database = shop();
    database.psql("TRUNCATE orders");
    let wall = Wall::for_database(&database, POLICY);
    psql(&wall, "acme", "\\copy orders (id, item, price) from stdin", "1\ta\\tb\t1\n2\t\\\\N\t\\N\n").unwrap();
    psql(&wall, "globex", "COPY orders (item, id) FROM STDIN CSV HEADER", "item,id\n\"x\ny\",1\n\"q\"\"\",2\n").unwrap();
    // Without a list: with the tenant column, as it went out, and without.
    psql(&wall, "acme", "COPY orders FROM STDIN", "acme\t3\tc\t3\n").unwrap();
    psql(&wall, "acme", "COPY orders FROM STDIN", "4\td\t4\n5\te\t5\n").unwrap();
    psql(&wall, "acme", "COPY orders (id, item, tenant_id) FROM STDIN WHERE id > 6", "6\tf\tacme\n7\tg\tacme\n").unwrap();
    let all = "acme|1|a\tb|1\nacme|2|\\N|\nacme|3|c|3\nacme|4|d|4\nacme|5|e|5\nacme|7|g|\nglobex|1|x\ny|\nglobex|2|q\"|";
    assert_eq!(rows(&database), all);
    // Another tenant's id, in any way, is an error and writes nothing.
    for (sql, input) in [
        ("COPY orders FROM STDIN", "acme\t10\tok\t1\nglobex\t10\tx\t1\n"),
        ("COPY orders (id, item, tenant_id) FROM STDIN", "10\tx\tglobex\n"),
        ("COPY orders (id, item, tenant_id) FROM STDIN", "10\tx\t\\N\n"),
        ("COPY orders (tenant_id, id, item) FROM STDIN CSV", "\"globex\",10,x\n"),
    ] {
        assert!(psql(&wall, "acme", sql, input).unwrap_err().contains("only be written for this tenant"), "{sql}");
    }
    // Rows of a wrong shape are the server's own errors.
    for input in ["1\n", "1\tx\ty\tz\n", "x\ty\t1\n"] {
        psql(&wall, "acme", "COPY orders (id, item, price) FROM STDIN", input).unwrap_err();
    }
    assert_eq!(rows(&database), all);
}

#[test]
fn binary_round_trip() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let copy = |acme: &mut Client, list: &str| {
        acme.message(b'Q', format!("COPY orders {list} TO STDOUT BINARY\0").as_bytes());
        let mut data = Vec::new();
        while let Some((tag, body)) = acme.receive().filter(|(tag, _)| *tag != b'Z') {
            if tag == b'd' {
                data.extend(body);
            }
        }
        data
    };
    for list in ["(id, item, price)", "", "(item, tenant_id, id)"] {
        let data = copy(&mut acme, list);
        acme.query("DELETE FROM orders").unwrap();
        // The extended protocol as libpq speaks it, the rows in pieces.
        acme.parse("", &format!("COPY orders {list} FROM STDIN WITH (FORMAT binary)"), &[]);
        acme.bind("", "", &[]);
        acme.execute("", 0);
        acme.sync();
        for piece in data.chunks(7) {
            acme.message(b'd', piece);
        }
        acme.message(b'c', b"");
        acme.sync();
        let mut tags = Vec::new();
        while let Some((tag, _)) = acme.receive() {
            tags.push(tag);
            if tag == b'Z' {
                break;
            }
        }
        assert_eq!(tags, b"12GCZ", "{list}");
        assert_eq!(acme.query("SELECT id, item FROM orders ORDER BY id").unwrap().text(), "1|anvil\n2|rocket");
    }
    assert_eq!(database.psql("SELECT count(*) FROM orders WHERE tenant_id = 'globex'"), "2");
}

#[test]
fn errors_and_second_thoughts_leave_the_session_in_step() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    acme.message(b'Q', b"COPY orders (id, item) FROM STDIN\0");
    acme.message(b'd', b"8\tx\n9");
    acme.message(b'f', b"changed my mind\0");
    let mut tags = Vec::new();
    while let Some((tag, _)) = acme.receive() {
        tags.push(tag);
        if tag == b'Z' {
            break;
        }
    }
    assert_eq!(tags, b"GEZ");
    // Data for a COPY that is refused is dropped, and what was sent behind it is not.
    acme.message(b'Q', b"COPY secrets FROM STDIN\0");
    acme.message(b'd', b"8\tx\n");
    acme.message(b'c', b"");
    assert_eq!(acme.answers().pop().unwrap().unwrap_err().code, "42P01");
    assert_eq!(acme.query("SELECT count(*) FROM orders").unwrap().text(), "2");
    // Two in one text.
    acme.message(b'Q', b"COPY orders (id, item) FROM STDIN; SELECT 1; COPY orders (id, item) FROM STDIN CSV\0");
    for message in [&b"8\ty\n"[..], b"9\tz\n"] {
        acme.message(b'd', message);
    }
    acme.message(b'c', b"");
    acme.message(b'd', b"10,\"w\"\n");
    acme.message(b'c', b"");
    acme.answers();
    assert_eq!(acme.query("SELECT id, item FROM orders WHERE id > 7 ORDER BY id").unwrap().text(), "8|y\n9|z\n10|w");
}

#[test]
fn an_error_tells_the_line_and_the_clients_own_value() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    let copy = |client: &mut Client, sql: &str, data: &str| {
        client.message(b'Q', format!("{sql}\0").as_bytes());
        client.message(b'd', data.as_bytes());
        client.message(b'c', b"");
        let error = client.answers().pop().unwrap().unwrap_err();
        (error.code, error.message, error.fields.get(&'W').cloned())
    };
    for (sql, data) in [
        ("COPY orders (id, item, price) FROM STDIN", "10\ta\tdear\n"),
        ("COPY orders (tenant_id, id, item, price) FROM STDIN", "acme\t10\ta\t1\nacme\t11\tb\tdear\n"),
        ("COPY orders (id, item, price) FROM STDIN CSV HEADER", "id,item,price\nx,y,2\n"),
        ("COPY orders (tenant_id, id, item) FROM STDIN", "acme\t10\ta\nacme\t11\n"),
        ("COPY orders (tenant_id, id, item) FROM STDIN", "acme\t10\t\\N\n"),
    ] {
        let (walled, wanted) = (copy(&mut acme, sql, data), copy(&mut alone, sql, data));
        assert!(walled.2.is_some(), "{sql}");
        // The context of a column that may not be NULL is the whole line with or without the tenant: it is the same here.
        assert_eq!(walled, wanted, "{sql}");
    }
    // A whole line would show what the wall has written before it.
    let (_, message, context) = copy(&mut acme, "COPY orders (id, item) FROM STDIN", "10\ta\n11\n");
    assert_eq!((message.as_str(), context.as_deref()), ("missing data for column \"item\"", Some("COPY orders, line 2")));
}

#[test]
fn options_that_are_wrong_are_the_servers_own_errors() {
    let database = shop();
    let wall = Wall::for_database(&database, POLICY);
    let mut acme = Client::tenant(wall.port("pg"), "acme");
    let mut alone = Client::connect(database.port, &[("user", "postgres"), ("database", &database.name)]).unwrap();
    for options in [
        "(FORMAT csv, FORMAT 'Binary')",
        "CSV CSV",
        "(FORMAT 'Binary')",
        "(FORMAT)",
        "(DELIMITER)",
        "(NULL)",
        "(FORMAT csv, QUOTE)",
        "(HEADER, HEADER)",
        "(HEADER 3)",
        "(FREEZE 7)",
        "(FORMAT csv, FORCE_QUOTE)",
        "(FORMAT csv, FORCE_QUOTE id)",
        "(FORMAT csv, FORCE_NULL 3)",
        "(nosuch 'x')",
    ] {
        for sql in [format!("COPY orders TO STDOUT WITH {options}"), format!("COPY orders (id, item) FROM STDIN WITH {options}")] {
            let (walled, wanted) = (acme.query(&sql).unwrap_err(), alone.query(&sql).unwrap_err());
            assert_eq!((walled.code, walled.message, walled.position), (wanted.code, wanted.message, wanted.position), "{sql}");
        }
    }
    assert_eq!(acme.query("SELECT 1").unwrap().text(), "1");
}
