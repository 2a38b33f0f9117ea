//! redis-rs: a blocking connection, a multiplexed one for asyncio's part, scripts, pub/sub, iterators.

use anyhow::{Context, Result, ensure};
use drivers::{TEXT, ended, mark, say, var};
use redis::streams::{StreamPendingReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncTypedCommands, Client, Commands, Connection, RedisError, RedisResult, Script, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

fn client() -> Result<Client> {
    let protocol = if std::env::args().nth(1).as_deref() == Some("3") { "?protocol=resp3" } else { "" };
    Ok(Client::open(format!("{}{protocol}", var("REDIS_URL")))?)
}

fn open() -> Result<Connection> {
    let connection = client()?.get_connection()?;
    connection.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(connection)
}

fn word<T: std::fmt::Debug>(result: RedisResult<T>) -> String {
    match result {
        Ok(value) => format!("went through: {value:?}"),
        Err(error) => error.code().unwrap_or("ERR").to_owned(),
    }
}

fn connect() -> Result<()> {
    let mut r = open()?;
    say("connect", format!("ping {}", redis::cmd("PING").query::<String>(&mut r)?));
    say("connect", format!("keys {}", redis::cmd("DBSIZE").query::<i64>(&mut r)?));
    Ok(())
}

fn types() -> Result<()> {
    let mut r = open()?;
    let _: () = r.set("text", format!("{TEXT} {}", mark()))?;
    let text: String = r.get("text")?;
    say("types", format!("string {}", text.strip_suffix(&format!(" {}", mark())).context("its mark")?));
    let _: () = r.set("raw", b"\x00\xff\r\n")?;
    say("types", format!("bytes {}", r.get::<_, Vec<u8>>("raw")?.iter().map(|b| format!("{b:02x}")).collect::<String>()));
    let _: () = r.set("n", 41)?;
    say("types", format!("number {}", r.incr::<_, _, i64>("n", 1)?));
    let _: () = r.hset_multiple("h", &[("a", 1), ("b", 2)])?;
    let hash: BTreeMap<String, String> = r.hgetall("h")?;
    say("types", format!("hash {}", hash.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")));
    let _: () = r.rpush("l", &["x", "y", "z"])?;
    say("types", format!("list {}", r.lrange::<_, Vec<String>>("l", 0, -1)?.join(",")));
    let _: () = r.sadd("s", &["a", "b", "c"])?;
    let set: BTreeSet<String> = r.smembers("s")?;
    say("types", format!("set {}", set.into_iter().collect::<Vec<_>>().join(",")));
    let _: () = r.zadd_multiple("z", &[(1.0, "a"), (2.5, "b")])?;
    let sorted: Vec<(String, f64)> = r.zrange_withscores("z", 0, -1)?;
    say("types", format!("sorted {}", sorted.iter().map(|(m, s)| format!("{m}={s}")).collect::<Vec<_>>().join(" ")));
    say("types", format!("none {}", r.get::<_, Option<String>>("none")?.unwrap_or_else(|| "NULL".into())));
    let _: () = r.set_ex("soon", mark(), 100)?;
    say("types", format!("expires {}", r.ttl::<_, i64>("soon")? > 90));
    Ok(())
}

fn pipeline() -> Result<()> {
    let mut r = open()?;
    let mut pipe = redis::pipe();
    (0..100).for_each(|n| {
        pipe.set(format!("p:{n}"), n);
    });
    say("pipeline", format!("sent {}", pipe.query::<Vec<String>>(&mut r)?.len()));
    let names: Vec<String> = (0..100).map(|n| format!("p:{n}")).collect();
    say("pipeline", format!("sum {}", r.mget::<_, Vec<i64>>(&names)?.iter().sum::<i64>()));
    let _: () = r.del(&names)?;
    let many = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let shared = client()?.get_multiplexed_async_connection().await?;
        let all = (0..100).map(|n| {
            let mut shared = shared.clone();
            async move { shared.incr("shared", n).await }
        });
        futures_util::future::try_join_all(all).await?;
        let mut shared = shared.clone();
        let last = shared.get_int("shared").await?;
        Ok::<_, anyhow::Error>(last)
    })?;
    say("pipeline", format!("multiplexed {many:?}"));
    Ok(())
}

fn transactions() -> Result<()> {
    let (mut r, mut other) = (open()?, open()?);
    let both: Vec<Value> = redis::pipe().atomic().set("t", 1).incr("t", 1).query(&mut r)?;
    say("transactions", format!("executed {}", both.len()));
    redis::cmd("WATCH").arg("t").exec(&mut r)?;
    let _: () = other.incr("t", 1)?;
    let lost: Option<Vec<Value>> = redis::pipe().atomic().set("t", 0).query(&mut r)?;
    say("transactions", format!("watched {}", if lost.is_none() { "aborted" } else { "?" }));
    redis::cmd("MULTI").exec(&mut r)?;
    let _: Value = redis::cmd("SET").arg("never").arg(1).query(&mut r)?;
    redis::cmd("DISCARD").exec(&mut r)?;
    say("transactions", format!("discarded {}", r.get::<_, Option<String>>("never")?.unwrap_or_else(|| "NULL".into())));
    Ok(())
}

fn scripts() -> Result<()> {
    let mut r = open()?;
    let _: () = r.set("k", mark())?;
    let read: String = redis::cmd("EVAL").arg("return redis.call('GET', KEYS[1])").arg(1).arg("k").query(&mut r)?;
    say("scripts", format!("evaluated {read}"));
    let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let _: i64 = add.key("counter").arg(1).invoke(&mut r)?;
    say("scripts", format!("by hash {}", add.key("counter").arg(2).invoke::<i64>(&mut r)?));
    let unknown: RedisResult<Value> = redis::cmd("EVALSHA").arg("0".repeat(40)).arg(0).query(&mut r);
    say("scripts", format!("unknown {}", word(unknown)));
    Ok(())
}

fn messages() -> Result<()> {
    let (mut r, mut mine) = (open()?, open()?);
    let mut mine = mine.as_pubsub();
    mine.subscribe("news")?;
    mine.psubscribe("news.*")?;
    say("messages", format!("received {}", r.publish::<_, _, i64>("news", "hello")?));
    let came = mine.get_message()?;
    say("messages", format!("{} {}", came.get_channel_name(), came.get_payload::<String>()?));
    let _: i64 = r.publish("news.a", mark())?;
    let came = mine.get_message()?;
    say("messages", format!("pattern {} {}", came.get_pattern::<String>()?, came.get_channel_name()));
    Ok(())
}

fn streams() -> Result<()> {
    let mut r = open()?;
    for n in 0..3 {
        let _: String = r.xadd("stream", "*", &[("n", n)])?;
    }
    let read: StreamReadReply = r.xread(&["stream"], &["0"])?;
    say("streams", format!("read {}", read.keys[0].ids.len()));
    let _: () = r.xgroup_create("stream", "g", "0")?;
    let read: StreamReadReply = r.xread_options(&["stream"], &[">"], &StreamReadOptions::default().group("g", "me"))?;
    ensure!(read.keys[0].key == "stream");
    say("streams", format!("group {}", read.keys[0].ids.len()));
    let _: i64 = r.xack("stream", "g", &read.keys[0].ids.iter().map(|i| i.id.as_str()).collect::<Vec<_>>())?;
    let pending: StreamPendingReply = r.xpending("stream", "g")?;
    say("streams", format!("pending {}", pending.count()));
    let _: () = r.del("stream")?;
    Ok(())
}

fn blocking() -> Result<()> {
    let mut r = open()?;
    let late = std::thread::spawn(|| -> Result<()> {
        std::thread::sleep(Duration::from_millis(200));
        let _: () = open()?.rpush("queue", "late")?;
        Ok(())
    });
    say("blocking", format!("popped {}", r.blpop::<_, (String, String)>("queue", 10.0)?.1));
    late.join().map_err(|_| anyhow::anyhow!("the other thread"))??;
    let none: Option<(String, String)> = r.blpop("queue", 1.0)?;
    say("blocking", format!("timeout {}", none.map_or("NULL".into(), |p| p.1)));
    Ok(())
}

fn iteration() -> Result<()> {
    let mut r = open()?;
    let pairs: Vec<(String, i32)> = (0..200).map(|n| (format!("i:{n}"), n)).collect();
    let _: () = r.mset(&pairs)?;
    let seen = r.scan_match::<_, String>("i:*")?.collect::<RedisResult<BTreeSet<_>>>()?;
    say("iteration", format!("scanned {}", seen.len()));
    let ten: Vec<String> = r.keys("i:10?")?;
    let one: Vec<String> = r.keys("i:199")?;
    say("iteration", format!("matched {}", ten.len() + one.len()));
    let fields: Vec<(String, i32)> = (0..50).map(|n| (format!("f{n}"), n)).collect();
    let _: () = r.hset_multiple("fields", &fields)?;
    let fields = r.hscan::<_, (String, i32)>("fields")?.collect::<RedisResult<HashMap<_, _>>>()?;
    say("iteration", format!("fields {}", fields.len()));
    let _: () = r.del(seen.into_iter().collect::<Vec<_>>())?;
    let mut left: Vec<String> = r.keys("*")?;
    left.sort();
    say("iteration", format!("left {}", left.join(",")));
    Ok(())
}

fn errors() -> Result<()> {
    let mut r = open()?;
    say("errors", format!("type {}", word(r.lpush::<_, _, i64>("k", "x"))));
    let unknown: RedisError = redis::cmd("NOSUCH").arg("a").query::<Value>(&mut r).err().context("went through")?;
    say("errors", format!("command {}", unknown.code().unwrap_or("ERR")));
    say("errors", format!("said {unknown}"));
    say("errors", format!("json {:?}", redis::cmd("JSON.SET").arg("doc").arg("$").arg("{}").query::<Value>(&mut r).err().map(|e| e.to_string())));
    say("errors", format!("after {}", redis::cmd("PING").query::<String>(&mut r)?));
    Ok(())
}

fn main() {
    say("version", env!("REDIS"));
    ended("connect", connect());
    ended("types", types());
    ended("pipeline", pipeline());
    ended("transactions", transactions());
    ended("scripts", scripts());
    ended("messages", messages());
    ended("streams", streams());
    ended("blocking", blocking());
    ended("iteration", iteration());
    ended("errors", errors());
}
