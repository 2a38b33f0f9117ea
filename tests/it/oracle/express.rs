//! Typed expressions. Numbers keep two decimals and no floats are made, so that equal values look the same whichever is kept.

use super::features::Feature as F;
use super::generate::{Generator, quoted};
use super::tables::Ty;

impl Generator {
    /// An expression of a type; a constant is the least of it.
    pub(super) fn expr(&mut self, ty: Ty, depth: usize) -> String {
        let text = self.expr_whole(ty, depth);
        if !self.form.marks {
            return text;
        }
        let least = match ty {
            Ty::Int => "1".to_owned(),
            Ty::Bool => "true".to_owned(),
            _ => format!("NULL::{}", ty.name()),
        };
        self.piece(text, &least)
    }

    fn expr_whole(&mut self, ty: Ty, depth: usize) -> String {
        let depth = if self.budget <= 0 { 0 } else { depth };
        if depth == 0 {
            return self.leaf(ty);
        }
        match self.random.weighted(&[30, 40, 7, 7, 4, 12]) {
            0 => self.leaf(ty),
            1 => self.operation(ty, depth - 1),
            2 => {
                self.note(F::Case);
                let (condition, yes, no) = (self.condition(depth - 1), self.expr(ty, depth - 1), self.expr(ty, depth - 1));
                format!("CASE WHEN {condition} THEN {yes} ELSE {no} END")
            }
            3 => self.choice(ty, depth - 1),
            4 => self.scalar_subquery(ty),
            _ => self.poison(ty).unwrap_or_else(|| self.leaf(ty)),
        }
    }

    /// A column or a constant.
    pub(super) fn leaf(&mut self, ty: Ty) -> String {
        if self.random.percent(12) {
            return self.constant(ty);
        }
        match self.column(|c| c.ty == ty) {
            Some((text, column)) => {
                if matches!(column.name.as_str(), "tenant_id" | "org") {
                    self.note(F::TenantColumn);
                }
                text
            }
            None => self.constant(ty),
        }
    }

    fn choice(&mut self, ty: Ty, depth: usize) -> String {
        self.note(F::Coalesce);
        let (a, b) = (self.expr(ty, depth), self.expr(ty, depth));
        let comparable = ty != Ty::Json;
        match self.random.below(if comparable { 4 } else { 1 }) {
            0 => format!("COALESCE({a}, {b})"),
            1 => format!("NULLIF({a}, {b})"),
            2 => format!("GREATEST({a}, {b})"),
            _ => format!("LEAST({a}, {b})"),
        }
    }

    fn operation(&mut self, ty: Ty, depth: usize) -> String {
        match ty {
            Ty::Int => self.int(depth),
            Ty::Text => self.text(depth),
            Ty::Bool => self.condition(depth),
            Ty::Num => self.num(depth),
            Ty::Date => self.date(depth),
            Ty::Ts => self.ts(depth),
            Ty::Json => self.json(depth),
            Ty::Ints => self.ints(depth),
            Ty::Texts => self.texts(depth),
            Ty::Mood | Ty::Uuid => self.leaf(ty),
        }
    }

    fn int(&mut self, d: usize) -> String {
        let a = self.expr(Ty::Int, d);
        match self.random.below(18) {
            0 => format!("({a} + {})", self.expr(Ty::Int, d)),
            1 => format!("({a} - {})", self.expr(Ty::Int, d)),
            2 => format!("(({a} % 100) * ({} % 100))", self.expr(Ty::Int, d)),
            3 => format!("length({})", self.expr(Ty::Text, d)),
            4 => format!("abs({a} % 1000)"),
            5 => format!("COALESCE(array_length({}, 1), {a})", self.expr(Ty::Ints, d)),
            6 => self.cast(Ty::Num, Ty::Int, d),
            7 => format!("extract(month from {})::int", self.expr(Ty::Date, d)),
            8 => format!("ascii({})", self.expr(Ty::Text, d)),
            9 => format!("strpos({}, 'a')", self.expr(Ty::Text, d)),
            10 => format!("({} - {})", self.expr(Ty::Date, d), self.expr(Ty::Date, d)),
            11 => format!("mod({a}, 7)"),
            12 => format!("({a} & 15)"),
            13 => {
                self.note(F::Array);
                format!("({})[1]", self.expr(Ty::Ints, d))
            }
            14 => format!("extract(epoch from {})::int % 10007", self.expr(Ty::Ts, d)),
            15 => format!("cardinality({})", self.expr(Ty::Texts, d)),
            16 => format!("(- ({a}))"),
            _ => format!("({a} / 3)"),
        }
    }

    fn cast(&mut self, from: Ty, to: Ty, d: usize) -> String {
        self.note(F::Cast);
        let inner = self.expr(from, d);
        if self.random.percent(30) { format!("CAST({inner} AS {})", to.name()) } else { format!("({inner})::{}", to.name()) }
    }

    fn text(&mut self, d: usize) -> String {
        let a = self.expr(Ty::Text, d);
        match self.random.below(20) {
            0 => format!("({a} || {})", self.expr(Ty::Text, d)),
            1 => format!("upper({a})"),
            2 => format!("lower({a})"),
            3 => format!("substr({a}, 1, 3)"),
            4 => format!("left({a}, 2)"),
            5 => format!("to_char({}, 'YYYY-MM-DD')", self.expr(Ty::Date, d)),
            6 => self.cast(Ty::Int, Ty::Text, d),
            7 => self.cast(Ty::Mood, Ty::Text, d),
            8 => format!("replace({a}, 'a', 'b')"),
            9 => format!("md5({a})"),
            10 => {
                self.note(F::Json);
                format!("({} ->> 'n')", self.expr(Ty::Json, d))
            }
            11 => format!("array_to_string({}, ',')", self.expr(Ty::Texts, d)),
            12 => format!("concat({a}, '/', {})", self.expr(Ty::Int, d)),
            13 => format!("format('%s-%s', {a}, {})", self.expr(Ty::Int, d)),
            14 => format!("split_part({a}, '-', 1)"),
            15 => self.cast(Ty::Json, Ty::Text, d),
            16 => self.whole_row().unwrap_or(a),
            17 => {
                self.note(F::Regex);
                format!("regexp_replace({a}, '[aeiou]', '_', 'g')")
            }
            18 => format!("trim({a})"),
            _ => self.cast(Ty::Uuid, Ty::Text, d),
        }
    }

    /// A whole row as text, as JSON, or a field of it.
    fn whole_row(&mut self) -> Option<String> {
        let scope = self.scopes.last()?;
        let tables: Vec<_> =
            scope.iter().filter(|i| i.table.is_some() && !i.alias.is_empty()).map(|i| (i.alias.clone(), i.columns.clone())).collect();
        if tables.is_empty() {
            return None;
        }
        let (alias, columns) = self.random.pick(&tables);
        self.note(F::WholeRow);
        Some(match self.random.below(4) {
            0 => format!("{alias}::text"),
            1 => format!("to_jsonb({alias})::text"),
            2 => format!("row_to_json({alias})::text"),
            _ => {
                self.note(F::RowField);
                let column = self.random.pick(&columns);
                format!("({alias}).{}::text", column.name)
            }
        })
    }

    fn num(&mut self, d: usize) -> String {
        let a = self.expr(Ty::Num, d);
        match self.random.below(7) {
            0 => format!("({a} + {})", self.expr(Ty::Num, d)),
            1 => format!("({a} - {})", self.expr(Ty::Num, d)),
            2 => format!("round({a} * {}, 2)", self.expr(Ty::Num, d)),
            3 => format!("round({a} / 4, 2)"),
            4 => format!("abs({a})"),
            5 => format!("round(({} % 1000)::numeric, 2)", self.expr(Ty::Int, d)),
            _ => format!("round({a}, 2)"),
        }
    }

    fn date(&mut self, d: usize) -> String {
        match self.random.below(4) {
            0 => format!("({} + ({} % 1000))", self.expr(Ty::Date, d), self.expr(Ty::Int, d)),
            1 => self.cast(Ty::Ts, Ty::Date, d),
            2 => format!("make_date(2024, 1 + abs({} % 12), 1)", self.expr(Ty::Int, d)),
            _ => format!("date_trunc('month', {})::date", self.expr(Ty::Date, d)),
        }
    }

    fn ts(&mut self, d: usize) -> String {
        match self.random.below(3) {
            0 => format!("({} + interval '1 day')", self.expr(Ty::Ts, d)),
            1 => format!("date_trunc('day', {})", self.expr(Ty::Ts, d)),
            _ => self.cast(Ty::Date, Ty::Ts, d),
        }
    }

    fn json(&mut self, d: usize) -> String {
        self.note(F::Json);
        let a = self.expr(Ty::Json, d);
        match self.random.below(7) {
            0 => format!("jsonb_build_object('a', {}, 'b', {})", self.expr(Ty::Int, d), self.expr(Ty::Text, d)),
            1 => format!("({a} -> 'list')"),
            2 => format!("({a} || jsonb_build_object('z', {}))", self.expr(Ty::Int, d)),
            3 => format!("to_jsonb({})", self.expr(Ty::Text, d)),
            4 => format!("jsonb_strip_nulls({a})"),
            5 => format!("jsonb_path_query_array({a}, '$.list[*]')"),
            _ => format!("({a} #> '{{list,0}}')"),
        }
    }

    fn ints(&mut self, d: usize) -> String {
        self.note(F::Array);
        match self.random.below(5) {
            0 => format!("ARRAY[{}, {}]", self.expr(Ty::Int, d), self.expr(Ty::Int, d)),
            1 => format!("({} || {})", self.expr(Ty::Ints, d), self.expr(Ty::Int, d)),
            2 => format!("array_remove({}, {})", self.expr(Ty::Ints, d), self.expr(Ty::Int, d)),
            3 if self.budget > 0 => {
                self.note(F::ArraySubquery);
                let query = self.subquery(&[Ty::Int]);
                format!("ARRAY({query} ORDER BY 1)")
            }
            _ => format!("({})[1:2]", self.expr(Ty::Ints, d)),
        }
    }

    fn texts(&mut self, d: usize) -> String {
        self.note(F::Array);
        match self.random.below(3) {
            0 => format!("ARRAY[{}, {}]", self.expr(Ty::Text, d), self.expr(Ty::Text, d)),
            1 => format!("string_to_array({}, '-')", self.expr(Ty::Text, d)),
            _ => format!("array_append({}, {})", self.expr(Ty::Texts, d), self.expr(Ty::Text, d)),
        }
    }

    fn scalar_subquery(&mut self, ty: Ty) -> String {
        self.note(F::ScalarSubquery);
        if self.random.percent(40)
            && let Some(text) = self.by_key(ty)
        {
            return text;
        }
        let query = self.subquery(&[ty]);
        format!("({query} ORDER BY 1 LIMIT 1)")
    }

    /// The one row of a key: more than one would fail.
    fn by_key(&mut self, ty: Ty) -> Option<String> {
        let fits: Vec<_> = super::tables::TABLES
            .iter()
            .filter(|t| {
                t.key.len() == 1 && (!t.tenant.is_empty() || t.is_through()) && t.name != "notes" && t.columns.iter().any(|c| c.ty == ty)
            })
            .collect();
        if fits.is_empty() {
            return None;
        }
        let table = self.random.pick(&fits);
        let columns: Vec<_> = table.columns.iter().filter(|c| c.ty == ty).collect();
        let (column, alias) = (self.random.pick(&columns).name, self.name("k"));
        let key = table.column(table.key[0]);
        let value = self.leaf(key.ty);
        // A bare name would be the table's own here, and many rows be found.
        let value = if table.columns.iter().any(|c| c.name == value) { self.constant(key.ty) } else { value };
        let value = if key.ty == Ty::Text && value.starts_with('\'') { quoted("alpha") } else { value };
        Some(format!("(SELECT {alias}.{column} FROM {} {alias} WHERE {alias}.{} = {value})", table.name, key.name))
    }
}
