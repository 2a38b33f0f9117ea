//! Conditions.

use super::features::Feature as F;
use super::generate::Generator;
use super::tables::Ty;

/// Types whose values may be compared with each other as they are.
const COMPARABLE: &[Ty] = &[Ty::Int, Ty::Text, Ty::Num, Ty::Date, Ty::Ts, Ty::Mood, Ty::Uuid, Ty::Ints];

impl Generator {
    /// A condition; TRUE is the least of it.
    pub(super) fn condition(&mut self, depth: usize) -> String {
        let text = self.condition_whole(depth);
        self.piece(text, "true")
    }

    fn condition_whole(&mut self, d: usize) -> String {
        if d > 0 {
            match self.random.weighted(&[40, 12, 8, 5, 13, 12, 5]) {
                1 => return format!("({} AND {})", self.condition(d - 1), self.condition(d - 1)),
                2 => return format!("({} OR {})", self.condition(d - 1), self.condition(d - 1)),
                3 => return format!("(NOT {})", self.condition(d - 1)),
                4 if self.budget > 0 => return self.subquery_condition(d - 1),
                5 => {
                    if let Some(text) = self.poison(Ty::Bool) {
                        return text;
                    }
                }
                6 => {
                    if let Some(text) = self.telling() {
                        return text;
                    }
                }
                _ => {}
            }
        }
        self.simple_condition(d.saturating_sub(1))
    }

    fn simple_condition(&mut self, d: usize) -> String {
        let ty = self.random.pick(COMPARABLE);
        match self.random.below(22) {
            0..=7 => {
                let op = self.random.pick(&["=", "=", "<>", "<", ">", "<=", ">="]);
                format!("({} {op} {})", self.expr(ty, d), self.expr(ty, d))
            }
            8 => {
                self.note(F::DistinctFrom);
                let not = self.random.pick(&["", "NOT "]);
                format!("({} IS {not}DISTINCT FROM {})", self.expr(ty, d), self.expr(ty, d))
            }
            9 => {
                self.note(F::Between);
                let how = self.random.pick(&["BETWEEN", "BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC"]);
                format!("({} {how} {} AND {})", self.expr(ty, d), self.expr(ty, 0), self.expr(ty, d))
            }
            10 => {
                self.note(F::InList);
                let not = self.random.pick(&["", "NOT "]);
                format!("({} {not}IN ({}, {}, {}))", self.expr(ty, d), self.constant(ty), self.expr(ty, 0), self.constant(ty))
            }
            11 => {
                self.note(F::NullTest);
                let ty = self.random.pick(&Ty::ALL);
                let how = self.random.pick(&["IS NULL", "IS NOT NULL"]);
                format!("({} {how})", self.expr(ty, d))
            }
            12 => self.like(d),
            13 => {
                self.note(F::Regex);
                let op = self.random.pick(&["~", "~*", "!~"]);
                format!("({} {op} '{}')", self.expr(Ty::Text, d), self.random.pick(&["^a", "[0-9]", "a.*b", "x|y"]))
            }
            14 => self.rows(d),
            15 => self.json_condition(d),
            16 => {
                self.note(F::Array);
                format!("({} = ANY ({}))", self.expr(Ty::Int, d), self.expr(Ty::Ints, d))
            }
            17 => {
                self.note(F::Array);
                let op = self.random.pick(&["@>", "<@", "&&"]);
                format!("({} {op} {})", self.expr(Ty::Ints, d), self.expr(Ty::Ints, d))
            }
            18 => format!("({} IS {})", self.expr(Ty::Bool, d), self.random.pick(&["TRUE", "NOT TRUE", "FALSE", "UNKNOWN"])),
            19 => self.tenant_condition(),
            20 => self.row_test(),
            _ => self.leaf(Ty::Bool),
        }
    }

    fn like(&mut self, d: usize) -> String {
        self.note(F::Like);
        let op = self.random.pick(&["LIKE", "NOT LIKE", "ILIKE"]);
        let pattern = self.random.pick(&["'%a%'", "'_l%'", "'a!_b' ESCAPE '!'", "'50\\%'", "''"]);
        format!("({} {op} {pattern})", self.expr(Ty::Text, d))
    }

    fn rows(&mut self, d: usize) -> String {
        self.note(F::RowComparison);
        let (a, b) = (self.random.pick(COMPARABLE), self.random.pick(COMPARABLE));
        let op = self.random.pick(&["=", "<", ">=", "<>"]);
        format!("(({}, {}) {op} ({}, {}))", self.expr(a, d), self.expr(b, d), self.expr(a, d), self.expr(b, d))
    }

    fn json_condition(&mut self, d: usize) -> String {
        self.note(F::Json);
        let a = self.expr(Ty::Json, d);
        match self.random.below(5) {
            0 => format!("({a} ? 'n')"),
            1 => format!("({a} @> '{{\"n\": 1}}')"),
            2 => format!("({a} ->> 'n' = '2')"),
            3 => format!("({a} @? '$.list[*] ? (@ > 1)')"),
            _ => format!("({a} ?| ARRAY['s', 'q'])"),
        }
    }

    /// Says aloud what a tenant must not gain by saying: its own name, another's, or all.
    fn tenant_condition(&mut self) -> String {
        let Some((column, _)) = self.column(|c| matches!(c.name.as_str(), "tenant_id" | "org")) else { return "true".into() };
        self.note(F::TenantColumn);
        match self.random.below(5) {
            0 => format!("({column} = 'acme')"),
            1 => {
                self.note(F::OtherTenant);
                format!("({column} = 'globex')")
            }
            2 => {
                self.note(F::OtherTenant);
                format!("({column} <> 'acme' OR {column} IN ('globex', 'initech'))")
            }
            3 => format!("({column} IS NOT NULL OR true)"),
            _ => format!("({column} || 'x' > 'b')"),
        }
    }

    fn row_test(&mut self) -> String {
        let scope = self.scopes.last().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> = scope.iter().filter(|i| i.table.is_some() && !i.alias.is_empty()).map(|i| i.alias.clone()).collect();
        if names.is_empty() {
            return "true".into();
        }
        self.note(F::WholeRow);
        let name = self.random.pick(&names);
        let how = self.random.pick(&["IS NOT NULL", "IS NULL", "IS DISTINCT FROM NULL"]);
        format!("({name} {how})")
    }

    fn subquery_condition(&mut self, d: usize) -> String {
        let ty = self.random.pick(&[Ty::Int, Ty::Int, Ty::Text, Ty::Num, Ty::Date]);
        let not = self.random.pick(&["", "NOT "]);
        match self.random.below(5) {
            0 | 1 => {
                self.note(F::Exists);
                format!("({not}EXISTS ({}))", self.subquery(&[Ty::Int]))
            }
            2 => {
                self.note(F::InSubquery);
                format!("({} {not}IN ({}))", self.expr(ty, d), self.subquery(&[ty]))
            }
            3 => {
                self.note(F::AnyAll);
                let op = self.random.pick(&["=", "<", ">=", "<>"]);
                let which = self.random.pick(&["ANY", "ALL", "SOME"]);
                format!("({} {op} {which} ({}))", self.expr(ty, d), self.subquery(&[ty]))
            }
            _ => {
                self.note(F::RowSubquery);
                format!("(({}, {}) {not}IN ({}))", self.expr(Ty::Int, d), self.expr(ty, d), self.subquery(&[Ty::Int, ty]))
            }
        }
    }
}
