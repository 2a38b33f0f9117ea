//! What code comes to touch, over the functions that it calls, the views that it reads and the triggers of what it writes.

use super::Live;
use super::code::{Code, Standing};
use super::touched::{Name, Touched};
use crate::sql::functions;
use std::collections::{BTreeMap, BTreeSet};

/// So many functions and views are followed.
const STEPS: usize = 200;
/// Functions that tenants may not call by themselves, and that tell nothing where the schema calls them.
const HARMLESS: &[&str] = &["nextval", "currval"];

/// What is touched, all in all.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Relations: what they are to tenants, and whether they are written.
    pub relations: BTreeMap<String, (Standing, bool)>,
    /// Functions of the application.
    pub calls: BTreeSet<String>,
    /// PostgreSQL's functions that a tenant could not call.
    pub barred: BTreeSet<String>,
    /// Statements that are neither queries nor writes.
    pub others: BTreeSet<String>,
    /// Functions that run SQL made at run time.
    pub dynamic: BTreeSet<String>,
    /// Functions whose body cannot be read, with their language.
    pub opaque: BTreeSet<String>,
    /// SECURITY DEFINER, with the owner.
    pub definers: BTreeSet<String>,
    /// Functions with names that search_path decides on, and none of their own.
    pub loose: BTreeSet<String>,
    /// There is more than was followed.
    pub cut: bool,
}

/// What is still to be looked at.
enum Step {
    Routine(u32),
    View(u32),
}

/// Follows code.
pub struct Follow<'a> {
    live: &'a Live,
    code: &'a Code,
    reach: Reach,
    seen: BTreeSet<(bool, u32)>,
    next: Vec<Step>,
}

impl<'a> Follow<'a> {
    /// From nowhere.
    pub fn new(live: &'a Live, code: &'a Code) -> Self {
        Self { live, code, reach: Reach::default(), seen: BTreeSet::new(), next: Vec::new() }
    }

    /// What a function comes to.
    pub fn routine(mut self, oid: u32) -> Reach {
        self.enqueue(Step::Routine(oid));
        self.run()
    }

    /// What an expression, rule or view comes to; its names have schemas.
    pub fn touched(mut self, touched: &Touched) -> Reach {
        self.take(touched, &[], "");
        self.run()
    }

    fn enqueue(&mut self, step: Step) {
        let key = match step {
            Step::Routine(oid) => (true, oid),
            Step::View(oid) => (false, oid),
        };
        if self.seen.insert(key) {
            self.next.push(step);
        }
    }

    fn run(mut self) -> Reach {
        let mut steps = 0;
        while let Some(step) = self.next.pop() {
            steps += 1;
            if steps > STEPS {
                self.reach.cut = true;
                break;
            }
            match step {
                Step::Routine(oid) => self.body(oid),
                Step::View(oid) => {
                    if let Some((definition, _)) = self.code.views.get(&oid) {
                        self.take(&Touched::of_statement(definition), &[], "");
                    }
                }
            }
        }
        self.reach
    }

    fn body(&mut self, oid: u32) {
        let Some(routine) = self.code.routines.get(&oid) else { return };
        let full = routine.full_name();
        if routine.definer {
            self.reach.definers.insert(format!("{full}, as \"{}\"", routine.owner));
        }
        let path = routine.path.as_ref().unwrap_or(&self.code.path);
        let bare_calls = || {
            routine
                .touched
                .calls
                .iter()
                .any(|c| c.0.is_empty() && self.code.routines.values().any(|r| r.name == c.1 && r.extension.is_none()))
        };
        if routine.path.is_none() && (routine.definer || routine.touched.has_bare_names() || bare_calls()) {
            self.reach.loose.insert(full.clone());
        }
        let what = if routine.aggregate { "an aggregate".to_owned() } else { routine.language.clone() };
        if routine.touched.unreadable {
            let from = routine.extension.as_ref().map(|e| format!(" of extension {e}")).unwrap_or_default();
            self.reach.opaque.insert(format!("{full} ({what}{from})"));
        }
        self.take(&routine.touched, path, &full);
    }

    fn take(&mut self, touched: &Touched, path: &[String], of: &str) {
        if touched.dynamic {
            self.reach.dynamic.insert(of.to_owned());
        }
        if touched.unreadable && of.is_empty() {
            self.reach.opaque.insert("an expression".to_owned());
        }
        self.reach.others.extend(touched.others.iter().cloned());
        touched.reads.iter().for_each(|name| self.relation(name, path, false));
        touched.writes.iter().for_each(|name| self.relation(name, path, true));
        touched.calls.iter().for_each(|name| self.call(name, path));
    }

    fn relation(&mut self, name: &Name, path: &[String], written: bool) {
        let mut note = |full: String, standing: Standing| {
            let entry = self.reach.relations.entry(full).or_insert((standing, false));
            entry.1 |= written;
        };
        let Some(table) = Code::relation(self.live, name, path) else {
            let own = matches!(name.0.as_str(), "pg_catalog" | "information_schema");
            // A bare name that is nowhere is a WITH query, a transition table or a temporary table.
            if own || (name.0.is_empty() && name.1.starts_with("pg_")) {
                note(format!("{}.{}", if own { &name.0 } else { "pg_catalog" }, name.1), Standing::Catalog);
            } else if !name.0.is_empty() {
                note(format!("{}.{}", name.0, name.1), Standing::Unlisted);
            }
            return;
        };
        note(table.full_name(), self.live.standing(table));
        let oid = table.oid;
        if matches!(table.kind, 'v' | 'm') {
            self.enqueue(Step::View(oid));
        }
        if written {
            let triggers: Vec<u32> = self.code.triggers.iter().filter(|t| t.relation == oid).map(|t| t.function).collect();
            triggers.into_iter().for_each(|f| self.enqueue(Step::Routine(f)));
        }
    }

    fn call(&mut self, name: &Name, path: &[String]) {
        let found: Vec<(u32, String)> = self.code.named(name, path).map(|(oid, r)| (oid, r.full_name())).collect();
        let builtin = name.0 == "pg_catalog" || name.0.is_empty() && found.is_empty();
        if builtin && functions::find(&name.1).is_none() && !HARMLESS.contains(&name.1.as_str()) {
            self.reach.barred.insert(name.1.clone());
        }
        for (oid, full) in found {
            self.reach.calls.insert(full);
            self.enqueue(Step::Routine(oid));
        }
    }
}

impl Reach {
    /// Nothing that another tenant could come to know of, or change, as far as can be told.
    pub fn is_quiet(&self) -> bool {
        self.relations.values().all(|(standing, written)| *standing == Standing::Shared && !written)
            && self.barred.is_empty()
            && self.others.is_empty()
            && self.dynamic.is_empty()
            && self.opaque.is_empty()
            && !self.cut
    }

    /// Only rows of tables with tenants, by the rights of who calls: row-level security holds there.
    pub fn is_held_by_rows(&self) -> bool {
        let fine = |(standing, written): &(Standing, bool)| match standing {
            Standing::Tenants => true,
            Standing::Shared => !written,
            _ => false,
        };
        let mut bare = self.clone();
        bare.relations.clear();
        bare.dynamic.clear();
        self.relations.values().all(fine) && self.definers.is_empty() && bare.is_quiet()
    }

    /// In words, to follow a name.
    pub fn describe(&self) -> String {
        let list = |all: Vec<String>| all.join(", ");
        let of = |written: bool| {
            let all = self.relations.iter().filter(|(_, (_, w))| *w == written);
            list(all.map(|(name, (standing, _))| format!("{name}{}", standing.mark())).collect())
        };
        let mut parts = Vec::new();
        for (words, all) in [
            ("reads ", of(false)),
            ("writes ", of(true)),
            ("calls ", list(self.calls.iter().cloned().collect())),
            ("calls what a tenant may not call: ", list(self.barred.iter().cloned().collect())),
            ("runs ", list(self.others.iter().map(|o| spelt(o)).collect())),
            ("makes up SQL at run time, of which nothing can be told: ", list(self.dynamic.iter().cloned().collect())),
            ("cannot be read: ", list(self.opaque.iter().cloned().collect())),
        ] {
            if !all.is_empty() {
                parts.push(format!("{words}{all}"));
            }
        }
        parts.extend(self.cut.then(|| format!("and more: only {STEPS} functions were followed")));
        if parts.is_empty() { "touches no relation".to_owned() } else { parts.join("; ") }
    }
}

impl Standing {
    /// What must be known of such a relation.
    fn mark(self) -> &'static str {
        match self {
            Standing::Tenants => " (all tenants' rows)",
            Standing::Shared => "",
            Standing::Hidden => " (hidden by the policy)",
            Standing::Unlisted => " (not in the policy)",
            Standing::Catalog => " (unfiltered)",
        }
    }
}

/// `VariableSetStmt` as `VARIABLE SET`.
fn spelt(kind: &str) -> String {
    let mut words = String::new();
    for c in kind.trim_end_matches("Stmt").chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_uppercase());
    }
    words
}
