//! What upstream's catalog says of the listed tables: columns, types, keys; and which names are unsafe.
//!
//! The shell runs each of [`home::queries`] and hands the rows to [`Catalog::build`]; nothing here opens a socket.

use super::bounds::Bounds;
use super::catalogs::{System, parameters};
use super::columns;
use super::conversions;
use super::hazards::Hazards;
use super::home;
use super::ids::Ids;
use super::links::{self, ForeignKey};
use super::private::{Kin, TEMP};
use super::rights::{self, Rights};
use super::sequences;
use super::views::Writes;
use crate::policy::{Deciding, Home, Place, Policy, TableEntry, TableRule};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub use super::columns::{Column, SYSTEM_COLUMNS};
pub use super::queries::{CatalogQuery, QUERIES};

/// Rows of one query: values as text, None for NULL.
pub type Rows = Vec<Row>;
/// One of them.
pub type Row = Vec<Option<String>>;

/// A problem that stops the start, with the policy's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogProblem {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub fix: String,
    /// The entry it concerns.
    pub place: Option<Place>,
}

/// The catalog as far as the wall needs it.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Differs whenever the content differs.
    pub version: u64,
    /// The server's, as 150020; 0 where it is not known.
    pub server_version: u32,
    /// Effective schemas, in search order (`current_schemas(false)`).
    pub search_path: Vec<String>,
    /// Whose it is: of the shared tables, or of one tenant's own place.
    pub home: Home,
    /// Hidden tables of a place of the tenant's own, and the indexes and sequences that belong to them.
    pub withheld: BTreeSet<(String, String)>,
    /// By (schema, name): every relation that the policy lists and does not hide.
    pub relations: HashMap<(String, String), Arc<Relation>>,
    /// Functions that the policy lists, as (schema, name).
    pub functions: HashSet<(String, String)>,
    /// Names of functions outside pg_catalog.
    pub user_functions: HashSet<String>,
    /// Names that PostgreSQL's own allowed functions share with others, all of which the policy lists: which one a call means is told by
    /// its arguments.
    pub overloads: HashSet<String>,
    /// Names of functions that return rows of a table with a hidden column, and with them that column.
    pub revealing: HashSet<String>,
    /// Functions outside pg_catalog that return such rows and nothing else, as (schema, name), and the table.
    pub row_functions: HashMap<(String, String), Arc<Relation>>,
    /// Names of functions each of which takes such a row.
    pub row_takers: HashSet<String>,
    /// All function names that exist and are not in the table of allowed ones.
    pub unsafe_fields: HashSet<String>,
    /// Names of aggregates, of any schema.
    pub aggregates: HashSet<String>,
    /// Operator names (`@#`) defined outside pg_catalog and outside known extensions, some of which call a function that is not listed.
    pub user_operators: HashSet<String>,
    /// Names of operators outside pg_catalog, all of which call listed functions or ones of known extensions; they can fail.
    pub operators: HashSet<String>,
    /// Some column of a listed relation may hold a json value.
    pub has_json: bool,
    /// Some `through` table has a column whose implicit conversion can fail.
    pub converts: bool,
    /// Names of listed columns of types that make PostgreSQL convert what stands beside them.
    pub loose_columns: HashSet<String>,
    /// What fails here and cannot elsewhere.
    pub hazards: Hazards,
    /// User types (enums, domains) that listed columns use, by name.
    pub types: BTreeMap<String, String>,
    /// Numbers of those, and of arrays of them, as which a client may declare parameters.
    pub(super) parameter_types: BTreeSet<u32>,
    /// What tenants' ids are in listed tables.
    pub(super) ids: Ids,
    /// Deferrable constraints of listed tables, as (schema, name).
    pub deferrable: BTreeSet<(String, String)>,
    /// The server's settings, and what bounds a session.
    pub settings: Bounds,
    /// PostgreSQL's own catalogs, as a tenant sees them.
    pub system: System,
    /// Sequences that columns of listed tables own, by (schema, name), as the query that is read in each one's place.
    pub sequences: BTreeMap<(String, String), Arc<Relation>>,
    /// Of the session's role; None where it may do all that its tenant may.
    pub rights: Option<Arc<Rights>>,
}

/// A listed relation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    /// pg_class.oid
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// pg_class.relkind: r, p, v, m, f.
    pub kind: char,
    /// In attnum order, dropped ones left out, and a hidden one.
    pub columns: Vec<Column>,
    /// The tenant column where it does not exist for tenants, and how many columns stand before it.
    pub hidden: Option<(usize, Column)>,
    /// Unique and exclusion keys.
    pub keys: Vec<Key>,
    /// Foreign keys of its own.
    pub foreign: Vec<ForeignKey>,
    /// Has children by inheritance, whose rows are in no key of its own.
    pub inherited: bool,
    /// Tables whose foreign keys refer to it.
    pub referenced_by: Vec<u32>,
    /// Rows of others that take their defaults when its own are written.
    pub resets: links::Resets,
    /// Has triggers of the application's that DELETE or TRUNCATE fires.
    pub triggers_on_delete: bool,
    /// Has such triggers that may put other values into a row before it is inserted.
    pub triggers_on_insert: bool,
    /// The same of a row that is updated.
    pub triggers_on_update: bool,
    /// Upstream's role may TRUNCATE it.
    pub may_truncate: bool,
    /// A view's query, as the server prints it.
    pub definition: Option<String>,
    /// pg_class.reltype; 0 where it is not known.
    pub row_type: u32,
    /// What a temporary one goes and comes with.
    pub kin: Kin,
    /// How a view is written through.
    pub writes: Writes,
    /// What the policy says.
    pub rule: TableRule,
    /// Where it says so.
    pub place: Place,
}

/// A unique or exclusion constraint or index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Index name.
    pub name: String,
    /// Its columns; empty names for expressions.
    pub columns: Vec<String>,
    /// Has expressions or a WHERE.
    pub partial: bool,
    /// No two rows have the same key at any moment.
    pub unique: bool,
    /// The primary key.
    pub primary: bool,
}

impl Relation {
    /// Whether it is read as the query it stands for: a view whose rows are told apart by tenant. One that is `shared: read` shows all
    /// tenants the same rows, whatever it reads.
    pub fn is_expanded(&self) -> bool {
        (self.kind == 'S' && !self.is_own() && self.schema != TEMP) || (self.kind == 'v' && matches!(self.rule, TableRule::Scoped { .. }))
    }

    /// Whether a column, also a system column, has this name.
    pub fn has_column(&self, name: &str) -> bool {
        self.column(name).is_some() || SYSTEM_COLUMNS.contains(&name)
    }

    /// The column of this name; a hidden one is none.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Types a tenant column may have: an id is compared as itself, by `=`, with no coercion that could equate two ids.
pub const TENANT_TYPES: &[u32] = &[20, 21, 23, 25, 1043, 2950];

impl Catalog {
    /// Builds the catalog for `policy` from the answers to [`home::queries`]. Errors: every problem found (a listed table without its
    /// tenant column, an entry that matches nothing, …), each with its line.
    pub fn build(policy: &Policy, answers: &HashMap<&'static str, Rows>) -> Result<Self, Vec<CatalogProblem>> {
        Self::build_for(policy, &Home::Rows, answers)
    }

    /// The same for those who live at `home`, from the answers that upstream gives there.
    pub fn build_for(policy: &Policy, home: &Home, answers: &HashMap<&'static str, Rows>) -> Result<Self, Vec<CatalogProblem>> {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut catalog = Self {
            search_path: match home {
                Home::Schema(_) => vec![home::PUBLIC.to_owned()],
                _ => rows("path").iter().map(|r| text(r, 0)).collect(),
            },
            settings: Bounds::read(policy, rows("settings")),
            server_version: rows("version").first().map(|r| number(r, 0)).unwrap_or_default(),
            home: home.clone(),
            ..Self::default()
        };
        let mut problems = catalog.read_relations(policy, answers);
        catalog.withhold(policy, answers);
        problems.extend(links::check(&mut catalog, rows("relations"), rows("foreign")));
        problems.extend(home::missing(home, rows("namespaces")));
        let listed = policy.postgres.iter().flat_map(|p| &p.functions);
        catalog.functions = listed.filter_map(|f| Some((home.meant(&f.schema)?.to_owned(), f.name.clone()))).collect();
        problems.extend(home::missing_functions(policy, home, rows("functions")));
        let listed: Vec<u32> = catalog.relations.values().map(|r| r.oid).collect();
        let is_listed = |schema: &str, name: &str| catalog.functions.contains(&(schema.to_owned(), name.to_owned()));
        catalog.system = System::read(answers, &listed, &catalog.hiding(), &catalog.scoped(), is_listed, &catalog.search_path, home);
        catalog.aggregates = rows("aggregates").iter().map(|r| text(r, 0)).collect();
        catalog.hazards.read(rows("types"), rows("collations"));
        catalog.read_names(rows("functions"), rows("operators"), rows("types"));
        if *home == Home::Rows {
            problems.extend(super::live::backstop::problems(policy, answers));
            problems.extend(rights::problems(policy, &catalog));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        catalog.read_ids();
        catalog.version = catalog.digest();
        Ok(catalog)
    }

    /// The relations that exist here, and what is wrong with them or with the policy's entries.
    fn read_relations(&mut self, policy: &Policy, answers: &HashMap<&'static str, Rows>) -> Vec<CatalogProblem> {
        let rows = |name: &str| answers.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut columns = columns::read(rows("columns"));
        let mut keys = read_keys(rows("keys"));
        let mut foreign = links::read(rows("foreign"));
        let triggers: HashMap<u32, &Vec<_>> = rows("triggers").iter().map(|r| (number(r, 0), r)).collect();
        let [views, references, sequences_of, deferrable] =
            ["views", "references", "sequences", "deferrable"].map(|n| by_relation(rows(n)));
        let fires = |relation: u32, on: usize| triggers.get(&relation).is_some_and(|r| text(r, on) == "t");
        let mut problems = Vec::new();
        let entries = policy.postgres.as_ref().map(|p| p.tables.as_slice()).unwrap_or_default();
        let deciding = Deciding::of(entries);
        let mut used = vec![self.home != Home::Rows; entries.len()];
        let sequences = rows("all_sequences").iter().filter(|_| self.home != Home::Rows);
        for row in rows("relations").iter().chain(sequences) {
            let (oid, schema, name) = (number(row, 0), text(row, 1), text(row, 2));
            let kind = text(row, 3).chars().next().unwrap_or('?');
            let Some(postgres) = &policy.postgres else { continue };
            let Some(decided) = home::decide(postgres, &deciding, &self.home, (&schema, &name, kind)) else { continue };
            decided.entry.into_iter().for_each(|index| used[index] = true);
            let view = views.get(&oid).and_then(|all| all.first());
            let mut relation = Relation {
                oid,
                kind,
                columns: if kind == 'S' { home::of_sequence() } else { columns.remove(&oid).unwrap_or_default() },
                hidden: None,
                keys: keys.remove(&oid).unwrap_or_default(),
                foreign: foreign.remove(&oid).unwrap_or_default(),
                inherited: text(row, 5) == "t",
                referenced_by: those_of(&references, oid).map(|r| number(r, 1)).collect(),
                resets: links::Resets::default(),
                may_truncate: row.get(4).is_none_or(|v| v.as_deref() != Some("f")),
                triggers_on_delete: fires(oid, 1),
                triggers_on_insert: fires(oid, 2),
                triggers_on_update: fires(oid, 3),
                definition: view.map(|r| text(r, 1)),
                row_type: number(row, 6),
                kin: Kin::default(),
                writes: view.map(|r| Writes::read(r)).unwrap_or_default(),
                rule: decided.rule,
                place: decided.place,
                schema: schema.clone(),
                name: name.clone(),
            };
            problems.extend(check_relation(&relation));
            self.has_json |= relation.columns.iter().any(|c| c.json);
            conversions::note(&relation, &mut self.converts, &mut self.loose_columns);
            self.hazards.note(&relation);
            relation.hide();
            if relation.rule != TableRule::Hidden {
                let home = self.home.clone();
                let seen = |schema: String| home.seen(&schema).map(str::to_owned);
                let owned = those_of(&sequences_of, oid);
                let shared = |r: &Row| ((text(r, 1), text(r, 2)), sequences::read_as(&relation, r));
                self.sequences.extend(owned.filter(|_| home == Home::Rows).map(shared));
                let own = those_of(&deferrable, oid);
                self.deferrable.extend(own.filter_map(|r| Some((seen(text(r, 1))?, text(r, 2)))));
                if let Some(schema) = seen(schema) {
                    let (key, relation) = ((schema, name), Arc::new(relation));
                    self.sequences.extend((kind == 'S').then(|| (key.clone(), relation.clone())));
                    self.relations.insert(key, relation);
                }
            }
        }
        problems.extend(self.read_sequences(policy, rows("all_sequences"), &mut used));
        problems.extend(entries.iter().zip(&used).filter(|(_, used)| !**used).map(|(entry, _)| matches_nothing(entry)));
        problems
    }

    /// Sequences that no column owns and the policy lists by name: all tenants draw their numbers from the same counter.
    fn read_sequences(&mut self, policy: &Policy, rows: &[Vec<Option<String>>], used: &mut [bool]) -> Vec<CatalogProblem> {
        let entries = policy.postgres.as_ref().map(|p| p.tables.as_slice()).unwrap_or_default();
        let mut problems = Vec::new();
        for row in rows.iter().filter(|_| self.home == Home::Rows) {
            let (schema, name) = (text(row, 1), text(row, 2));
            let Some(index) = entries.iter().position(|e| e.schema == schema && e.name == name) else { continue };
            used[index] = true;
            match &entries[index].rule {
                TableRule::Hidden => {}
                rule @ TableRule::SharedRead => {
                    let alone = Relation::alone(&schema, &name, rule.clone(), entries[index].place.clone());
                    let listed = Arc::new(Relation { kind: 'S', columns: home::of_sequence(), ..alone });
                    self.sequences.entry((schema, name)).or_insert(listed);
                }
                _ => problems.push(CatalogProblem {
                    message: format!("{schema}.{name} is a sequence: it has no rows of one tenant"),
                    fix: "write `{ shared: read }`: all tenants draw from the same counter".into(),
                    place: Some(entries[index].place.clone()),
                }),
            }
        }
        problems
    }

    /// The first schema of the search path that has a listed relation of this name, or the one that is named.
    pub fn find(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        let at = |schema: &str| self.relations.get(&(schema.to_owned(), name.to_owned()));
        if schema.is_empty() { self.search_path.iter().find_map(|s| at(s)) } else { at(schema) }
    }

    /// The same for a sequence that can be read.
    pub fn sequence(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        let at = |schema: &str| self.sequences.get(&(schema.to_owned(), name.to_owned()));
        if schema.is_empty() { self.search_path.iter().find_map(|s| at(s)) } else { at(schema) }
    }

    fn read_names(&mut self, functions: &[Vec<Option<String>>], operators: &[Vec<Option<String>>], types: &[Vec<Option<String>>]) {
        let home = self.home.clone();
        // By the own schema's path, functions of others are not found.
        let found = |schema: &str| home.schema().is_none_or(|own| schema == own || schema == "pg_catalog");
        for row in functions.iter().filter(|row| found(&text(row, 1))) {
            let name = text(row, 0);
            if text(row, 1) != "pg_catalog" {
                self.user_functions.insert(name.clone());
                self.unsafe_fields.insert(name);
            } else if super::functions::find(&name).is_none() {
                self.unsafe_fields.insert(name);
            }
        }
        let hiding: HashSet<u32> = self.hiding().into_iter().map(|(oid, _)| oid).collect();
        self.read_revealing(functions, &hiding);
        if home == Home::Rows {
            let others = functions.iter().map(|r| (text(r, 1), text(r, 0))).filter(|other| other.0 != "pg_catalog");
            let unlisted: HashSet<String> = others.filter(|other| !self.functions.contains(other)).map(|(_, name)| name).collect();
            let shared = self.user_functions.iter().filter(|name| super::functions::find(name).is_some() && !unlisted.contains(*name));
            self.overloads = shared.cloned().collect();
        }
        self.read_operators(operators);
        let listed = self.relations.values().map(|r| r.oid).collect();
        let free = home::free_types(types, listed);
        let here = |row: &[Option<String>]| match &home {
            Home::Rows if text(row, 4) == "t" || free.contains(&number(row, 3)) => true,
            Home::Rows => self.system.known.has("typ", number(row, 3)),
            Home::Schema(own) => text(row, 1) == *own,
            Home::Database { .. } => true,
        };
        let looking = parameters::looking_names_up(types);
        let known =
            |r: &&Vec<Option<String>>| text(r, 2) != "t" && here(r) && self.runs_listed(&text(r, 7)) && !looking.contains(&number(r, 3));
        let types: Vec<_> = types.iter().filter(known).collect();
        self.read_parameter_types(&types);
        for row in types {
            self.types.insert(text(row, 0), text(row, 1));
        }
    }

    /// Whether the policy lists the functions, as `schema` and `name`, that read and print a type's values.
    fn runs_listed(&self, functions: &str) -> bool {
        let listed = |f: &str| f.split_once('\u{1f}').is_some_and(|(s, n)| self.functions.contains(&(s.to_owned(), n.to_owned())));
        functions.split('\u{1e}').filter(|f| !f.is_empty()).all(listed)
    }

    /// Operators by name: which one is meant is told by the types beside it.
    fn read_operators(&mut self, rows: &[Vec<Option<String>>]) {
        let known = |row: &&Vec<Option<String>>| text(row, 3) == "t";
        let listed = |row: &&Vec<Option<String>>| {
            let (schema, function) = (text(row, 1), text(row, 2));
            let own = schema == "pg_catalog" && super::functions::find(&function).is_some();
            own || self.functions.contains(&(schema, function))
        };
        let rows_mode = self.home == Home::Rows;
        let refused = rows.iter().filter(|r| !(known(r) || rows_mode && listed(r)));
        let refused: HashSet<String> = refused.map(|r| text(r, 0)).collect();
        let fails = |r: &&Vec<Option<String>>| text(r, 4) == "t" && !Hazards::is_plain_operator(&text(r, 0));
        let extended = |r: &&Vec<Option<String>>| !known(r) || fails(r) || super::functions::find_operator(&text(r, 0)).is_none();
        let allowed = rows.iter().filter(|r| rows_mode && extended(r)).map(|r| text(r, 0)).filter(|name| !refused.contains(name));
        self.operators = allowed.collect();
        self.user_operators = refused;
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut all: Vec<_> = self.relations.iter().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        let mut functions: Vec<_> = self.unsafe_fields.iter().collect();
        functions.sort();
        let sequences: Vec<_> = self.sequences.keys().collect();
        let listed: BTreeSet<_> = self.functions.iter().collect();
        let overloads: BTreeSet<_> = self.overloads.iter().chain(&self.operators).chain(&self.revealing).chain(&self.row_takers).collect();
        let returning: BTreeSet<_> = self.row_functions.iter().map(|(name, table)| (name, table.oid)).collect();
        let mut operators: Vec<_> = self.user_operators.iter().collect();
        operators.sort();
        (
            all,
            functions,
            operators,
            &self.search_path,
            &self.types,
            self.server_version,
            &self.settings,
            &self.deferrable,
            sequences,
            &self.system.known,
            (&self.home, &self.withheld, &self.system.hidden, overloads, listed, returning, &self.hazards, &self.parameter_types),
        )
            .hash(&mut hasher);
        hasher.finish()
    }
}

fn matches_nothing(entry: &TableEntry) -> CatalogProblem {
    CatalogProblem {
        message: format!("{}.{} matches no table, view or materialized view upstream", entry.schema, entry.name),
        fix: "correct the name, or take the entry out".into(),
        place: Some(entry.place.clone()),
    }
}

fn check_relation(relation: &Relation) -> Option<CatalogProblem> {
    let TableRule::Scoped { column: tenant, hidden } = &relation.rule else { return None };
    // A view is read as its query over the tenant's own rows: it need not show whose they are.
    if relation.kind == 'v' && *hidden && relation.column(tenant).is_none() {
        return None;
    }
    let full = format!("{}.{}", relation.schema, relation.name);
    let problem = |message: String, fix: &str| Some(CatalogProblem { message, fix: fix.into(), place: Some(relation.place.clone()) });
    let Some(column) = relation.column(tenant) else {
        return problem(format!("{full} has no column \"{tenant}\""), "name the column that holds the tenant, or add it to the table");
    };
    if !TENANT_TYPES.contains(&column.type_oid) {
        return problem(format!("{full}.{tenant} has a type that cannot hold a tenant"), "use text, varchar, uuid or an integer type");
    }
    if !column.deterministic {
        return problem(
            format!("{full}.{tenant} has a collation by which different ids are equal"),
            "give the column a deterministic collation",
        );
    }
    if column.generated {
        return problem(format!("{full}.{tenant} is generated"), "a tenant column must be writable by the wall");
    }
    None
}

type ByRelation<'r> = HashMap<u32, Vec<&'r Row>>;

/// Rows by the relation that stands first in them, in their order.
fn by_relation(rows: &[Row]) -> ByRelation<'_> {
    let mut all = ByRelation::new();
    rows.iter().for_each(|row| all.entry(number(row, 0)).or_default().push(row));
    all
}

fn those_of<'r>(rows: &ByRelation<'r>, oid: u32) -> impl Iterator<Item = &'r Row> {
    rows.get(&oid).cloned().unwrap_or_default().into_iter()
}

fn read_keys(rows: &[Vec<Option<String>>]) -> HashMap<u32, Vec<Key>> {
    let mut all: HashMap<u32, Vec<Key>> = HashMap::new();
    for row in rows {
        let (keys, name) = (all.entry(number(row, 0)).or_default(), text(row, 1));
        if keys.last().is_none_or(|k| k.name != name) {
            let (partial, unique, primary) = (text(row, 2) == "t", text(row, 5) != "f", text(row, 6) == "t");
            keys.push(Key { name, columns: Vec::new(), partial, unique, primary });
        }
        if let Some(key) = keys.last_mut() {
            key.columns.push(text(row, 4));
        }
    }
    all
}

pub(super) fn text(row: &[Option<String>], index: usize) -> String {
    row.get(index).cloned().flatten().unwrap_or_default()
}

pub(super) fn number(row: &[Option<String>], index: usize) -> u32 {
    row.get(index).and_then(|v| v.as_deref()?.parse().ok()).unwrap_or_default()
}
