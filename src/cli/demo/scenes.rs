//! What the demo plays, and what each tenant must see of it: the show and its own check are the same table.

/// What is typed into psql, for both tenants, and what each of them must be told.
pub struct Scene {
    /// What it shows, in a sentence.
    pub title: &'static str,
    /// The statement.
    pub typed: &'static str,
    /// The answer's lines: acme's, globex'.
    pub answers: [&'static [&'static str]; 2],
}

/// A Redis command, and what each tenant must be told.
pub struct Command {
    /// What is typed.
    pub typed: &'static str,
    /// The answer's lines: acme's, globex'.
    pub answers: [&'static [&'static str]; 2],
}

/// Something that acme must not get.
pub struct Attack {
    /// Why one would try it.
    pub title: &'static str,
    /// The statement, or the Redis command.
    pub typed: &'static str,
    /// How the answer begins.
    pub answer: &'static str,
}

/// What the owner of the database sees: everybody's rows.
pub const OWNER_SQL: &str = "SELECT tenant_id, id, customer_id, status FROM orders ORDER BY tenant_id, id";

/// Statements, each typed by both tenants.
pub const SQL: &[Scene] = &[
    Scene {
        title: "The same query: each finds its own customers, and customer 1 is somebody else.",
        typed: "SELECT id, name, country FROM customers ORDER BY id",
        answers: [
            &["id|name|country", "1|Wile E. Coyote|US", "2|Road Runner|US", "3|Marvin|JP"],
            &["id|name|country", "1|Hank Scorpio|US", "2|Greta Hahn|DE"],
        ],
    },
    Scene {
        title: "A join that never heard of tenants, over ids that both have.",
        typed: "SELECT c.name, t.name AS country, sum(i.quantity * p.price) AS spent FROM orders o JOIN customers c ON c.id = o.customer_id \
                JOIN countries t ON t.code = c.country JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id \
                GROUP BY c.name, t.name ORDER BY spent DESC",
        answers: [
            &["name|country|spent", "Wile E. Coyote|United States|447.80", "Road Runner|United States|49.90"],
            &["name|country|spent", "Hank Scorpio|United States|10119.00", "Greta Hahn|Germany|480.00"],
        ],
    },
    Scene {
        title: "Both take order 100; the tenant column is written for them.",
        typed: "INSERT INTO orders (id, customer_id) VALUES (100, 1) RETURNING id, status",
        answers: [&["id|status", "100|new", "INSERT 0 1"], &["id|status", "100|new", "INSERT 0 1"]],
    },
    Scene {
        title: "An UPDATE without a condition on the tenant.",
        typed: "UPDATE orders SET status = 'shipped' WHERE status = 'paid'",
        answers: [&["UPDATE 1"], &["UPDATE 1"]],
    },
];

/// What the owner must find afterwards: `tenant|id|customer|status`.
pub const OWNER_AFTER: &[&str] = &[
    "acme|1|1|shipped",
    "acme|2|1|new",
    "acme|3|2|new",
    "acme|100|1|new",
    "globex|1|2|new",
    "globex|2|1|shipped",
    "globex|100|1|new",
    "initech|1|1|paid",
];

/// What acme tries.
pub const SQL_ATTACKS: &[Attack] = &[
    Attack {
        title: "Ask for them by name: in acme's database there are none.",
        typed: "SELECT count(*) FROM orders WHERE tenant_id = 'globex'",
        answer: "count\n0",
    },
    Attack {
        title: "Write a row for somebody else.",
        typed: "INSERT INTO orders (tenant_id, id, customer_id) VALUES ('globex', 7, 1)",
        answer: "ERROR:  42501:",
    },
    Attack {
        title: "Hide the query in a string that a function runs.",
        typed: "SELECT query_to_xml('SELECT * FROM orders', true, false, '')",
        answer: "ERROR:  42",
    },
    Attack { title: "Read a table that is nobody's.", typed: "SELECT api_key FROM secrets", answer: "ERROR:  42P01:" },
];

/// Redis commands, each typed by both tenants.
pub const REDIS: &[Command] = &[
    Command { typed: "GET motto", answers: [&["\"Quality is our first dream\""], &["\"Nothing can stop us now\""]] },
    Command { typed: "INCR visits", answers: [&["(integer) 42"], &["(integer) 8"]] },
    Command { typed: "LPUSH queue send-invoice", answers: [&["(integer) 3"], &["(integer) 2"]] },
    Command {
        typed: "LRANGE queue 0 -1",
        answers: [&["1) \"send-invoice\"", "2) \"ship-anvil\"", "3) \"bill-coyote\""], &["1) \"send-invoice\"", "2) \"ship-hammock\""]],
    },
    Command { typed: "DBSIZE", answers: [&["(integer) 3"], &["(integer) 3"]] },
];

/// What Redis holds afterwards, sorted.
pub const REDIS_KEYS: &[&str] =
    &["acme:motto", "acme:queue", "acme:visits", "globex:motto", "globex:queue", "globex:visits", "initech:motto", "initech:queue"];

/// What acme tries.
pub const REDIS_ATTACKS: &[Attack] = &[
    Attack { title: "Name another's key: it is looked for below acme's own.", typed: "GET globex:motto", answer: "(nil)" },
    Attack { title: "Listen to everybody's commands.", typed: "MONITOR", answer: "(error) NOPERM" },
];
