//! GROUP BY, HAVING, aggregates.

use super::features::Feature as F;
use super::generate::{Col, Generator, Item, Query};
use super::tables::{Tag, Ty};

impl Generator {
    /// SELECT … GROUP BY …: what may be named above the groups is made first, then the list and HAVING out of it.
    pub(super) fn grouped(&mut self, types: &[Ty]) -> Query {
        self.note(F::GroupBy);
        let (from, items) = self.from();
        self.scopes.push(items.clone());
        let mut above: Vec<Col> = Vec::new();
        let mut groups = Vec::new();
        let whole = self.functional(&items, &mut groups, &mut above);
        for _ in 0..if whole { 0 } else { self.random.below(3) } {
            let tagged = self.random.percent(40);
            if let Some((text, column)) = self.column(|c| c.ty != Ty::Json && (c.tag != Tag::Plain || !tagged))
                && !groups.contains(&text)
                && items.iter().any(|i| text.starts_with(&format!("{}.", i.alias)))
            {
                above.push(Col { name: text.clone(), ..column });
                groups.push(text);
            }
        }
        for ty in types.iter().chain(&[Ty::Int]) {
            let text = self.aggregate(*ty);
            above.push(Col { name: text, ty: *ty, tag: Tag::Plain, local: true });
        }
        let condition = self.where_clause(2);
        self.scopes.pop();
        self.scopes.push(vec![Item { alias: String::new(), columns: above, key: None, table: None }]);
        let mut columns = Vec::new();
        let mut list = Vec::new();
        for (n, ty) in types.iter().enumerate() {
            let depth = self.random.below(3);
            list.push(format!("{} AS c{}", self.expr(*ty, depth), n + 1));
            columns.push(Col { name: format!("c{}", n + 1), ty: *ty, tag: Tag::Plain, local: false });
        }
        let having = self.having();
        self.scopes.pop();
        let group = self.group_clause(&groups);
        Query { sql: format!("SELECT {} FROM {from}{condition}{group}{having}", list.join(", ")), columns, ordered: false }
    }

    /// Groups by a primary key: every column of its table may be named.
    fn functional(&mut self, items: &[Item], groups: &mut Vec<String>, above: &mut Vec<Col>) -> bool {
        let [item] = items else { return false };
        let (Some(table), Some(key)) = (item.table, item.key.as_ref()) else { return false };
        if !matches!(table.name, "customers" | "products" | "orders" | "tickets" | "threads" | "posts" | "tasks" | "steps")
            || !self.random.percent(40)
        {
            return false;
        }
        self.note(F::Functional);
        groups.extend(table.shows_tenant().then(|| format!("{}.{}", item.alias, table.tenant)));
        groups.extend(key.iter().map(|k| format!("{}.{k}", item.alias)));
        above.extend(item.columns.iter().map(|c| Col { name: format!("{}.{}", item.alias, c.name), ..c.clone() }));
        true
    }

    fn having(&mut self) -> String {
        if !self.random.percent(30) {
            return String::new();
        }
        self.note(F::Having);
        let before = self.features;
        self.features &= !(F::Exists.bit() | F::InSubquery.bit() | F::AnyAll.bit() | F::ScalarSubquery.bit());
        let failing = if self.random.percent(30) { self.poison(Ty::Bool) } else { None };
        let condition = failing.unwrap_or_else(|| self.condition(2));
        if self.features & (F::Exists.bit() | F::InSubquery.bit() | F::AnyAll.bit() | F::ScalarSubquery.bit()) != 0 {
            self.note(F::SubqueryInHaving);
        }
        self.features |= before;
        self.piece(format!(" HAVING {condition}"), "")
    }

    fn group_clause(&mut self, groups: &[String]) -> String {
        if groups.is_empty() {
            return if self.random.percent(10) { " GROUP BY ()".into() } else { String::new() };
        }
        let all = groups.join(", ");
        // Before 16 PostgreSQL takes a column that equals a constant for constant in ORDER BY, although grouping sets make it NULL: with
        // the guard the tenant column is one.
        let tenant = groups.iter().any(|g| g.ends_with(".tenant_id") || g.ends_with(".org"));
        if !tenant && self.features & F::Functional.bit() == 0 && self.random.percent(20) {
            self.note(F::GroupingSets);
            return match self.random.below(3) {
                0 => format!(" GROUP BY ROLLUP ({all})"),
                1 => format!(" GROUP BY CUBE ({all})"),
                _ => format!(" GROUP BY GROUPING SETS (({all}), ({}), ())", groups[0]),
            };
        }
        format!(" GROUP BY {all}")
    }

    /// An aggregate that gives a type, whatever the order of its rows.
    fn aggregate(&mut self, ty: Ty) -> String {
        self.note(F::Aggregate);
        let filter = if self.random.percent(15) {
            self.note(F::AggregateFilter);
            format!(" FILTER (WHERE {})", self.condition(1))
        } else {
            String::new()
        };
        let a = self.expr(ty, 2);
        match ty {
            Ty::Int => match self.random.below(6) {
                0 => format!("(count(*){filter})::int"),
                1 => format!("(count(DISTINCT {a}){filter})::int"),
                2 => format!("(sum({a} % 1000){filter})::int"),
                3 => {
                    self.note(F::WithinGroup);
                    format!("(percentile_disc(0.5) WITHIN GROUP (ORDER BY {a}){filter})")
                }
                4 => format!("bit_or({a}){filter}"),
                _ => format!("max({a}){filter}"),
            },
            Ty::Text => {
                self.note(F::AggregateOrder);
                let distinct = self.random.pick(&["", "DISTINCT "]);
                format!("string_agg({distinct}{a}, ',' ORDER BY {a}){filter}")
            }
            Ty::Num => match self.random.below(3) {
                0 => format!("sum({a}){filter}"),
                1 => format!("round(avg({a}){filter}, 2)"),
                _ => format!("min({a}){filter}"),
            },
            Ty::Bool => format!("{}({a}){filter}", self.random.pick(&["bool_and", "bool_or", "every"])),
            Ty::Json => {
                self.note(F::AggregateOrder);
                format!("jsonb_agg({a} ORDER BY {a}){filter}")
            }
            Ty::Ints | Ty::Texts => {
                self.note(F::AggregateOrder);
                let inner = self.expr(if ty == Ty::Ints { Ty::Int } else { Ty::Text }, 2);
                format!("array_agg({inner} ORDER BY {inner}){filter}")
            }
            Ty::Uuid => format!("(max({a}::text){filter})::uuid"),
            Ty::Date | Ty::Ts | Ty::Mood => format!("max({a}){filter}"),
        }
    }
}
