//! What a session holds under one policy, and another policy.

use super::*;
use crate::redis::names::Names;

/// The names of a role with these rights.
fn of_role(redis: &str) -> Names {
    let text = format!(
        "version: 1\nname: x\ntenants: {{ id: '[a-z]+' }}\nredis: {{ prefix: '{{tenant}}:' }}\nroles: {{ clerk: {{ redis: {redis} }} }}\n"
    );
    let mut findings = crate::config::document::Findings::new();
    let mut reader = crate::config::document::Reader { file: "p".into(), findings: &mut findings };
    let policy = crate::policy::file::read(&mut reader, &text).unwrap();
    names().with_role(&policy.granted(&crate::policy::Role::Named("clerk".into())))
}

const WIDE: &str = "{ commands: ['@all'], keys: ['cart:*', news] }";
const NARROW: &str = "{ commands: ['@all'], keys: [news] }";

/// What was heard, queued or waited for under a policy is held to the next one without the client's saying anything: what it says, what upstream
/// answers, the next rights, and whether it goes on.
#[test]
fn what_a_session_holds_is_judged_again() {
    let silent = "{ commands: ['@all', '-subscribe', '-psubscribe', '-ssubscribe'], keys: ['cart:*', news] }";
    let listens = "*3\r\n$9\r\nsubscribe\r\n$11\r\nacme:cart:x\r\n:1\r\n";
    let listens_by_pattern = "*3\r\n$10\r\npsubscribe\r\n$11\r\nacme:cart:*\r\n:1\r\n";
    let in_shards = "*3\r\n$10\r\nssubscribe\r\n$11\r\nacme:cart:x\r\n:1\r\n";
    let news = "*3\r\n$9\r\nsubscribe\r\n$9\r\nacme:news\r\n:1\r\n";
    for (before, said, answer, after, goes_on) in [
        (WIDE, "SUBSCRIBE cart:x", listens, NARROW, false),
        (WIDE, "SUBSCRIBE cart:x", listens, silent, false),
        (WIDE, "SUBSCRIBE cart:x", listens, WIDE, true),
        (NARROW, "SUBSCRIBE news", news, WIDE, true),
        (WIDE, "SUBSCRIBE news", news, NARROW, true),
        (WIDE, "PSUBSCRIBE cart:*", listens_by_pattern, NARROW, false),
        (WIDE, "PSUBSCRIBE cart:*", listens_by_pattern, WIDE, true),
        (WIDE, "SSUBSCRIBE cart:x", in_shards, NARROW, false),
        ("all", "SUBSCRIBE cart:x", listens, NARROW, false),
        ("all", "SUBSCRIBE cart:x", listens, WIDE, true),
        (NARROW, "SUBSCRIBE news", news, "all", true),
        (WIDE, "MULTI;SET cart:1 v", "+OK\r\n+QUEUED\r\n", NARROW, false),
        (WIDE, "MULTI;SET cart:1 v", "+OK\r\n+QUEUED\r\n", WIDE, true),
        (WIDE, "BLPOP cart:q 0", "", NARROW, false),
        (WIDE, "BLPOP cart:q 0;GET cart:1", "", NARROW, false),
        (WIDE, "BLPOP cart:q 0", "", "all", true),
        ("all", "CLIENT TRACKING ON", "+OK\r\n", NARROW, false),
        ("all", "CLIENT TRACKING ON;RESET", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n", NARROW, true),
        (WIDE, "WATCH cart:1", "+OK\r\n", NARROW, false),
        (WIDE, "GET cart:1", "$1\r\nx\r\n", NARROW, true),
    ] {
        let mut talk = Talk::new();
        talk.session.renew(Some(of_role(before)));
        talk.say(said);
        talk.hear(answer);
        assert_eq!(talk.closed, None, "{said}");
        talk.session.renew(Some(of_role(after)));
        let ended = talk.session.renewed(&mut talk.turn);
        assert_eq!(ended.is_ok(), goes_on, "{before} {said} {after}");
        assert_eq!(talk.turn.to_client.starts_with(b"-NOAUTH "), !goes_on, "{said}: {:?}", talk.turn.to_client);
    }
}

/// A tenant that the policy does not have any more hears nothing more, be it in the midst of a reply, which comes whole, or of a message.
#[test]
fn a_revoked_tenant_that_says_nothing_ends() {
    let mut talk = Talk::new();
    talk.say("SUBSCRIBE ch");
    talk.hear("*3\r\n$9\r\nsubscribe\r\n$7\r\nacme:ch\r\n:1\r\n");
    talk.session.renew(None);
    assert!(talk.session.renewed(&mut talk.turn).is_err());
    let mut talk = Talk::new();
    talk.say("GET a");
    talk.hear("$5\r\nab");
    talk.session.renew(None);
    assert!(talk.session.renewed(&mut talk.turn).is_ok(), "a reply is passing");
    assert_eq!(talk.hear("cde\r\n"), "cde -NOAUTH Authentication required.");
    assert!(talk.closed.is_some());
}

/// Who the client is counts no more: what waits ends at once, and nothing more is taken.
#[test]
fn a_session_whose_identity_has_ended_waits_for_nothing() {
    let ended = |first: &str, heard: &str| {
        let mut talk = Talk::new();
        talk.say(first);
        talk.hear(heard);
        talk.session.ended();
        let goes_on = talk.session.renewed(&mut talk.turn).is_ok();
        (goes_on, talk)
    };
    for (first, heard) in [("BLPOP q 0", ""), ("MULTI", "+OK\r\n")] {
        let (goes_on, talk) = ended(first, heard);
        assert!(!goes_on && talk.turn.to_client.ends_with(b"-NOAUTH Authentication required.\r\n"), "{first}");
    }
    // It is at rest, so that it goes without a word.
    let (goes_on, talk) = ended("SUBSCRIBE ch", "*3\r\n$9\r\nsubscribe\r\n$7\r\nacme:ch\r\n:1\r\n");
    assert!(goes_on && talk.session.at_rest());
    let (goes_on, mut talk) = ended("GET a", "$5\r\nab");
    assert!(goes_on, "a reply is passing");
    talk.say("GET b");
    assert!(!talk.turn.to_upstream.windows(6).any(|w| w == b"acme:b"));
    assert!(talk.hear("cde\r\n").starts_with("cde"));
}
