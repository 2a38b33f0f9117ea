//! tokio-postgres: binary both ways, statements prepared and their types looked up, pipelined, COPY, portals.

use anyhow::{Context, Result};
use bytes::Bytes;
use drivers::{BY_ID, COLUMNS, INSERT, KEY, Row, TABLE, ended, errors, joined, mark, say, var};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future, pin_mut};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, binary_copy::BinaryCopyInWriter};

async fn open() -> Result<Client> {
    let mut config = Config::new();
    config.host(var("PGHOST")).port(var("PGPORT").parse()?).user(var("PGUSER")).dbname(var("PGDATABASE"));
    if !var("TENANT_OPTIONS").is_empty() {
        config.options(var("TENANT_OPTIONS"));
    }
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn one(client: &Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<i64> {
    Ok(client.query_one(sql, values).await?.get(0))
}

async fn connect() -> Result<()> {
    let client = open().await?;
    let version: String = client.query_one("SHOW server_version", &[]).await?.get(0);
    say("connect", format!("server {}", version.split('.').next().context("a version")?));
    say("connect", format!("rows {}", one(&client, "SELECT count(*) FROM things", &[]).await?));
    let cancel = client.cancel_token();
    let slow = client.simple_query("SELECT pg_sleep(10)");
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        cancel.cancel_query(NoTls).await
    };
    let (slow, _) = future::join(slow, stop).await;
    say("connect", format!("cancelled {:?}", slow.err().and_then(|e| e.code().cloned()).map(|c| c.code().to_owned())));
    Ok(())
}

async fn types() -> Result<()> {
    let client = open().await?;
    let own = Row::own();
    let slots = (1..=14).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    // It has no decimals of its own, and an enum is a type to derive; both go as texts here.
    let slots = slots.replace("$3,", "$3::text::numeric,").replace("$12,", "$12::text::mood,");
    let insert = client.prepare(&format!("INSERT INTO things (id, {COLUMNS}) VALUES (1, {slots})")).await?;
    say("types", format!("takes {}", joined(insert.params())));
    let values: [&(dyn ToSql + Sync); 14] = [
        &own.size, &own.big, &own.price, &own.name, &own.raw, &own.at, &own.day, &own.code, &own.data, &own.tags, &own.sizes, &own.feeling,
        &own.good, &own.ratio,
    ];
    client.execute(&insert, &values).await?;
    let columns = COLUMNS.replace("price", "price::text").replace("feeling", "feeling::text");
    let row = client.query_one(&format!("SELECT {columns} FROM things WHERE id = $1"), &[&1i64]).await?;
    Row {
        size: row.get(0), big: row.get(1), price: row.get(2), name: row.get(3), raw: row.get(4), at: row.get(5), day: row.get(6), code: row.get(7),
        data: row.get(8), tags: row.get(9), sizes: row.get(10), feeling: row.get(11), good: row.get(12), ratio: row.get(13),
    }
    .say();
    let typed = client.prepare("SELECT feeling, tags FROM things").await?;
    let kinds: Vec<String> = typed.columns().iter().map(|c| format!("{} {:?}", c.name(), c.type_().kind())).collect();
    say("types", format!("kinds {}", kinds.join(" ")));
    client.execute("INSERT INTO things (id, name, size) VALUES (2, $1, $2)", &[&format!("types nulls {}", mark()), &None::<i32>]).await?;
    let nulls = COLUMNS.split(", ").filter(|c| *c != "name").collect::<Vec<_>>().join(", ");
    say("types", format!("nulls {}", client.query_one(&format!("SELECT num_nulls({nulls}) FROM things WHERE id = 2"), &[]).await?.get::<_, i32>(0)));
    Ok(())
}

async fn prepared() -> Result<()> {
    let client = open().await?;
    let insert = client.prepare(INSERT).await?;
    let names: Vec<String> = (0..20).map(|n| format!("prepared {n} {}", mark())).collect();
    let all = (0..20i32).map(|n| {
        let (client, insert, name) = (&client, &insert, &names[n as usize]);
        async move { client.execute(insert, &[&(100 + i64::from(n)), name, &n]).await }
    });
    say("prepared", format!("inserted {}", future::try_join_all(all).await?.iter().sum::<u64>()));
    let select = client.prepare_typed(BY_ID, &[Type::INT8]).await?;
    let (mut named, mut unnamed) = (0, 0);
    for n in 0..20i64 {
        named += client.query_one(&select, &[&(100 + n)]).await?.get::<_, i32>(0);
        unnamed += client.query_typed(BY_ID, &[(&(100 + n), Type::INT8)]).await?[0].get::<_, i32>(0);
    }
    say("prepared", format!("named {named}"));
    say("prepared", format!("unnamed {unnamed}"));
    say("prepared", format!("any {}", one(&client, "SELECT count(*) FROM things WHERE id = ANY($1)", &[&vec![1i64, 100, 119, 9999]]).await?));
    Ok(())
}

async fn transactions() -> Result<()> {
    let mut client = open().await?;
    let insert = "INSERT INTO things (id, name) VALUES ($1, $2)";
    let name = |text: &str| format!("{text} {}", mark());
    let t = client.transaction().await?;
    t.execute(insert, &[&200i64, &name("undone")]).await?;
    t.rollback().await?;
    say("transactions", format!("rolled back {}", one(&client, "SELECT count(*) FROM things WHERE id = 200", &[]).await?));
    let mut t = client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::Serializable).start().await?;
    t.execute(insert, &[&201i64, &name("kept 201")]).await?;
    let s = t.savepoint("s").await?;
    s.execute(insert, &[&202i64, &name("undone")]).await?;
    s.rollback().await?;
    t.execute(insert, &[&203i64, &name("kept 203")]).await?;
    t.commit().await?;
    let kept = client.query("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id", &[]).await?;
    say("transactions", format!("kept {}", joined(&kept.iter().map(|r| r.get::<_, i64>(0)).collect::<Vec<_>>())));
    let t = client.transaction().await?;
    let _ = t.execute(insert, &[&201i64, &name("again")]).await;
    let aborted = t.query("SELECT 1", &[]).await.err().context("not aborted")?;
    say("transactions", format!("aborted {}", aborted.code().context("a code")?.code()));
    drop(t);
    let t = client.transaction().await?;
    for n in 0..3 {
        t.query_one("INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id", &[&name(&format!("part {n}"))]).await?;
    }
    t.commit().await?;
    say("transactions", format!("parts {}", one(&client, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id", &[]).await?));
    Ok(())
}

async fn errors_step() -> Result<()> {
    let client = open().await?;
    for (what, sql) in errors() {
        for error in [client.batch_execute(&sql).await.err(), client.execute(&sql, &[]).await.err()] {
            let error = error.context("went through")?;
            let db = error.as_db_error().context("of the server")?;
            say("errors", format!("{what} {}", db.code().code()));
            say("errors", format!("{what} {} / {:?} / {:?} / {:?}", db.message(), db.constraint(), db.table(), db.position()));
        }
    }
    say("errors", format!("after {}", client.query_one("SELECT 42", &[]).await?.get::<_, i32>(0)));
    Ok(())
}

async fn bulk() -> Result<()> {
    let mut client = open().await?;
    let sink = client.copy_in("COPY things (id, name, size) FROM STDIN (FORMAT binary)").await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::INT8, Type::TEXT, Type::INT4]);
    pin_mut!(writer);
    for n in 0..500i32 {
        writer.as_mut().write(&[&(1000 + i64::from(n)), &format!("bulk {n} {}", mark()), &n]).await?;
    }
    let binary = writer.finish().await?;
    let sink = client.copy_in::<_, Bytes>("COPY things (id, name, size) FROM STDIN").await?;
    pin_mut!(sink);
    for n in 500..1000 {
        sink.send(Bytes::from(format!("{}\tbulk {n} {}\t{n}\n", 1000 + n, mark()))).await?;
    }
    say("bulk", format!("loaded {}", binary + sink.finish().await?));
    say("bulk", format!("sum {}", one(&client, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999", &[]).await?));
    let (ids, sizes): (Vec<i64>, Vec<i32>) = (0..100).map(|n| (2000 + i64::from(n), n)).unzip();
    let names: Vec<String> = (0..100).map(|n| format!("batch {n} {}", mark())).collect();
    let rows = "INSERT INTO things (id, name, size) SELECT * FROM unnest($1::bigint[], $2::text[], $3::int[])";
    say("bulk", format!("batch {}", client.execute(rows, &[&ids, &names, &sizes]).await?));
    say("bulk", format!("updated {}", client.execute("UPDATE things SET size = size + $1 WHERE id BETWEEN 1000 AND 1999", &[&1i32]).await?));
    say("bulk", format!("deleted {}", client.execute("DELETE FROM things WHERE id >= 2000", &[]).await?));
    let out: Vec<Bytes> = client.copy_out("COPY (SELECT id FROM things WHERE id >= 1000) TO STDOUT").await?.try_collect().await?;
    say("bulk", format!("out {}", out.concat().iter().filter(|b| **b == b'\n').count()));
    let t = client.transaction().await?;
    let portal = t.bind("SELECT id FROM things WHERE id >= $1", &[&1000i64]).await?;
    let mut streamed = 0;
    loop {
        let page = t.query_portal(&portal, 70).await?;
        streamed += page.len();
        if page.len() < 70 {
            break;
        }
    }
    t.commit().await?;
    say("bulk", format!("streamed {streamed}"));
    let raw = client.query_raw("SELECT id FROM things WHERE id >= $1", &[1000i64]).await?;
    say("bulk", format!("singly {}", raw.filter(|r| future::ready(r.is_ok())).count().await));
    let several = client.simple_query("SELECT 1; SELECT 2, 3").await?;
    say("bulk", format!("several {}", several.iter().filter(|m| matches!(m, SimpleQueryMessage::Row(_))).count()));
    say("bulk", format!("total {}", one(&client, "SELECT count(*) FROM things", &[]).await?));
    Ok(())
}

async fn introspection() -> Result<()> {
    let client = open().await?;
    let rows: Vec<[String; 3]> = client.query(TABLE, &[&"things"]).await?.iter().map(|r| [r.get(0), r.get(1), r.get(2)]).collect();
    say("introspection", format!("columns {}", rows.iter().map(|r| r[0].as_str()).collect::<Vec<_>>().join(",")));
    for row in &rows {
        say("introspection", format!("column {}", row.join(" ")));
    }
    say("introspection", format!("key {}", client.query_one(KEY, &[]).await?.get::<_, String>(0)));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    say("version", env!("TOKIO_POSTGRES"));
    ended("connect", connect().await);
    ended("types", types().await);
    ended("prepared", prepared().await);
    ended("transactions", transactions().await);
    ended("errors", errors_step().await);
    ended("bulk", bulk().await);
    ended("introspection", introspection().await);
}
