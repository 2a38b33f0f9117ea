//! A client's messages through a session and its judge to [`super::postgres_server`], in any chunks. Nothing panics; upstream hears whole
//! messages whose texts and values are the tenant's; the client hears the same however the bytes are cut, and a ReadyForQuery for each of
//! the server's; in the end both are at rest. Where one side speaks garbage, nothing panics.

use super::conversation::{self, Talk};
use super::postgres_server::Server;
use super::random::{Input, Random, mutate_bytes};
use super::sql::{judge, tenant};
use bytes::{BufMut, BytesMut};
use partywall::postgres::{Session, encode, wire};
use partywall::session::{Close, Session as _, Turn};
use partywall::sql::Judge;

const TEXTS: &[&str] = &[
    "SELECT 1",
    "SELECT id FROM orders WHERE id = $1",
    "SELECT * FROM orders",
    "SELECT * FROM secrets",
    "INSERT INTO orders (id, note) VALUES ($1, $2)",
    "INSERT INTO orders (id, tenant_id) VALUES ($1, $2)",
    "INSERT INTO orders (id, tenant_id) VALUES (1, 'acme')",
    "INSERT INTO orders (id, tenant_id) VALUES (1, 'globex')",
    "UPDATE items SET qty = qty + 1 WHERE line = $1 RETURNING *",
    "DELETE FROM loose",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "",
    ";",
    "nonsense (",
    "COPY orders FROM STDIN",
    "COPY orders (id) FROM STDIN (FORMAT csv)",
    "COPY loose TO STDOUT",
    "COPY items (line, tenant_id) FROM STDIN (FORMAT binary)",
    "PREPARE q AS SELECT note FROM orders",
    "EXECUTE q",
    "EXECUTE a",
    "DEALLOCATE q",
    "DEALLOCATE ALL",
    "DEALLOCATE a",
    "DISCARD ALL",
    "DECLARE c CURSOR FOR SELECT id FROM orders",
    "FETCH 1 FROM c",
    "CLOSE c",
    "UPDATE orders SET note = 'x' WHERE CURRENT OF c",
    "CREATE TEMP TABLE orders (id int)",
    "DROP TABLE orders",
    "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT * FROM items",
    "SELECT * FROM t",
    "INSERT INTO t VALUES (1)",
    "LISTEN ch",
    "NOTIFY ch, 'x'",
    "NOTIFY ch",
    "UNLISTEN *",
    "SELECT pg_notify($1, $2)",
    "SET TimeZone = 'UTC'",
    "SHOW search_path",
    "TRUNCATE orders",
    "EXPLAIN SELECT * FROM orders",
    "SELECT 1; SELECT * FROM items",
    "BEGIN; SELECT * FROM orders; COMMIT",
    "SELECT * FROM orders; SELECT * FROM secrets",
    "COPY orders FROM STDIN; COPY items FROM STDIN; SELECT 1",
    "CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); SELECT * FROM t",
    "SELECT $1::int, $2, o.* FROM orders o LEFT JOIN items i ON i.line = $3",
    "SELECT count(*) FROM orders WHERE tenant_id = $1",
    "MERGE INTO orders USING items ON id = line WHEN MATCHED THEN DELETE",
    "SELECT * FROM orders WHERE 1/id = 1",
];
const NAMES: &[&str] = &["", "a", "b", "q", "partywall refused"];
const PORTALS: &[&str] = &["", "p", "c", "partywall refused"];
const VALUES: &[Option<&[u8]>] = &[Some(b"1"), Some(b"acme"), Some(b"globex"), None, Some(b""), Some(b"\0\0\0\x01"), Some(b"\xff\xfe")];
const ROWS: &[&[u8]] = &[
    b"1\tx\n",
    b"1\tacme\t2\t3\tx\n",
    b"\\.\n",
    b"1,\"x\n",
    b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0",
    b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x04acme",
    b"\xff\xff",
    b"\\\n",
    b"\r\n",
    b"",
    b"a,b\r",
];

/// The target.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() {
        0..32 => garbage(&mut input),
        chunks => conversation(chunks, &mut input),
    }
}

fn session() -> Session<Judge> {
    Session::new(judge().clone(), tenant("acme"))
}

fn garbage(input: &mut Input<'_>) {
    let (mut session, mut sides) = (session(), [BytesMut::new(), BytesMut::new()]);
    let mut turn = Turn::default();
    while !input.is_empty() {
        let (what, tag) = (input.byte(), input.pick(b"QPBDECSHXdcfF123ITDRZESNtnsAKG"));
        let length = input.below(40);
        let body = input.bytes(length);
        let side = &mut sides[usize::from(what & 1)];
        if what & 2 == 0 {
            side.put_slice(body);
        } else {
            let _ = encode::message(side, tag, |b| {
                b.put_slice(body);
                Ok(())
            });
        }
        let [client, upstream] = &mut sides;
        let ended = match what & 1 {
            0 if session.wants_client() => session.from_client(client, &mut turn),
            0 => Ok(()),
            _ => session.from_upstream(upstream, &mut turn),
        };
        let ended = ended.and_then(|()| conversation::labour(&mut session, &mut turn));
        let mut sent = turn.to_upstream.split();
        while wire::take(&mut sent, |_| usize::MAX).unwrap().is_some() {}
        assert!(sent.is_empty(), "a partial message goes upstream");
        if ended.is_err() {
            return;
        }
    }
}

fn conversation(chunks: u8, input: &mut Input<'_>) {
    let count = input.below(16);
    let faults = input.bytes(count).to_vec();
    let mut said = BytesMut::new();
    while !input.is_empty() && said.len() < 1 << 16 {
        message(input, &mut said);
    }
    // Whatever it was in the midst of, this ends it.
    let _ = encode::message(&mut said, b'f', |b| encode::string(b, b"no more"));
    let _ = encode::message(&mut said, b'S', |_| Ok(()));
    let _ = encode::query(&mut said, "ROLLBACK");
    let _ = encode::query(&mut said, "ROLLBACK");
    let together = talk(&said, &faults, usize::MAX);
    let cut = talk(&said, &faults, usize::from(chunks) - 31);
    if together.1.is_none() || cut.1.is_none() {
        assert_eq!(shown(&together.0), shown(&cut.0), "another answer in other chunks");
    }
    assert_eq!(together.1, cut.1, "another end in other chunks");
}

/// One message of the client's.
fn message(input: &mut Input<'_>, out: &mut BytesMut) {
    let string = |b: &mut BytesMut, text: &str| encode::string(b, text.as_bytes());
    let done = match input.byte() % 16 {
        0..3 => encode::query(out, input.pick(TEXTS)),
        3..5 => {
            let (name, sql, types) = (input.pick(NAMES), input.pick(TEXTS), input.below(3));
            encode::parse(out, name, sql, &[25, 0][..types.min(2)])
        }
        5..7 => bind(input, out),
        7 => encode::message(out, b'D', |b| {
            let of_portal = input.below(2) == 1;
            b.put_u8(if of_portal { b'P' } else { b'S' });
            string(b, input.pick(if of_portal { PORTALS } else { NAMES }))
        }),
        8 | 9 => encode::message(out, b'E', |b| {
            string(b, input.pick(PORTALS))?;
            b.put_u32(0);
            Ok(())
        }),
        10 => encode::message(out, b'C', |b| {
            let of_portal = input.below(2) == 1;
            b.put_u8(if of_portal { b'P' } else { b'S' });
            string(b, input.pick(if of_portal { PORTALS } else { NAMES }))
        }),
        11 | 12 => encode::message(out, b'S', |_| Ok(())),
        13 => encode::message(out, input.pick(b"HcfF"), |_| Ok(())),
        14 => encode::message(out, b'd', |b| {
            let row: &[u8] = input.pick(ROWS);
            b.put_slice(row);
            Ok(())
        }),
        _ => {
            let length = input.below(60);
            let text = String::from_utf8_lossy(input.bytes(length)).replace('\0', " ");
            encode::query(out, &text)
        }
    };
    done.unwrap();
}

fn bind(input: &mut Input<'_>, out: &mut BytesMut) -> Result<(), wire::WireError> {
    encode::message(out, b'B', |b| {
        encode::string(b, input.pick(PORTALS).as_bytes())?;
        encode::string(b, input.pick(NAMES).as_bytes())?;
        let formats = input.below(3);
        encode::count(b, formats)?;
        (0..formats).for_each(|_| b.put_u16(u16::from(input.byte() % 3)));
        let count = input.below(5);
        encode::count(b, count)?;
        for _ in 0..count {
            match input.pick(VALUES) {
                None => b.put_i32(-1),
                Some(value) => {
                    b.put_u32(value.len() as u32);
                    b.put_slice(value);
                }
            }
        }
        b.put_u16(0);
        Ok(())
    })
}

/// All that the client hears, and how it ended.
fn talk(said: &[u8], faults: &[u8], chunk: usize) -> (BytesMut, Option<Close>) {
    let (mut session, mut server) = (session(), Server::new(faults));
    let Talk { heard, ended, client, upstream } = conversation::talk(&mut session, &mut server, said, chunk);
    if ended.is_some() {
        return (heard, ended);
    }
    assert!(client.is_empty() && upstream.is_empty());
    assert!(server.at_rest(), "the server waits");
    assert!(session.at_rest(), "the session waits: {session:?}");
    let readies = shown(&heard).iter().filter(|(tag, _)| *tag == b'Z').count();
    assert_eq!(readies, server.readies, "ReadyForQuery lost or made up");
    (heard, None)
}

fn shown(heard: &[u8]) -> Vec<(u8, String)> {
    let (mut left, mut all) = (BytesMut::from(heard), Vec::new());
    while let Some(frame) = wire::take(&mut left, |_| usize::MAX).unwrap() {
        // Of two errors that a message has, the one that is told hangs on what was known already.
        let body = if frame.tag == b'E' { "".into() } else { String::from_utf8_lossy(frame.body()) };
        all.push((frame.tag, body.into_owned()));
    }
    assert!(left.is_empty(), "the client hears a partial message");
    all
}

/// Another conversation.
pub fn mutate(data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if random.below(3) == 0 {
        for _ in 0..random.below(30) {
            bytes.push(random.next() as u8);
        }
    }
    mutate_bytes(&mut bytes, random);
    bytes
}
