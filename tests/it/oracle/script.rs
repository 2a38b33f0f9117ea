//! Cases: single queries, batches of writes in a transaction, cursors, prepared statements, and statements that are wrong.

use super::features::Feature as F;
use super::generate::{Case, Form, Generator, Step};
use super::tables::{SCOPED, TABLES, Ty};

impl Case {
    /// The case of a seed and a number: always the same one.
    pub fn new(seed: u64, number: u64, form: Form) -> Case {
        let mut g = Generator::new(seed, number, form);
        let kind = g.random.weighted(&[66, 19, 5, 3, 2, 2, 2, 1]);
        let (steps, transaction) = match kind {
            0 => (vec![g.read()], false),
            1 => (g.batch(), true),
            // They should fail; where a protection is left out they may not, and must not stay.
            2 => (vec![g.wrong()], true),
            3 => (vec![g.locking()], false),
            4 => (g.cursor(), true),
            5 => (g.prepared(), true),
            6 => (vec![g.copy_or_script()], false),
            _ => (vec![g.forbidden()], true),
        };
        let steps = if g.features & F::Effect.bit() == 0 { steps } else { g.with_numbers(steps) };
        Case { steps, transaction, forbidden: kind == 7, features: g.features }
    }
}

/// What names a column that is not there.
const HIDDEN: &[&str] = &[
    "SELECT org_id FROM threads",
    "SELECT t.org_id FROM threads t",
    "SELECT (t).org_id FROM threads t",
    "SELECT id FROM threads WHERE org_id = 'globex'",
    "SELECT id FROM threads ORDER BY org_id",
    "SELECT * FROM threads JOIN posts USING (org_id)",
    "UPDATE threads SET org_id = 'acme'",
    "UPDATE threads SET title = org_id",
    "UPDATE threads t SET title = t.org_id",
    "UPDATE threads SET title = 'x' WHERE org_id = 'globex'",
    "UPDATE threads SET title = 'x' RETURNING org_id",
    "DELETE FROM posts WHERE org_id = 'globex'",
    "INSERT INTO threads (id, title, replies, code, org_id) VALUES (950, 'x', 1, '1', 'acme')",
    "INSERT INTO threads (id, title, replies, code) VALUES (951, 'x', 1, '1') RETURNING org_id",
    "INSERT INTO threads (id, title, replies, code) VALUES (1, 'x', 1, '1') ON CONFLICT (id) DO UPDATE SET title = excluded.org_id",
    "COPY threads (org_id) TO STDOUT",
];

impl Generator {
    /// Between a first random number that is known and one that shows whether another was drawn or chosen.
    fn with_numbers(&mut self, mut steps: Vec<Step>) -> Vec<Step> {
        let at = steps.iter().take_while(|s| s.sql.starts_with("SET ")).count();
        steps.insert(at, self.plain("SELECT setseed(0.125) IS NULL"));
        steps.push(self.plain("SELECT random()"));
        steps
    }

    fn read(&mut self) -> Step {
        self.start();
        let query = self.top_query();
        self.step(query.sql, query.ordered)
    }

    /// Writes, with reads between them that see what was written.
    fn batch(&mut self) -> Vec<Step> {
        self.note(F::Transaction);
        let mut steps = Vec::new();
        match self.random.below(12) {
            0 => {
                self.note(F::SetLocal);
                let set = self.random.pick(&[
                    "SET LOCAL TimeZone = 'Asia/Tokyo'",
                    "SET LOCAL enable_hashjoin = off",
                    "SET LOCAL DateStyle = 'SQL, DMY'",
                ]);
                steps.push(self.plain(set));
            }
            1 => {
                self.note(F::Isolation);
                let set = self.random.pick(&["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION READ ONLY"]);
                steps.push(self.plain(set));
            }
            _ => {}
        }
        for _ in 0..1 + self.random.below(5) {
            self.start();
            if self.random.percent(20) {
                let query = self.top_query();
                steps.push(self.step(query.sql, query.ordered));
            } else {
                let sql = self.write();
                steps.push(self.step(sql, false));
            }
        }
        if self.random.percent(4) {
            self.note(F::Truncate);
            steps.push(self.plain("TRUNCATE order_items"));
        }
        self.note(F::Savepoint);
        steps
    }

    fn locking(&mut self) -> Step {
        self.start();
        self.note(F::Lock);
        let mut items = Vec::new();
        let table = &TABLES[self.random.below(SCOPED)];
        let mut from = self.table(table, &mut items);
        if self.random.percent(40) {
            let other = &TABLES[self.random.below(SCOPED)];
            let right = self.table(other, &mut items);
            let left = if self.random.percent(40) { "LEFT JOIN" } else { "JOIN" };
            from = format!(
                "{from} {left} {right} ON {}.{} = {}.{}",
                items[0].alias, items[0].columns[0].name, items[1].alias, items[1].columns[0].name
            );
        }
        let first = items[0].alias.clone();
        self.scopes.push(items);
        let output = self.expr(Ty::Text, 2);
        let condition = self.where_clause(2);
        self.scopes.pop();
        let strength = self.random.pick(&["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"]);
        let wait = self.random.pick(&["", " NOWAIT", " SKIP LOCKED"]);
        self.step(
            format!("SELECT {first}.{}, {output} AS c FROM {from}{condition} FOR {strength} OF {first}{wait}", table.columns[0].name),
            false,
        )
    }

    fn ordered(&mut self) -> String {
        let types = [self.random.pick(&Ty::ALL), self.random.pick(&Ty::ALL)];
        self.literals();
        let query = self.simple(&types, false);
        format!("{} ORDER BY 1, 2", query.sql)
    }

    fn cursor(&mut self) -> Vec<Step> {
        self.note(F::Cursor);
        self.start();
        let query = self.ordered();
        let kind = self.random.pick(&["", "SCROLL ", "NO SCROLL "]);
        let mut steps = vec![self.plain(format!("DECLARE cur {kind}CURSOR FOR {query}"))];
        for fetch in ["FETCH 2 FROM cur", "MOVE 1 IN cur", "FETCH ALL FROM cur", "CLOSE cur"] {
            steps.push(self.plain(fetch));
        }
        steps
    }

    fn prepared(&mut self) -> Vec<Step> {
        self.note(F::Prepare);
        self.start();
        self.literals();
        let table = self.random.pick(&["customers", "orders", "products", "tickets"]);
        let sql = match self.random.below(3) {
            0 => format!("PREPARE p (int) AS SELECT * FROM {table} WHERE id = $1"),
            1 => format!("PREPARE p (int) AS DELETE FROM {table} WHERE id < $1 AND id > 8 RETURNING id"),
            _ => "PREPARE p (int) AS INSERT INTO notes (id, body) VALUES ($1, 'p') RETURNING *".into(),
        };
        [sql, "EXECUTE p (3)".into(), "EXECUTE p (9)".into(), "DEALLOCATE p".into()].map(|s| self.plain(s)).into()
    }

    fn copy_or_script(&mut self) -> Step {
        self.start();
        self.literals();
        match self.random.below(3) {
            0 => {
                self.note(F::CopyOut);
                let table = self.random.pick(&TABLES[..SCOPED]).name;
                let how = self.random.pick(&["", " (FORMAT csv, HEADER)", " (DELIMITER '|')"]);
                self.plain(format!("COPY {table} TO STDOUT{how}"))
            }
            1 => {
                self.note(F::CopyQuery);
                let query = self.ordered();
                self.plain(format!("COPY ({query}) TO STDOUT"))
            }
            _ => {
                self.note(F::SeveralStatements);
                let (one, two) = (self.ordered(), self.ordered());
                self.plain(format!("{one}; /* between */ {two};"))
            }
        }
    }

    /// What works in a private database and must not work here: it would touch, lock or read what is not the tenant's.
    fn forbidden(&mut self) -> Step {
        self.note(F::Forbidden);
        let sql = self.random.pick(&[
            "UPDATE orders SET tenant_id = 'globex' WHERE id < 4",
            "UPDATE customers SET (name, tenant_id) = ('x', 'initech') WHERE id = 2",
            "INSERT INTO notes (tenant_id, id, body) VALUES ('globex', 501, 'x')",
            "INSERT INTO notes (tenant_id, id, body) VALUES ('acme', 501, 'x'), ('initech', 502, 'y')",
            "INSERT INTO notes (tenant_id, id) SELECT 'globex', 600 + id FROM tickets",
            "INSERT INTO labels (name) VALUES ('alpha') ON CONFLICT (name) DO UPDATE SET tenant_id = 'globex'",
            "INSERT INTO domains (host, hits) VALUES ('taken.example', 5) ON CONFLICT (host) DO UPDATE SET hits = 9",
            "INSERT INTO domains (host, hits) VALUES ('taken.example', 5) ON CONFLICT (host) DO NOTHING",
            "INSERT INTO domains (host, hits) VALUES ('taken.example', 5) ON CONFLICT DO NOTHING",
            "INSERT INTO countries VALUES ('XX', 'x', 1)",
            "UPDATE rates SET rate = 2 WHERE currency = 'EUR'",
            "DELETE FROM countries WHERE code = 'JP'",
            "SELECT code FROM countries FOR UPDATE",
            "SELECT c.id FROM customers c JOIN countries k ON k.code = c.country FOR SHARE",
            "SELECT query_to_xml('SELECT * FROM customers', true, false, '')::text",
            "SELECT table_to_xml('secrets', true, false, '')::text FROM customers",
            "SELECT id FROM threads WHERE 10 / replies > 0 FOR UPDATE",
            "EXPLAIN SELECT id FROM threads",
        ]);
        self.plain(sql)
    }

    /// Statements that PostgreSQL refuses, or that name what a tenant must not see: the same answer as in a private database.
    fn wrong(&mut self) -> Step {
        self.start();
        self.note(F::Wrong);
        let query = self.simple(&[Ty::Int, Ty::Text], false).sql;
        let table = self.random.pick(&TABLES[..SCOPED]).name;
        let sql = match self.random.below(21) {
            0 => format!("SELECT nosuch FROM {table}"),
            1 => format!("SELECT {table}.nosuch FROM {table}"),
            2 => "SELECT * FROM nosuch".into(),
            3 => {
                self.note(F::Hidden);
                self.random.pick(&["SELECT * FROM secrets", "SELECT value FROM public.secrets WHERE id = 2", "TABLE secrets"]).into()
            }
            4 => format!("SELECT nosuch({table}.*) FROM {table}"),
            5 => format!("SELECT 'x'::int FROM {table}"),
            6 => format!("SELECT id, count(*) FROM {table}, customers"),
            7 => format!("SELECT tenant_id FROM {table}, customers"),
            8 => format!("SELECT 1 FROM {table} x, {table} x"),
            9 => format!("SELECT 1 FROM {table} WHERE count(*) > 1"),
            10 => format!("{query} UNION SELECT 1"),
            11 => format!("SELECT ({query})"),
            12 => format!("SELECT FROM {table} WHERE"),
            13 => format!("SELECT other.id FROM {table} mine"),
            14 => "INSERT INTO customers (id, name, nosuch) VALUES (900, 'x', 1)".into(),
            15 => "UPDATE customers SET nosuch = 1".into(),
            16..=18 => {
                self.note(F::HiddenColumn);
                self.random.pick(HIDDEN).into()
            }
            19 => {
                self.note(F::Failing);
                "SELECT 1 / (id - 3) FROM customers".into()
            }
            _ => {
                self.note(F::Failing);
                "SELECT name::int FROM labels".into()
            }
        };
        self.step(sql, false)
    }
}
