//! One client's conversation: each command is judged, rewritten and sent, and queues the reply it awaits; replies leave in that order.

use super::acl;
use super::commands::{Entry, Lacks, Rule};
use super::encode::{self, Resp};
use super::line::{LARGE_BYTES, Way};
use super::local;
use super::mark::Mark;
use super::replies::Stripper;
use super::rewrite;
use super::script::Scripted;
use super::shape::{Message, Reply, Shape};
use super::stateless::{Need, Stain};
use super::understand::{self, Refusal, lookup};
use super::wire::{Limits, Request, Rest, Scanner, WireError};
use crate::session::{Close, Fact, Turn};
use bytes::{Bytes, BytesMut};
use std::collections::{HashSet, VecDeque};

mod answers;
mod clients;
mod commands;
mod errand;
mod marks;
mod passthrough;
mod renewal;
mod setup;
mod switch;
mod timing;
mod track;
mod way;

pub(super) use commands::subscription;
use errand::Errand;
pub use setup::Setup;

/// Replies awaited at once; the client's further commands wait.
const AWAITED_MAX: usize = 4096;
/// The same of a client whose replies are not known yet: it grows with each short reply, for upstream keeps what is not read.
const AWAITED_FIRST: usize = 64;
/// What upstream may have to keep of replies as large as the last one.
const KEPT_REPLIES_BYTES: usize = 16 << 20;
/// Commands in one transaction.
const QUEUED_MAX: usize = 256 << 10;
/// Subscriptions of one client.
const SUBSCRIPTIONS_MAX: usize = 100_000;
/// An argument that is not kept, but forwarded as it comes.
const FORWARD_BYTES: usize = 1 << 20;

/// What a command's words were found to name.
type Found = Result<&'static Entry, Refusal>;

/// A reply, in its turn.
#[derive(Debug)]
pub(super) enum Awaited {
    /// The wall's own words.
    Words(Bytes),
    /// Upstream's.
    Reply(Reply),
    /// The same, of a command that may wait.
    Blocked(Reply),
    /// To a change of the user on the server, which the client does not hear of.
    Login,
    /// The echo that says where the reply before it ended.
    Mark(Mark),
    /// The answer to HELLO, after which it speaks this.
    Hello(Reply, Resp),
    /// So many confirmations of subscriptions; then the client has this many. Should an error come instead, it has not these.
    Confirmations { left: usize, shape: Message, then: usize, silent: bool, added: Vec<Bytes> },
    /// The next step of a walk.
    Step,
    /// The end.
    End(Close),
}

/// Between MULTI and EXEC.
#[derive(Debug, Default)]
struct Transaction {
    replies: Vec<Reply>,
    /// One was refused: EXEC will be an error.
    dirty: bool,
}

/// What CLIENT REPLY said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replies {
    #[default]
    On,
    Off,
    /// Not the next one.
    SkipNext,
    /// Not this one.
    Skip,
}

/// What the client listens to, by its own names.
#[derive(Debug, Default)]
struct Subscriptions {
    channels: HashSet<Bytes>,
    patterns: HashSet<Bytes>,
    shards: HashSet<Bytes>,
}

impl Subscriptions {
    fn len(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shards.len()
    }
}

/// Whether the keys of a long command are all among these first arguments, so that its rest may be forwarded as it comes.
pub(super) fn forwardable(args: &[&[u8]], count: usize, lacks: &Lacks) -> bool {
    let Some(name) = args.first() else { return false };
    match super::commands::find(name, args.get(1).copied()) {
        super::commands::Found::Entry(entry) if entry.rule == Rule::Keys && entry.takes(count) && !lacks.contains(entry) => {
            understand::ranges(entry, count).is_ok_and(|places| places.iter().all(|(at, _)| *at < args.len()))
        }
        _ => false,
    }
}

/// A Redis client's conversation.
#[derive(Debug)]
pub struct Session {
    pub(super) setup: Setup,
    pub(super) resp: Resp,
    /// `CLIENT SETNAME`
    pub(super) name: Bytes,
    scanner: Scanner,
    stripper: Stripper,
    awaited: VecDeque<Awaited>,
    transaction: Option<Transaction>,
    subscriptions: Subscriptions,
    /// Subscriptions that upstream has confirmed: messages may come.
    listening: usize,
    /// A message that is passing, and whether it confirms a subscription; a reply may be interrupted by it.
    message: Option<(Reply, bool)>,
    notice: Option<Box<Stripper>>,
    /// The protocol in which upstream's next words are.
    hears: Resp,
    rest: Option<Rest>,
    walk: Option<Errand>,
    walks: u32,
    replies: Replies,
    /// The answer of the walk is not wanted.
    walks_in_silence: bool,
    /// How many replies may be awaited now.
    window: usize,
    /// Bytes of the reply that is passing.
    passing: usize,
    /// The last reply is an error.
    failed: bool,
    ending: bool,
    /// A command that waits until nothing is under way.
    held: Option<Request>,
    /// Before it libraries of other versions were looked for.
    looked: bool,
    stains: way::Stains,
    /// Where invalidations go, by the client's own number; 0 is to itself.
    redirect: u64,
    stands: renewal::Standing,
    timing: timing::Timing,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.setup.peers.leave(self.setup.id);
    }
}

impl Session {
    /// A new conversation.
    pub fn new(setup: Setup) -> Self {
        setup.peers.join(setup.id, setup.upstream, setup.address.clone());
        setup.peers.update(setup.id, |me| me.since = (setup.clock)() / 1_000_000);
        Self {
            setup,
            resp: Resp::Two,
            name: Bytes::new(),
            scanner: Scanner::default(),
            stripper: Stripper::default(),
            awaited: VecDeque::new(),
            transaction: None,
            subscriptions: Subscriptions::default(),
            listening: 0,
            message: None,
            notice: None,
            hears: Resp::Two,
            rest: None,
            walk: None,
            walks: 0,
            replies: Replies::On,
            walks_in_silence: false,
            window: AWAITED_FIRST,
            passing: 0,
            failed: false,
            ending: false,
            held: None,
            looked: false,
            stains: way::Stains::default(),
            redirect: 0,
            stands: renewal::Standing::Holds,
            timing: timing::Timing::default(),
        }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &str {
        &self.setup.tenant
    }

    fn takes(&self) -> bool {
        !self.ending && self.walk.is_none() && self.held.is_none() && self.awaited.len() < self.most_awaited()
    }

    /// A reply passed as a whole: after long ones fewer are awaited at once, after short ones more.
    fn passed(&mut self) {
        let bytes = std::mem::take(&mut self.passing);
        self.weigh(bytes);
        let fits = (KEPT_REPLIES_BYTES / bytes.max(1)).clamp(1, AWAITED_MAX);
        self.window = (self.window + 1).min(fits);
    }

    fn read_client(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), WireError> {
        while self.takes() {
            if let Some(rest) = &mut self.rest {
                if !rest.forward(input, &mut turn.to_upstream, &Limits::TENANT)? {
                    return Ok(());
                }
                self.rest = None;
            }
            match self.scanner.scan(input, &Limits::TENANT)? {
                Some(request) => self.next(request, turn),
                None => {
                    if self.scanner.is_long(FORWARD_BYTES) && !self.find_way_for_long() {
                        return Ok(());
                    }
                    if !self.forward(input, turn) {
                        return if self.scanner.over(&Limits::TENANT) { Err(WireError::Request) } else { Ok(()) };
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends the beginning of a long command whose keys are all there. False where the rest must be waited for.
    fn forward(&mut self, input: &mut BytesMut, turn: &mut Turn) -> bool {
        if self.stands != renewal::Standing::Holds {
            return false;
        }
        let (transaction, lacks) = (self.transaction.is_some(), &self.setup.lacks);
        let begun = self.scanner.begun(input, FORWARD_BYTES, |args, count| !transaction && forwardable(args, count, lacks));
        let Some(begun) = begun else { return false };
        let mark = self.begin_reply(turn);
        let plan = match understand::beginning(&begun.args, begun.count, &self.setup.names) {
            Ok(plan) => plan,
            Err(refusal) => {
                self.refuse(refusal, turn);
                self.end(Close::ClientBroke("a long command was refused"));
                return true;
            }
        };
        match rewrite::beginning(&mut turn.to_upstream, &begun.args, begun.count, begun.rest.due(), &plan, &self.setup.names) {
            Ok(()) => {
                self.awaited.push_back(Awaited::Reply(plan.reply));
                turn.facts.push(Fact::Permitted);
                self.rest = Some(begun.rest);
                self.end_reply(mark, turn);
                true
            }
            Err(refusal) => {
                // The rest cannot be read past, so this is the last word.
                self.refuse(refusal, turn);
                self.end(Close::ClientBroke("a long command was refused"));
                true
            }
        }
    }

    /// One whole command: now, or when nothing is under way any more.
    fn next(&mut self, request: Request, turn: &mut Turn) {
        let found = lookup(&request, &self.setup.lacks);
        if self.hangs_on_listening(&found) || !self.find_way(&found, &request, turn) || self.renews_libraries(&found, &request, turn) {
            self.held = Some(request);
        } else {
            self.take(found, &request, turn);
        }
    }

    /// The command that waited, if it need not any longer.
    fn next_held(&mut self, turn: &mut Turn) {
        if self.awaited.is_empty()
            && let Some(request) = self.held.take()
        {
            self.next(request, turn);
        }
    }

    fn take(&mut self, found: Found, request: &Request, turn: &mut Turn) {
        if self.stands != renewal::Standing::Holds {
            self.refuse(Refusal::early("NOAUTH", "Authentication required."), turn);
            return self.end(Close::ClientBroke("revoked"));
        }
        if ["post", "host:"].iter().any(|word| request.arg(0).eq_ignore_ascii_case(word.as_bytes())) {
            // A browser was made to talk to us.
            return self.end(Close::ClientBroke("cross protocol"));
        }
        let (mark, queues) = (self.begin_reply(turn), self.transaction.is_some());
        match found.and_then(|entry| self.judge(entry, request, turn).map(|()| entry)) {
            Ok(entry) => self.time(entry, request, mark.0, queues),
            Err(refusal) => self.refuse(refusal, turn),
        }
        self.end_reply(mark, turn);
    }

    /// Where this command's reply will begin.
    fn begin_reply(&mut self, turn: &Turn) -> (usize, usize) {
        if self.replies == Replies::SkipNext {
            self.replies = Replies::Skip;
        }
        (self.awaited.len(), turn.to_client.len())
    }

    /// Takes back what the client does not want to hear. Confirmations and messages it hears all the same, as from the server.
    fn end_reply(&mut self, (awaited, said): (usize, usize), turn: &mut Turn) {
        if !matches!(self.replies, Replies::Off | Replies::Skip) {
            return;
        }
        turn.to_client.truncate(said);
        for awaited in self.awaited.iter_mut().skip(awaited) {
            match awaited {
                Awaited::Words(words) => *words = Bytes::new(),
                Awaited::Reply(reply) | Awaited::Blocked(reply) | Awaited::Hello(reply, _) => *reply = Shape::Silence.into(),
                Awaited::Step => self.walks_in_silence = true,
                Awaited::Confirmations { .. } | Awaited::Login | Awaited::Mark(_) | Awaited::End(_) => {}
            }
        }
        if self.replies == Replies::Skip {
            self.replies = Replies::On;
        }
    }

    fn judge(&mut self, entry: &'static Entry, request: &Request, turn: &mut Turn) -> Result<(), Refusal> {
        self.setup.names.may_run(entry)?;
        let may_listen = ["ping", "quit", "reset"].contains(&entry.name) || entry.rule == Rule::Subscribe;
        if self.resp == Resp::Two && self.subscriptions.len() > 0 && !may_listen {
            let text = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
            return Err(Refusal::early("ERR", format!("Can't execute '{}': {text}", entry.full_name())));
        }
        if self.transaction.is_some() && entry.flags.contains(&"no_multi") {
            return Err(Refusal::early("ERR", "Command not allowed inside a transaction"));
        }
        if self.setup.test_passthrough && self.passes(entry, request, turn)? {
            return Ok(());
        }
        match entry.rule {
            Rule::Session => self.session_command(entry, request, turn),
            Rule::Local => {
                let (queued, resp) = (self.transaction.as_ref().map(|t| t.replies.len()), if self.resp == Resp::Three { 3 } else { 2 });
                self.setup.peers.update(self.setup.id, |me| (me.last, me.queued, me.resp) = (entry.name, queued, resp));
                let words = local::answer(self, entry, request)?;
                self.answer(words, turn);
                Ok(())
            }
            Rule::Slowlog => {
                let words = self.setup.peers.slowlog.answer(entry.name, request)?;
                self.answer(words, turn);
                Ok(())
            }
            Rule::Keyspace => self.keyspace_command(entry, request, turn),
            Rule::Subscribe => self.subscribe(entry, request, turn),
            Rule::Clients => self.clients(entry, request, turn),
            Rule::Script => match super::script::command(entry, request, &self.setup, &mut turn.to_upstream)? {
                Scripted::Sent => self.sent_script(Reply::default(), turn),
                Scripted::Answer(words) => {
                    self.answer(words, turn);
                    Ok(())
                }
            },
            // Each node has its own, which do not move with a slot.
            Rule::Function if self.setup.cluster => Err(Refusal::noperm(entry)),
            Rule::Function => self.function(entry, request, turn),
            Rule::Tracking => self.track(entry, request, turn),
            _ if entry.name == "watch" && self.transaction.is_some() => {
                self.say_error(b"ERR WATCH inside MULTI is not allowed", turn);
                Ok(())
            }
            Rule::Restore if !self.setup.sanitizes => Err(Refusal::noperm(entry)),
            _ => {
                self.setup.names.check(entry, request)?;
                let plan = understand::plan(entry, request)?;
                if let Some(switch) = self.setup.switch.clone().filter(|_| acl::is_refused(entry, request.iter())) {
                    return self.send_as(&switch, request, plan, turn);
                }
                rewrite::command(&mut turn.to_upstream, request, &plan, &self.setup.names)?;
                self.stains.hears_of_keys |= entry.name == "watch";
                if entry.may_wait() && self.transaction.is_none() {
                    self.setup.peers.update(self.setup.id, |me| (me.blocked, me.last) = (true, entry.name));
                    turn.facts.push(Fact::Permitted);
                    self.awaited.push_back(Awaited::Blocked(plan.reply));
                    return Ok(());
                }
                self.sent(plan.reply, turn)
            }
        }
    }

    /// A command went out: its reply is awaited, now or from EXEC.
    pub(super) fn sent(&mut self, reply: Reply, turn: &mut Turn) -> Result<(), Refusal> {
        turn.facts.push(Fact::Permitted);
        match &mut self.transaction {
            None => self.awaited.push_back(Awaited::Reply(reply)),
            Some(transaction) => {
                transaction.dirty |= transaction.replies.len() >= QUEUED_MAX;
                if !transaction.dirty {
                    transaction.replies.push(reply);
                }
                self.awaited.push_back(Awaited::Reply(Reply::default()));
            }
        }
        Ok(())
    }

    /// Answers in the wall's own words; within a transaction when it runs.
    pub(super) fn answer(&mut self, words: Bytes, turn: &mut Turn) {
        if self.transaction.is_some() {
            encode::command(&mut turn.to_upstream, &["PING"]);
            let _ = self.sent(Shape::InsteadOfAll(words).into(), turn);
            return;
        }
        turn.facts.push(Fact::Permitted);
        turn.facts.push(Fact::Answered);
        self.say(words, turn);
    }

    /// Says something in its turn.
    fn say(&mut self, words: Bytes, turn: &mut Turn) {
        if self.awaited.is_empty() {
            turn.to_client.extend_from_slice(&words);
        } else {
            self.awaited.push_back(Awaited::Words(words));
        }
    }

    fn say_error(&mut self, text: &[u8], turn: &mut Turn) {
        let mut out = BytesMut::new();
        encode::error(&mut out, text);
        self.say(out.freeze(), turn);
    }

    fn refuse(&mut self, refusal: Refusal, turn: &mut Turn) {
        turn.facts.push(Fact::Refused(refusal.label));
        let mut out = BytesMut::new();
        encode::error(&mut out, &refusal.text);
        match &mut self.transaction {
            Some(_) if refusal.late => {
                encode::command(&mut turn.to_upstream, &["PING"]);
                let _ = self.sent(Shape::InsteadOfAll(out.freeze()).into(), turn);
                // It was counted as refused.
                turn.facts.pop();
            }
            Some(transaction) => {
                transaction.dirty = true;
                self.say(out.freeze(), turn);
            }
            None => self.say(out.freeze(), turn),
        }
    }

    fn end(&mut self, close: Close) {
        self.ending = true;
        self.awaited.push_back(Awaited::End(close));
    }

    /// Says what is due without upstream.
    fn settle(&mut self, turn: &mut Turn) -> Result<(), Close> {
        loop {
            match self.awaited.front() {
                Some(Awaited::Words(words)) => {
                    turn.to_client.extend_from_slice(words);
                    self.pop_awaited();
                }
                Some(Awaited::End(close)) => return Err(close.clone()),
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
