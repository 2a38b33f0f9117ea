//! Random conversations: what a client hears through the wall is what the same small server says to it directly.

use super::*;
use crate::postgres::{encode, errors};
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};

/// The protocol's rules without SQL: statements, portals, the skip to Sync.
#[derive(Default)]
struct Server {
    statements: HashMap<String, String>,
    portals: HashMap<String, String>,
    skipping: bool,
    out: BytesMut,
}

type Outcome = Result<String, (&'static str, String)>;

impl Server {
    fn hear(&mut self, tag: u8, body: &[u8]) {
        if self.skipping && tag != b'S' {
            return;
        }
        let said = match tag {
            b'Q' => {
                let sql = wire::query(body).unwrap().to_owned();
                self.statements.remove("");
                // The wall, as a grammar, refuses the whole text for one of its statements.
                let read = sql.split(';').try_for_each(|s| Self::read(s.trim()));
                let all: Outcome = read.and_then(|()| sql.split(';').try_for_each(|s| self.run(s.trim()))).map(|()| String::new());
                self.tell(all);
                self.portals.clear();
                encode::ready(&mut self.out, b'I');
                return;
            }
            b'P' => self.parse(body),
            b'B' => self.bind(body),
            b'D' => self.describe(body),
            b'E' => {
                let portal = wire::execute(body).unwrap();
                let sql = self.portals.get(portal).cloned();
                sql.ok_or_else(|| ("34000", "no portal".to_owned())).and_then(|sql| self.run(&sql)).map(|()| String::new())
            }
            b'C' => {
                match wire::target(body).unwrap() {
                    Target::Statement(name) => self.statements.remove(name),
                    Target::Portal(name) => self.portals.remove(name),
                };
                Ok("CloseComplete".into())
            }
            b'H' => Ok(String::new()),
            b'S' => {
                self.skipping = false;
                self.portals.clear();
                Ok("Ready I".into())
            }
            other => panic!("{other}"),
        };
        self.skipping = said.is_err();
        self.tell(said);
    }

    fn tell(&mut self, said: Outcome) {
        match said {
            Ok(line) if line.is_empty() => {}
            Ok(line) => self.out.extend_from_slice(&script::server(&line)),
            Err((code, message)) => errors::refusal(&mut self.out, &Refusal::with_state(code, message)),
        }
    }

    fn run(&mut self, sql: &str) -> Result<(), (&'static str, String)> {
        Self::read(sql)?;
        match kind(sql) {
            _ if sql == "fail" => return Err(("22012", "division by zero".into())),
            Kind::Deallocate(Some(name)) => {
                self.statements.remove(&name).ok_or(("26000", format!("prepared statement \"{name}\" does not exist")))?;
            }
            Kind::DiscardAll => {
                self.statements.clear();
                self.portals.clear();
            }
            _ => self.tell(Ok("Row [\"1\"]".into())),
        }
        self.tell(Ok("Complete DONE".into()));
        Ok(())
    }

    fn read(sql: &str) -> Result<(), (&'static str, String)> {
        if sql == "partywall refused" {
            return Err(("42601", "syntax error".into()));
        }
        Fake::admit(sql).map_err(|r| (r.sqlstate, r.message))
    }

    fn parse(&mut self, body: &[u8]) -> Outcome {
        let parse = wire::parse(body).unwrap();
        Self::read(parse.sql)?;
        if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
            return Err(("42P05", "exists".into()));
        }
        self.statements.insert(parse.name.into(), parse.sql.into());
        Ok("ParseComplete".into())
    }

    fn bind(&mut self, body: &[u8]) -> Outcome {
        let bind = wire::bind(body).unwrap();
        let sql = self.statement(bind.statement)?;
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            return Err(("42P03", "exists".into()));
        }
        assert_eq!(bind.count, parameters(&sql), "a tenant's value for each guard, and none more");
        self.portals.insert(bind.portal.into(), sql);
        Ok("BindComplete".into())
    }

    fn describe(&mut self, body: &[u8]) -> Outcome {
        match wire::target(body).unwrap() {
            Target::Portal(name) => {
                self.portals.get(name).ok_or(("34000", "no portal".into()))?;
            }
            Target::Statement(name) => {
                let types = vec!["25"; usize::from(parameters(&self.statement(name)?))];
                self.tell(Ok(format!("Types [{}]", types.join(" "))));
            }
        }
        Ok("NoData".into())
    }

    fn statement(&self, name: &str) -> Result<String, (&'static str, String)> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let refusal = names::no_statement(name);
            (refusal.sqlstate, refusal.message)
        })
    }
}

fn parameters(sql: &str) -> u16 {
    (1..=9).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0)
}

const TEXTS: &[&str] = &["one", "two guarded", "fail", "refuse 42501", "deallocate a", "discard all", "three"];
const NAMES: &[&str] = &["_", "a", "b"];

fn line() -> impl Strategy<Value = String> {
    let (text, name) = (prop::sample::select(TEXTS), prop::sample::select(NAMES));
    (0..12u8, text, name, prop::sample::select(&["_", "p"][..]), prop::sample::select(TEXTS)).prop_map(
        |(what, text, name, portal, more)| match what {
            0 => format!("Query \"{text}\""),
            1 => format!("Query \"{text}; {more}\""),
            2 | 3 => format!("Parse {name} \"{text}\""),
            4 | 5 => format!("Bind {portal} {name} [] [] []"),
            6 => format!("Describe S {name}"),
            7 => format!("Describe P {portal}"),
            8 => format!("Execute {portal} 0"),
            9 => format!("Close {} {name}", if portal == "_" { "S" } else { "P" }),
            10 => "Flush".into(),
            _ => "Sync".into(),
        },
    )
}

fn heard(bytes: &[u8]) -> Vec<String> {
    script::messages(bytes).iter().map(|(tag, body)| script::show_server(*tag, body)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_wall_is_not_heard(lines in prop::collection::vec(line(), 0..30), pace in prop::collection::vec(0..40usize, 40)) {
        let lines: Vec<String> = lines.into_iter().chain(["Sync".into()]).collect();
        let mut direct = Server::default();
        for line in &lines {
            let message = script::messages(&script::client(line)).remove(0);
            direct.hear(message.0, &message.1);
        }
        let mut run = Run::new(Chunks::Messages);
        let mut server = Server::default();
        let mut left: VecDeque<u8> = lines.iter().flat_map(|l| script::client(l)).collect();
        let mut to_client = BytesMut::new();
        for step in pace.iter().cycle().take(300) {
            if run.session.wants_client() && !left.is_empty() {
                let chunk: Vec<u8> = left.drain(..left.len().min(*step)).collect();
                run.feed(0, &chunk);
            }
            if step % 3 == 0 {
                for (tag, body) in script::messages(&run.turn.to_upstream.split()) {
                    server.hear(tag, &body);
                }
                let chunk = server.out.split_to(server.out.len().min(*step));
                run.feed(1, &chunk);
            }
            prop_assert_eq!(&run.close, &None);
            to_client.unsplit(run.turn.to_client.split());
        }
        // What is still under way now comes at once.
        for _ in 0..100 {
            let rest: Vec<u8> = left.drain(..).collect();
            run.feed(0, &rest);
            for (tag, body) in script::messages(&run.turn.to_upstream.split()) {
                server.hear(tag, &body);
            }
            let rest = server.out.split();
            run.feed(1, &rest);
            prop_assert_eq!(&run.close, &None);
            to_client.unsplit(run.turn.to_client.split());
        }
        prop_assert_eq!(heard(&to_client), heard(&direct.out), "{:#?}", lines);
        prop_assert!(run.session.at_rest());
    }

    /// Neither side's bytes make the session panic, whatever they are.
    #[test]
    fn garbage_from_either_side(parts in prop::collection::vec((0..2usize, any::<u8>(), prop::collection::vec(any::<u8>(), 0..30)), 0..20)) {
        let mut run = Run::new(Chunks::Messages);
        for (side, tag, body) in parts {
            let tag = b"QPBDECSHXdcfF123ITDRZESNtns"[usize::from(tag) % 27];
            let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
            run.feed(side, &[&[tag], &length[..], &body].concat());
        }
    }
}
