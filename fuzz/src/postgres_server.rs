//! A server that keeps the protocol's rules and knows no data: it reads frames strictly, holds each text to [`super::audit`], and answers in
//! order. What its statements return is made up; some fail.

use super::audit::{Audit, Own, node, value_of};
use super::conversation::Upstream;
use super::sql::{judge, listed};
use bytes::{BufMut, BytesMut};
use partywall::postgres::{encode, wire};
use serde_json::Value;
use std::collections::HashMap;

/// What stands for a text that the wall made to fail.
const REFUSED: &str = "partywall refused";

/// The other side of a session.
#[derive(Default)]
pub struct Server {
    /// What it says.
    pub out: BytesMut,
    /// How many ReadyForQuery it has said.
    pub readies: usize,
    input: BytesMut,
    /// A statement takes one by its text; a low one is a failure.
    faults: Vec<u8>,
    status: u8,
    skipping: bool,
    /// Texts, and how many parameters each has.
    statements: HashMap<String, (String, usize)>,
    portals: HashMap<String, Vec<Value>>,
    /// Reading rows; what is to run after them, and whether a Query did it.
    copying: Option<(Vec<Value>, bool)>,
}

/// SQLSTATE and message.
type Failure = (&'static str, String);
type Outcome = Result<(), Failure>;

impl Upstream for Server {
    fn hear(&mut self, bytes: &mut BytesMut) {
        self.input.unsplit(bytes.split());
        while let Some(frame) = wire::take(&mut self.input, |_| usize::MAX).unwrap() {
            self.message(frame.tag, frame.body());
        }
    }

    fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }
}

impl Server {
    /// One that fails by these bytes.
    pub fn new(faults: &[u8]) -> Self {
        Self { faults: faults.to_vec(), status: b'I', ..Self::default() }
    }

    /// Is it between transactions, with nothing left to read?
    pub fn at_rest(&self) -> bool {
        self.status == b'I' && self.input.is_empty() && self.copying.is_none() && !self.skipping
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        if self.copying.is_some() {
            return self.copy(tag, body);
        }
        if self.skipping && tag != b'S' {
            return;
        }
        match tag {
            b'Q' => {
                self.statements.remove("");
                let sql = wire::query(body).unwrap();
                match read(sql) {
                    Ok(stmts) if stmts.is_empty() => put(&mut self.out, b'I', &[]),
                    Ok(stmts) => {
                        self.audit(sql, None);
                        return self.script(stmts);
                    }
                    Err(e) => self.fail(e),
                }
                self.ready();
            }
            b'S' => {
                assert!(body.is_empty());
                self.skipping = false;
                self.ready();
            }
            b'H' | b'd' | b'c' | b'f' => {}
            b'X' => assert!(body.is_empty()),
            _ => {
                let done = match tag {
                    b'P' => self.parse(body),
                    b'B' => self.bind(body),
                    b'D' => self.describe(body),
                    b'E' => self.execute(body),
                    b'C' => {
                        match wire::target(body).unwrap() {
                            wire::Target::Statement(name) => drop(self.statements.remove(name)),
                            wire::Target::Portal(name) => drop(self.portals.remove(name)),
                        }
                        put(&mut self.out, b'3', &[]);
                        Ok(())
                    }
                    other => panic!("the wall sends {:?}", char::from(other)),
                };
                if let Err(e) = done {
                    self.skipping = true;
                    self.fail(e);
                }
            }
        }
    }

    fn copy(&mut self, tag: u8, body: &[u8]) {
        match tag {
            b'd' | b'H' | b'S' => {}
            b'c' | b'f' => {
                let Some((rest, simple)) = self.copying.take() else { return };
                let done = if tag == b'c' && !self.faulty("copy") { Ok(()) } else { Err(("57014", "COPY from stdin failed".into())) };
                match done {
                    Ok(()) => {
                        self.complete("COPY 1");
                        if simple {
                            self.script(rest);
                        }
                    }
                    Err(e) => {
                        self.fail(e);
                        if simple { self.ready() } else { self.skipping = true }
                    }
                }
            }
            other => panic!("the wall sends {:?} ({} bytes) to a COPY", char::from(other), body.len()),
        }
    }

    fn script(&mut self, stmts: Vec<Value>) {
        let mut left = stmts.into_iter();
        while let Some(stmt) = left.next() {
            match self.run(&stmt, true) {
                Ok(false) => {}
                Ok(true) => {
                    self.copying = Some((left.collect(), true));
                    return;
                }
                Err(e) => {
                    self.fail(e);
                    break;
                }
            }
        }
        self.ready();
    }

    /// One statement; true where it now reads rows.
    fn run(&mut self, stmt: &Value, simple: bool) -> Result<bool, Failure> {
        let transaction = node(stmt, "TransactionStmt").map(|t| t["kind"].as_i64().unwrap_or_default());
        let ends = matches!(transaction, Some(3 | 4 | 7));
        if self.status == b'E' && !ends {
            return Err(("25P02", "current transaction is aborted".into()));
        }
        if transaction.is_none() && self.faulty(&stmt.to_string()) {
            return Err(("22012", "division by zero".into()));
        }
        match transaction {
            Some(1 | 2) => {
                self.status = b'T';
                self.complete("BEGIN");
            }
            Some(3 | 4) => {
                let tag = if self.status == b'E' || transaction == Some(4) { "ROLLBACK" } else { "COMMIT" };
                self.status = b'I';
                self.complete(tag);
            }
            Some(5..) if self.status == b'I' => return Err(("25P01", "no transaction is in progress".into())),
            Some(7) => {
                self.status = b'T';
                self.complete("ROLLBACK");
            }
            _ => {
                self.names(stmt)?;
                return Ok(self.answer(stmt, simple));
            }
        }
        Ok(false)
    }

    /// What a statement does to the names of statements and cursors.
    fn names(&mut self, stmt: &Value) -> Outcome {
        let named = |kind: &str, key: &str| node(stmt, kind).map(|n| n[key].as_str().unwrap_or_default().to_owned());
        if let Some(name) = named("PrepareStmt", "name") {
            if self.statements.contains_key(&name) {
                return Err(("42P05", "prepared statement already exists".into()));
            }
            let count = highest(stmt) as usize;
            self.statements.insert(name, (String::new(), count));
        }
        if let Some(name) = named("ExecuteStmt", "name") {
            self.statements.get(&name).map(drop).ok_or_else(|| missing(&name))?;
        }
        if let Some(name) = named("DeallocateStmt", "name") {
            match name.as_str() {
                "" => self.statements.clear(),
                _ => self.statements.remove(&name).map(drop).ok_or_else(|| missing(&name))?,
            }
        }
        // DISCARD_ALL
        if node(stmt, "DiscardStmt").is_some_and(|d| d["target"].as_i64() == Some(1)) {
            self.statements.clear();
            self.portals.clear();
        }
        if let Some(name) = named("DeclareCursorStmt", "portalname") {
            if self.status == b'I' {
                return Err(("25P01", "DECLARE CURSOR can only be used in transaction blocks".into()));
            }
            self.portals.insert(name, Vec::new());
        }
        let current = ["UpdateStmt", "DeleteStmt"].iter().find_map(|k| node(&node(stmt, k)?["where_clause"], "CurrentOfExpr"));
        let current = current.and_then(|c| c["cursor_name"].as_str()).map(str::to_owned);
        for name in [named("FetchStmt", "portalname"), named("ClosePortalStmt", "portalname"), current].into_iter().flatten() {
            self.portals.get(&name).map(drop).ok_or_else(|| ("34000", "no such portal".to_owned()))?;
        }
        if let Some(name) = named("ClosePortalStmt", "portalname") {
            self.portals.remove(&name);
        }
        Ok(())
    }

    fn answer(&mut self, stmt: &Value, simple: bool) -> bool {
        if let Some(copy) = node(stmt, "CopyStmt") {
            if copy["is_from"] == Value::Bool(true) {
                let columns = copy["attlist"].as_array().map_or(9, Vec::len) as u16;
                let formats = vec![0u8; usize::from(columns) * 2];
                put(&mut self.out, b'G', &[&[0u8][..], &columns.to_be_bytes(), &formats].concat());
                return true;
            }
            put(&mut self.out, b'H', &[0, 0, 1, 0, 0]);
            put(&mut self.out, b'd', b"1\n");
            put(&mut self.out, b'c', &[]);
            self.complete("COPY 1");
            return false;
        }
        let into = !stmt["node"]["SelectStmt"]["into_clause"].is_null();
        let reads = ["SelectStmt", "ExplainStmt", "VariableShowStmt", "FetchStmt"].iter().any(|k| node(stmt, k).is_some()) && !into;
        if reads {
            if simple {
                put(&mut self.out, b'T', &[&[0u8, 1][..], b"x\0", &[0; 6], &25u32.to_be_bytes(), &[0; 8]].concat());
            }
            put(&mut self.out, b'D', &[0, 1, 0, 0, 0, 1, b'1']);
        }
        self.complete(if reads { "SELECT 1" } else { "DONE" });
        false
    }

    fn parse(&mut self, body: &[u8]) -> Outcome {
        let parse = wire::parse(body).unwrap();
        let stmts = read(parse.sql)?;
        assert!(stmts.len() <= 1, "two statements in Parse: {}", parse.sql);
        self.audit(parse.sql, None);
        if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
            return Err(("42P05", "prepared statement already exists".into()));
        }
        let count = parameters(parse.sql).max(parse.types.len());
        self.statements.insert(parse.name.into(), (parse.sql.into(), count));
        put(&mut self.out, b'1', &[]);
        Ok(())
    }

    fn bind(&mut self, body: &[u8]) -> Outcome {
        let bind = wire::bind(body).unwrap();
        let (sql, count) = self.statements.get(bind.statement).cloned().ok_or_else(|| missing(bind.statement))?;
        assert_eq!(usize::from(bind.count), count, "a Bind has not as many values as {sql}");
        assert!(bind.formats.len() <= 1 || bind.formats.len() == usize::from(bind.count));
        let mut reader = wire::Reader::new(bind.values);
        let values: Vec<Option<Vec<u8>>> = (0..bind.count).map(|_| wire::value(&mut reader).unwrap().map(<[u8]>::to_vec)).collect();
        self.audit(&sql, Some(&values));
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            return Err(("42P03", "cursor already exists".into()));
        }
        self.portals.insert(bind.portal.into(), read(&sql).unwrap());
        put(&mut self.out, b'2', &[]);
        Ok(())
    }

    fn describe(&mut self, body: &[u8]) -> Outcome {
        match wire::target(body).unwrap() {
            wire::Target::Statement(name) => {
                let (_, count) = self.statements.get(name).ok_or_else(|| missing(name))?;
                let types = vec![25u32; *count];
                let words: Vec<u8> = types.iter().flat_map(|t| t.to_be_bytes()).collect();
                put(&mut self.out, b't', &[&(types.len() as u16).to_be_bytes()[..], &words].concat());
            }
            wire::Target::Portal(name) => {
                self.portals.get(name).ok_or_else(|| ("34000", "no such portal".to_owned()))?;
            }
        }
        put(&mut self.out, b'n', &[]);
        Ok(())
    }

    fn execute(&mut self, body: &[u8]) -> Outcome {
        let portal = wire::execute(body).unwrap();
        let stmts = self.portals.get(portal).cloned().ok_or_else(|| ("34000", "no such portal".to_owned()))?;
        match stmts.first() {
            None => put(&mut self.out, b'I', &[]),
            Some(stmt) => {
                if self.run(stmt, false)? {
                    self.copying = Some((Vec::new(), false));
                }
            }
        }
        Ok(())
    }

    /// Hangs on the statement alone, not on what ran before: in other chunks other statements may be refused without the server.
    fn faulty(&self, text: &str) -> bool {
        let sum = text.bytes().fold(7usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(b)));
        sum.checked_rem(self.faults.len()).and_then(|at| self.faults.get(at)).is_some_and(|b| *b < 40)
    }

    fn complete(&mut self, tag: &str) {
        encode::message(&mut self.out, b'C', |b| encode::string(b, tag.as_bytes())).unwrap();
    }

    fn fail(&mut self, (code, text): Failure) {
        if self.status == b'T' {
            self.status = b'E';
        }
        encode::fields(&mut self.out, b'E', &[(b'S', b"ERROR"), (b'V', b"ERROR"), (b'C', code.as_bytes()), (b'M', text.as_bytes())])
            .unwrap();
    }

    fn ready(&mut self) {
        if self.status == b'I' {
            self.portals.clear();
        }
        self.readies += 1;
        encode::ready(&mut self.out, self.status);
    }

    /// A text, with a portal's values or none yet.
    fn audit(&self, sql: &str, values: Option<&[Option<Vec<u8>>]>) {
        let listed = |schema: &str, name: &str| listed(judge().catalog(), schema, name);
        let own = |own: &Own| match (own, values) {
            (Own::Literal(text), _) => text == "acme",
            (Own::Parameter(n), Some(values)) => values.get(*n as usize - 1).is_some_and(|v| v.as_deref() == Some(b"acme")),
            (Own::Parameter(_), None) => true,
        };
        Audit { listed: &listed, own: &own }.text(sql).unwrap_or_else(|why| panic!("{why}:\n{sql}\n{values:?}"));
    }
}

/// In the server's words, which are the wall's where it knows that itself.
fn missing(name: &str) -> Failure {
    let what = if name.is_empty() { "unnamed prepared statement".into() } else { format!("prepared statement \"{name}\"") };
    ("26000", format!("{what} does not exist"))
}

fn put(out: &mut BytesMut, tag: u8, body: &[u8]) {
    encode::message(out, tag, |b| {
        b.put_slice(body);
        Ok(())
    })
    .unwrap();
}

fn read(sql: &str) -> Result<Vec<Value>, Failure> {
    if sql == REFUSED {
        return Err(("42601", "syntax error".into()));
    }
    let parsed = pg_query::parse(sql, pg_query::ParserOptions::default()).unwrap_or_else(|e| panic!("{e}: the wall sends\n{sql}"));
    let stmt = |s: &pg_query::protobuf::RawStmt| serde_json::to_value(&s.stmt).unwrap();
    Ok(parsed.protobuf.stmts.iter().map(stmt).collect())
}

/// The highest `$n` of a text.
fn parameters(sql: &str) -> usize {
    read(sql).unwrap_or_default().iter().map(highest).max().unwrap_or_default() as usize
}

/// The highest `$n`.
fn highest(value: &Value) -> u64 {
    let here = match value_of(value) {
        Some(Own::Parameter(n)) => n,
        _ => 0,
    };
    let inside = match value {
        Value::Array(all) => all.iter().map(highest).max(),
        Value::Object(fields) => fields.values().map(highest).max(),
        _ => None,
    };
    here.max(inside.unwrap_or_default())
}
