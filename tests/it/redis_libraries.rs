//! Libraries that another version of the wall wrapped: none of its text runs, the client's is wrapped anew, and where it cannot be, the client hears why.

use super::redis::start;
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall};

/// `pw` and acme's prefix in hexadecimal.
const ACME: &str = "pw61636d653a";
const LIB: &str = "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('get', keys[1]) end)\n\
    redis.register_function{function_name='g', callback=function() return 'g' end, flags={'no-writes'}}";

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(_, text) => String::from_utf8(text.clone()).unwrap(),
        other => format!("{other:?}"),
    }
}

fn ask(client: &mut Client, command: &[&str]) -> String {
    text(&client.ask(&words(command)))
}

/// Full names of all libraries upstream, sorted.
fn names(redis: &Redis) -> Vec<String> {
    let list = Client::connect(redis.port, None).ask(&words(&["FUNCTION", "LIST"]));
    let mut names: Vec<String> = list.items().iter().map(|library| text(&library.items()[1])).collect();
    names.sort();
    names
}

/// What acme's library upstream is, and what stands before its names.
fn upstream(redis: &Redis) -> (String, String) {
    let list = Client::connect(redis.port, None).ask(&words(&["FUNCTION", "LIST", "LIBRARYNAME", &format!("{ACME}*"), "WITHCODE"]));
    let library = list.items()[0].items();
    (text(&library[7]), text(&library[1]).strip_suffix("lib").unwrap().to_owned())
}

/// The same as another version would have left it, with a wrapper that lets everything pass.
fn old(redis: &Redis, names: &str) -> String {
    let (code, own) = upstream(redis);
    let open = "return redis.call('get', 'globex:k')";
    assert!(code.contains(&own) && code.contains("return ready(name, keys, args)"));
    code.replace(&own, names).replace("return ready(name, keys, args)", open)
}

/// Only this is there then.
fn put(redis: &Redis, libraries: &[&str]) {
    let mut server = Client::connect(redis.port, None);
    assert_eq!(ask(&mut server, &["FUNCTION", "FLUSH"]), "+OK");
    for library in libraries {
        let said = ask(&mut server, &["FUNCTION", "LOAD", library]);
        assert!(said.starts_with("pw"), "{said}");
    }
}

fn another_wall(redis: &Redis, upstream: &str) -> Wall {
    wall(redis, upstream, super::redis::POLICY)
}

fn wall(redis: &Redis, upstream: &str, policy: &str) -> Wall {
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}'{upstream} }}\npolicies: policies/\n",
        redis.port
    );
    Wall::start(&config, &[("test.yaml", policy)])
}

/// A server with a library of acme's, and what its key holds.
fn loaded() -> (Redis, Wall, Client) {
    let (redis, wall) = start();
    for (tenant, value) in [("acme", "own"), ("globex", "SECRET")] {
        assert_eq!(ask(&mut Client::connect(wall.port("redis"), Some(tenant)), &["SET", "k", value]), "+OK");
    }
    let mut acme = Client::connect(wall.port("redis"), Some("acme"));
    assert_eq!(ask(&mut acme, &["FUNCTION", "LOAD", LIB]), "lib");
    assert_eq!(ask(&mut acme, &["FCALL", "f", "1", "k"]), "own");
    (redis, wall, acme)
}

#[test]
fn a_library_of_another_version_is_wrapped_anew() {
    let (redis, _wall, _) = loaded();
    let (_, current) = upstream(&redis);
    for (names_of_old, way) in [(format!("{ACME}_"), ""), (format!("{ACME}v0123456789abcdef_"), ", multiplex: { connections: 1 }")] {
        let stale = old(&redis, &names_of_old);
        // Another tenant's is nobody's business, and stays.
        let others = stale.replace(ACME, "pw676c6f6265783a");
        put(&redis, &[&stale, &others]);
        let direct = ask(&mut Client::connect(redis.port, None), &["FCALL", &format!("{names_of_old}f"), "1", "acme:k"]);
        assert_eq!(direct, "SECRET", "the old wrapper would have let it pass");
        let wall = another_wall(&redis, way);
        let mut acme = Client::connect(wall.port("redis"), Some("acme"));
        // Behind what is skipped, and before what was sent in one go.
        acme.send(
            [words(&["CLIENT", "REPLY", "SKIP"]), words(&["FCALL", "f", "1", "k"]), words(&["FCALL", "f", "1", "k"]), words(&["GET", "k"])]
                .iter(),
        );
        assert_eq!([text(&acme.reply()), text(&acme.reply())], ["own", "own"]);
        assert_eq!(ask(&mut acme, &["FCALL_RO", "g", "0"]), "g");
        let list = format!("{:?}", acme.ask(&words(&["FUNCTION", "LIST", "WITHCODE"])));
        assert!(list.contains(r#""library_name", "lib""#) && list.contains("function_name=") && !list.contains("pw6"), "{list}");
        assert!(names(&redis).contains(&format!("{current}lib")) && names(&redis).len() == 2, "{:?}", names(&redis));
        assert!(names(&redis).iter().any(|name| name.starts_with("pw676c6f6265783a") && !name.starts_with(&current)));
        Client::connect(redis.port, None).ask(&words(&["FUNCTION", "DELETE", &others[b"#!lua name=".len()..others.find('\n').unwrap()]]));
    }
}

#[test]
fn one_is_there_within_the_first_transaction() {
    let (redis, _wall, _) = loaded();
    let stale = old(&redis, &format!("{ACME}_"));
    let (plain, backstop) = (super::redis::POLICY.to_owned(), super::redis_backstop::policy());
    let shared = ", multiplex: { connections: 1 }";
    for (way, policy) in [("", &plain), (shared, &plain), ("", &backstop), (shared, &backstop)] {
        put(&redis, &[&stale]);
        let wall = wall(&redis, way, policy);
        let mut acme = Client::connect(wall.port("redis"), Some("acme"));
        acme.send([words(&["GET", "k"]), words(&["MULTI"]), words(&["FCALL", "f", "1", "k"]), words(&["EXEC"])].iter());
        let said = [acme.reply(), acme.reply(), acme.reply(), acme.reply()].map(|reply| format!("{reply:?}"));
        assert_eq!(said, ["\"own\"", "+OK", "+QUEUED", "*[\"own\"]"]);
    }
}

#[test]
fn one_that_comes_later_is_never_called_and_is_found() {
    let (redis, _wall, mut acme) = loaded();
    let stale = old(&redis, &format!("{ACME}_"));
    put(&redis, &[&stale]);
    // Looked for already; not within a transaction; and then again.
    acme.send([words(&["MULTI"]), words(&["FCALL", "f", "1", "k"]), words(&["EXEC"])].iter());
    let said = [acme.reply(), acme.reply(), acme.reply()].map(|reply| text(&reply));
    assert_eq!(said[2], "*[-ERR Function not found]");
    assert_eq!(ask(&mut acme, &["FCALL", "f", "1", "k"]), "own");
    put(&redis, &[&stale]);
    assert_eq!(ask(&mut acme, &["FCALL", "f", "1", "k"]), "-ERR Function not found");
    assert_eq!(ask(&mut acme, &["FCALL", "f", "1", "k"]), "own");
    // A client that loads its library takes the place of every copy.
    let ours = upstream(&redis).0;
    put(&redis, &[&stale, &ours]);
    assert_eq!(ask(&mut acme, &["FUNCTION", "LOAD", "REPLACE", LIB]), "lib");
    assert_eq!(names(&redis).len(), 1);
    // So does one that deletes them all, whoever wrapped them.
    put(&redis, &[&stale]);
    assert_eq!(ask(&mut acme, &["FUNCTION", "FLUSH"]), "+OK");
    assert!(names(&redis).is_empty(), "{:?}", names(&redis));
}

#[test]
fn one_that_cannot_be_wrapped_is_refused() {
    let (redis, _wall, _) = loaded();
    let stale = old(&redis, &format!("{ACME}_"));
    let literal = stale.split('\n').nth(1).unwrap();
    for (code, why) in [
        ("local CODE='\\035!lua name\\061lib\\010no lua'", "Error compiling function"),
        ("local CODE='x'", "Missing library metadata"),
        ("local TEXT='x'", "its text is not understood"),
    ] {
        put(&redis, &[&stale.replace(literal, code)]);
        let wall = another_wall(&redis, "");
        let mut acme = Client::connect(wall.port("redis"), Some("acme"));
        for _ in 0..2 {
            let said = ask(&mut acme, &["FCALL", "f", "1", "k"]);
            assert!(said.starts_with("-ERR Library 'lib' was loaded through another version of this proxy"), "{said}");
            assert!(said.contains(why) && said.ends_with("load it with FUNCTION LOAD REPLACE"), "{said}");
            assert_eq!(ask(&mut acme, &["FCALL", "nosuch", "0"]), "-ERR Function not found");
        }
        assert_eq!(ask(&mut acme, &["FUNCTION", "LOAD", "REPLACE", LIB]), "lib");
        assert_eq!(ask(&mut acme, &["FCALL", "f", "1", "k"]), "own");
        assert_eq!(names(&redis).len(), 1);
    }
}
