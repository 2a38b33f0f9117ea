//! The independent verifier: reads the final text again and proves that it is the client's statement with sound guards and nothing else.
//!
//! It shares no code with `rewrite`. Both texts are parsed by PostgreSQL's grammar into a generic tree (node name → fields) and walked in
//! lockstep; wherever the final tree differs, the difference must be one of the sanctioned additions, checked for form and for place.
//! The tenant's parameters have numbers that the client's text cannot contain, so an addition is never mistaken for the client's.

mod catalogs;
mod collations;
mod comments;
mod conversions;
mod copy;
mod ddl;
mod fences;
mod free;
mod from;
mod hazards;
mod hidden;
mod json;
mod kinds;
mod labels;
mod links;
mod locks;
mod merge;
mod names;
mod output;
mod own;
mod own_place;
mod own_schema;
mod parts;
mod raises;
mod returning;
mod rights;
mod row_function;
mod rows;
mod rows_calls;
mod scopes;
mod search;
mod settings;
mod shown;
mod steady;
mod system;
mod temp;
mod temp_ddl;
mod temp_parts;
mod temp_sequences;
mod temp_views;
mod through;
mod utility;
mod view_names;
mod views;
mod whole;
mod with;
mod write;

use super::catalog::{Catalog, Relation};
use super::private::{Private, TEMP};
use super::rows::Checked;
use super::tree::{self, Fields, Value};
use crate::policy::TableRule;
pub use comments::adds_only_comments;
use parts::{MATERIALIZED, fields, kind, list, names, text};
use scopes::Level;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Why the final text is not proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Disagreement(pub String);

/// What was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Byte offsets (final text, client's text) of the same token.
    pub places: Vec<(usize, usize)>,
    /// Listed relations seen, as `schema.name`, sorted.
    pub relations: Vec<String>,
    /// What the rewriter added, in the order it was proved.
    pub held: Vec<Held>,
    /// Literals and parameters of the client that stand for the tenant column: each must be compared with the tenant's id.
    pub own_literals: Vec<String>,
    /// The same.
    pub own_parameters: Vec<u16>,
    /// Columns added to what each statement returns.
    pub rows: Vec<Checked>,
    /// How many of them each statement has.
    pub row_counts: Vec<usize>,
    /// Byte offset in the final text and number of each parameter of the tenant's.
    pub parameters: Vec<(usize, i64)>,
}

/// An addition that was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub hold: Hold,
    /// `schema.name`; empty for a fence.
    pub relation: String,
    /// The name by which the statement refers to the relation.
    pub reference: String,
    /// Byte offset in the client's text of what it is for.
    pub client: Option<usize>,
}

/// How a tenant is kept to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A guard in a filter.
    Filter,
    /// The relation became a guarded subquery.
    Wrapped,
    /// The tenant column of new rows is written by the wall.
    Inserted,
    /// The client writes it, and its value is checked.
    Own,
    /// What a new row refers to is checked.
    Linked,
    /// An upsert that meets another tenant's row fails.
    Upsert,
    /// An expression that can fail runs behind the guard only.
    Fence,
    /// An advisory lock's key is a digest with the tenant in it.
    Lock,
}

type Res<T> = Result<T, Disagreement>;

fn disagree<T>(why: impl Into<String>) -> Res<T> {
    Err(Disagreement(why.into()))
}

/// Proves `outgoing` against `client`: same statements, every scoped relation guarded by a parameter from `first` on.
pub fn verify(client: &str, outgoing: &str, catalog: &Catalog, first: u16) -> Res<Proof> {
    verify_for(client, outgoing, catalog, first, &Private::default())
}

/// The same for a session that has something of its own.
pub fn verify_for(client: &str, outgoing: &str, catalog: &Catalog, first: u16, private: &Private) -> Res<Proof> {
    verify_read(Client { text: client, stmts: &statements(client)? }, outgoing, catalog, first, private)
}

/// The client's text, and what PostgreSQL's grammar reads in it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The text.
    pub text: &'a str,
    /// Its statements in their generic form, as they were before anything was done to them.
    pub stmts: &'a [Value],
}

/// The same where the client's text has been read, whose tree is only looked at; the final text is read here, and nowhere else.
pub fn verify_read(client: Client<'_>, outgoing: &str, catalog: &Catalog, first: u16, private: &Private) -> Res<Proof> {
    let Client { text: source, stmts: client } = client;
    let mut outgoing = statements(outgoing)?;
    if client.len() != outgoing.len() {
        return disagree("the number of statements differs");
    }
    let mut walk = Walk::new(catalog, first, private);
    for (f, c) in outgoing.iter_mut().zip(client) {
        walk.look_for_catalogs(&c["stmt"]);
        walk.look_for_conversions(&c["stmt"]);
        walk.note_parameters(f);
        walk.detach_rows(f, &c["stmt"], source)?;
        rights::granted(catalog, &walk.private, &c["stmt"])?;
        let before = walk.proof.rows.len();
        walk.statement(&f["stmt"], &c["stmt"])?;
        walk.all_inside(&f["stmt"])?;
        walk.statement_is_fenced()?;
        if walk.added.is_some() {
            return disagree("added columns were not proved");
        }
        walk.proof.row_counts.push(walk.proof.rows.len() - before);
    }
    let mut proof = walk.proof;
    proof.relations.sort();
    proof.relations.dedup();
    Ok(proof)
}

fn statements(text: &str) -> Res<Vec<Value>> {
    let parsed = pg_query::parse(text, pg_query::ParserOptions::default()).or_else(|_| disagree("the text is not PostgreSQL's"))?;
    tree::statements(&parsed.protobuf.stmts).or_else(|_| disagree("the tree has no generic form"))
}

/// A guard found in a filter, not yet matched with the relation it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    reference: String,
    /// Empty where the tenant column is a parent's.
    column: String,
    /// Then: the whole guard without its places.
    exists: Value,
}

struct Walk<'a> {
    catalog: &'a Catalog,
    first: i64,
    ctes: Vec<Vec<String>>,
    /// Guards of the filters around, each taken by exactly one relation.
    filters: Vec<Vec<Found>>,
    /// What the query levels around can name, innermost last.
    levels: Vec<Level>,
    /// How many references to shared relations there were so far.
    shared: usize,
    /// How many tables with a hidden column stand in a barrier so far.
    late: usize,
    proof: Proof,
    /// The session's own, as the statements before this one leave it.
    private: Private,
    /// Offsets in the client's text where a value may be shown by the name of an object.
    allowed: HashSet<i64>,
    /// The same of literals that name what stands beside them: the type that reads them.
    beside: HashMap<i64, &'static str>,
    /// The call in FROM whose rows name relations that is walked, and the one beside which nothing stands in its statement.
    rows_call: Option<i64>,
    only_call: Option<i64>,
    /// `tableoid` may be a column of a catalog.
    tableoid: bool,
    /// The planner may put a column's expression in each place that names the column.
    copied: bool,
    /// The same within WITH queries.
    copied_within: bool,
    /// Columns of the whole statement that are still to be proved.
    added: Option<Vec<Found>>,
    conditions: raises::Conditions,
    /// The client's statement is the one that pg_dump asks of a setting that is not there.
    dump_guard: bool,
    /// The call that is walked next may return rows of a table with a hidden column.
    reveals: bool,
}

/// A relation as the policy has it: its tenant column, if it is scoped.
struct Listed {
    relation: Arc<Relation>,
    column: Option<String>,
}

/// Parts of the final text and of the client's that are still to be compared.
type Pairs<'v> = Vec<(&'v Value, &'v Value)>;

impl<'a> Walk<'a> {
    fn new(catalog: &'a Catalog, first: u16, private: &Private) -> Self {
        let (ctes, filters, levels) = (Vec::new(), Vec::new(), Vec::new());
        let (proof, allowed, private) = (Proof::default(), HashSet::new(), private.clone());
        let (first, added, conditions) = (i64::from(first), None, raises::Conditions::default());
        Self {
            catalog,
            first,
            ctes,
            filters,
            levels,
            shared: 0,
            late: 0,
            proof,
            private,
            allowed,
            beside: HashMap::new(),
            rows_call: None,
            only_call: None,
            tableoid: false,
            copied: false,
            copied_within: false,
            added,
            conditions,
            dump_guard: false,
            reveals: false,
        }
    }
}

impl Walk<'_> {
    /// The final value is the client's, up to sanctioned additions inside.
    fn same(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.same_at("", f, c)
    }

    /// The same for the value of a field.
    fn same_at(&mut self, key: &str, f: &Value, c: &Value) -> Res<()> {
        if let (Some((fk, fv)), Some(_)) = (kind(f), kind(c)) {
            if fk == "CaseExpr" && self.is_fence(fv) {
                let guards = self.fence_holds(fv)?;
                let client = fences::first_place(c);
                self.proof.held.push(Held { hold: Hold::Fence, relation: String::new(), reference: String::new(), client });
                let result = &fields(&list(fv, "args")[0], "CaseWhen").unwrap_or(&Value::Null)["result"];
                return self.behind(guards, |walk| walk.same(result, c));
            }
            let early = self.early_part(f, c)?;
            let proved = self.same_kind(f, c);
            self.early_again(early);
            return proved;
        }
        match (f, c) {
            (Value::Object(_), Value::Object(_)) => self.same_part(key, f, c),
            (Value::Array(f), Value::Array(c)) if f.len() == c.len() => f.iter().zip(c).try_for_each(|(f, c)| self.same(f, c)),
            (f, c) if f == c && !f.is_object() && !f.is_array() => Ok(()),
            _ => disagree("a part was added, lost or changed"),
        }
    }

    /// The same for two nodes, neither of them a fence.
    fn same_kind(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (Some((fk, fv)), Some((ck, cv))) = (kind(f), kind(c)) else { return disagree("a node is none") };
        match self.schema_expr(f, c).or_else(|| self.catalog_expr(f, c)).or_else(|| self.own_row(f, c)) {
            Some(proved) => proved,
            None if fk != ck => disagree(format!("{ck} became {fk}")),
            None => self.same_node(fk, fv, cv),
        }
    }

    fn same_fields(&mut self, f: &Fields, c: &Fields, done: &[&str]) -> Res<()> {
        if f.len() != c.len() {
            return disagree("a node has other fields");
        }
        for (key, fv) in f.iter() {
            let Some(cv) = c.get(key) else { return disagree(format!("field {key} appeared")) };
            if is_place(key) {
                if let (Some(fp), Some(cp)) = (fv.as_u64(), cv.as_u64()) {
                    self.proof.places.push((fp as usize, cp as usize));
                }
            } else if !done.contains(&key) {
                let place = self.conditions.place;
                self.conditions.place = place.inside(self.catalog, c, key, cv);
                let same = self.same_at(key, fv, cv);
                self.conditions.place = place;
                same.map_err(|d| Disagreement(format!("{key}: {d}")))?;
            }
        }
        Ok(())
    }

    fn rest(&mut self, f: &Value, c: &Value, done: &[&str]) -> Res<()> {
        match (f, c) {
            (Value::Object(f), Value::Object(c)) => self.same_fields(f, c, done),
            _ => disagree("not a node"),
        }
    }

    /// `REF.column OPERATOR(pg_catalog.=) $tenant`, or `EXISTS` of a parent for which that holds.
    fn guard(&self, value: &Value) -> Option<Found> {
        if let Some(link) = fields(value, "SubLink") {
            return self.exists_guard(value, link);
        }
        let x = fields(value, "AExpr")?;
        let plain = x.get("kind").and_then(Value::as_i64) == Some(1) && names(list(x, "name")) == ["pg_catalog", "="];
        let number = fields(&x["rexpr"], "ParamRef")?.get("number")?.as_i64()?;
        let column = fields(&x["lexpr"], "ColumnRef")?;
        match names(list(column, "fields")).as_slice() {
            [reference, column] if plain && number >= self.first => {
                Some(Found { reference: (*reference).to_owned(), column: (*column).to_owned(), exists: Value::Null })
            }
            _ => None,
        }
    }

    /// Parts of an AND or OR (`boolop` 1 or 2); the value itself otherwise.
    fn parts(value: &Value, boolop: i64) -> Option<&[Value]> {
        let x = fields(value, "BoolExpr")?;
        (x.get("boolop").and_then(Value::as_i64) == Some(boolop)).then(|| list(x, "args"))
    }

    /// Takes the guards off the front of a condition; what is left is still to be compared with the client's, pair by pair.
    fn split<'v>(&self, f: &'v Value, c: &'v Value) -> Res<(Vec<Found>, Pairs<'v>)> {
        if let Some(found) = self.guard(f) {
            return if c.is_null() { Ok((vec![found], Vec::new())) } else { disagree("the client's condition is gone") };
        }
        let parts = Self::parts(f, 1).unwrap_or_default();
        let guards: Vec<Found> = parts.iter().map_while(|p| self.guard(p)).collect();
        let rest = match &parts[guards.len()..] {
            _ if guards.is_empty() => vec![(f, c)],
            [] if c.is_null() => Vec::new(),
            [one] if Self::parts(c, 1).is_none() || Self::parts(one, 1).is_some() => vec![(one, c)],
            many => {
                let Some(theirs) = Self::parts(c, 1).filter(|t| t.len() == many.len()) else { return disagree("the condition differs") };
                many.iter().zip(theirs).collect()
            }
        };
        Ok((guards, rest))
    }

    fn pairs(&mut self, pairs: Pairs<'_>) -> Res<()> {
        pairs.into_iter().try_for_each(|(f, c)| self.same(f, c))
    }

    fn select(&mut self, f: &Value, c: &Value) -> Res<()> {
        self.apart(|walk| walk.select_apart(f, c))
    }

    fn select_apart(&mut self, f: &Value, c: &Value) -> Res<()> {
        let (arm, asked, mut arms) = (std::mem::take(&mut self.conditions.arm), self.is_asked(), false);
        let (names, added) = (self.ctes.len(), self.added.take());
        self.with(&f["with_clause"], &c["with_clause"])?;
        // What can fail in a WITH query stays there: beside it no WITH query is one that could be inlined.
        let raising = self.raising();
        if !f["into_clause"].is_null() {
            return disagree("SELECT INTO is not proved");
        }
        for arm in ["larg", "rarg"] {
            match (f[arm].is_null(), c[arm].is_null()) {
                (true, true) => {}
                (false, false) => arms |= self.arm(&f[arm], &c[arm], asked)?,
                _ => return disagree("a set operation differs"),
            }
        }
        let (guards, condition) = self.split(&f["where_clause"], &c["where_clause"])?;
        self.filters.push(guards);
        let level = self.from_list(list(f, "from_clause"), list(c, "from_clause"), Level::default())?;
        self.used_up()?;
        level.locks_its_own(list(f, "locking_clause"))?;
        self.rows_belong(added, &level)?;
        self.levels.push(level);
        self.filter(condition)?;
        if self.raising() != raising {
            raises::barriers(list(f, "from_clause"))?;
        }
        self.nothing_before_parents(c, arm)?;
        self.passed();
        self.having(&f["having_clause"], &c["having_clause"])?;
        let mut done = vec!["with_clause", "larg", "rarg", "where_clause", "from_clause", "having_clause", "group_clause", "target_list"];
        self.groups(list(f, "group_clause"), list(c, "group_clause"), list(c, "target_list"))?;
        self.targets(f, c)?;
        let free = c["limit_count"].is_null() && c["limit_offset"].is_null();
        if free && f["limit_count"].is_null() && is_zero(&f["limit_offset"]) {
            done.extend(["limit_offset", "limit_option"]);
        }
        self.rest(f, c, &done)?;
        if asked {
            self.answers(c, arms);
        }
        self.levels.pop();
        self.ctes.truncate(names);
        Ok(())
    }

    /// Every guard of the innermost filter was for a relation.
    fn used_up(&mut self) -> Res<()> {
        match self.filters.pop() {
            Some(left) if left.is_empty() => Ok(()),
            _ => disagree("a guard is for no relation of its place"),
        }
    }

    /// The listed relation that a reference in FROM means; None for a WITH query.
    fn relation(&mut self, f: &Value, c: &Value) -> Res<Option<Listed>> {
        let name = text(c, "relname");
        if text(f, "relname") == name && text(c, "schemaname").is_empty() && self.ctes.iter().flatten().any(|n| n == name) {
            let bare = text(f, "schemaname").is_empty() && text(f, "catalogname").is_empty();
            return if bare { Ok(None) } else { disagree("a WITH query became a table") };
        }
        self.table_of(f, c).map(Some)
    }

    /// The listed relation that a name means where no WITH query can be meant.
    fn table_of(&mut self, f: &Value, c: &Value) -> Res<Listed> {
        let (schema, name) = (text(c, "schemaname"), text(c, "relname"));
        if text(f, "relname") != name || !text(f, "catalogname").is_empty() || !text(c, "catalogname").is_empty() {
            return disagree("another relation is named");
        }
        if let Some(relation) = self.temp_of(c) {
            self.proof.relations.push(format!("{TEMP}.{name}"));
            self.is_of_this_catalog(&relation)?;
            let own = text(f, "schemaname") == TEMP;
            return if own { Ok(Listed { relation, column: None }) } else { disagree("a temporary table became another") };
        }
        let listed = |schema: &str| self.catalog.relations.get(&(schema.to_owned(), name.to_owned()));
        let expected = if schema.is_empty() { self.catalog.search_path.iter().find_map(|s| listed(s)) } else { listed(schema) };
        let Some(relation) = expected.filter(|r| r.schema == text(f, "schemaname")) else { return disagree("a relation is not listed") };
        self.proof.relations.push(format!("{}.{}", relation.schema, relation.name));
        let column = match &relation.rule {
            TableRule::Scoped { column, .. } => Some(column.clone()),
            // The column is a parent's.
            TableRule::Through(_) => Some(String::new()),
            TableRule::SharedRead | TableRule::Own => None,
            TableRule::Hidden => return disagree("a hidden relation is named"),
        };
        Ok(Listed { relation: relation.clone(), column })
    }
}

/// Notes an addition for the relation that is named at `f` and `c`.
fn hold(proof: &mut Proof, hold: Hold, f: &Value, c: &Value, reference: &str) {
    let relation = format!("{}.{}", text(f, "schemaname"), text(f, "relname"));
    let client = c["location"].as_u64().and_then(|l| usize::try_from(l).ok());
    proof.held.push(Held { hold, relation, reference: reference.to_owned(), client });
}

fn is_zero(value: &Value) -> bool {
    fields(value, "AConst").is_some_and(|c| c["val"]["Ival"]["ival"].as_i64() == Some(0) && c["isnull"] == Value::Bool(false))
}

fn is_place(key: &str) -> bool {
    const PLACES: &[&str] =
        &["location", "stmt_location", "stmt_len", "name_location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"];
    PLACES.contains(&key)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
