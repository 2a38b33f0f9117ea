//! What SLOWLOG holds after conversations at times that are given.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::Awaited;
use crate::redis::wire::Request;
use crate::redis::{Session, Setup, cases, inline};
use crate::session::{Session as _, Turn};
use bytes::BytesMut;
use std::cell::Cell;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

struct Talk {
    session: Session,
    turn: Turn,
}

impl Talk {
    fn new() -> Self {
        let setup = Setup { clock: || NOW.get(), ..cases::setup() };
        Self { session: Session::new(setup), turn: Turn::default() }
    }

    fn say(&mut self, at: u64, lines: &str) {
        NOW.set(at * 1000);
        let mut input = BytesMut::new();
        for line in lines.split(';') {
            input.extend_from_slice(&Request::new(&inline::split(line.as_bytes()).unwrap()).encoded());
        }
        self.session.from_client(&mut input, &mut self.turn).unwrap();
    }

    fn hear(&mut self, at: u64, bytes: &str) {
        NOW.set(at * 1000);
        self.session.from_upstream(&mut BytesMut::from(bytes), &mut self.turn).unwrap();
        if let Some(Awaited::Mark(mark)) = self.session.awaited.front() {
            let mut asked = BytesMut::new();
            mark.ask(&mut asked);
            let mut echo = asked.split_off(b"*2\r\n$4\r\nECHO\r\n".len());
            self.session.from_upstream(&mut echo, &mut self.turn).unwrap();
        }
    }

    /// Milliseconds and words of what was slow, oldest first.
    fn slow(&mut self) -> Vec<String> {
        self.turn.to_client.clear();
        self.say(0, "SLOWLOG GET");
        let text = String::from_utf8(self.turn.to_client.split().to_vec()).unwrap();
        let entries = text.split("*6\r\n").skip(1);
        let line = |entry: &str| {
            let words: Vec<&str> = entry.split("\r\n").filter(|word| !word.starts_with(['$', '*'])).collect();
            let micros: u64 = words[2][1..].parse().unwrap();
            format!("{} {}", micros / 1000, words[3..words.len() - 3].join(" "))
        };
        let mut all: Vec<_> = entries.map(line).collect();
        all.reverse();
        all
    }
}

#[test]
fn a_command_takes_from_its_sending_to_the_first_byte_of_its_reply() {
    let mut talk = Talk::new();
    talk.say(100, "GET a");
    talk.hear(109, "$1\r\nv\r\n");
    talk.say(200, "GET b");
    talk.hear(211, "$1\r\nv");
    talk.hear(900, "\r\n");
    assert_eq!(talk.slow(), ["11 GET b"]);
}

#[test]
fn in_a_pipeline_each_takes_from_the_answer_before_it() {
    let mut talk = Talk::new();
    talk.say(0, "GET a;GET b;GET c;GET d");
    talk.hear(20, "$1\r\nv\r\n$1\r\nv\r\n");
    talk.hear(25, "$1\r\nv\r\n");
    talk.hear(45, "$1\r\nv\r\n");
    assert_eq!(talk.slow(), ["20 GET a", "20 GET d"]);
    assert!(talk.session.timing.under_way.is_none());
}

#[test]
fn what_a_pipeline_keeps_is_bounded() {
    let mut talk = Talk::new();
    let long = format!("DEL {}", "k".repeat(120).as_str().to_owned() + &format!(" {}", "k".repeat(120)).repeat(30));
    talk.say(0, &vec![long.as_str(); 60].join(";"));
    let words = talk.session.timing.under_way.as_ref().unwrap().words.len();
    assert!((super::WORDS_BYTES..super::WORDS_BYTES + 8192).contains(&words), "{words}");
    talk.hear(20, &":0\r\n".repeat(59));
    // Not timed, and nobody else's time.
    talk.say(40, "GET a");
    talk.hear(60, ":0\r\n");
    talk.hear(65, "$1\r\nv\r\n");
    assert_eq!(talk.slow().len(), 1);
    assert!(talk.session.timing.under_way.is_none());
}

#[test]
fn waiting_is_not_slow_and_secrets_are_not_kept() {
    let mut talk = Talk::new();
    talk.say(0, "BLPOP k 0");
    talk.hear(5000, "*2\r\n$6\r\nacme:k\r\n$1\r\nv\r\n");
    talk.say(6000, "HELLO 3 AUTH acme hunter2");
    talk.hear(7000, "%1\r\n$5\r\nproto\r\n:3\r\n");
    talk.say(8000, "MULTI;GET k;EXEC");
    talk.hear(8050, "+OK\r\n+QUEUED\r\n*1\r\n$1\r\nv\r\n");
    talk.say(9000, "EVAL x 0;GET a");
    talk.hear(9030, "-ERR x\r\n");
    talk.hear(9050, "$1\r\nv\r\n");
    assert_eq!(talk.slow(), ["50 EXEC", "30 EVAL x 0", "20 GET a"]);
    assert!(talk.session.timing.under_way.is_none());
}

#[test]
fn a_walk_and_several_steps_are_one_command() {
    let mut talk = Talk::new();
    talk.say(0, "DBSIZE");
    talk.hear(8, "*2\r\n$1\r\n5\r\n*1\r\n$6\r\nacme:k\r\n");
    talk.hear(16, "*2\r\n$1\r\n0\r\n*0\r\n");
    talk.say(20, "SUBSCRIBE a b");
    talk.hear(25, "*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:a\r\n:1\r\n");
    talk.hear(40, "*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:b\r\n:2\r\n");
    talk.say(50, "RESET");
    talk.hear(
        60,
        "*3\r\n$11\r\nunsubscribe\r\n$6\r\nacme:a\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$6\r\nacme:b\r\n:0\r\n+OK\r\n+OK\r\n+OK\r\n",
    );
    assert_eq!(talk.slow(), ["16 DBSIZE", "20 SUBSCRIBE a b"]);
}

#[test]
fn a_mark_of_one_walk_is_none_of_the_next() {
    let mut talk = Talk::new();
    talk.say(0, "FUNCTION LOAD \"#!lua name=l\\nx\"");
    talk.session.from_upstream(&mut BytesMut::from("-ERR x\r\n"), &mut talk.turn).unwrap();
    assert!(matches!(talk.session.awaited.front(), Some(Awaited::Mark(_))));
    talk.say(10, "FUNCTION STATS");
    talk.hear(20, "");
    talk.hear(25, "*4\r\n$14\r\nrunning_script\r\n*-1\r\n$7\r\nengines\r\n*0\r\n");
    talk.hear(35, "*0\r\n");
    assert!(talk.session.timing.under_way.is_none());
    assert_eq!(talk.slow(), ["25 FUNCTION STATS"]);
}
