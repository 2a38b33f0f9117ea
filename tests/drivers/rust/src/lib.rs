//! What the Rust programs share: where to connect, the values, and how results are said.

use std::env;

pub const TEXT: &str = r#"Zoë 'q' "d" \ % $1 ?"#;
pub const COLUMNS: &str = "size, big, price, name, raw, at, day, code, data, tags, sizes, feeling, good, ratio";
pub const INSERT: &str = "INSERT INTO things (id, name, size) VALUES ($1, $2, $3)";
pub const BY_ID: &str = "SELECT size FROM things WHERE id = $1";
pub const TABLE: &str =
    "SELECT column_name::text, udt_name::text, is_nullable::text FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position";
pub const KEY: &str = "SELECT string_agg(a.attname::text, ',' ORDER BY a.attnum) FROM pg_index i \
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'things'::regclass AND i.indisprimary";

/// A variable of the environment, or nothing.
pub fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// This session's own, in all its rows.
pub fn mark() -> String {
    var("MARK")
}

pub fn errors() -> Vec<(&'static str, String)> {
    let mark = mark();
    vec![
        ("unique", format!("INSERT INTO things (id, name) VALUES (300, 'types nulls {mark}')")),
        ("syntax", "SELECT id FROM things WHERE WHERE".into()),
        ("column", "SELECT id, nosuch FROM things".into()),
        ("table", "SELECT * FROM nowhere".into()),
        ("null", "INSERT INTO things (id, name) VALUES (300, NULL)".into()),
        ("check", format!("INSERT INTO things (id, name, size) VALUES (300, 'c {mark}', -1)")),
        ("foreign key", "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')".into()),
        ("division", "SELECT 1 / (size - size) FROM things WHERE id = 1".into()),
        ("input", "SELECT 'x'::int".into()),
    ]
}

pub fn say(step: &str, what: impl std::fmt::Display) {
    println!("{step}: {what}");
}

/// One row of the types' step.
pub struct Row {
    pub size: i32,
    pub big: i64,
    pub price: String,
    pub name: String,
    pub raw: Vec<u8>,
    pub at: chrono::DateTime<chrono::Utc>,
    pub day: chrono::NaiveDate,
    pub code: uuid::Uuid,
    pub data: serde_json::Value,
    pub tags: Vec<Option<String>>,
    pub sizes: Vec<i32>,
    pub feeling: String,
    pub good: bool,
    pub ratio: f64,
}

impl Row {
    /// What every program writes.
    pub fn own() -> Row {
        let day = chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        Row {
            size: i32::MAX,
            big: -9007199254740991,
            price: "12.50".into(),
            name: format!("{TEXT} {}", mark()),
            raw: b"\x00\xff\\'".to_vec(),
            at: day.and_hms_opt(12, 30, 0).unwrap().and_utc(),
            day,
            code: uuid::Uuid::from_u128(7),
            data: serde_json::json!({ "a": [1, null] }),
            tags: vec![Some("a".into()), None, Some("q\"".into())],
            sizes: vec![1, 2, 3],
            feeling: "happy".into(),
            good: true,
            ratio: 0.1,
        }
    }

    /// What came back.
    pub fn say(&self) {
        let line = |name: &str, value: String| say("types", format!("{name} {value}"));
        line("int", self.size.to_string());
        line("bigint", self.big.to_string());
        line("numeric", self.price.clone());
        line("text", self.name.strip_suffix(&format!(" {}", mark())).expect("its mark").to_owned());
        line("bytea", self.raw.iter().map(|b| format!("{b:02x}")).collect());
        line("timestamptz", self.at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        line("date", self.day.to_string());
        line("uuid", self.code.to_string());
        line("jsonb", self.data.to_string());
        line("tags", self.tags.iter().map(|t| t.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(","));
        line("sizes", joined(&self.sizes));
        line("enum", self.feeling.clone());
        line("boolean", self.good.to_string());
        line("double", self.ratio.to_string());
    }
}

pub fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// How a step ended.
pub fn ended<E: std::fmt::Debug>(step: &str, end: Result<(), E>) {
    if let Err(error) = end {
        eprintln!("{step}: {error:?}");
        println!("{step}! {}", format!("{error:?}").split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
