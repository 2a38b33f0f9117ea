//! Queries: SELECT with all its clauses, set operations, VALUES, WITH.

use super::features::Feature as F;
use super::generate::{Col, Generator, Item, Query};
use super::tables::{SCOPED, TABLES, Tag, Ty};

impl Generator {
    /// A whole statement.
    pub(super) fn top_query(&mut self) -> Query {
        if self.random.percent(3) {
            self.note(F::Table);
            let table = self.random.pick(&TABLES[..SCOPED]).name;
            return Query { sql: format!("TABLE {table}"), columns: Vec::new(), ordered: false };
        }
        let with = if self.random.percent(20) { self.with() } else { String::new() };
        let mut query = self.query(None, 3);
        query.sql = format!("{with}{}", query.sql);
        query
    }

    /// A subquery that gives these types, without a tail; what it needs stands in parentheses.
    pub(super) fn subquery(&mut self, types: &[Ty]) -> String {
        self.budget -= 2;
        self.simple(types, false).sql
    }

    /// A query of these or any types; `level` says how much it may hold.
    pub(super) fn query(&mut self, types: Option<&[Ty]>, level: usize) -> Query {
        self.budget -= 2;
        let types =
            types.map_or_else(|| (0..1 + self.random.below(4)).map(|_| self.random.pick(&Ty::ALL)).collect::<Vec<_>>(), <[Ty]>::to_vec);
        let mut query = match self.random.weighted(&[66, 18, if level > 1 { 10 } else { 4 }, 3, if level == 3 { 6 } else { 0 }]) {
            0 => self.simple(&types, true),
            1 => self.grouped(&types),
            2 => self.set_operation(&types),
            3 => self.values(&types),
            _ => self.stars(),
        };
        self.tail(&mut query, level);
        query
    }

    /// ORDER BY every column, so that a limit cuts at the same place whatever the plan.
    fn tail(&mut self, query: &mut Query, level: usize) {
        let limit = self.random.percent(25);
        if query.ordered || query.columns.is_empty() || !(limit || self.random.percent(if level == 3 { 45 } else { 5 })) {
            return;
        }
        self.note(F::OrderBy);
        let direction = |g: &mut Self| g.random.pick(&["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
        let columns: Vec<String> = (1..=query.columns.len()).map(|n| format!("{n}{}", direction(self))).collect();
        let mut tail = format!(" ORDER BY {}", columns.join(", "));
        query.ordered = true;
        if limit {
            // PostgreSQL itself errs in WITH TIES over max() and min() that an index answers (21000).
            let ties = !query.sql.contains("max(") && !query.sql.contains("min(");
            tail.push_str(&self.limit(ties));
        }
        let tail = self.piece(tail, "");
        query.sql.push_str(&tail);
    }

    fn limit(&mut self, ties: bool) -> String {
        self.note(F::Limit);
        let scopes = std::mem::take(&mut self.scopes);
        let count = if self.budget > 0 && self.random.percent(12) {
            self.note(F::SubqueryInLimit);
            format!("(SELECT count(*) FROM ({}) AS x)", self.subquery(&[Ty::Int]))
        } else {
            (self.random.below(6)).to_string()
        };
        self.scopes = scopes;
        let offset = if self.random.percent(30) {
            self.note(F::Offset);
            format!(" OFFSET {}", self.random.below(4))
        } else {
            String::new()
        };
        match self.random.below(5) {
            0 if ties && !count.starts_with('(') => {
                self.note(F::WithTies);
                format!("{offset} FETCH FIRST {count} ROWS WITH TIES")
            }
            1 => format!("{offset} FETCH NEXT {count} ROWS ONLY"),
            _ => format!(" LIMIT {count}{offset}"),
        }
    }

    /// SELECT … FROM … WHERE …
    pub(super) fn simple(&mut self, types: &[Ty], rich: bool) -> Query {
        let (from, items) = self.from();
        let key = unique_key(&items);
        self.scopes.push(items);
        let depth = if rich { 3 } else { 2 };
        let mut columns = Vec::new();
        let mut list = Vec::new();
        let mut windows = String::new();
        for (n, ty) in types.iter().enumerate() {
            let (text, tag) = self.output(*ty, depth, rich, key.as_deref(), &mut windows);
            columns.push(Col { name: format!("c{}", n + 1), ty: *ty, tag, local: false });
            list.push(format!("{text} AS c{}", n + 1));
        }
        let condition = self.where_clause(depth);
        let (mut distinct, mut tail, mut ordered) = (String::new(), windows, false);
        if rich && self.random.percent(10) {
            if self.random.percent(50) {
                self.note(F::Distinct);
                distinct = "DISTINCT ".into();
            } else {
                self.note(F::DistinctOn);
                distinct = "DISTINCT ON (1) ".into();
                let all: Vec<String> = (1..=types.len()).map(|n| n.to_string()).collect();
                tail.push_str(&format!(" ORDER BY {}", all.join(", ")));
                ordered = true;
            }
        } else if rich && self.budget > 0 && self.random.percent(5) {
            self.note(F::SubqueryInOrder);
            tail.push_str(&format!(" ORDER BY ({} ORDER BY 1 LIMIT 1)", self.subquery(&[Ty::Int])));
            // Partial: rows are compared as a multiset, and nothing may follow.
            self.scopes.pop();
            return Query { sql: format!("(SELECT {} FROM {from}{condition}{tail})", list.join(", ")), columns, ordered: false };
        }
        self.scopes.pop();
        Query { sql: format!("SELECT {distinct}{} FROM {from}{condition}{tail}", list.join(", ")), columns, ordered }
    }

    pub(super) fn where_clause(&mut self, depth: usize) -> String {
        if !self.random.percent(70) {
            return String::new();
        }
        self.note(F::Where);
        let condition = self.condition(depth);
        self.piece(format!(" WHERE {condition}"), "")
    }

    /// An output column, and what fails on it if it is a column as it stands.
    fn output(&mut self, ty: Ty, depth: usize, rich: bool, key: Option<&[String]>, windows: &mut String) -> (String, Tag) {
        if rich && ty == Ty::Int && self.random.percent(14) {
            return (self.window(key, windows), Tag::Plain);
        }
        if self.random.percent(35)
            && let Some((text, column)) = self.column(|c| c.ty == ty)
        {
            let own = self.scopes.last().is_some_and(|s| s.iter().any(|i| text.starts_with(&format!("{}.", i.alias))));
            return (text, if own { column.tag } else { Tag::Plain });
        }
        (self.expr(ty, depth), Tag::Plain)
    }

    fn window(&mut self, key: Option<&[String]>, windows: &mut String) -> String {
        self.note(F::Window);
        let partition = if self.random.percent(50) { format!("PARTITION BY {}", self.leaf_column()) } else { String::new() };
        let peers = self.leaf_column();
        let (a, d) = (self.expr(Ty::Int, 1), self.random.pick(&["", " DESC"]));
        let by_rank = format!("{partition} ORDER BY {peers}{d}");
        if windows.is_empty() && self.random.percent(20) {
            self.note(F::NamedWindow);
            *windows = format!(" WINDOW win AS ({by_rank})");
            return "(rank() OVER win)::int".into();
        }
        match (self.random.below(6), key) {
            (0, _) => format!("(rank() OVER ({by_rank}))::int"),
            (1, _) => format!("(sum({a} % 1000) OVER ({by_rank}))::int"),
            (2, _) => {
                self.note(F::AggregateFilter);
                let filter = self.condition(1);
                format!("(count(*) FILTER (WHERE {filter}) OVER ({partition}))::int")
            }
            (3, _) => format!("max({a}) OVER ({by_rank})"),
            (4, Some(key)) => format!("(row_number() OVER ({partition} ORDER BY {}))::int", key.join(", ")),
            (5, Some(key)) => {
                self.note(F::WindowFrame);
                let frame = self.random.pick(&["ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS 2 PRECEDING", "GROUPS 1 PRECEDING"]);
                format!("(sum({a} % 1000) OVER ({partition} ORDER BY {} {frame} EXCLUDE CURRENT ROW))::int", key.join(", "))
            }
            _ => format!("(dense_rank() OVER ({by_rank}))::int"),
        }
    }

    fn leaf_column(&mut self) -> String {
        self.column(|c| c.ty != Ty::Json).map_or_else(|| "(1 + 1)".to_owned(), |(text, _)| text)
    }

    fn set_operation(&mut self, types: &[Ty]) -> Query {
        let (feature, word) = self.random.pick(&[
            (F::Union, "UNION"),
            (F::Union, "UNION ALL"),
            (F::Intersect, "INTERSECT"),
            (F::Except, "EXCEPT"),
            (F::Except, "EXCEPT ALL"),
        ]);
        self.note(feature);
        let arm = |g: &mut Self| match g.random.below(6) {
            0 => g.grouped(types),
            1 => g.values(types),
            _ => g.simple(types, false),
        };
        let (left, right) = (arm(self), arm(self));
        let mut sql = format!("({}) {word} ({})", left.sql, right.sql);
        if !left.ordered && !right.ordered && self.random.percent(50) {
            sql = format!("{} {word} {}", left.sql, right.sql);
        }
        if self.budget > 0 && self.random.percent(20) {
            self.note(F::Intersect);
            sql = format!("({sql}) INTERSECT ({})", self.simple(types, false).sql);
        }
        let columns = left.columns.into_iter().map(|c| Col { tag: Tag::Plain, ..c }).collect();
        Query { sql, columns, ordered: false }
    }

    fn values(&mut self, types: &[Ty]) -> Query {
        self.note(F::Values);
        let count = 1 + self.random.below(3);
        let rows: Vec<String> =
            (0..count).map(|_| format!("({})", types.iter().map(|t| self.expr(*t, 1)).collect::<Vec<_>>().join(", "))).collect();
        let column = |(n, ty): (usize, &Ty)| Col { name: format!("column{}", n + 1), ty: *ty, tag: Tag::Plain, local: false };
        Query { sql: format!("VALUES {}", rows.join(", ")), columns: types.iter().enumerate().map(column).collect(), ordered: false }
    }

    /// SELECT with stars and whole rows.
    fn stars(&mut self) -> Query {
        let (from, items) = self.from();
        let mut names: Vec<String> = items.iter().map(|i| i.alias.clone()).filter(|a| !a.is_empty()).collect();
        self.scopes.push(items);
        let list = match self.random.below(4) {
            0 | 1 => {
                self.note(F::Star);
                "*".to_owned()
            }
            2 => {
                self.note(F::QualifiedStar);
                format!("{}.*", self.random.pick(&names))
            }
            _ => {
                self.note(F::WholeRow);
                names.truncate(2);
                names.join(", ")
            }
        };
        let condition = self.where_clause(2);
        self.scopes.pop();
        Query { sql: format!("SELECT {list} FROM {from}{condition}"), columns: Vec::new(), ordered: false }
    }

    /// WITH, one to three queries; they come into sight of what follows.
    pub(super) fn with(&mut self) -> String {
        self.note(F::Cte);
        let mut parts = Vec::new();
        let recursive = self.random.percent(30);
        if recursive {
            self.note(F::CteRecursive);
            parts.push(self.recursive());
        }
        for _ in 0..usize::from(!recursive) + self.random.below(2) {
            let query = self.query(None, 1);
            let name = self.name("q");
            let how = self.random.pick(&["", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
            if !how.is_empty() {
                self.note(F::CteMaterialized);
            }
            parts.push(format!("{name} AS {how}({})", query.sql));
            self.ctes.push(Item { alias: name, columns: query.columns, key: None, table: None });
        }
        format!("WITH {}{} ", if recursive { "RECURSIVE " } else { "" }, parts.join(", "))
    }

    fn recursive(&mut self) -> String {
        let name = self.name("r");
        let union = self.random.pick(&["UNION", "UNION ALL"]);
        let column = |name: &str, ty| Col { name: name.into(), ty, tag: Tag::Plain, local: false };
        let columns = vec![column("a", Ty::Int), column("b", Ty::Text), column("depth", Ty::Int)];
        self.ctes.push(Item { alias: name.clone(), columns, key: None, table: None });
        let extra = self.random.pick(&["", " AND e.salary > 10", " AND e.hired_on::date > '2000-01-01'"]);
        let tail = if self.random.percent(15) {
            self.note(F::SearchCycle);
            self.random.pick(&[" CYCLE a SET looped USING path", " SEARCH DEPTH FIRST BY a SET ordering"])
        } else {
            ""
        };
        if self.random.percent(60) {
            format!(
                "{name}(a, b, depth) AS (SELECT e.id, e.name, 1 FROM employees e WHERE e.manager_id IS NULL {union} SELECT e.id, e.name, {name}.depth + 1 \
                 FROM employees e JOIN {name} ON e.manager_id = {name}.a WHERE {name}.depth < 6{extra}){tail}"
            )
        } else {
            format!(
                "{name}(a, b, depth) AS (SELECT o.id, o.note, 0 FROM orders o WHERE o.id = {} {union} SELECT i.order_id, p.title, {name}.depth + 1 FROM {name}, \
                 order_items i JOIN products p ON p.id = i.product_id WHERE i.order_id = {name}.a + 1 AND {name}.depth < 4){tail}",
                self.random.between(1, 5)
            )
        }
    }
}

/// Columns that tell the rows of a join apart.
fn unique_key(items: &[Item]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for item in items {
        let key = item.key.as_ref()?;
        all.extend(key.iter().map(|k| format!("{}.{k}", item.alias)));
    }
    (!all.is_empty()).then_some(all)
}
