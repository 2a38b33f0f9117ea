//! Writes. Each is such that its outcome does not hang on the order in which rows are met.

use super::features::Feature as F;
use super::generate::{Col, Generator, Item};
use super::seed::{APART, good};
use super::tables::{Column, SCOPED, TABLES, Table, Tag, Ty};

impl Generator {
    /// A statement that writes.
    pub(super) fn write(&mut self) -> String {
        match self.random.weighted(&[26, 26, 18, 12, 5, 6]) {
            0 => self.insert(),
            1 => self.update(),
            2 => self.delete(),
            3 => self.upsert(),
            4 => self.merge(),
            _ => self.writable_cte(),
        }
    }

    pub(super) fn target(&mut self) -> (&'static Table, String) {
        let table = &TABLES[self.random.below(SCOPED)];
        self.features |= match table.name {
            "events" | "events_2024" => F::Partitioned.bit(),
            "notes" | "notes_archive" => F::Inherited.bit(),
            "threads" | "posts" => F::HiddenColumn.bit(),
            "tasks" | "steps" => F::Through.bit(),
            _ => 0,
        };
        // The wall looks for the parent before a row is stored, PostgreSQL after: a statement that breaks two keys at once is told another.
        // A parent may be missing once something was deleted.
        self.stray = table.is_through() && self.random.percent(25);
        self.fresh = table.is_through() && (self.stray || self.features & F::Delete.bit() != 0);
        (table, self.name("t"))
    }

    fn scope_of(table: &'static Table, alias: &str) -> Item {
        let columns = table.columns.iter().map(|c| Col { name: c.name.into(), ty: c.ty, tag: c.tag, local: false }).collect();
        Item { alias: alias.into(), columns, key: None, table: Some(table) }
    }

    /// A value that may be stored in a column: it keeps what the column's tag promises.
    pub(super) fn stored(&mut self, column: &Column) -> String {
        if matches!(column.name, "project_id" | "task_id") {
            return self.parent();
        }
        if column.name == "id" && self.fresh {
            return self.new_key();
        }
        let r = &mut self.random;
        match column.name {
            "id" => r.between(1, 30).to_string(),
            "order_id" | "product_id" => r.between(1, 7).to_string(),
            "line" => r.between(1, 5).to_string(),
            "customer_id" | "manager_id" | "thread" => {
                if r.percent(20) {
                    "NULL".into()
                } else {
                    r.between(1, 7).to_string()
                }
            }
            "email" => {
                if r.percent(30) {
                    "NULL".into()
                } else {
                    format!("'u{}@x.io'", r.between(1, 40))
                }
            }
            "sku" => format!("'SKU-{}'", r.between(1, 40)),
            "day" => format!("'{}-05-0{}'", r.between(2022, 2025), r.between(1, 9)),
            _ if column.nullable && r.percent(15) => "NULL".into(),
            _ if column.tag == Tag::Plain && r.percent(40) && column.ty != Ty::Num => self.constant(column.ty),
            _ => good(&mut self.random, column),
        }
    }

    /// The key of a row that decides whose the row is.
    fn parent(&mut self) -> String {
        if self.stray && self.random.percent(60) {
            self.note(F::StrayParent);
            return (APART + self.random.between(1, 7)).to_string();
        }
        self.random.between(1, if self.stray { 8 } else { 6 }).to_string()
    }

    fn insert(&mut self) -> String {
        let (table, alias) = self.target();
        let with = if self.random.percent(8) { self.with() } else { String::new() };
        if self.random.percent(6) {
            self.note(F::InsertDefaults);
            return format!("INSERT INTO labels DEFAULT VALUES{}", self.returning(Table::find("labels"), "labels"));
        }
        if self.random.percent(22) {
            return with + &self.insert_select(table, &alias);
        }
        self.note(F::Insert);
        let (columns, list) = self.insert_columns(table);
        let count = if self.random.percent(30) { 2 + self.random.below(2) } else { 1 };
        if count > 1 {
            self.note(F::InsertMany);
        }
        // Several rows differ in their key, so that at most one kind of error is possible.
        let rows: Vec<String> = (0..count)
            .map(|n| {
                let values: Vec<String> =
                    columns.iter().map(|c| if count == 1 { self.inserted(table, c) } else { self.many(table, c, n) }).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let conflict = if !table.numbers_for_all() && self.random.percent(12) {
            self.note(F::ConflictNothing);
            " ON CONFLICT DO NOTHING"
        } else {
            ""
        };
        let returning = self.returning(table, &alias);
        format!("{with}INSERT INTO {} AS {alias}{list} VALUES {}{conflict}{returning}", table.name, rows.join(", "))
    }

    /// Columns to insert into, and the list as it stands in text.
    fn insert_columns(&mut self, table: &'static Table) -> (Vec<&'static Column>, String) {
        if self.random.percent(10) {
            self.note(F::InsertNoColumns);
            return (table.columns.iter().collect(), String::new());
        }
        let mut columns: Vec<_> = table.own_columns().filter(|c| !c.nullable || self.random.percent(60)).collect();
        if table.shows_tenant() && self.random.percent(15) {
            self.note(F::InsertTenant);
            columns.push(table.column(table.tenant));
        }
        let names: Vec<_> = columns.iter().map(|c| c.name).collect();
        (columns, format!(" ({})", names.join(", ")))
    }

    fn inserted(&mut self, table: &Table, column: &'static Column) -> String {
        if column.name == table.tenant {
            return "'acme'".into();
        }
        let has_default = !table.key.contains(&column.name)
            && !column.nullable
            && !matches!(column.name, "name" | "sku" | "title" | "product_id" | "account" | "id" | "line" | "order_id" | "day")
            && !matches!(column.name, "project_id" | "task_id");
        if has_default && self.random.percent(10) {
            self.note(F::InsertDefault);
            return "DEFAULT".into();
        }
        if column.tag == Tag::Plain
            && !table.key.contains(&column.name)
            && self.random.percent(12)
            && column.ty != Ty::Num
            && column.name != "sku"
        {
            self.scopes.clear();
            return match column.name {
                "product_id" | "customer_id" | "manager_id" | "account" | "thread" | "project_id" | "task_id" => self.stored(column),
                _ => format!("COALESCE({}, {})", self.expr(column.ty, 2), self.value_literal(column.ty)),
            };
        }
        self.stored(column)
    }

    fn value_literal(&mut self, ty: Ty) -> String {
        let value = self.value(ty);
        format!("{}::{}", super::generate::quoted(&value), ty.name())
    }

    fn many(&mut self, table: &Table, column: &'static Column, n: usize) -> String {
        match column.name {
            name if name == table.tenant => "'acme'".into(),
            "id" if self.fresh => self.new_key(),
            "id" => (100 + n).to_string(),
            "project_id" | "task_id" => self.parent(),
            "line" => (50 + n).to_string(),
            "order_id" | "product_id" | "customer_id" | "manager_id" | "thread" => (1 + n).to_string(),
            "email" => "NULL".into(),
            "sku" => format!("'NEW-{n}'"),
            "name" if table.name == "labels" => format!("'new{n}'"),
            _ => self.stored(column),
        }
    }

    /// Moves rows of a query to new keys of the same table.
    fn insert_select(&mut self, table: &'static Table, alias: &str) -> String {
        self.note(F::InsertSelect);
        let source = self.name("s");
        let columns: Vec<_> = if self.random.percent(12) {
            self.note(F::InsertTenant);
            table.columns.iter().collect()
        } else {
            table.own_columns().collect()
        };
        let list = columns
            .iter()
            .map(|c| match c.name {
                "id" if self.fresh => format!("{source}.id + {}", 100 * self.random.between(20, 90)),
                "id" => format!("{source}.id + 200"),
                name @ ("project_id" | "task_id") if self.stray => {
                    self.note(F::StrayParent);
                    format!("{source}.{name} + {APART}")
                }
                "line" => format!("{source}.line + 20"),
                "sku" => format!("{source}.sku || 'x'"),
                "name" if table.name == "labels" => format!("{source}.name || '+'"),
                "email" | "archived_on" => "NULL".into(),
                name => format!("{source}.{name}"),
            })
            .collect::<Vec<_>>()
            .join(", ");
        let names: Vec<_> = columns.iter().map(|c| c.name).collect();
        self.scopes.push(vec![Self::scope_of(table, &source)]);
        let condition = self.where_clause(2);
        self.scopes.pop();
        let returning = self.returning(table, alias);
        let only = if table.name == "notes" { "ONLY " } else { "" };
        format!(
            "INSERT INTO {} AS {alias} ({}) SELECT {list} FROM {only}{} {source}{condition}{returning}",
            table.name,
            names.join(", "),
            table.name
        )
    }

    pub(super) fn returning(&mut self, table: &'static Table, alias: &str) -> String {
        if !self.random.percent(50) {
            return String::new();
        }
        self.note(F::Returning);
        if self.random.percent(20) {
            // With another table beside it, which of its rows went with a row written is anybody's guess.
            let beside = self.features & (F::UpdateFrom.bit() | F::DeleteUsing.bit()) != 0;
            return if beside { format!(" RETURNING {alias}.*") } else { " RETURNING *".into() };
        }
        // The names of partitions and children are not listed.
        if self.random.percent(15) && !matches!(table.name, "events" | "notes") {
            self.note(F::WholeRow);
            return self.piece(format!(" RETURNING {alias}, {alias}.{} AS k, {alias}.tableoid::regclass AS r", table.columns[0].name), "");
        }
        self.scopes.push(vec![Self::scope_of(table, alias)]);
        let ty = self.random.pick(&Ty::ALL);
        let text = format!(" RETURNING {alias}.{}, {} AS c", table.columns[0].name, self.expr(ty, 2));
        self.scopes.pop();
        self.piece(text, "")
    }

    /// SET items: constants and expressions that keep what tags promise; keys only move as a whole.
    fn sets(&mut self, table: &'static Table) -> String {
        let free: Vec<_> = table.own_columns().filter(|c| !table.key.contains(&c.name) && !matches!(c.name, "sku" | "email")).collect();
        let mut chosen: Vec<&Column> = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let column = self.random.pick(&free);
            if !chosen.iter().any(|c| c.name == column.name) {
                chosen.push(column);
            }
        }
        let mut parts: Vec<(String, String)> = Vec::new();
        for column in chosen {
            let reference = matches!(column.name, "customer_id" | "product_id" | "manager_id" | "thread" | "project_id" | "task_id");
            let text = if column.tag != Tag::Plain || reference || column.ty == Ty::Num || self.random.percent(40) {
                self.stored(column)
            } else {
                let (wanted, instead) = (self.expr(column.ty, 2), self.value_literal(column.ty));
                format!("COALESCE({wanted}, {instead})")
            };
            parts.push((column.name.to_owned(), text));
        }
        let leads = |name: &str| matches!(name, "project_id" | "task_id");
        if parts.len() > 1 && !parts.iter().any(|p| leads(&p.0)) && self.random.percent(25) {
            self.note(F::UpdateRow);
            let names: Vec<_> = parts.iter().map(|p| p.0.clone()).collect();
            let texts: Vec<_> = parts.iter().map(|p| p.1.clone()).collect();
            return format!("({}) = ({})", names.join(", "), texts.join(", "));
        }
        parts.iter().map(|(name, text)| format!("{name} = {text}")).collect::<Vec<_>>().join(", ")
    }

    fn update(&mut self) -> String {
        self.note(F::Update);
        let (table, alias) = self.target();
        let with = if self.random.percent(8) { self.with() } else { String::new() };
        let only = if self.random.percent(5) && table.name != "events" { "ONLY " } else { "" };
        let mut scope = vec![Self::scope_of(table, &alias)];
        let mut from = String::new();
        let mut link = String::new();
        if self.random.percent(30)
            && let Some((other, on, more)) = self.one_partner(table, &alias)
        {
            self.note(F::UpdateFrom);
            (from, link) = (format!(" FROM {other}"), on);
            scope.push(more);
        }
        self.scopes.push(scope);
        let sets = self.sets(table);
        let condition = self.condition(2);
        let condition = if link.is_empty() { format!(" WHERE {condition}") } else { format!(" WHERE {link} AND {condition}") };
        self.scopes.pop();
        let returning = self.returning(table, &alias);
        format!("{with}UPDATE {only}{} AS {alias} SET {sets}{from}{condition}{returning}", table.name)
    }

    /// Another table of which at most one row goes with each row of this one.
    fn one_partner(&mut self, table: &'static Table, alias: &str) -> Option<(String, String, Item)> {
        let links: Vec<_> = table.links.iter().filter(|l| Table::find(l.1).key == [l.2] && l.1 != "notes").collect();
        if links.is_empty() {
            return None;
        }
        let (column, other, key) = *self.random.pick(&links);
        let name = self.name("p");
        let on = format!("{alias}.{column} = {name}.{key}");
        Some((format!("{other} {name}"), on, Self::scope_of(Table::find(other), &name)))
    }

    fn delete(&mut self) -> String {
        self.note(F::Delete);
        let (table, alias) = self.target();
        let with = if self.random.percent(8) { self.with() } else { String::new() };
        let mut scope = vec![Self::scope_of(table, &alias)];
        let mut using = String::new();
        let mut link = String::new();
        if self.random.percent(30) {
            self.note(F::DeleteUsing);
            let mut items = Vec::new();
            using = format!(" USING {}", self.from_leaf(&mut items));
            link = format!("{} AND ", self.equal_columns(&scope[0], &items[0]));
            scope.append(&mut items);
        }
        self.scopes.push(scope);
        let condition = self.condition(2);
        self.scopes.pop();
        let returning = self.returning(table, &alias);
        format!("{with}DELETE FROM {} AS {alias}{using} WHERE {link}{condition}{returning}", table.name)
    }

    fn equal_columns(&mut self, a: &Item, b: &Item) -> String {
        let pairs: Vec<String> = a
            .columns
            .iter()
            .flat_map(|x| {
                b.columns.iter().filter(|y| y.ty == x.ty).map(move |y| format!("{}.{} = {}.{}", a.alias, x.name, b.alias, y.name))
            })
            .collect();
        if pairs.is_empty() { "true".into() } else { self.random.pick(&pairs) }
    }

    fn upsert(&mut self) -> String {
        self.note(F::ConflictUpdate);
        let (mut table, alias) = self.target();
        if self.fresh {
            table = Table::find("notes");
            (self.stray, self.fresh) = (false, false);
        }
        let columns: Vec<_> = table.own_columns().filter(|c| !matches!(c.name, "email" | "sku") || !c.nullable).collect();
        let names: Vec<_> = columns.iter().map(|c| c.name).collect();
        let count = 1 + self.random.below(2);
        let rows: Vec<String> = (0..count)
            .map(|n| {
                let value = |g: &mut Self, c: &'static Column| match c.name {
                    "id" | "order_id" | "line" => (n + 1 + g.random.below(2) * 8).to_string(),
                    "product_id" | "manager_id" | "customer_id" | "thread" | "project_id" | "task_id" => "2".into(),
                    "sku" => format!("'UP-{n}'"),
                    _ => g.stored(c),
                };
                format!("({})", columns.iter().map(|c| value(self, c)).collect::<Vec<_>>().join(", "))
            })
            .collect();
        let target = if table.shows_tenant() && self.random.percent(50) {
            format!("{}, {}", table.tenant, table.key.join(", "))
        } else {
            table.key.join(", ")
        };
        let mut excluded = Self::scope_of(table, "excluded");
        excluded.table = None;
        self.scopes.push(vec![Self::scope_of(table, &alias), excluded]);
        let sets = self.sets(table);
        let condition = self.where_clause(2);
        self.scopes.pop();
        let returning = self.returning(table, &alias);
        format!(
            "INSERT INTO {} AS {alias} ({}) VALUES {} ON CONFLICT ({target}) DO UPDATE SET {sets}{condition}{returning}",
            table.name,
            names.join(", "),
            rows.join(", ")
        )
    }

    fn merge(&mut self) -> String {
        self.note(F::Merge);
        let t = self.name("m");
        if self.random.percent(25) {
            return format!(
                "MERGE INTO labels {t} USING products s ON {t}.name = s.sku WHEN MATCHED THEN DO NOTHING \
                 WHEN NOT MATCHED THEN INSERT (name, weight) VALUES (s.sku, s.divisor)"
            );
        }
        if self.random.percent(25) {
            self.note(F::Through);
            let parent = self.random.pick(&["2", "3", "7", "10001"]);
            let matched = self.random.pick(&["UPDATE SET effort = s.b, project_id = s.b", "UPDATE SET title = 'merged'", "DELETE"]);
            return format!(
                "MERGE INTO tasks {t} USING (VALUES (3, 4), (900, {parent})) AS s(a, b) ON {t}.id = s.a WHEN MATCHED THEN {matched} \
                 WHEN NOT MATCHED THEN INSERT (id, project_id, title) VALUES (s.a, s.b, 'new')"
            );
        }
        let key = self.random.pick(&["'alpha'", "'beta2'", "'fresh'", "'gamma'"]);
        let source = match self.random.below(3) {
            0 => format!("(VALUES ({key}, 3), ('other', 4)) AS s(name, weight)"),
            1 => "(SELECT name, max(id) AS weight FROM customers WHERE id < 8 AND code::int >= 0 GROUP BY name) AS s".into(),
            _ => "(SELECT l.name, l.weight FROM labels l) AS s".into(),
        };
        let matched = self.random.pick(&["UPDATE SET weight = s.weight, remark = 'merged'", "DELETE", "DO NOTHING"]);
        let unmatched = self.random.pick(&["INSERT (name, weight) VALUES (s.name, s.weight)", "DO NOTHING"]);
        let extra = self.random.pick(&["", &format!(" AND {t}.weight > 2")]).to_owned();
        format!(
            "MERGE INTO labels {t} USING {source} ON {t}.name = s.name WHEN MATCHED{extra} THEN {matched} WHEN NOT MATCHED THEN {unmatched}"
        )
    }

    fn writable_cte(&mut self) -> String {
        self.note(F::WritableCte);
        self.note(F::Cte);
        let (name, read) = (self.name("q"), self.random.pick(&["labels", "ledger", "employees", "tickets"]));
        let inner = match self.random.below(3) {
            0 => "DELETE FROM order_items WHERE qty > 3 RETURNING order_id AS a, qty AS b".to_owned(),
            1 => "UPDATE orders SET note = 'done' WHERE discount < 9 AND legacy::int < 8 RETURNING id AS a, discount AS b".into(),
            _ => "INSERT INTO notes (id, body) SELECT id + 300, title FROM tickets WHERE 9 / priority > 1 RETURNING id AS a, 1 AS b".into(),
        };
        let column = |name: &str| Col { name: name.into(), ty: Ty::Int, tag: Tag::Plain, local: false };
        let mut items = Vec::new();
        let other = self.table(Table::find(read), &mut items);
        items.push(Item { alias: name.clone(), columns: vec![column("a"), column("b")], key: None, table: None });
        self.scopes.push(items);
        let condition = self.condition(2);
        let output = self.expr(Ty::Text, 2);
        self.scopes.pop();
        format!("WITH {name} AS ({inner}) SELECT {output} AS c1, {name}.a FROM {other} JOIN {name} ON {condition}")
    }
}
