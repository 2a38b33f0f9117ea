//! Test-only: a rewriter that leaves out one of its protections at a time, to show that the verifier and the oracle would notice.

use super::catalog::Catalog;
use crate::policy::TableRule;
use pg_query::NodeEnum;

macro_rules! mutants {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// One protection that is left out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $(#[doc = $text] $name),* }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];

            /// What is left out.
            pub fn what(self) -> &'static str {
                match self { $(Mutant::$name => $text),* }
            }
        }
    };
}

mutants! {
    Where = "the guard in WHERE",
    InnerOn = "the guard in ON of an inner join",
    LeftOn = "the guard in ON of a LEFT JOIN",
    RightOn = "the guard in ON of a RIGHT JOIN",
    LeftAbove = "LEFT JOIN's guard moved from ON to WHERE",
    RightAbove = "RIGHT JOIN's guard moved from ON to WHERE",
    FullAbove = "FULL JOIN's guards in WHERE instead of wrapped",
    Namesake = "names that may reach behind a nearer table of the same name",
    AnyBarrier = "OFFSET 0 in `= ANY (SELECT what can fail)`",
    Conversions = "fences of implicit conversions on `through` tables",
    AliasedJoin = "guards in ON below the alias of a join, where no fence can speak of them",
    UsingAbove = "USING's guard in WHERE instead of wrapped",
    Wrap = "the guard of a wrapped table",
    Renamed = "wrapping of a table with renamed columns",
    UpdateTarget = "the guard of an UPDATE's target",
    UpdateFrom = "the guards of UPDATE … FROM",
    DeleteTarget = "the guard of a DELETE's target",
    DeleteUsing = "the guards of DELETE … USING",
    ConflictGuard = "the guard of ON CONFLICT DO UPDATE",
    ConflictNothing = "the refusal of DO NOTHING on a shared key",
    InsertValue = "the tenant's value in INSERT … VALUES",
    InsertSelect = "the tenant's value in INSERT … SELECT",
    OwnLiteral = "the check of a tenant id that the client writes",
    TenantFromQuery = "the check of a tenant column that a query fills",
    TenantAssigned = "the refusal to assign the tenant column",
    SharedWrite = "the refusal to write a shared table",
    SharedLock = "the refusal to lock a shared table's rows",
    Unlisted = "the refusal of a relation that is not listed",
    UnlistedFunction = "the refusal of a function that is not listed",
    Fence = "the fence in WHERE and ON",
    ChosenCollation = "fences of COLLATE with what a server may be unable to use",
    OuterAggregate = "fences in HAVING whose only aggregate is one of a query around",
    Effects = "fences of calls that are seen from outside",
    Free = "fences of what can fail and reads no column",
    LazySublink = "fences of subqueries in which something can fail",
    FieldCall = "fences of calls that are written as fields",
    Merged = "the wrapping of tables of which USING makes columns alike",
    Collations = "fences of what meets two collations",
    Arrays = "fences of arrays of arrays, which cost nothing",
    Computed = "fences of columns that are computed as they are read",
    EarlyKeys = "the wrapping of such a table where a key of its rows can fail",
    Distances = "fences of what an index may work out to give rows in its order",
    MergeTarget = "the guard in ON of MERGE",
    MergeUnmatched = "the guard of NOT MATCHED BY SOURCE",
    MergeSource = "the guard of MERGE's source",
    MergeInsert = "the tenant's value in MERGE's INSERT",
    SubqueryBarrier = "the barrier of a subquery in FROM",
    CteBarrier = "the barrier of a WITH query",
    Having = "the fence in HAVING",
    Cte = "the rewriting of WITH queries",
    WritableCte = "the rewriting of writes in WITH",
    Sublink = "the rewriting of subqueries in expressions",
    Derived = "the rewriting of subqueries in FROM",
    Arm = "the rewriting of a set operation's right arm",
    TargetList = "the walk of the select list",
    Sort = "the walk of ORDER BY and LIMIT",
    On = "the walk of ON",
    Returning = "the walk of RETURNING",
    Set = "the walk of SET",
    FromFunction = "the walk of functions in FROM",
    ThroughLink = "the link to the parent in a guard by way of it",
    EarlyParents = "the wrapping of such a table beside a subquery that can fail",
    KeepsRows = "the refusal to delete a parent that no foreign key holds",
    OnAssigned = "the check of what is assigned to columns that lead to a parent",
    ThroughInsert = "the check of new rows' parents",
    ForeignKeys = "the check of what foreign keys without the tenant lead to",
    ParentLock = "the lock on a parent that a check has seen",
    HiddenStar = "the hiding of a tenant column in FROM",
    HiddenGuard = "the guard of a table with a hidden tenant column",
    HiddenNames = "the look-up of names where such a table is written",
    HiddenWritten = "the refusal to write a hidden column",
    HiddenPlan = "the refusal to explain such a table",
    HiddenLocks = "the refusal of row locks in a barrier",
    ViewCondition = "the view's condition in a write through it",
    ViewColumn = "the names of a view's columns in what is assigned",
    ViewCode = "the refusal to write through a view that has a trigger or a rule",
    ViewCheck = "the refusal to write through a view that checks rows",
    TempViewBarrier = "the barrier of a temporary view",
    CopyChecks = "the refusal to COPY into columns that lead to a parent",
    OwnSchema = "the own schema before a table's name",
    OtherSchema = "the refusal of a table in another schema than the own",
    OwnType = "the own schema before a type's name",
    OwnSequence = "the own schema before a sequence's name",
    SchemaPath = "the own schema in SET search_path",
    OwnCascade = "the refusal of TRUNCATE … CASCADE beyond the own tables",
    DdlSchema = "the refusal of DDL in another schema than the own",
    DdlCascade = "the refusal of DROP … CASCADE in a schema",
    DdlView = "the rewriting of a view's query",
    RoleRights = "the rights of the session's role",
    SchemaShown = "`public` in the place of the own schema's name",
}

impl Mutant {
    /// Of tenants with a schema of their own: the oracle has none, and `verify/own_schema_tests.rs` a statement for each.
    pub const OWN_SCHEMA: &[Mutant] = &[
        Mutant::OwnSchema,
        Mutant::OtherSchema,
        Mutant::OwnType,
        Mutant::OwnSequence,
        Mutant::SchemaPath,
        Mutant::OwnCascade,
        Mutant::DdlSchema,
        Mutant::DdlCascade,
        Mutant::DdlView,
        Mutant::SchemaShown,
    ];
}

impl super::Judge {
    /// The same judge with one protection less.
    pub fn mutated(&self, mutation: Mutation) -> Self {
        let (policy, catalog) = (self.policy.clone(), self.catalog.clone());
        Self {
            policy,
            catalog,
            cache: Default::default(),
            checked: Default::default(),
            plans: Default::default(),
            paths: Default::default(),
            roles: Default::default(),
            role: self.role.clone(),
            texts: Default::default(),
            mutation: Some(mutation),
        }
    }
}

/// What a judge leaves out, and whether it proves what it sends.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// What is left out.
    pub mutant: Mutant,
    /// Sends without proof.
    pub unproved: bool,
}

/// Whether a write's target is a table that all tenants read.
pub(super) fn writes_shared(catalog: &Catalog, node: &NodeEnum) -> bool {
    let var = match node {
        NodeEnum::InsertStmt(x) => &x.relation,
        NodeEnum::UpdateStmt(x) => &x.relation,
        NodeEnum::DeleteStmt(x) => &x.relation,
        _ => &None,
    };
    let relation = var.as_ref().and_then(|v| catalog.find(&v.schemaname, &v.relname));
    relation.is_some_and(|r| r.rule == TableRule::SharedRead)
}

#[cfg(test)]
#[path = "mutants_tests.rs"]
mod tests;
