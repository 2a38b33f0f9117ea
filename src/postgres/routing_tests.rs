//! Whose each message is: by header, by setting, and by what is in the middle of something.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn rules() -> Rules {
    let tenants = TenantPattern::new("[a-z]+").unwrap();
    Rules { tenants, otherwise: None, only: None, keys: None, signed: false, keep: false }
}

fn router() -> Router {
    Router::new(rules(), &[])
}

/// What comes of messages: `open acme`, what the session gets and what the client gets, by tags; a Query with its text.
fn hear(router: &mut Router, messages: &[u8]) -> String {
    let mut input = BytesMut::from(messages);
    let mut told = Vec::new();
    loop {
        let next = router.from_client(&mut input);
        match next {
            Ok(Next::Open(tenant)) => {
                told.push(format!("open {}", tenant.as_str()));
                router.opened(tenant, None);
            }
            Ok(Next::Read) => break,
            other => {
                told.push(format!("{other:?}"));
                break;
            }
        }
    }
    told.extend(shown(&mut router.to_session, ">"));
    told.extend(shown(&mut router.to_client, "<"));
    told.join(" ")
}

fn shown(bytes: &mut BytesMut, to: &str) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(frame) = wire::take(bytes, |_| 1 << 20).unwrap() {
        let text = String::from_utf8_lossy(frame.body()).trim_matches('\0').trim().replace('\0', "|");
        let text = if matches!(frame.tag, b'Q' | b'C' | b'Z' | REFUSE) { format!(":{text}") } else { String::new() };
        let tag = if frame.tag == REFUSE { '!' } else { char::from(frame.tag) };
        all.push(format!("{to}{tag}{text}"));
    }
    all
}

fn q(sql: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::query(&mut out, sql).unwrap();
    out.to_vec()
}

fn p(name: &str, sql: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::parse(&mut out, name, sql, &[]).unwrap();
    out.to_vec()
}

fn m(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::message(&mut out, tag, |b| {
        b.put_slice(body);
        Ok(())
    })
    .unwrap();
    out.to_vec()
}

fn b(name: &str) -> Vec<u8> {
    m(b'B', &[b"\0", name.as_bytes(), b"\0\0\0\0\0\0\0"].concat())
}

fn e() -> Vec<u8> {
    m(b'E', b"\0\0\0\0\0")
}

fn s() -> Vec<u8> {
    m(b'S', b"")
}

fn z(status: u8) -> Vec<u8> {
    m(b'Z', &[status])
}

/// The session answers.
fn answer(router: &mut Router, messages: &[u8]) -> String {
    router.from_session(&mut BytesMut::from(messages)).unwrap();
    shown(&mut router.to_client, "<").join(" ")
}

#[test]
fn each_statement_goes_to_its_tenants_session() {
    let mut r = router();
    assert_eq!(hear(&mut r, &q("/*tenant='acme'*/ SELECT 1")), "open acme >Q:SELECT 1");
    assert_eq!(hear(&mut r, &q("/*tenant='acme'*/ SELECT 2")), ">Q:SELECT 2", "pipelined");
    assert_eq!(hear(&mut r, &q("/*tenant='globex'*/ SELECT 3")), "Ok(Wait)", "another waits for what is owed");
    assert_eq!(answer(&mut r, &[z(b'I'), z(b'I')].concat()), "<Z:I <Z:I");
    assert_eq!(hear(&mut r, &q("/*tenant='globex'*/ SELECT 3")), "open globex >Q:SELECT 3");
    answer(&mut r, &z(b'I'));
    assert_eq!(hear(&mut r, &q("SELECT 1")), "<E <Z:I", "nobody's");
    assert_eq!(hear(&mut r, &q("SELECT 1 /*tenant='acme'*/")), "<E <Z:I");
    assert_eq!(hear(&mut r, &q("/*tenant='ACME'*/ SELECT 1")), "<E <Z:I");
    assert_eq!(hear(&mut r, &q("/*tenant=acme*/ SELECT 1")), "<E <Z:I");
    assert_eq!(r.refused.len(), 4);
}

#[test]
fn rows_that_cannot_come_are_not_waited_for() {
    let mut r = router();
    let (copy, other) = (q("/*tenant='acme'*/ COPY a FROM STDIN"), q("/*tenant='globex'*/ SELECT 1"));
    assert_eq!(hear(&mut r, &copy), "open acme >Q:COPY a FROM STDIN");
    assert_eq!(hear(&mut r, &other), "Ok(Wait)", "it may be none");
    assert_eq!(answer(&mut r, &m(b'G', b"\0\0\0")), "<G");
    assert_eq!(hear(&mut r, &other), "Ok(Wait) >f");
    assert_eq!(hear(&mut r, &other), "Ok(Wait)", "once");
    assert_eq!(answer(&mut r, &[m(b'E', b"\0"), z(b'I')].concat()), "<E <Z:I");
    assert_eq!(hear(&mut r, &other), "open globex >Q:SELECT 1");
}

#[test]
fn a_transaction_has_one_tenant() {
    let mut r = router();
    assert_eq!(hear(&mut r, &[q("BEGIN"), q("SAVEPOINT a")].concat()), "<C:BEGIN <Z:T <C:SAVEPOINT <Z:T");
    assert!(!r.at_rest());
    assert_eq!(hear(&mut r, &q("/*tenant='acme'*/ SELECT 1")), "open acme Ok(Wait) >Q:BEGIN >Q:SAVEPOINT a");
    assert_eq!(
        answer(&mut r, &[m(b'C', b"BEGIN\0"), z(b'T'), m(b'C', b"SAVEPOINT\0"), z(b'T')].concat()),
        "",
        "the client has that already"
    );
    assert_eq!(hear(&mut r, &q("/*tenant='acme'*/ SELECT 1")), ">Q:SELECT 1");
    answer(&mut r, &z(b'T'));
    assert_eq!(hear(&mut r, &q("/*tenant='globex'*/ SELECT 1")), ">!:\u{1}28000|a transaction has one tenant");
    answer(&mut r, &z(b'E'));
    assert_eq!(hear(&mut r, &q("COMMIT")), ">Q:COMMIT");
    answer(&mut r, &[m(b'C', b"ROLLBACK\0"), z(b'I')].concat());
    assert_eq!(
        hear(&mut r, &[q("BEGIN"), q("SELECT 1"), q("SELECT 1"), q("COMMIT")].concat()),
        "<C:BEGIN <Z:T <E <Z:E <E <Z:E <C:COMMIT <Z:I"
    );
}

#[test]
fn what_cannot_be_begun_there_ends_the_connection() {
    let mut r = router();
    hear(&mut r, &[q("BEGIN"), q("/*tenant='acme'*/ SELECT 1")].concat());
    let failed = [m(b'E', b"SERROR\0\0"), z(b'I')].concat();
    assert!(r.from_session(&mut BytesMut::from(&failed[..])).is_err());
}

#[test]
fn a_setting_lasts_as_settings_do() {
    let mut r = router();
    assert_eq!(hear(&mut r, &q("SET partywall.tenant = 'acme'")), "<C:SET <Z:I");
    assert_eq!(hear(&mut r, &q("SELECT 1")), "open acme >Q:SELECT 1");
    answer(&mut r, &z(b'I'));
    // LOCAL: to the end of the transaction, whether or not more was sent behind it.
    assert_eq!(hear(&mut r, &[q("BEGIN"), q("SET LOCAL partywall.tenant = 'globex'")].concat()), "<C:BEGIN <Z:T <C:SET <Z:T");
    assert_eq!(hear(&mut r, &q("SELECT 2")), "open globex Ok(Wait) >Q:BEGIN");
    answer(&mut r, &[m(b'C', b"BEGIN\0"), z(b'T')].concat());
    assert_eq!(
        hear(&mut r, &q("SELECT 2; COMMIT; SELECT 3")),
        ">!:\u{1}0A000|a text that ends a transaction whose tenant was set within it must be one statement"
    );
    answer(&mut r, &z(b'T'));
    assert_eq!(hear(&mut r, &q("COMMIT")), ">Q:COMMIT");
    assert_eq!(hear(&mut r, &q("SELECT 3")), "Ok(Wait)", "whose it is hangs on the COMMIT");
    answer(&mut r, &[m(b'C', b"COMMIT\0"), z(b'I')].concat());
    assert_eq!(hear(&mut r, &q("SELECT 3")), "open acme >Q:SELECT 3");
    answer(&mut r, &z(b'I'));
    // SET in a transaction stays if that commits.
    for (tag, wanted) in [("ROLLBACK", "acme"), ("COMMIT", "globex")] {
        assert_eq!(
            hear(&mut r, &[q("BEGIN"), q("SET partywall.tenant = 'globex'"), q(tag)].concat()),
            format!("<C:BEGIN <Z:T <C:SET <Z:T <C:{tag} <Z:I")
        );
        let heard = hear(&mut r, &q("SELECT 4"));
        assert!(heard.contains(">Q:SELECT 4") && r.current.as_ref().unwrap().as_str() == wanted, "{heard}");
        answer(&mut r, &z(b'I'));
    }
    assert_eq!(hear(&mut r, &q("RESET partywall.tenant")), "<C:RESET <Z:I");
    assert_eq!(hear(&mut r, &q("SELECT 5")), "<E <Z:I");
}

#[test]
fn a_prepared_statement_with_a_header_is_its_tenants_one_without_is_the_settings() {
    let mut r = router();
    assert_eq!(hear(&mut r, &[p("a", "/*tenant='acme'*/ SELECT 1"), s()].concat()), "open acme >P >S");
    answer(&mut r, &[m(b'1', b""), z(b'I')].concat());
    hear(&mut r, &q("SET partywall.tenant = 'globex'"));
    assert_eq!(hear(&mut r, &[p("g", "SELECT 2"), s()].concat()), "open globex >P >S");
    answer(&mut r, &[m(b'1', b""), z(b'I')].concat());
    assert_eq!(hear(&mut r, &[b("a"), e(), s()].concat()), "open acme >B >E >S", "whatever is set");
    answer(&mut r, &[m(b'2', b""), m(b'C', b"SELECT 1\0"), z(b'I')].concat());
    assert_eq!(hear(&mut r, &[b("g"), e(), s()].concat()), "open globex >B >E >S");
    answer(&mut r, &[m(b'2', b""), m(b'C', b"SELECT 1\0"), z(b'I')].concat());
    // Of another tenant's: prepared there, too, and the client hears nothing of it.
    hear(&mut r, &q("SET partywall.tenant = 'acme'"));
    assert_eq!(hear(&mut r, &[b("g"), e(), s()].concat()), "open acme >P >B >E >S");
    assert_eq!(answer(&mut r, &[m(b'1', b""), m(b'2', b""), m(b'C', b"SELECT 1\0"), z(b'I')].concat()), "<2 <C:SELECT 1 <Z:I");
    assert_eq!(hear(&mut r, &[p("a", "SELECT 3"), s()].concat()), "<E <Z:I", "the name is taken");
    // Closed and made anew: what the other session has under the name goes first.
    assert_eq!(
        hear(&mut r, &[m(b'C', b"Sg\0"), p("g", "SELECT 9"), s()].concat()),
        "<3 >P >S".split(' ').rev().collect::<Vec<_>>().join(" ").replace(">S >P <3", ">C:Sg >P >S <3")
    );
    assert_eq!(answer(&mut r, &[m(b'3', b""), m(b'1', b""), z(b'I')].concat()), "<1 <Z:I");
    // One that failed is none.
    assert_eq!(hear(&mut r, &[p("x", "SELECT nothing"), s()].concat()), ">P >S");
    answer(&mut r, &[m(b'E', b"SERROR\0\0"), z(b'I')].concat());
    assert_eq!(hear(&mut r, &[b("x"), s()].concat()), "<E <Z:I");
}

#[test]
fn a_batch_has_one_tenant() {
    let mut r = router();
    let both = [p("", "/*tenant='acme'*/ SELECT 1"), b(""), e(), p("", "/*tenant='globex'*/ SELECT 2"), e(), s()].concat();
    // Behind the refusal the session and the server skip to Sync.
    let refused = ">!:0A000|a batch of messages has one tenant; send a Sync first";
    assert_eq!(hear(&mut r, &both), format!("open acme >P >B >E {refused} >E >S"));
}

#[test]
fn the_extended_protocol_begins_without_a_tenant() {
    let mut r = router();
    let begin = [p("", "BEGIN"), b(""), e(), p("", "/*tenant='acme'*/ SELECT 1")].concat();
    assert_eq!(hear(&mut r, &begin), "open acme Ok(Wait) >Q:BEGIN <1 <2 <C:BEGIN");
    let set = [p("", "SET partywall.tenant = 'acme'"), m(b'D', b"S\0"), b(""), m(b'D', b"P\0"), e(), s()].concat();
    assert_eq!(hear(&mut router(), &set), "<1 <t <n <2 <n <C:SET <Z:I");
    assert_eq!(hear(&mut router(), &[p("", "SELECT 1"), b(""), e(), s(), s()].concat()), "<E <Z:I <Z:I", "skips to Sync");
}

#[test]
fn nothing_is_left_after_a_reset() {
    let mut r = router();
    hear(&mut r, &q("SET partywall.tenant = 'acme'"));
    hear(&mut r, &q("SELECT 1"));
    answer(&mut r, &z(b'I'));
    assert_eq!(hear(&mut r, &q("DISCARD ALL")), "Ok(Clear) <C:DISCARD ALL <Z:I");
    assert_eq!(hear(&mut r, &q("SELECT 1")), "<E <Z:I");
}

#[test]
fn another_source_and_a_signature_are_heeded() {
    let mut r = router();
    r.rules.only = r.rules.tenants.accept("acme");
    assert_eq!(hear(&mut r, &q("/*tenant='globex'*/ SELECT 1")), "<E <Z:I");
    assert_eq!(hear(&mut r, &q("SELECT 1")), "<E <Z:I");
    (r.rules.otherwise, r.rules.only) = (r.rules.only.take(), None);
    assert_eq!(hear(&mut r, &q("SELECT 1")), "open acme >Q:SELECT 1");
    let mut r = router();
    r.rules.signed = true;
    r.renew(Some(std::sync::Arc::new(Keys::parse("0123456789abcdef0123456789abcdef").unwrap())), 99);
    let token = "acme:100:313f4755f09f95d761a792885c751ad8a18b557e6eae9ae60b9ce2dbbd767f62";
    assert_eq!(hear(&mut r, &q("SET partywall.tenant = 'acme'")), "<E <Z:I");
    assert_eq!(hear(&mut r, &q(&format!("SET partywall.tenant = '{token}'"))), "<C:SET <Z:I");
    assert_eq!(hear(&mut r, &q("SELECT 1")), "open acme >Q:SELECT 1");
    answer(&mut r, &z(b'I'));
    r.now = 100;
    assert_eq!(hear(&mut r, &q("SELECT 1")), "<E <Z:I", "it ends with its signature");
}
