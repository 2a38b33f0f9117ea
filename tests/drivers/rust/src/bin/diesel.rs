//! Diesel: its query language over libpq, statements cached by query, an enum by its own mapping, savepoints, raw SQL.

use bigdecimal::BigDecimal;
use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorInformation, Error};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Integer, Text};
use drivers::{KEY, Row, TABLE, ended, errors, joined, mark, say, var};
use std::io::Write;

#[derive(diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
#[diesel(postgres_type(name = "mood"))]
pub struct MoodType;

#[derive(Debug, Clone, AsExpression, FromSqlRow)]
#[diesel(sql_type = MoodType)]
struct Mood(String);

impl ToSql<MoodType, Pg> for Mood {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<MoodType, Pg> for Mood {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Mood(String::from_utf8(value.as_bytes().to_vec())?))
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::MoodType;
    things (id) {
        id -> BigInt, name -> Text, size -> Nullable<Integer>, big -> Nullable<BigInt>, price -> Nullable<Numeric>, at -> Nullable<Timestamptz>,
        day -> Nullable<Date>, code -> Nullable<Uuid>, data -> Nullable<Jsonb>, raw -> Nullable<Bytea>, tags -> Nullable<Array<Nullable<Text>>>,
        sizes -> Nullable<Array<Integer>>, feeling -> Nullable<MoodType>, good -> Nullable<Bool>, ratio -> Nullable<Double>,
    }
}
diesel::table! {
    parts (id) { id -> BigInt, thing_id -> BigInt, label -> Text, }
}
diesel::joinable!(parts -> things (thing_id));
diesel::allow_tables_to_appear_in_same_query!(things, parts);

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = things)]
struct Thing {
    id: i64,
    name: String,
    size: Option<i32>,
    big: Option<i64>,
    price: Option<BigDecimal>,
    at: Option<chrono::DateTime<chrono::Utc>>,
    day: Option<chrono::NaiveDate>,
    code: Option<uuid::Uuid>,
    data: Option<serde_json::Value>,
    raw: Option<Vec<u8>>,
    tags: Option<Vec<Option<String>>>,
    sizes: Option<Vec<i32>>,
    feeling: Option<Mood>,
    good: Option<bool>,
    ratio: Option<f64>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Text)]
    v: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    udt_name: String,
    #[diesel(sql_type = Text)]
    is_nullable: String,
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn open() -> PgConnection {
    let mut dsn = format!("host={} port={} user={} dbname={} sslmode=disable", var("PGHOST"), var("PGPORT"), var("PGUSER"), var("PGDATABASE"));
    if !var("TENANT_OPTIONS").is_empty() {
        dsn += &format!(" options='{}'", var("TENANT_OPTIONS"));
    }
    PgConnection::establish(&dsn).expect("a connection")
}

// Diesel has no codes of SQL; the kinds it makes of them, where it has one, else the server's words.
fn code(error: &Error) -> String {
    let Error::DatabaseError(kind, info) = error else { return format!("{error:?}") };
    let by_kind = match format!("{kind:?}").as_str() {
        "UniqueViolation" => "23505",
        "ForeignKeyViolation" => "23503",
        "NotNullViolation" => "23502",
        "CheckViolation" => "23514",
        "SerializationFailure" => "40001",
        "ReadOnlyTransaction" => "25006",
        _ => "",
    };
    let by_text = [
        ("syntax error", "42601"), ("column", "42703"), ("relation", "42P01"), ("division", "22012"), ("invalid input", "22P02"),
        ("current transaction is aborted", "25P02"),
    ];
    let text = info.message();
    if by_kind.is_empty() { by_text.iter().find(|(t, _)| text.starts_with(t)).map_or(text, |(_, c)| c).to_owned() } else { by_kind.to_owned() }
}

fn details(info: &dyn DatabaseErrorInformation) -> String {
    format!("{} / {:?} / {:?} / {:?}", info.message(), info.constraint_name(), info.table_name(), info.statement_position())
}

fn add(c: &mut PgConnection, id: i64, name: &str) -> QueryResult<usize> {
    diesel::insert_into(things::table).values((things::id.eq(id), things::name.eq(format!("{name} {}", mark())))).execute(c)
}

fn connect() -> Done {
    let c = &mut open();
    let version: Said = diesel::sql_query("SELECT current_setting('server_version') AS v").get_result(c)?;
    say("connect", format!("server {}", version.v.split('.').next().unwrap_or_default()));
    say("connect", format!("rows {}", things::table.count().get_result::<i64>(c)?));
    Ok(())
}

fn types() -> Done {
    let c = &mut open();
    let own = Row::own();
    let thing = Thing {
        id: 1, name: own.name, size: Some(own.size), big: Some(own.big), price: Some(own.price.parse()?), at: Some(own.at), day: Some(own.day),
        code: Some(own.code), data: Some(own.data), raw: Some(own.raw), tags: Some(own.tags), sizes: Some(own.sizes), feeling: Some(Mood(own.feeling)),
        good: Some(own.good), ratio: Some(own.ratio),
    };
    diesel::insert_into(things::table).values(&thing).execute(c)?;
    let t = things::table.find(1).select(Thing::as_select()).first(c)?;
    let lost = "a value";
    Row {
        size: t.size.ok_or(lost)?, big: t.big.ok_or(lost)?, price: t.price.ok_or(lost)?.to_string(), name: t.name, raw: t.raw.ok_or(lost)?,
        at: t.at.ok_or(lost)?, day: t.day.ok_or(lost)?, code: t.code.ok_or(lost)?, data: t.data.ok_or(lost)?, tags: t.tags.ok_or(lost)?,
        sizes: t.sizes.ok_or(lost)?, feeling: t.feeling.ok_or(lost)?.0, good: t.good.ok_or(lost)?, ratio: t.ratio.ok_or(lost)?,
    }
    .say();
    add(c, 2, "types nulls")?;
    let t = things::table.find(2).select(Thing::as_select()).first(c)?;
    let nulls = [
        t.size.is_none(), t.big.is_none(), t.price.is_none(), t.at.is_none(), t.day.is_none(), t.code.is_none(), t.data.is_none(), t.raw.is_none(),
        t.tags.is_none(), t.sizes.is_none(), t.feeling.is_none(), t.good.is_none(), t.ratio.is_none(),
    ];
    say("types", format!("nulls {}", nulls.iter().filter(|n| **n).count()));
    let happy: i64 = things::table.filter(things::feeling.eq(Mood("happy".into()))).count().get_result(c)?;
    let array: i64 = things::table.filter(things::sizes.contains(vec![2])).count().get_result(c)?;
    say("types", format!("found {happy} {array}"));
    Ok(())
}

fn prepared() -> Done {
    let c = &mut open();
    let (mut made, mut named, mut unnamed) = (0, 0, 0);
    for n in 0..20i32 {
        let row = (things::id.eq(100 + i64::from(n)), things::name.eq(format!("prepared {n} {}", mark())), things::size.eq(n));
        made += diesel::insert_into(things::table).values(row).execute(c)?;
    }
    for n in 0..20i64 {
        named += things::table.find(100 + n).select(things::size).first::<Option<i32>>(c)?.unwrap_or_default();
        let sql = diesel::sql_query("SELECT size::bigint AS n FROM things WHERE id = $1").bind::<BigInt, _>(100 + n);
        unnamed += sql.get_result::<Number>(c)?.n;
    }
    say("prepared", format!("inserted {made}"));
    say("prepared", format!("named {named}"));
    say("prepared", format!("unnamed {unnamed}"));
    say("prepared", format!("any {}", things::table.filter(things::id.eq_any(vec![1i64, 100, 119, 9999])).count().get_result::<i64>(c)?));
    let merged: String = diesel::insert_into(things::table)
        .values((things::id.eq(100), things::name.eq(format!("merged {}", mark()))))
        .on_conflict(things::id).do_update().set(things::name.eq(diesel::upsert::excluded(things::name)))
        .returning(things::name).get_result(c)?;
    say("prepared", format!("merged {merged}"));
    Ok(())
}

fn transactions() -> Done {
    let c = &mut open();
    c.test_transaction::<_, Error, _>(|c| add(c, 200, "undone"));
    say("transactions", format!("rolled back {}", things::table.filter(things::id.eq(200)).count().get_result::<i64>(c)?));
    c.build_transaction().serializable().run::<_, Error, _>(|c| {
        add(c, 201, "kept 201")?;
        let undone = c.transaction::<(), Error, _>(|c| {
            add(c, 202, "undone")?;
            Err(Error::RollbackTransaction)
        });
        assert!(undone.is_err());
        add(c, 203, "kept 203")
    })?;
    let kept: Vec<i64> = things::table.filter(things::id.between(200, 299)).order(things::id).select(things::id).load(c)?;
    say("transactions", format!("kept {}", joined(&kept)));
    let _ = c.transaction::<(), Error, _>(|c| {
        let _ = add(c, 201, "again");
        let aborted = diesel::sql_query("SELECT 1").execute(c).expect_err("not aborted");
        say("transactions", format!("aborted {}", code(&aborted)));
        Err(Error::RollbackTransaction)
    });
    c.transaction::<_, Error, _>(|c| {
        let rows: Vec<_> = (0..3).map(|n| (parts::thing_id.eq(201), parts::label.eq(format!("part {n} {}", mark())))).collect();
        diesel::insert_into(parts::table).values(rows).returning(parts::id).get_results::<i64>(c)
    })?;
    say("transactions", format!("parts {}", parts::table.inner_join(things::table).count().get_result::<i64>(c)?));
    say("transactions", format!("locked {}", c.transaction::<i64, Error, _>(|c| things::table.find(201).select(things::id).for_update().skip_locked().first(c))?));
    Ok(())
}

fn errors_step() -> Done {
    let c = &mut open();
    for (what, sql) in errors() {
        let error = diesel::sql_query(&sql).execute(c).err().ok_or("went through")?;
        say("errors", format!("{what} {}", code(&error)));
        if let Error::DatabaseError(_, info) = &error {
            say("errors", format!("{what} {}", details(info.as_ref())));
        }
    }
    say("errors", format!("after {}", diesel::select(42.into_sql::<Integer>()).get_result::<i32>(c)?));
    Ok(())
}

fn bulk() -> Done {
    let c = &mut open();
    let row = |id: i64, kind: &str, n: i32| (things::id.eq(id), things::name.eq(format!("{kind} {n} {}", mark())), things::size.eq(n));
    let loaded: usize = diesel::copy_from(things::table)
        .from_insertable((0..1000).map(|n| row(1000 + i64::from(n), "bulk", n)).collect::<Vec<_>>()).execute(c)?;
    say("bulk", format!("loaded {loaded}"));
    let some = things::table.filter(things::id.between(1000, 1999));
    say("bulk", format!("sum {}", some.select(diesel::dsl::sum(things::size)).first::<Option<i64>>(c)?.unwrap_or_default()));
    let batch: Vec<_> = (0..100).map(|n| row(2000 + i64::from(n), "batch", n)).collect();
    say("bulk", format!("batch {}", diesel::insert_into(things::table).values(batch).execute(c)?));
    say("bulk", format!("updated {}", diesel::update(some).set(things::size.eq(things::size + 1)).execute(c)?));
    say("bulk", format!("deleted {}", diesel::delete(things::table.filter(things::id.ge(2000))).execute(c)?));
    let walk = things::table.filter(things::id.ge(1000)).select(things::id);
    say("bulk", format!("streamed {}", walk.load_iter::<i64, diesel::pg::PgRowByRowLoadingMode>(c)?.count()));
    say("bulk", format!("total {}", things::table.count().get_result::<i64>(c)?));
    Ok(())
}

fn introspection() -> Done {
    let c = &mut open();
    let found: Vec<Column> = diesel::sql_query(TABLE).bind::<Text, _>("things").load(c)?;
    say("introspection", format!("columns {}", found.iter().map(|f| f.column_name.as_str()).collect::<Vec<_>>().join(",")));
    for f in &found {
        say("introspection", format!("column {} {} {}", f.column_name, f.udt_name, f.is_nullable));
    }
    let key: Said = diesel::sql_query(KEY.replace(") FROM", ") AS v FROM")).get_result(c)?;
    say("introspection", format!("key {}", key.v));
    Ok(())
}

fn main() {
    say("version", env!("DIESEL"));
    ended("connect", connect());
    ended("types", types());
    ended("prepared", prepared());
    ended("transactions", transactions());
    ended("errors", errors_step());
    ended("bulk", bulk());
    ended("introspection", introspection());
}
