//! Which names a statement's level can see: relations with their guards, and what hides them.

use super::catalog::{Relation, SYSTEM_COLUMNS};
use super::nodes;
use pg_query::protobuf::{Node, SelectStmt};
use std::sync::Arc;

/// The tenant's predicate for one reference to a scoped relation.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Alias, or the relation's own name.
    pub reference: String,
    /// The tenant column.
    pub column: String,
    /// Whether the column is NOT NULL, so that NULL means "no row on this side".
    pub not_null: bool,
    /// The parameter that carries the tenant.
    pub parameter: u16,
    /// From the relation to the one with the tenant column, where it has none of its own.
    pub through: Vec<Step>,
}

/// One step from a row to the row that it belongs to.
#[derive(Clone, Debug)]
pub struct Step {
    /// The parent's schema.
    pub schema: String,
    /// The parent.
    pub table: String,
    /// Columns of the row and those of the parent that they equal.
    pub on: Vec<(String, String)>,
}

impl Guard {
    /// `reference.column OPERATOR(pg_catalog.=) $n`, or that such a parent exists.
    pub fn predicate(&self) -> Node {
        let Some(first) = self.through.first() else {
            return nodes::operator("=", nodes::column(&self.reference, &self.column), nodes::parameter(self.parameter));
        };
        let own = first.on.iter().map(|(own, _)| nodes::column(&self.reference, own)).collect();
        nodes::exists(owners(&self.through, own, &self.column, self.parameter))
    }

    /// The same, true also where an outer join made the row up.
    pub fn predicate_or_absent(&self) -> Node {
        nodes::or(vec![nodes::is_null(nodes::column(&self.reference, self.witness())), self.predicate()])
    }

    /// A column that is NULL only where there is no row, if [`Self::not_null`].
    pub fn witness(&self) -> &str {
        self.through.first().and_then(|s| s.on.first()).map_or(&self.column, |(own, _)| own)
    }
}

/// `SELECT 1 FROM parent partywall_1, … WHERE partywall_1.id = <value> AND … AND partywall_n.tenant = $n`: the tenant's own rows that
/// `values`, in the order of the first step's columns, lead to.
pub fn owners(steps: &[Step], values: Vec<Node>, column: &str, parameter: u16) -> SelectStmt {
    let (mut conditions, last, from) = way_up(steps, values);
    conditions.push(nodes::operator("=", nodes::column(&last, column), nodes::parameter(parameter)));
    SelectStmt { where_clause: nodes::boxed(nodes::and(conditions)), ..nodes::query(vec![nodes::integer(1)], from) }
}

/// `(SELECT partywall_n.tenant FROM parent partywall_1, … WHERE partywall_1.id = reference.own AND …)`: whose the row is.
pub fn owner(steps: &[Step], reference: &str, column: &str) -> Node {
    let own = steps.first().map(|s| s.on.iter().map(|(own, _)| nodes::column(reference, own)).collect()).unwrap_or_default();
    let (conditions, last, from) = way_up(steps, own);
    let select = nodes::query(vec![nodes::column(&last, column)], from);
    nodes::scalar(SelectStmt { where_clause: nodes::boxed(nodes::and(conditions)), ..select })
}

/// The conditions that lead from `values` to the last parent, its alias, and all parents.
fn way_up(steps: &[Step], values: Vec<Node>) -> (Vec<Node>, String, Vec<Node>) {
    let alias = |index: usize| format!("partywall_{}", index + 1);
    let mut conditions = Vec::new();
    let mut values = Some(values);
    for (index, step) in steps.iter().enumerate() {
        let own = values.take().unwrap_or_else(|| step.on.iter().map(|(own, _)| nodes::column(&alias(index - 1), own)).collect());
        let equal = step.on.iter().zip(own).map(|((_, theirs), own)| nodes::operator("=", nodes::column(&alias(index), theirs), own));
        conditions.extend(equal);
    }
    let from = steps.iter().enumerate().map(|(index, s)| nodes::table(&s.schema, &s.table, &alias(index))).collect();
    (conditions, alias(steps.len().saturating_sub(1)), from)
}

/// What a name in FROM stands for.
#[derive(Clone, Debug)]
pub enum Thing {
    /// A scoped relation that stands as itself.
    Guarded(Arc<Relation>, Guard),
    /// A relation that all tenants read.
    Shared(Arc<Relation>),
    /// A relation within a subquery of the wall's own, or a view's query: its rows are the tenant's already, its columns are known.
    Wrapped(Arc<Relation>),
    /// A subquery, CTE or function: its rows are the tenant's already.
    Opaque,
    /// The alias of what a join's USING merges: columns of the relations that stand beside it.
    Merged,
}

/// One item of FROM.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name by which columns refer to it; empty if it has none.
    pub name: String,
    /// What it is.
    pub thing: Thing,
    /// On the nullable side of an outer join below the place that looks.
    pub nullable: bool,
    /// A row lock on it would lock rows that all tenants share.
    pub locks_shared: bool,
    /// A row lock on it would reach into a table with a hidden column.
    pub locks_hidden: bool,
    /// The name of a column that is there and does not exist for the tenant: of the target of a write.
    pub hides: Option<String>,
    /// A table, view or sequence that became a subquery and has no other name: the schema by which columns may have named it.
    pub was_in: Option<String>,
    /// The number of the subquery in the place of a table with a hidden column, which may carry system columns of it.
    pub carries: Option<usize>,
    /// It stands in a join, which shows the columns of its tables by bare names, but no system column.
    pub joined: bool,
    /// The client gave it an alias, behind which no name with a schema finds it.
    pub aliased: bool,
    /// No subquery may stand beside it.
    pub alone: bool,
    /// What is walked stands on the right of a RIGHT or FULL JOIN that has it on the left, or in the FROM of the write whose target it is:
    /// LATERAL cannot name it there (PostgreSQL manual, 7.2.1.5).
    pub beyond: bool,
}

impl Item {
    /// One of which nothing else is to be known.
    pub fn new(name: impl Into<String>, thing: Thing) -> Self {
        let (nullable, locks_shared, locks_hidden, joined, aliased, alone, beyond) = (false, false, false, false, false, false, false);
        let (name, hides, was_in, carries) = (name.into(), None, None, None);
        Self { name, thing, nullable, locks_shared, locks_hidden, hides, was_in, carries, joined, aliased, alone, beyond }
    }

    /// Whether it is certainly this table.
    fn is_of(&self, schema: &str, table: &str) -> bool {
        match &self.thing {
            Thing::Guarded(relation, _) | Thing::Shared(relation) | Thing::Wrapped(relation) => {
                relation.schema == schema && relation.name == table
            }
            Thing::Opaque | Thing::Merged => false,
        }
    }

    /// Whether `field` is certainly a column of it.
    pub fn has_column(&self, field: &str) -> bool {
        match &self.thing {
            Thing::Guarded(relation, _) | Thing::Shared(relation) | Thing::Wrapped(relation) => relation.has_column(field),
            Thing::Opaque | Thing::Merged => false,
        }
    }
}

/// One query level.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// In order of appearance.
    pub items: Vec<Item>,
    /// What looks up from here runs on rows that have passed this level's WHERE.
    pub passed: bool,
    /// What is walked is assigned, or returned by a write.
    pub written: bool,
}

/// A column as an expression names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// `alias.column`, `alias.*`
    Of(String),
    /// `column`, or a whole row by its alias.
    Bare(String),
    /// A subquery that stands beside the items of the innermost level; what it reads of the levels further out is named besides.
    Beside,
    /// No column, but something of which the planner makes no constant: it can fail as a row of any level in sight is looked at, and so tell of it.
    Free,
    /// Anything in sight.
    Any,
}

/// What an expression does, as far as fencing cares.
#[derive(Clone, Debug, Default)]
pub struct Traits {
    /// Columns it reads.
    pub uses: Vec<Use>,
    /// Those of them on whose values some part can raise an error.
    pub raising: Vec<Use>,
    /// Some part is an aggregate of this level, so it runs on whole groups.
    pub aggregates: bool,
    /// Some part is more than constants, from which the planner makes another, or an error whatever rows there are.
    pub varies: bool,
}

impl Traits {
    /// Takes in a part.
    pub fn add(&mut self, part: Traits) {
        self.uses.extend(part.uses);
        self.raising.extend(part.raising);
        self.aggregates |= part.aggregates;
        self.varies |= part.varies;
    }

    /// This node itself can raise.
    pub fn raising(mut self) -> Self {
        if self.uses.is_empty() && self.varies {
            self.raising.push(Use::Free);
        }
        self.raising.extend(self.uses.iter().cloned());
        self
    }

    /// Something besides columns and constants.
    pub fn varying() -> Self {
        Self { varies: true, ..Self::default() }
    }

    /// Whether any part can raise.
    pub fn raises(&self) -> bool {
        !self.raising.is_empty()
    }
}

impl Scope {
    /// The guards of this level that `used` may mean. `found` tells whether the name certainly belongs to this level.
    fn guards_of(&self, used: &Use, out: &mut Vec<(Guard, bool)>) -> bool {
        let mut found = *used == Use::Beside;
        let merged = |name: &str| self.items.iter().any(|i| i.name == name && matches!(i.thing, Thing::Merged));
        for item in self.items.iter().filter(|i| !i.beyond) {
            let hit = match used {
                Use::Of(name) => item.name == *name || merged(name),
                Use::Beside | Use::Free | Use::Any => true,
                Use::Bare(name) => item.name == *name || item.has_column(name),
            };
            if hit {
                found |= matches!(used, Use::Of(_));
                if let Thing::Guarded(_, guard) = &item.thing {
                    out.push((guard.clone(), item.nullable));
                }
            }
        }
        found
    }
}

/// Whether this bare name may mean a column of a guarded item that no fence can name from here, because a nearer item has its name.
pub fn passes_a_namesake(levels: &[Scope], column: &str) -> bool {
    for (up, level) in levels.iter().enumerate().rev() {
        let mut found = false;
        for item in level.items.iter().filter(|i| !i.beyond && i.has_column(column)) {
            let namesake = levels[up + 1..].iter().any(|l| l.items.iter().any(|i| i.name == item.name));
            if namesake && !level.passed && matches!(item.thing, Thing::Guarded(..)) {
                return true;
            }
            // In a join no bare name finds a system column.
            found |= !(item.joined && SYSTEM_COLUMNS.contains(&column));
        }
        if found {
            return false;
        }
    }
    false
}

/// Whether `schema.table.column` may be of another item than the nearest one of the table's name, by which a fence would speak of it: it finds
/// tables without an alias only (parse_relation.c, scanNameSpaceForRelid).
pub fn is_past_a_namesake(levels: &[Scope], schema: &str, table: &str) -> bool {
    let mut named = levels.iter().flat_map(|l| &l.items).filter(|i| i.name == table);
    let several = named.clone().nth(1).is_some();
    several && named.any(|item| item.aliased || !item.is_of(schema, table))
}

/// The guards, innermost level last in `levels`, that have to hold before an expression with these uses may run. The flag is true
/// where the row may be absent. A name hidden by an inner level's same name is left out: it cannot be meant.
pub fn guards_for(levels: &[Scope], uses: &[Use]) -> Vec<(Guard, bool)> {
    let mut out: Vec<(Guard, bool)> = Vec::new();
    for used in uses {
        for (up, level) in levels.iter().rev().enumerate() {
            let mut here = Vec::new();
            let certain = level.guards_of(used, &mut here);
            for (guard, nullable) in here.into_iter().filter(|_| !(up > 0 && level.passed)) {
                let hidden = levels[levels.len() - up..].iter().any(|l| l.items.iter().any(|i| i.name == guard.reference));
                let known = out.iter().any(|(g, _)| g.reference == guard.reference);
                if !hidden && !known {
                    out.push((guard, nullable || up > 0));
                }
            }
            if certain {
                break;
            }
        }
    }
    out
}
