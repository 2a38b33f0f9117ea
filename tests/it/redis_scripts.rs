//! What a script raises or returns is words of the wall's own by the time it leaves the wrapper, whatever the server would do with it; and what it draws
//! at random is its own.

use super::redis::start;
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall};

const SCRIPTS: &str = include_str!("../redis/hostile-scripts.txt");
const CORE: &str = include_str!("../../src/redis/script/core.lua");
const REGISTER: &str = include_str!("../../src/redis/script/register.lua");

/// Runs what it is given last, and says what of its result is not plain.
const LOOK: &str = r"
local text = table.remove(ARGV)
local reply = assert(loadstring(text, '@wrapper'))()
local seen, wrong = {}, {}
local function look(value)
    if type(value) ~= 'table' or seen[value] then return end
    seen[value] = true
    if getmetatable(value) ~= nil then wrong[#wrong + 1] = 'a metatable' end
    for key, item in next, value do
        if (key == 'err' or key == 'ok' or key == 'big_number') and type(item) == 'string' and string.find(item, '[\r\n]') then
            wrong[#wrong + 1] = 'a line end: ' .. item
        end
        look(key)
        look(item)
    end
end
look(reply)
return wrong";

fn scripts() -> impl Iterator<Item = &'static str> {
    SCRIPTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// `core.lua` between what stands before it and behind it.
fn wrapper(head: &str, behind: &[&str]) -> String {
    let core = CORE.replace("@COMMANDS@", " get=2,1:0:1  scan=-2,whole ");
    [&[head, &core], behind].concat().concat()
}

/// A library with this text, of whose functions `f` is called; ARGV is its code.
fn library() -> String {
    let head = include_str!("../../src/redis/script/library_head.lua");
    let boot = wrapper(head, &[REGISTER, include_str!("../../src/redis/script/library.lua")]);
    format!("local CODE,prefix,escaped,SEED=ARGV[1],'acme:','acme:',5\nlocal function boot()\n{boot}end\nreturn boot()('f', {{}}, {{}})")
}

/// What a module reads is bounded before the server sees it; this one has no such commands.
#[test]
fn what_a_script_gives_a_module_is_bounded() {
    let redis = Redis::start();
    let script = wrapper(include_str!("../../src/redis/script/eval_head.lua"), &[include_str!("../../src/redis/script/eval.lua")])
        .replace(" get=2,1:0:1 ", " vadd=-1,1:0:1  vsim=-1,1:0:1  vsetattr=-1,1:0:1 ");
    let (reduce, filter, brackets, sent) = (
        "ERR REDUCE makes more of this than this proxy lets it",
        "ERR a FILTER of more than 1024 bytes is too much for this proxy",
        "ERR more than 4096 brackets are too much for this proxy",
        "ERR Unknown Redis command called from script",
    );
    for (call, said) in [
        ("'VADD', 'k', 'REDUCE', 6000, 'FP32', string.rep('x', 24000), 'e'", reduce),
        ("'vadd', 'k', 'reduce', '100', 'VALUES', 2, 1, 0, 'e'", sent),
        ("'VSIM', 'k', 'VALUES', 2, 1, 0, 'filter', string.rep('(', 1025)", filter),
        ("'VSIM', 'k', 'VALUES', 2, 1, 0, 'filter', string.rep('(', 1024)", sent),
        ("'VSETATTR', 'k', 'e', string.rep('[', 4097)", brackets),
        ("'VSETATTR', 'k', 'e', string.rep('[', 4096)", sent),
        ("'VADD', 'k', 'VALUES', 2, 1, 0, 'e', 'SETATTR', string.rep('{', 4097)", brackets),
    ] {
        let text = format!("return redis.pcall({call}).err");
        let got = Client::connect(redis.port, None).ask(&words(&["EVAL", &script, "0", "acme:", "acme:", &text, "sha", "123456789", "0"]));
        assert!(matches!(&got, Value::Bulk('$', text) if text.starts_with(said.as_bytes())), "{call}: {got:?}");
    }
}

#[test]
fn what_leaves_the_wrapper_is_plain() {
    let redis = Redis::start();
    let script = wrapper(include_str!("../../src/redis/script/eval_head.lua"), &[include_str!("../../src/redis/script/eval.lua")]);
    let probe =
        wrapper(include_str!("../../src/redis/script/probe_head.lua"), &[REGISTER, include_str!("../../src/redis/script/probe.lua")]);
    for text in scripts() {
        let within = format!("#!lua name=x\nredis.register_function('f', function() {text}\nend)");
        let loading = format!("#!lua name=x\nredis.register_function('f', function() return 1 end)\n{text}");
        for (what, asked) in [
            ("a script", words(&["EVAL", LOOK, "0", "acme:", "acme:", text, "sha", "123456789", "0", &script])),
            ("a function", words(&["EVAL", LOOK, "0", &within, &library()])),
            ("a library", words(&["EVAL", LOOK, "0", &loading, &library()])),
            ("a probe", words(&["EVAL", LOOK, "0", "acme:", "acme:", &loading, "123456789", &probe])),
        ] {
            let said = Client::connect(redis.port, None).ask(&asked);
            assert_eq!(said, Value::Many('*', vec![]), "{what}: {text}");
        }
    }
}

/// Servers since 7.2 name the user of the server that a script runs as, which is the wall's; here one is played that does.
#[test]
fn no_script_hears_whose_user_of_the_server_it_is() {
    let redis = Redis::start();
    let script = wrapper(include_str!("../../src/redis/script/eval_head.lua"), &[include_str!("../../src/redis/script/eval.lua")]);
    let says = "ERR ACL failure in script: User partywall:0123456789abcdef:6:zeta has no permissions to run the 'get' command";
    let played = format!("local redis = {{ pcall = function() return {{ err = \"{says}\" }} end }} {script}");
    for text in ["return redis.pcall('get', 'k')", "return redis.call('get', 'k')", "return redis.pcall('get', 'k').err"] {
        let asked = words(&["EVAL", &played, "0", "acme:", "acme:", text, "sha", "123456789", "0"]);
        let said = format!("{:?}", Client::connect(redis.port, None).ask(&asked));
        assert!(said.contains("ERR ACL failure in script: this user has no permissions") && !said.contains("zeta"), "{text}: {said}");
    }
}

/// Each is answered once, and what is asked behind it gets its own answer.
fn keep_step(redis: &Redis, wall: &Wall) {
    let mut other = Client::connect(wall.port("redis"), Some("globex"));
    other.ask(&words(&["SET", "pw", "SECRET"]));
    let run = "#!lua name=run\nredis.register_function('run', function(keys, args) return loadstring(args[1])() end)";
    Client::connect(wall.port("redis"), Some("acme")).ask(&words(&["FUNCTION", "LOAD", run]));
    for text in scripts() {
        for hello in ["2", "3"] {
            let mut client = Client::connect(wall.port("redis"), Some("acme"));
            client.ask(&words(&["HELLO", hello]));
            let loading = format!("#!lua name=x\nredis.register_function('f', function() return 1 end)\n{text}");
            client.send(
                [
                    words(&["EVAL", text, "0"]),
                    words(&["ECHO", "one"]),
                    words(&["FCALL", "run", "0", text]),
                    words(&["ECHO", "two"]),
                    words(&["FUNCTION", "LOAD", "REPLACE", &loading]),
                    words(&["ECHO", "three"]),
                    words(&["MULTI"]),
                    words(&["EVAL", text, "0"]),
                    words(&["EXEC"]),
                    words(&["ECHO", "four"]),
                ]
                .iter(),
            );
            for (skipped, word) in [(1, "one"), (1, "two"), (1, "three"), (3, "four")] {
                (0..skipped).for_each(|_| drop(client.reply()));
                assert_eq!(client.reply(), Value::Bulk('$', word.into()), "RESP{hello} {text}");
            }
            assert_eq!(other.ask(&words(&["GET", "pw"])), Value::Bulk('$', b"SECRET".to_vec()), "{text}");
        }
    }
    assert!(!wall.has_ended() && !wall.log().contains("broke the protocol"), "{}", wall.log());
    assert_eq!(Client::connect(redis.port, None).ask(&words(&["PING"])), Value::Line('+', "PONG".into()));
}

#[test]
fn hostile_scripts_are_answered_once() {
    let (redis, wall) = start();
    keep_step(&redis, &wall);
}

#[test]
fn hostile_scripts_are_answered_once_over_shared_connections() {
    let (redis, wall) = super::redis_multiplex::start();
    keep_step(&redis, &wall);
}

/// The server has one generator for all: nobody's script moves it, or is moved by it.
#[test]
fn no_script_draws_from_what_others_draw_from() {
    let (redis, wall) = start();
    let mut server = Client::connect(redis.port, None);
    let eval = |client: &mut Client, text: &str| format!("{:?}", client.ask(&words(&["EVAL", text, "0"])));
    eval(&mut server, "math.randomseed(7)");
    let first = eval(&mut server, "return tostring(math.random())");
    eval(&mut server, "math.randomseed(7)");
    let (mut one, mut other) = (Client::connect(wall.port("redis"), Some("acme")), Client::connect(wall.port("redis"), Some("globex")));
    one.ask(&words(&["SET", "k", "v"]));
    let draw = "return tostring(math.random())";
    let drawn = [eval(&mut one, draw), eval(&mut one, draw), eval(&mut other, draw)];
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && !drawn.contains(&first), "{drawn:?}");
    // Nor is it by chance what the same seed gave before.
    assert_ne!(eval(&mut one, "math.randomseed(7) return tostring(math.random())"), eval(&mut other, draw));
    assert_eq!(eval(&mut other, "math.randomseed(7) return tostring(math.random())"), first, "a seed gives what the server gives");
    eval(&mut one, "math.randomseed(9) return redis.call('randomkey')");
    let library = "#!lua name=lib\nmath.randomseed(3)\nredis.register_function('f', function() return tostring(math.random()) end)";
    for client in [&mut one, &mut other] {
        client.ask(&words(&["FUNCTION", "LOAD", library]));
    }
    let called = |client: &mut Client| format!("{:?}", client.ask(&words(&["FCALL", "f", "0"])));
    assert_eq!([called(&mut one), called(&mut one)], [called(&mut other), called(&mut other)], "its own seed");
    let chance = library.replace("math.randomseed(3)\n", "");
    for client in [&mut one, &mut other] {
        client.ask(&words(&["FUNCTION", "LOAD", "REPLACE", &chance]));
    }
    assert_ne!(called(&mut one), called(&mut other));
    assert_eq!(eval(&mut server, draw), first, "somebody moved it");
}
