//! The session alone: wire scripts of `tests/postgres/session`, and random conversations with a small server, with and without the wall.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::policy::TenantPattern;
use crate::session::Session as _;
use crate::sql::private::{Temps, temporary};
use crate::sql::rows::{Checked, Coverage, RowCheck, RowType};
use crate::sql::{Assurance, CopyFormat, CopyIn, Gain, Kind, Outgoing, OwnParameter, Preparation, Prepared, Script};
use std::path::Path;

#[path = "model_tests.rs"]
mod model;
#[path = "../../tests/postgres/script.rs"]
mod script;

/// Says what the scripts tell by the text: `refuse 42501 …`, `guarded`, `own $2`; what goes out shows the tenant.
#[derive(Clone, Copy, Debug)]
struct Fake(u64);

const STATES: &[&str] = &["42501", "0A000", "42P01", "42601"];

impl Fake {
    fn admit(sql: &str) -> Result<(), Refusal> {
        let Some(wanted) = sql.strip_prefix("refuse ") else { return Ok(()) };
        let state = STATES.iter().find(|s| wanted.starts_with(**s)).unwrap();
        Err(Refusal::with_state(state, "refused"))
    }
}

impl Judging for Fake {
    fn version(&self) -> (u64, u64) {
        (self.0, 0)
    }

    /// The ninth judge lets no rows in.
    fn simple(&self, sql: &str, tenant: &TenantId) -> Result<Arc<Script>, Refusal> {
        Self::admit(if self.0 == 9 && sql.starts_with("copy_in") { "refuse 42501" } else { sql })?;
        sql.split(';').try_for_each(|s| Self::admit(s.trim()))?;
        let guard = |one: &str| if one.contains("guarded") { format!("{one} of {}", tenant.as_str()) } else { one.to_owned() };
        let outgoing = Outgoing::for_tests(&sql.split(';').map(guard).collect::<Vec<_>>().join(";"));
        let kinds = sql.split(';').map(str::trim).filter(|s| !s.is_empty()).map(kind).collect();
        Ok(Arc::new(Script { outgoing, kinds, assurance: assurance(sql) }))
    }

    fn extended(&self, sql: &str, declared: u16, _: &TenantId) -> Result<Arc<Prepared>, Refusal> {
        Self::admit(sql)?;
        let client_params = (1..=9).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0).max(declared);
        let guarded = sql.contains("guarded");
        let text = if guarded { format!("{sql} of ${}", client_params + 1) } else { sql.to_owned() };
        let own = sql.split_once("own $").map(|(_, n)| OwnParameter { number: n[..1].parse().unwrap(), type_oid: 25 });
        let tenant_types = if guarded { vec![25] } else { Vec::new() };
        let (outgoing, own) = (Outgoing::for_tests(&text), own.into_iter().collect());
        Ok(Arc::new(Prepared {
            outgoing,
            client_params,
            tenant_types,
            own,
            channels: Vec::new(),
            kind: kind(sql),
            assurance: assurance(sql),
        }))
    }

    /// `temps` shows which temporary tables it was told of.
    fn simple_for(&self, sql: &str, tenant: &TenantId, temps: &Temps) -> Result<Arc<Script>, Refusal> {
        if sql != "temps" {
            return self.simple(sql, tenant);
        }
        let known: Vec<&str> = ["a", "b", "c"].into_iter().filter(|name| temps.get(name).is_some()).collect();
        let outgoing = Outgoing::for_tests(&format!("temps {}", known.join(" ")));
        Ok(Arc::new(Script { outgoing, kinds: vec![Kind::Read].into(), assurance: assurance(sql) }))
    }

    fn position(&self, client_sql: &str, _: &Outgoing, server_position: u32) -> Option<u32> {
        (server_position <= u32::try_from(client_sql.len()).unwrap()).then_some(server_position)
    }
}

/// `alone`: only one parser could read it. `checked`: its rows have an added column at the end, NULL in outer joins where it says `outer`.
fn assurance(sql: &str) -> Arc<Assurance> {
    let columns = |one: &str| one.contains("checked").then_some(Checked { type_oid: 25, nullable: one.contains("outer") });
    let check = |one: &str| RowCheck {
        columns: columns(one).into_iter().collect(),
        coverage: if one.contains("checked") { Coverage::Whole } else { Coverage::Nothing },
        row_types: one.contains("whole row").then_some(RowType { place: 0, table: 69_998, row_type: 70_000 }).into_iter().collect(),
    };
    Arc::new(Assurance { alone: sql.contains("alone"), rows: sql.split(';').map(check).collect(), ..Assurance::default() })
}

fn kind(sql: &str) -> Kind {
    match sql.split_once(' ').unwrap_or((sql, "")) {
        ("deallocate", "all") => Kind::Deallocate(None),
        ("deallocate", name) => Kind::Deallocate(Some(name.to_owned())),
        ("discard", "all") => Kind::DiscardAll,
        ("prepare", name) => Kind::Prepare(Preparation { name: name.to_owned(), params: 1, kind: Box::new(Kind::Read) }),
        ("execute", name) => Kind::Execute(name.to_owned()),
        ("declare", name) => Kind::Declare { name: name.to_owned(), hold: name.starts_with("hold") },
        ("fetch", name) => Kind::Fetch(name.to_owned()),
        ("update_current", name) => Kind::Positioned(name.to_owned()),
        ("close", name) => Kind::ClosePortal(Some(name.to_owned())),
        ("begin", _) => Kind::Transaction,
        ("commit" | "rollback", _) => Kind::End,
        ("savepoint", name) => Kind::Savepoint(name.to_owned()),
        ("rollback_to", name) => Kind::RollbackTo(name.to_owned()),
        ("create_temp", name) => Kind::CreateTemp { table: temporary(name, Vec::new()), vanishes: name == "c" },
        ("drop_temp", name) => Kind::DropTemp(vec![name.to_owned()]),
        ("listen", name) => Kind::Listen(name.to_owned()),
        ("truncate", _) => Kind::Truncate,
        ("copy_out", _) => Kind::CopyOut,
        ("copy_in", _) => {
            let (format, column) = (CopyFormat::Text { delimiter: b'\t' }, "tenant_id".to_owned());
            Kind::CopyIn(CopyIn { format, gain: Gain::First, header: false, column, type_oid: 25 })
        }
        _ => Kind::Read,
    }
}

fn session() -> Session<Fake> {
    Session::new(Fake(1), TenantPattern::new(".*").unwrap().accept("acme").unwrap())
}

/// How the bytes of consecutive lines of one side come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    Bytes,
    Messages,
    Together,
}

/// A session, what waits to be read by it, and what it has said.
struct Run {
    session: Session<Fake>,
    chunks: Chunks,
    inputs: [BytesMut; 2],
    turn: Turn,
    /// Since the last one that was expected.
    close: Option<Close>,
    glued: Option<(usize, Vec<u8>)>,
}

impl Run {
    fn new(chunks: Chunks) -> Self {
        Self { session: session(), chunks, inputs: [BytesMut::new(), BytesMut::new()], turn: Turn::default(), close: None, glued: None }
    }

    /// Side 0 is the client's.
    fn give(&mut self, side: usize, bytes: &[u8]) {
        match self.chunks {
            Chunks::Messages => self.feed(side, bytes),
            Chunks::Bytes => bytes.iter().for_each(|b| self.feed(side, &[*b])),
            Chunks::Together => {
                if self.glued.as_ref().is_some_and(|(s, _)| *s != side) {
                    self.flush();
                }
                self.glued.get_or_insert((side, Vec::new())).1.extend(bytes);
            }
        }
    }

    fn flush(&mut self) {
        if let Some((side, bytes)) = self.glued.take() {
            self.feed(side, &bytes);
        }
    }

    fn feed(&mut self, side: usize, bytes: &[u8]) {
        if self.close.is_some() {
            return;
        }
        let input = &mut self.inputs[side];
        input.extend_from_slice(bytes);
        let result =
            if side == 0 { self.session.from_client(input, &mut self.turn) } else { self.session.from_upstream(input, &mut self.turn) };
        self.close =
            result.and_then(|()| if std::mem::take(&mut self.turn.laborious) { self.session.labour(&mut self.turn) } else { Ok(()) }).err();
    }

    /// The next message that was said to the client or to upstream.
    fn said(&mut self, to_client: bool) -> String {
        self.flush();
        let out = if to_client { &mut self.turn.to_client } else { &mut self.turn.to_upstream };
        let Some((_, length)) = wire::header(out).unwrap() else { return "(nothing)".into() };
        let message = script::messages(&out.split_to(length)).remove(0);
        if to_client { script::show_server(message.0, &message.1) } else { script::show_client(message.0, &message.1) }
    }

    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "C>" => self.give(0, &script::client(rest)),
            "S>" => self.give(1, &script::server(rest)),
            ">S" => assert_eq!(self.said(false), script::show_client_line(rest)),
            ">C" => assert_eq!(self.said(true), script::show_server_line(rest)),
            "closed" => {
                self.flush();
                assert_eq!(self.close.take().map(|c| format!("{c:?}")).as_deref(), Some(rest));
            }
            "judge" => {
                self.flush();
                self.session.set_judge(Fake(rest.parse().unwrap()));
            }
            "renewed" => {
                self.flush();
                self.close = self.session.renewed(&mut self.turn).err().or(self.close.take());
            }
            "revoked" => {
                self.session.revoke();
                self.line("renewed");
            }
            "rest" => {
                self.flush();
                assert_eq!(self.session.at_rest().to_string(), rest);
            }
            "reads" => {
                self.flush();
                assert_eq!(self.session.wants_client().to_string(), rest);
            }
            "gone" => self.session.abandoned(&mut self.turn),
            "farewell" => self.session.farewell(&mut self.turn),
            "silence" => {
                assert_eq!((self.said(true).as_str(), self.said(false).as_str()), ("(nothing)", "(nothing)"));
                assert_eq!(self.close, None);
            }
            "new" => {
                self.line("silence");
                *self = Self::new(self.chunks);
            }
            other => panic!("no such line: {other}"),
        }
    }
}

#[test]
fn a_text_that_one_parser_alone_could_read_is_told() {
    let tenant = TenantPattern::new("[a-z]+").unwrap().accept("acme").unwrap();
    let mut session = Session::new(Fake(1), tenant);
    let (mut input, mut turn) = (BytesMut::new(), Turn::default());
    encode::query(&mut input, "alone").unwrap();
    encode::query(&mut input, "seconded").unwrap();
    encode::parse(&mut input, "", "alone", &[]).unwrap();
    session.from_client(&mut input, &mut turn).unwrap();
    turn.facts.retain(|f| !matches!(f, Fact::Rows(_)));
    assert_eq!(turn.facts, [Fact::Permitted, Fact::Alone, Fact::Permitted, Fact::Alone]);
}

#[test]
fn what_takes_long_is_left_for_another_thread() {
    let tenant = TenantPattern::new("[a-z]+").unwrap().accept("acme").unwrap();
    let long = format!("long {}", "x".repeat(LONG_TEXT_BYTES));
    let mut many = vec!["short"; TEXTS_IN_A_ROW + 1];
    many.push("last");
    for (texts, at_once) in [(vec!["short", &long, "last"], 1), (many, TEXTS_IN_A_ROW)] {
        let mut session = Session::new(Fake(1), tenant.clone());
        let (mut input, mut turn) = (BytesMut::new(), Turn::default());
        texts.iter().for_each(|text| encode::query(&mut input, text).unwrap());
        let asked = input.clone();
        session.from_client(&mut input, &mut turn).unwrap();
        assert_eq!((turn.laborious, turn.facts.len(), session.wants_client(), session.at_rest()), (true, at_once, false, false));
        turn.laborious = false;
        session.labour(&mut turn).unwrap();
        assert_eq!((turn.laborious, turn.facts.len(), session.wants_client()), (false, texts.len(), true));
        let sent: Vec<u8> = turn.to_upstream.to_vec();
        assert_eq!(sent.len(), asked.len(), "all of it, in its order");
        assert!(sent.ends_with(b"last\0"));
    }
}

#[test]
fn wire_scripts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/session");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for chunks in [Chunks::Messages, Chunks::Bytes, Chunks::Together] {
            let mut run = Run::new(chunks);
            for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.line(line.trim())));
                assert!(done.is_ok(), "{}:{} ({chunks:?}): {line}", path.display(), number + 1);
                seen += 1;
            }
            run.line("silence");
        }
    }
    assert!(seen > 100, "the scripts are not found");
}

#[test]
fn a_row_passes_before_it_is_whole_and_nothing_is_said_inside_it() {
    let mut run = Run::new(Chunks::Messages);
    run.give(0, &script::client("Query \"a\""));
    run.turn.to_upstream.clear();
    let row = script::server("Row [\"0123456789\"]");
    run.give(1, &row[..9]);
    assert_eq!(&run.turn.to_client[..], &row[..9]);
    assert!(!run.session.at_rest());
    run.session.farewell(&mut run.turn);
    assert_eq!(&run.turn.to_client[..], &row[..9], "last words would stand inside the row");
    run.give(1, &row[9..]);
    assert_eq!(&run.turn.to_client[..], &row[..]);
}

#[test]
fn a_session_whose_tenant_is_gone_says_nothing_inside_a_row() {
    let mut run = Run::new(Chunks::Messages);
    run.give(0, &script::client("Query \"a\""));
    let row = script::server("Row [\"0123456789\"]");
    run.give(1, &row[..9]);
    run.session.revoke();
    assert_eq!(run.session.renewed(&mut run.turn), Err(Close::ClientBroke("revoked")));
    assert_eq!(&run.turn.to_client[..], &row[..9]);
}

#[test]
fn what_waits_is_bounded() {
    let mut run = Run::new(Chunks::Messages);
    let sync = script::client("Sync");
    for _ in 0..super::super::expect::PENDING + 10 {
        run.feed(0, &sync);
    }
    assert!(!run.session.wants_client(), "the client has to wait for replies");
    assert_eq!(run.turn.to_upstream.len(), sync.len() * super::super::expect::PENDING);
    for _ in 0..20 {
        run.feed(1, &script::server("Ready I"));
    }
    assert_eq!(run.turn.to_upstream.len(), sync.len() * (super::super::expect::PENDING + 10));
    assert!(run.session.wants_client());
}

#[test]
fn what_upstream_keeps_to_itself_is_asked_for_before_anything_waits_for_it() {
    let mut run = Run::new(Chunks::Messages);
    let (parse, flush) = (script::client("Parse s \"a\""), script::client("Flush"));
    for _ in 0..super::super::expect::PENDING + 10 {
        run.feed(0, &parse);
    }
    assert!(!run.session.wants_client());
    assert_eq!(run.turn.to_upstream.len(), parse.len() * super::super::expect::PENDING + flush.len());
    assert!(run.turn.to_upstream.ends_with(&flush));
}

#[test]
fn facts_are_told_and_hold_no_text() {
    let mut run = Run::new(Chunks::Messages);
    for line in ["Query \"a\"", "Query \"refuse 42501\"", "Parse s \"b\"", "Bind _ s [] [] []", "Execute _ 0", "Sync"] {
        run.give(0, &script::client(line));
    }
    assert_eq!(run.turn.facts, [Fact::Permitted, Fact::Refused("42501"), Fact::Permitted]);
    run.turn.facts.clear();
    for line in ["Complete x", "Ready I", "Error C=42601", "Ready I", "ParseComplete", "BindComplete", "Complete x", "Ready I"] {
        run.give(1, &script::server(line));
    }
    assert_eq!(run.turn.facts, [Fact::Answered, Fact::Answered]);
    assert_eq!(run.close, None);
}
