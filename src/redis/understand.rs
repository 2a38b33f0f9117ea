//! Where names stand in a command, and in its reply. Parsers that mirror the server's where a specification cannot be relied on; what they do
//! not understand is refused. Option words are C strings to the server: they end at the first zero byte.

use super::commands::{Access, Entry, Found, Lacks, Rule, Spec, find};
use super::names::Names;
use super::shape::{Reply, Shape};
use super::wire::{Request, integer};

/// A name among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A key.
    Key(Access),
    /// A channel.
    Channel,
    /// A channel that is listened to: it may be one on which the server speaks.
    Heard,
    /// The same of a pattern.
    HeardPattern,
    /// A pattern over keys or channels: what is put before it is escaped.
    Pattern,
    /// A `BY` or `GET` pattern of SORT: the first star stands for an element.
    Star,
}

/// What is known of a command: where its names are, and what its reply looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By position, ascending where it matters to nobody.
    pub places: Vec<(usize, Place)>,
    /// Names in the reply.
    pub reply: Reply,
    /// `PREFIX` and the tenant's own prefix go behind all.
    pub within_own: bool,
}

/// A refusal, with the error's first word and its whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the metrics.
    pub label: &'static str,
    /// For the client.
    pub text: Vec<u8>,
    /// The server would say so when the command runs, not when it is queued by MULTI.
    pub late: bool,
}

impl Refusal {
    /// One that the server makes before it looks at a transaction.
    pub fn early(label: &'static str, text: impl AsRef<str>) -> Self {
        Self { label, text: format!("{label} {}", text.as_ref()).into_bytes(), late: false }
    }

    /// One that the command itself makes.
    pub fn late(text: impl AsRef<str>) -> Self {
        Self { late: true, ..Self::early("ERR", text) }
    }

    /// 7.0's words for what a user may not run.
    pub fn noperm(entry: &Entry) -> Self {
        Self::early("NOPERM", format!("this user has no permissions to run the '{}' command", entry.full_name()))
    }
}

pub(super) fn syntax() -> Refusal {
    Refusal::late("syntax error")
}

/// The table's entry with the right count of words, of a server that lacks some. Errors: the server's own.
pub fn lookup(request: &Request, lacks: &Lacks) -> Result<&'static Entry, Refusal> {
    let second = (request.len() > 1).then(|| request.arg(1));
    match find(request.arg(0), second) {
        Found::Unknown => Err(unknown(request)),
        Found::NoSubcommand(container) if lacks.contains(container) => Err(unknown(request)),
        Found::NoSubcommand(container) => Err(no_subcommand(request, container.name)),
        Found::Entry(entry) if lacks.contains(entry) => match entry.name.split_once(' ') {
            Some((container, _)) if !lacks.has(container) => Err(no_subcommand(request, container)),
            _ => Err(unknown(request)),
        },
        Found::Entry(entry) if !entry.takes(request.len()) => {
            Err(Refusal::early("ERR", format!("wrong number of arguments for '{}' command", entry.full_name())))
        }
        Found::Entry(entry) => Ok(entry),
    }
}

fn no_subcommand(request: &Request, container: &str) -> Refusal {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend(c_string(request.arg(1)).iter().take(128));
    text.extend_from_slice(format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes());
    Refusal { label: "ERR", text, late: false }
}

/// `commandCheckExistence` of the server's server.c.
fn unknown(request: &Request) -> Refusal {
    let mut args = Vec::new();
    for arg in request.iter().skip(1) {
        if args.len() >= 128 {
            break;
        }
        let room = 128 - args.len();
        args.push(b'\'');
        args.extend(c_string(arg).iter().take(room));
        args.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(c_string(request.arg(0)).iter().take(128));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend(args);
    Refusal { label: "ERR", text, late: false }
}

/// Where the names of a command of the table stand. Errors: what is not understood.
pub fn plan(entry: &'static Entry, request: &Request) -> Result<Plan, Refusal> {
    let plain = |places| Plan { places, ..Plan::default() };
    let shaped = |places, shape: Shape| Plan { places, reply: shape.into(), ..Plan::default() };
    match entry.rule {
        Rule::Pass => Ok(Plan::default()),
        Rule::Keys | Rule::KeysModule | Rule::Restore => Ok(plain(ranges(entry, request.len())?)),
        Rule::KeysFacts => Ok(shaped(ranges(entry, request.len())?, Shape::Facts)),
        Rule::KeysFirst => Ok(shaped(ranges(entry, request.len())?, Shape::First)),
        Rule::KeysQuoting => {
            let places = ranges(entry, request.len())?;
            let quotes = places.iter().map(|(at, _)| request.bytes(*at)).collect();
            Ok(Plan { places, reply: Reply { shape: Shape::Plain, quotes }, ..Plan::default() })
        }
        Rule::NumKeys => Ok(plain(counted(entry, request)?)),
        Rule::NumKeysFirst => Ok(shaped(counted(entry, request)?, Shape::First)),
        Rule::GeoRadius => Ok(plain(super::options::georadius(entry, request)?)),
        Rule::Sort => Ok(plain(super::options::sort(entry, request)?)),
        Rule::XRead | Rule::XReadGroup => {
            let places = super::options::xread(entry, request)?;
            let quotes = places.iter().map(|(at, _)| request.bytes(*at)).collect();
            Ok(Plan { places, reply: Reply { shape: Shape::Streams, quotes }, ..Plan::default() })
        }
        Rule::Tracking if entry.name == "client trackinginfo" => Ok(shaped(Vec::new(), Shape::Tracking(0))),
        Rule::Tracking if entry.name == "client getredir" => Ok(shaped(Vec::new(), Shape::Redirect(0))),
        Rule::Tracking => super::options::tracking(request),
        Rule::Publish => Ok(plain(vec![(1, Place::Channel)])),
        Rule::PubSub => Ok(match entry.name {
            "pubsub channels" | "pubsub shardchannels" if request.len() <= 3 => shaped(vec![(2, Place::Pattern)], Shape::Each),
            "pubsub numsub" | "pubsub shardnumsub" => shaped((2..request.len()).map(|at| (at, Place::Channel)).collect(), Shape::Even),
            "pubsub channels" | "pubsub shardchannels" => {
                let text =
                    format!("unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.", super::lossy(request.arg(1)));
                return Err(Refusal::late(text));
            }
            _ => return Err(Refusal::noperm(entry)),
        }),
        Rule::NoCluster => Err(Refusal { late: true, ..Refusal::early("ERR", "This instance has cluster support disabled") }),
        Rule::Refused
        | Rule::Session
        | Rule::Keyspace
        | Rule::Subscribe
        | Rule::Local
        | Rule::Slowlog
        | Rule::Clients
        | Rule::Script
        | Rule::Function => Err(Refusal::noperm(entry)),
    }
}

/// The same for a command of `count` words of which only the first are there; its keys are among them.
pub fn beginning(request: &Request, count: usize, names: &Names) -> Result<Plan, Refusal> {
    match find(request.arg(0), Some(request.arg(1))) {
        Found::Entry(entry) if entry.rule == Rule::Keys && entry.takes(count) => {
            names.may_run(entry)?;
            // Where its operations are not all there: a long argument is an error in each of them.
            if entry.name != "bitfield" {
                super::bounds::check(entry, request, names.growth_max_bytes())?;
            }
            Ok(Plan { places: ranges(entry, count)?, ..Plan::default() })
        }
        _ => Err(Refusal::late("too big request")),
    }
}

/// The places that a specification of ranges gives.
pub fn ranges(entry: &Entry, count: usize) -> Result<Vec<(usize, Place)>, Refusal> {
    let mut places = Vec::new();
    for spec in &entry.specs {
        let Spec::Range { access, first, last, step } = *spec else { return Err(Refusal::noperm(entry)) };
        range(&mut places, count, (access, first, last, step));
    }
    if places.is_empty() {
        return Err(Refusal::noperm(entry));
    }
    Ok(places)
}

fn range(places: &mut Vec<(usize, Place)>, count: usize, (access, first, last, step): (Access, usize, i64, usize)) {
    let last = match usize::try_from(last) {
        Ok(last) => first + last,
        Err(_) => count.saturating_sub(usize::try_from(-last).unwrap_or(usize::MAX)),
    };
    places.extend((first..=last.min(count.saturating_sub(1))).step_by(step.max(1)).map(|at| (at, Place::Key(access))));
}

/// The places behind a count of keys, which the server reads as a canonical integer.
fn counted(entry: &Entry, request: &Request) -> Result<Vec<(usize, Place)>, Refusal> {
    let mut places = Vec::new();
    for spec in &entry.specs {
        match *spec {
            Spec::Range { access, first, last, step } => range(&mut places, request.len(), (access, first, last, step)),
            Spec::Count { access, at, step } => {
                let keys = count(entry, request, at, step)?;
                places.extend((0..keys).map(|key| (at + 1 + key * step, Place::Key(access))));
            }
            Spec::Other => return Err(Refusal::noperm(entry)),
        }
    }
    Ok(places)
}

/// The count of keys at `at`; never more than arguments follow, of which each takes `step`.
fn count(entry: &Entry, request: &Request, at: usize, step: usize) -> Result<usize, Refusal> {
    let behind = request.len().saturating_sub(at + 1);
    let number = integer(request.arg(at));
    let positive = number.filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
    match (entry.name, number, positive) {
        ("sintercard" | "lmpop" | "blmpop" | "zmpop" | "bzmpop", _, None) => Err(Refusal::late("numkeys should be greater than 0")),
        ("sintercard", _, Some(keys)) if keys > behind => Err(Refusal::late("Number of keys can't be greater than number of args")),
        // A word must stand behind the keys.
        ("lmpop" | "blmpop" | "zmpop" | "bzmpop", _, Some(keys)) if keys >= behind => Err(syntax()),
        // Valkey's words; Redis 8.4 leaves off the end, and says of pairs that are not all there that their number is wrong.
        ("msetex", number, _) if number.is_none_or(|keys| !(1..=i64::from(i32::MAX)).contains(&keys)) => {
            Err(Refusal::late("invalid numkeys value or out of range"))
        }
        (_, None, _) => Err(Refusal::late("value is not an integer or out of range")),
        (_, _, None) => Err(Refusal::late(format!("at least 1 input key is needed for '{}' command", entry.full_name()))),
        (_, _, Some(keys)) if keys.saturating_mul(step) > behind => Err(syntax()),
        (_, _, Some(keys)) => Ok(keys),
    }
}

/// What the server sees of an argument that it takes for a C string.
pub(super) fn c_string(arg: &[u8]) -> &[u8] {
    arg.split(|b| *b == 0).next().unwrap_or_default()
}

/// Whether an argument is this option word.
pub(super) fn is_word(arg: &[u8], word: &str) -> bool {
    c_string(arg).eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
#[path = "understand_tests.rs"]
mod tests;
