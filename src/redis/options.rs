//! Commands with options between or before their keys, read from left to right exactly as the server reads them. A search for a word, which is
//! what the published specifications describe, finds other keys than the server (`GEORADIUS k 0 0 1 m STORE x STORE y` writes y).

use super::commands::{Access, Entry};
use super::understand::{Place, Plan, Refusal, c_string, is_word, syntax};
use super::wire::Request;
use bytes::Bytes;

type Places = Result<Vec<(usize, Place)>, Refusal>;

/// GEORADIUS and GEORADIUSBYMEMBER: every operand of STORE and STOREDIST is a key, the last one counts.
pub fn georadius(entry: &Entry, request: &Request) -> Places {
    let mut at = if entry.name == "georadius" { 6 } else { 5 };
    let mut places = vec![(1, Place::Key(Access::Read))];
    while at < request.len() {
        let arg = request.arg(at);
        let more = at + 1 < request.len();
        if ["withdist", "withhash", "withcoord", "any", "asc", "desc"].iter().any(|w| is_word(arg, w)) {
            at += 1;
        } else if is_word(arg, "count") && more {
            at += 2;
        } else if (is_word(arg, "store") || is_word(arg, "storedist")) && more {
            places.push((at + 1, Place::Key(Access::Write)));
            at += 2;
        } else {
            return Err(syntax());
        }
    }
    Ok(places)
}

/// SORT and SORT_RO: STORE operands, and the patterns of BY and GET.
pub fn sort(entry: &Entry, request: &Request) -> Places {
    let mut places = vec![(1, Place::Key(Access::Read))];
    let mut at = 2;
    while at < request.len() {
        let arg = request.arg(at);
        let left = request.len() - at - 1;
        if ["asc", "desc", "alpha"].iter().any(|w| is_word(arg, w)) {
            at += 1;
        } else if is_word(arg, "limit") && left >= 2 {
            at += 3;
        } else if entry.name == "sort" && is_word(arg, "store") && left >= 1 {
            places.push((at + 1, Place::Key(Access::Write)));
            at += 2;
        } else if is_word(arg, "by") && left >= 1 {
            // Without a star the server looks nothing up.
            if c_string(request.arg(at + 1)).contains(&b'*') {
                places.push((at + 1, Place::Star));
            }
            at += 2;
        } else if is_word(arg, "get") && left >= 1 {
            if c_string(request.arg(at + 1)) != b"#" {
                places.push((at + 1, Place::Star));
            }
            at += 2;
        } else {
            return Err(syntax());
        }
    }
    Ok(places)
}

/// XREAD and XREADGROUP: the first half of what follows STREAMS; a group or a consumer may be named STREAMS.
pub fn xread(entry: &Entry, request: &Request) -> Places {
    let grouped = entry.name == "xreadgroup";
    let mut group = false;
    let mut at = 1;
    while at < request.len() {
        let arg = request.arg(at);
        let more = request.len() - at - 1;
        if (is_word(arg, "block") || is_word(arg, "count")) && more >= 1 {
            at += 2;
        } else if is_word(arg, "streams") && more >= 1 {
            if !more.is_multiple_of(2) {
                // 7.0 names XREAD in both.
                let text = "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
                return Err(Refusal::late(text));
            }
            if grouped && !group {
                return Err(Refusal::late("Missing GROUP option for XREADGROUP"));
            }
            let access = if grouped { Access::Write } else { Access::Read };
            return Ok((at + 1..at + 1 + more / 2).map(|key| (key, Place::Key(access))).collect());
        } else if is_word(arg, "group") && more >= 2 {
            if !grouped {
                return Err(Refusal::late("The GROUP option is only supported by XREADGROUP. You called XREAD instead."));
            }
            group = true;
            at += 3;
        } else if is_word(arg, "noack") {
            if !grouped {
                return Err(Refusal::late("The NOACK option is only supported by XREADGROUP. You called XREAD instead."));
            }
            at += 1;
        } else {
            return Err(syntax());
        }
    }
    Err(syntax())
}

/// CLIENT TRACKING: prefixes are the tenant's, and without one a broadcast is about its own keys. Messages go to the connection itself only.
pub fn tracking(request: &Request) -> Result<Plan, Refusal> {
    let (mut plan, mut broadcast, mut at) = (Plan::default(), false, 3);
    while at < request.len() {
        let (arg, more) = (request.arg(at), at + 1 < request.len());
        if is_word(arg, "redirect") && more {
            return Err(Refusal::late("The client ID you want redirect to does not exist"));
        } else if is_word(arg, "bcast") {
            broadcast = true;
            at += 1;
        } else if ["optin", "optout", "noloop"].iter().any(|w| is_word(arg, w)) {
            at += 1;
        } else if is_word(arg, "prefix") && more {
            // A channel's place: a prefix is put before it, and no shared key is looked for.
            plan.places.push((at + 1, Place::Channel));
            at += 2;
        } else {
            return Err(syntax());
        }
    }
    plan.within_own = broadcast && plan.places.is_empty();
    plan.reply.quotes = plan.places.iter().map(|(at, _)| request.bytes(*at)).collect();
    if plan.within_own {
        plan.reply.quotes.push(Bytes::new());
    }
    Ok(plan)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
