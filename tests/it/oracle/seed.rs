//! Rows: four tenants interleaved in the same tables under the same keys; the others' rows carry poison and canaries.

use super::generate::{WORDS, quoted};
use super::random::Random;
use super::tables::{CANARY, Column, SCOPED, TABLES, Table, Tag, Ty};

/// The tenant that is watched, and the others.
pub const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// The most rows a table has for a tenant.
const ROWS: i64 = 12;

/// How far the keys of two tenants are apart where a table's keys are unique over all.
pub const APART: i64 = 10_000;

/// INSERTs for every tenant, in an order that mixes them.
pub fn rows() -> String {
    let mut random = Random::new(1, 1);
    let mut sql = String::from(
        "INSERT INTO countries VALUES ('DE', 'Germany', 357), ('FR', 'France', 643), ('JP', 'Japan', NULL), ('US', 'States', 983);\n\
         INSERT INTO rates SELECT d::date, c, 1.25 FROM generate_series(timestamp '2023-01-01', '2025-01-01', '92 days') d, unnest(ARRAY['EUR','USD']) c;\n\
         INSERT INTO domains VALUES ('own.example', 'acme', 1), ('taken.example', 'globex', 2), ('kept.example', 'initech', 3);\n\
         INSERT INTO secrets VALUES (1, 'acme', 'hidden'), (2, 'globex', 'CANARY-secret');\n",
    );
    for table in TABLES[..SCOPED].iter().filter(|t| t.name != "events_2024") {
        for id in 1..=ROWS {
            let first = random.below(TENANTS.len());
            for n in 0..TENANTS.len() {
                let tenant = TENANTS[(first + n) % TENANTS.len()];
                // Each tenant misses a few keys that the others have.
                let missing = (id + i64::try_from(tenant.len()).unwrap()) % 6 == 0 && id > 6;
                if !missing {
                    sql.push_str(&row(&mut random, table, tenant, id));
                }
            }
        }
    }
    sql
}

fn row(random: &mut Random, table: &Table, tenant: &str, id: i64) -> String {
    let mut values: Vec<String> = table.columns.iter().map(|column| value(random, table, column, tenant, id)).collect();
    let mut names: Vec<&str> = table.columns.iter().map(|c| c.name).collect();
    if !table.shows_tenant() && !table.is_through() {
        names.push(table.tenant);
        values.push(quoted(tenant));
    }
    // An item may name an order that this tenant misses.
    format!("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING;\n", table.name, names.join(", "), values.join(", "))
}

fn value(random: &mut Random, table: &Table, column: &Column, tenant: &str, id: i64) -> String {
    if column.name == table.tenant {
        return quoted(tenant);
    }
    let foreign = tenant != "acme";
    // Keys that are unique over all tenants begin at another number for each.
    let first = APART * TENANTS.iter().position(|t| *t == tenant).map_or(0, |n| i64::try_from(n).unwrap());
    // The first six of every key are there for every tenant, so references go to those.
    match (table.name, column.name) {
        ("order_items", "order_id") => (1 + id / 2).to_string(),
        ("order_items", "line") => (1 + id % 2).to_string(),
        (_, "customer_id" | "product_id" | "account" | "thread") if column.nullable && random.percent(20) => "NULL".into(),
        (_, "customer_id" | "product_id" | "account" | "thread") => random.between(1, 6).to_string(),
        ("employees", "manager_id") => {
            if id < 3 {
                "NULL".into()
            } else {
                random.between(1, id.min(6) - 1).to_string()
            }
        }
        ("customers", "email") => {
            if id % 4 == 0 {
                "NULL".into()
            } else {
                quoted(&format!("u{id}@x.io"))
            }
        }
        ("products", "sku") => quoted(&format!("SKU-{id}")),
        ("labels", "name") => {
            quoted(&format!("{}{}", WORDS[usize::try_from(id).unwrap() % WORDS.len()], if id % 2 == 0 { "" } else { "2" }))
        }
        ("customers", "country") => random.pick(&["'DE'", "'FR'", "'US'", "NULL"]).to_owned(),
        (_, "id") if table.numbers_for_all() => (first + id).to_string(),
        (_, "project_id" | "task_id") => (first + random.between(1, 6)).to_string(),
        (_, "id") => id.to_string(),
        ("notes_archive", "archived_on") | ("customers", "joined") if random.percent(30) => "NULL".into(),
        _ if column.nullable && random.percent(25) => "NULL".into(),
        _ if foreign && column.tag != Tag::Plain && random.percent(35) => poison(random, column.tag, tenant),
        _ if foreign && column.ty == Ty::Text && column.tag == Tag::Plain && random.percent(40) => {
            quoted(&format!("{CANARY}-{tenant}-{id}"))
        }
        _ => good(random, column),
    }
}

/// A value that holds what the tag says, as a literal.
pub fn good(random: &mut Random, column: &Column) -> String {
    let r = random;
    match column.tag {
        Tag::Digits => quoted(&r.between(0, 9).to_string()),
        Tag::Not77 => r.between(0, 20).to_string(),
        Tag::NonZero => r.between(1, 9).to_string(),
        Tag::JsonText => quoted(&format!("{{\"n\": {}}}", r.between(0, 5))),
        Tag::Regex => quoted(r.pick(&["^a", "b.*", "[0-9]+", "x|l"])),
        Tag::DateText => quoted(&format!("{}-0{}-15", r.between(2018, 2024), r.between(1, 9))),
        Tag::UuidText => quoted(&format!("00000000-0000-0000-0000-{:012}", r.between(1, 6))),
        Tag::MoodText => quoted(r.pick(&["low", "mid", "high"])),
        Tag::CsvText => quoted(r.pick(&["{1,2}", "{2}", "{}", "{3,1,2}"])),
        Tag::HexText => quoted(r.pick(&["616263", "41", "7a"])),
        Tag::FmtText => quoted(r.pick(&["%s", "<%s>", "%L"])),
        Tag::Positive => format!("{}.50", r.between(0, 60)),
        Tag::Low => r.between(0, 5).to_string(),
        Tag::Strict => quoted(&format!("{{\"n\": {}, \"list\": [{}]}}", r.between(0, 4), r.between(0, 3))),
        Tag::Plain => plain(r, column.ty),
    }
}

fn plain(r: &mut Random, ty: Ty) -> String {
    match ty {
        Ty::Int => r.between(0, 20).to_string(),
        Ty::Text => quoted(r.pick(WORDS)),
        Ty::Bool => r.pick(&["true", "false"]).to_owned(),
        Ty::Num => format!("{}.{:02}", r.between(0, 60), r.between(0, 3) * 25),
        Ty::Date => format!("'{}-{:02}-{:02}'", r.between(2022, 2025), r.between(1, 12), r.pick(&[1, 15, 28])),
        Ty::Ts => format!("'{}-{:02}-15 08:00:00+00'", r.between(2023, 2025), r.between(1, 12)),
        Ty::Json => format!("'{{\"n\": {}, \"list\": [{}], \"s\": \"a\"}}'", r.between(0, 5), r.between(0, 3)),
        Ty::Ints => format!("'{{{},{}}}'", r.between(0, 4), r.between(0, 4)),
        Ty::Texts => format!("'{{{},b}}'", r.pick(&["a", "vip"])),
        Ty::Mood => r.pick(&["'low'", "'mid'", "'high'"]).to_owned(),
        Ty::Uuid => format!("'00000000-0000-0000-0000-{:012}'", r.between(1, 6)),
    }
}

/// What makes the column's expressions fail, telling whose it is where the message quotes it.
fn poison(random: &mut Random, tag: Tag, tenant: &str) -> String {
    let canary = format!("{CANARY}-{tenant}");
    match tag {
        Tag::Not77 => "77".into(),
        Tag::NonZero => random.pick(&["0", "-3"]).to_owned(),
        Tag::Positive => "-7.00".into(),
        Tag::Low => "99".into(),
        Tag::JsonText => quoted(&format!("{{\"n\": {canary}")),
        Tag::Regex => quoted(&format!("({canary}[")),
        Tag::DateText => quoted(&format!("2024-99-{canary}")),
        Tag::CsvText => quoted(&format!("{{1,{canary}")),
        Tag::HexText => random.pick(&["'ff'", "'zzCANARY'"]).to_owned(),
        Tag::FmtText => quoted(&format!("%Q {canary}")),
        Tag::Strict => quoted(&format!("{{\"n\": \"{canary}\", \"list\": \"{canary}\"}}")),
        Tag::Digits | Tag::UuidText | Tag::MoodText | Tag::Plain => quoted(&canary),
    }
}
