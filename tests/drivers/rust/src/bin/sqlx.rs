//! SQLx: statements prepared and cached, rows as structs, its query builder, COPY, streams, types of one's own.

use anyhow::{Context, Result};
use bigdecimal::BigDecimal;
use drivers::{BY_ID, COLUMNS, INSERT, KEY, Row, TABLE, ended, errors, joined, mark, say, var};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolCopyExt, PgPoolOptions, PgRow};
use sqlx::{Connection, FromRow, QueryBuilder, Row as _};

#[derive(sqlx::Type, Clone, Copy, Debug)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Ok,
    Happy,
}

#[derive(FromRow)]
struct Thing {
    size: i32,
    big: i64,
    price: BigDecimal,
    name: String,
    raw: Vec<u8>,
    at: chrono::DateTime<chrono::Utc>,
    day: chrono::NaiveDate,
    code: uuid::Uuid,
    data: serde_json::Value,
    tags: Vec<Option<String>>,
    sizes: Vec<i32>,
    feeling: Mood,
    good: bool,
    ratio: f64,
}

async fn open() -> Result<PgPool> {
    let mut options = PgConnectOptions::new_without_pgpass();
    options = options.host(&var("PGHOST")).port(var("PGPORT").parse()?).username(&var("PGUSER")).database(&var("PGDATABASE"));
    options = options.ssl_mode(sqlx::postgres::PgSslMode::Disable);
    if !var("TENANT").is_empty() {
        options = options.options([("partywall.tenant", var("TENANT"))]);
    }
    Ok(PgPoolOptions::new().max_connections(3).connect_with(options).await?)
}

async fn one(pool: &PgPool, sql: &str) -> Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|e| e.code()).map_or_else(|| format!("{error}"), |c| c.into_owned())
}

async fn connect(pool: &PgPool) -> Result<()> {
    say("connect", format!("server {}", pool.acquire().await?.server_version_num().unwrap_or(0) / 10000));
    say("connect", format!("rows {}", one(pool, "SELECT count(*) FROM things").await?));
    pool.acquire().await?.ping().await?;
    Ok(())
}

async fn types(pool: &PgPool) -> Result<()> {
    let own = Row::own();
    let slots = (1..=14).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    sqlx::query(&format!("INSERT INTO things (id, {COLUMNS}) VALUES (1, {slots})"))
        .bind(own.size).bind(own.big).bind(own.price.parse::<BigDecimal>()?).bind(own.name).bind(own.raw).bind(own.at).bind(own.day)
        .bind(own.code).bind(own.data).bind(own.tags).bind(own.sizes).bind(Mood::Happy).bind(own.good).bind(own.ratio)
        .execute(pool).await?;
    let select = format!("SELECT {COLUMNS} FROM things WHERE id = $1");
    let t: Thing = sqlx::query_as(&select).bind(1i64).fetch_one(pool).await?;
    let feeling = format!("{:?}", t.feeling).to_lowercase();
    Row {
        size: t.size, big: t.big, price: t.price.with_scale(2).to_string(), name: t.name, raw: t.raw, at: t.at, day: t.day, code: t.code, data: t.data, tags: t.tags,
        sizes: t.sizes, feeling, good: t.good, ratio: t.ratio,
    }
    .say();
    sqlx::query("INSERT INTO things (id, name, size) VALUES (2, $1, $2)").bind(format!("types nulls {}", mark())).bind(None::<i32>).execute(pool).await?;
    let empty: PgRow = sqlx::query(&select).bind(2i64).fetch_one(pool).await?;
    say("types", format!("nulls {}", (0..14).filter(|n| empty.try_get_raw(*n).is_ok_and(|v| sqlx::ValueRef::is_null(&v))).count()));
    let moods: Vec<Mood> = sqlx::query_scalar("SELECT enum_range(NULL::mood)").fetch_one(pool).await?;
    say("types", format!("moods {moods:?} {:?} {:?}", Mood::Sad, Mood::Ok));
    Ok(())
}

async fn prepared(pool: &PgPool) -> Result<()> {
    let (mut made, mut named, mut unnamed) = (0, 0, 0);
    for n in 0..20i32 {
        made += sqlx::query(INSERT).bind(100 + i64::from(n)).bind(format!("prepared {n} {}", mark())).bind(n).execute(pool).await?.rows_affected();
    }
    for n in 0..20i64 {
        named += sqlx::query_scalar::<_, i32>(BY_ID).bind(100 + n).fetch_one(pool).await?;
        unnamed += sqlx::query_scalar::<_, i32>(BY_ID).bind(100 + n).persistent(false).fetch_one(pool).await?;
    }
    say("prepared", format!("inserted {made}"));
    say("prepared", format!("named {named}"));
    say("prepared", format!("unnamed {unnamed}"));
    let any: i64 = sqlx::query_scalar("SELECT count(*) FROM things WHERE id = ANY($1)").bind(vec![1i64, 100, 119, 9999]).fetch_one(pool).await?;
    say("prepared", format!("any {any}"));
    let mut one = pool.acquire().await?;
    say("prepared", format!("cached {}", one.cached_statements_size() > 0));
    one.clear_cached_statements().await?;
    Ok(())
}

async fn transactions(pool: &PgPool) -> Result<()> {
    let add = |id: i64, text: &str| sqlx::query("INSERT INTO things (id, name) VALUES ($1, $2)").bind(id).bind(format!("{text} {}", mark()));
    let mut t = pool.begin().await?;
    add(200, "undone").execute(&mut *t).await?;
    t.rollback().await?;
    say("transactions", format!("rolled back {}", one(pool, "SELECT count(*) FROM things WHERE id = 200").await?));
    let mut t = pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await?;
    add(201, "kept 201").execute(&mut *t).await?;
    let mut s = t.begin().await?;
    add(202, "undone").execute(&mut *s).await?;
    s.rollback().await?;
    add(203, "kept 203").execute(&mut *t).await?;
    t.commit().await?;
    let kept: Vec<i64> = sqlx::query_scalar("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id").fetch_all(pool).await?;
    say("transactions", format!("kept {}", joined(&kept)));
    let mut t = pool.begin().await?;
    let _ = add(201, "again").execute(&mut *t).await;
    let aborted = sqlx::query("SELECT 1").execute(&mut *t).await.err().context("not aborted")?;
    say("transactions", format!("aborted {}", code(&aborted)));
    drop(t);
    let mut t = pool.begin().await?;
    for n in 0..3 {
        let insert = "INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id";
        let _: i64 = sqlx::query_scalar(insert).bind(format!("part {n} {}", mark())).fetch_one(&mut *t).await?;
    }
    t.commit().await?;
    say("transactions", format!("parts {}", one(pool, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id").await?));
    Ok(())
}

async fn errors_step(pool: &PgPool) -> Result<()> {
    for (what, sql) in errors() {
        for error in [sqlx::raw_sql(&sql).execute(pool).await.err(), sqlx::query(&sql).execute(pool).await.err()] {
            let error = error.context("went through")?;
            let db = error.as_database_error().context("of the server")?;
            say("errors", format!("{what} {}", code(&error)));
            say("errors", format!("{what} {:?} {} / {:?} / {:?}", db.kind(), db.message(), db.constraint(), db.table()));
        }
    }
    say("errors", format!("after {}", one(pool, "SELECT 42::bigint").await?));
    Ok(())
}

async fn bulk(pool: &PgPool) -> Result<()> {
    let mut copy = pool.copy_in_raw("COPY things (id, name, size) FROM STDIN").await?;
    let rows: String = (0..1000).map(|n| format!("{}\tbulk {n} {}\t{n}\n", 1000 + n, mark())).collect();
    copy.send(rows.as_bytes()).await?;
    say("bulk", format!("loaded {}", copy.finish().await?));
    say("bulk", format!("sum {}", one(pool, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999").await?));
    let mut many = QueryBuilder::new("INSERT INTO things (id, name, size) ");
    many.push_values(0..100i32, |mut row, n| {
        row.push_bind(2000 + i64::from(n)).push_bind(format!("batch {n} {}", mark())).push_bind(n);
    });
    say("bulk", format!("batch {}", many.build().execute(pool).await?.rows_affected()));
    let updated = sqlx::query("UPDATE things SET size = size + $1 WHERE id BETWEEN 1000 AND 1999").bind(1i32).execute(pool).await?;
    say("bulk", format!("updated {}", updated.rows_affected()));
    say("bulk", format!("deleted {}", sqlx::query("DELETE FROM things WHERE id >= 2000").execute(pool).await?.rows_affected()));
    let out: Vec<_> = pool.copy_out_raw("COPY (SELECT id FROM things WHERE id >= 1000) TO STDOUT").await?.try_collect().await?;
    say("bulk", format!("out {}", out.concat().iter().filter(|b| **b == b'\n').count()));
    let mut seen = 0;
    let mut stream = sqlx::query("SELECT id FROM things WHERE id >= $1").bind(1000i64).fetch(pool);
    while let Some(row) = stream.next().await {
        let _: i64 = row?.get(0);
        seen += 1;
    }
    drop(stream);
    say("bulk", format!("streamed {seen}"));
    say("bulk", format!("total {}", one(pool, "SELECT count(*) FROM things").await?));
    Ok(())
}

async fn introspection(pool: &PgPool) -> Result<()> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(TABLE).bind("things").fetch_all(pool).await?;
    say("introspection", format!("columns {}", rows.iter().map(|r| r.0.as_str()).collect::<Vec<_>>().join(",")));
    for (name, kind, null) in &rows {
        say("introspection", format!("column {name} {kind} {null}"));
    }
    say("introspection", format!("key {}", sqlx::query_scalar::<_, String>(KEY).fetch_one(pool).await?));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    say("version", env!("SQLX"));
    let pool = open().await?;
    ended("connect", connect(&pool).await);
    ended("types", types(&pool).await);
    ended("prepared", prepared(&pool).await);
    ended("transactions", transactions(&pool).await);
    ended("errors", errors_step(&pool).await);
    ended("bulk", bulk(&pool).await);
    ended("introspection", introspection(&pool).await);
    Ok(())
}
