//! FROM: tables, joins of every kind, subqueries, functions.

use super::features::Feature as F;
use super::generate::{Col, Generator, Item};
use super::tables::{SCOPED, TABLES, Table, Tag, Ty};

impl Generator {
    /// A FROM list: its text and what it brings into sight.
    pub(super) fn from(&mut self) -> (String, Vec<Item>) {
        let mut items = Vec::new();
        let mut text = self.from_tree(&mut items, 2);
        while items.len() < 3 && self.budget > 0 && self.random.percent(15) {
            self.note(F::Comma);
            let more = if self.random.percent(40) { self.lateral(&mut items) } else { self.from_leaf(&mut items) };
            text = format!("{text}, {more}");
        }
        (text, items)
    }

    fn from_tree(&mut self, items: &mut Vec<Item>, depth: usize) -> String {
        if depth == 0 || self.budget <= 0 || self.random.percent(if depth == 2 { 45 } else { 60 }) {
            return self.from_leaf(items);
        }
        self.budget -= 1;
        let first = items.len();
        let left = self.from_tree(items, depth - 1);
        let middle = items.len();
        let linked = self.linked(items, first);
        let right = match linked {
            Some(table) if self.random.percent(70) => self.table(table, items),
            _ if self.random.percent(12) && !left.is_empty() => return self.lateral_join(left, items),
            _ => self.from_tree(items, depth - 1),
        };
        if middle - first > 1 || items.len() - middle > 1 {
            self.note(F::NestedJoin);
        }
        let joined = self.join(&left, &right, items, (first, middle));
        if !self.random.percent(4) {
            return joined;
        }
        self.note(F::JoinAlias);
        let alias = self.name("j");
        let count = |c: &Col| items[first..].iter().flat_map(|i| &i.columns).filter(|o| o.name == c.name).count();
        let columns = items[first..].iter().flat_map(|i| &i.columns).filter(|c| count(c) == 1).cloned().collect();
        items.truncate(first);
        items.push(Item { alias: alias.clone(), columns, key: None, table: None });
        format!("({joined}) AS {alias}")
    }

    /// A table that one of these is linked with.
    fn linked(&mut self, items: &[Item], first: usize) -> Option<&'static Table> {
        let links: Vec<_> = items[first..].iter().filter_map(|i| i.table).flat_map(|t| t.links).map(|l| l.1).collect();
        if links.is_empty() { None } else { Some(Table::find(self.random.pick(&links))) }
    }

    fn join(&mut self, left: &str, right: &str, items: &mut [Item], (first, middle): (usize, usize)) -> String {
        let kinds = [(F::InnerJoin, "JOIN"), (F::LeftJoin, "LEFT JOIN"), (F::RightJoin, "RIGHT OUTER JOIN"), (F::FullJoin, "FULL JOIN")];
        let (feature, word) = kinds[self.random.weighted(&[40, 35, 15, 10])];
        self.note(feature);
        let (a, b) = (items[first..middle].to_vec(), items[middle..].to_vec());
        if let ([one], [other]) = (a.as_slice(), b.as_slice())
            && self.random.percent(16)
            && let Some(using) = self.using(one, other)
        {
            return format!("({left} {} {right}{})", if using.is_empty() { format!("NATURAL {word}") } else { word.to_owned() }, using);
        }
        if feature == F::InnerJoin && self.random.percent(8) {
            self.note(F::CrossJoin);
            return format!("({left} CROSS JOIN {right})");
        }
        let equal = self.equality(&a, &b);
        self.scopes.push(items[first..].to_vec());
        let extra = self.random.percent(30).then(|| self.condition(2));
        let on = match (equal, extra) {
            (Some(equal), Some(extra)) => format!("{equal} AND {extra}"),
            (Some(equal), None) => equal,
            (None, Some(extra)) if feature != F::FullJoin => extra,
            _ if feature == F::FullJoin => "1 = 1".into(),
            _ => self.condition(1),
        };
        self.scopes.pop();
        if left.contains("JOIN") || self.random.percent(50) {
            format!("({left} {word} {right} ON {on})")
        } else {
            format!("{left} {word} {right} ON {on}")
        }
    }

    /// ` USING (…)`, or nothing for NATURAL.
    fn using(&mut self, one: &Item, other: &Item) -> Option<String> {
        let (left, right) = (one.table?, other.table?);
        let both: Vec<_> =
            left.columns.iter().filter(|c| right.columns.iter().any(|o| o.name == c.name && o.ty == c.ty)).map(|c| c.name).collect();
        let clash = left.columns.iter().any(|c| right.columns.iter().any(|o| o.name == c.name && o.ty != c.ty));
        if both.is_empty() || one.columns.len() != left.columns.len() || other.columns.len() != right.columns.len() {
            return None;
        }
        if self.random.percent(30) && !clash {
            self.note(F::Natural);
            return Some(String::new());
        }
        self.note(F::Using);
        let last = self.random.pick(&both);
        let columns = if last != "tenant_id" && both.contains(&"tenant_id") && self.random.percent(50) {
            format!("tenant_id, {last}")
        } else {
            last.to_owned()
        };
        let alias = if self.random.percent(5) {
            self.note(F::UsingAlias);
            format!(" AS {}", self.name("u"))
        } else {
            String::new()
        };
        Some(format!(" USING ({columns}){alias}"))
    }

    /// A link between two sides, or columns of one type.
    fn equality(&mut self, left: &[Item], right: &[Item]) -> Option<String> {
        let mut found = Vec::new();
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            let links = a.table.map(|t| t.links).unwrap_or_default();
            for (column, table, other) in links {
                let has = |i: &Item, name: &str| i.columns.iter().any(|c| c.name == name);
                if b.table.is_some_and(|t| t.name == *table) && has(a, column) && has(b, other) {
                    found.push(format!("{}.{column} = {}.{other}", a.alias, b.alias));
                }
            }
            if found.is_empty() {
                for ca in a.columns.iter().filter(|c| matches!(c.ty, Ty::Int | Ty::Text | Ty::Date | Ty::Mood)) {
                    let same = b.columns.iter().filter(|c| c.ty == ca.ty);
                    found.extend(same.map(|cb| format!("{}.{} = {}.{}", a.alias, ca.name, b.alias, cb.name)));
                }
            }
        }
        // As programs that know of tenants write it; it lets the planner move the guard from one table to the other.
        let both = left.iter().flat_map(|a| right.iter().map(move |b| (a, b))).find(|(a, b)| {
            let named = |i: &Item| i.columns.iter().any(|c| c.name == "tenant_id");
            named(a) && named(b)
        });
        match both {
            _ if found.is_empty() => None,
            Some((a, b)) if self.random.percent(25) => {
                self.note(F::TenantColumn);
                Some(format!("{}.tenant_id = {}.tenant_id AND {}", a.alias, b.alias, self.random.pick(&found)))
            }
            _ => Some(self.random.pick(&found)),
        }
    }

    /// A single item.
    pub(super) fn from_leaf(&mut self, items: &mut Vec<Item>) -> String {
        match self.random.weighted(&[74, if self.budget > 0 { 12 } else { 0 }, 4, 4, if self.ctes.is_empty() { 0 } else { 40 }]) {
            0 => {
                let table = if self.random.percent(10) {
                    &TABLES[SCOPED + self.random.below(TABLES.len() - SCOPED)]
                } else {
                    &TABLES[self.random.below(SCOPED)]
                };
                if items.iter().any(|i| i.table.is_some_and(|t| t.name == table.name)) {
                    self.note(F::SelfJoin);
                }
                self.table(table, items)
            }
            1 => {
                self.note(F::Derived);
                let query = self.query(None, 1);
                let alias = self.name("d");
                items.push(Item { alias: alias.clone(), columns: query.columns, key: None, table: None });
                format!("({}) AS {alias}", query.sql)
            }
            2 => self.values_item(items),
            3 => self.function_item(items),
            _ => {
                let cte = self.random.pick(&self.ctes.clone());
                let alias = self.name("w");
                let text = format!("{} AS {alias}", cte.alias);
                items.push(Item { alias, ..cte });
                text
            }
        }
    }

    /// A new alias, or now and then one that an item further out has.
    fn table_alias(&mut self, items: &[Item]) -> String {
        let further: Vec<String> = self.scopes.iter().flatten().map(|i| i.alias.clone()).filter(|a| a.starts_with('t')).collect();
        if !further.is_empty() && self.random.percent(3) {
            let alias = self.random.pick(&further);
            if items.iter().all(|i| i.alias != alias) {
                self.note(F::Namesake);
                return alias;
            }
        }
        self.name("t")
    }

    /// A base table under an alias.
    pub(super) fn table(&mut self, table: &'static Table, items: &mut Vec<Item>) -> String {
        let alias = self.table_alias(items);
        let mut columns: Vec<Col> = table.columns.iter().map(|c| Col { name: c.name.into(), ty: c.ty, tag: c.tag, local: false }).collect();
        self.features |= match table.name {
            "events" | "events_2024" => F::Partitioned.bit(),
            "notes" | "notes_archive" => F::Inherited.bit(),
            "countries" | "rates" => F::Shared.bit(),
            "threads" | "posts" => F::HiddenColumn.bit(),
            "tasks" | "steps" => F::Through.bit(),
            _ => 0,
        };
        let mut unique = table.name != "notes";
        let mut name = if self.random.percent(10) { format!("public.{}", table.name) } else { table.name.to_owned() };
        if self.random.percent(4) && table.name != "events" {
            self.note(F::Only);
            name = format!("ONLY {name}");
            unique = true;
        }
        let mut renamed = String::new();
        if self.random.percent(4) {
            self.note(F::ColumnAliases);
            let count = 1 + self.random.below(columns.len());
            for (n, column) in columns.iter_mut().take(count).enumerate() {
                column.name = format!("{alias}c{n}");
            }
            renamed = format!("({})", columns[..count].iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", "));
            unique = false;
        }
        let sample = if self.random.percent(2) {
            self.note(F::TableSample);
            self.random.pick(&[" TABLESAMPLE BERNOULLI (100)", " TABLESAMPLE SYSTEM (100) REPEATABLE (3)"])
        } else {
            ""
        };
        let word = self.random.pick(&["", "AS "]);
        let text = format!("{name} {word}{alias}{renamed}{sample}");
        let key = unique.then(|| table.key.iter().map(|k| (*k).to_owned()).collect());
        items.push(Item { alias, columns, key, table: Some(table) });
        text
    }

    fn values_item(&mut self, items: &mut Vec<Item>) -> String {
        self.note(F::ValuesInFrom);
        let types = [Ty::Int, self.random.pick(&[Ty::Text, Ty::Date, Ty::Num])];
        let rows: Vec<_> =
            (0..1 + self.random.below(3)).map(|_| format!("({}, {})", self.constant(types[0]), self.constant(types[1]))).collect();
        let alias = self.name("v");
        let columns = [("a", types[0]), ("b", types[1])].map(|(name, ty)| Col { name: name.into(), ty, tag: Tag::Plain, local: false });
        items.push(Item { alias: alias.clone(), columns: columns.to_vec(), key: None, table: None });
        format!("(VALUES {}) AS {alias}(a, b)", rows.join(", "))
    }

    /// A function in FROM; its arguments see the items before it.
    fn function_item(&mut self, items: &mut Vec<Item>) -> String {
        self.note(F::FunctionInFrom);
        self.scopes.push(items.clone());
        let alias = self.name("f");
        let series = format!("generate_series(1, 1 + abs({} % 3))", self.expr(Ty::Int, 1));
        let array = format!("unnest({})", self.expr(Ty::Ints, 1));
        let (ty, call) = match self.random.below(4) {
            0 => (Ty::Text, format!("unnest({})", self.expr(Ty::Texts, 1))),
            1 => (Ty::Int, array.clone()),
            2 => (Ty::Text, format!("regexp_split_to_table({}, '-')", self.expr(Ty::Text, 1))),
            _ => (Ty::Int, series.clone()),
        };
        self.scopes.pop();
        let column = |name: &str, ty| Col { name: name.into(), ty, tag: Tag::Plain, local: false };
        let (columns, text) = match self.random.below(6) {
            0 => {
                self.note(F::RowsFrom);
                (vec![column("a", Ty::Int), column("b", Ty::Int)], format!("ROWS FROM ({series}, {array}) AS {alias}(a, b)"))
            }
            1 => {
                self.note(F::Ordinality);
                (vec![column("a", ty)], format!("{call} WITH ORDINALITY AS {alias}(a, n)"))
            }
            _ => (vec![column("a", ty)], format!("{call} AS {alias}(a)")),
        };
        items.push(Item { alias, columns, key: None, table: None });
        text
    }

    fn lateral(&mut self, items: &mut Vec<Item>) -> String {
        self.note(F::Lateral);
        self.scopes.push(items.clone());
        let query = self.query(None, 1);
        self.scopes.pop();
        let alias = self.name("l");
        items.push(Item { alias: alias.clone(), columns: query.columns, key: None, table: None });
        format!("LATERAL ({}) AS {alias}", query.sql)
    }

    fn lateral_join(&mut self, left: String, items: &mut Vec<Item>) -> String {
        let (feature, word) = self.random.pick(&[(F::LeftJoin, "LEFT JOIN"), (F::InnerJoin, "JOIN")]);
        self.note(feature);
        let right = self.lateral(items);
        format!("{left} {word} {right} ON true")
    }
}
