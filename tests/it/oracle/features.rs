//! The grammar features that the generator makes, counted.

macro_rules! features {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// One feature of PostgreSQL's grammar or protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Feature { $(#[doc = $text] $name),* }

        impl Feature {
            /// All, in order.
            pub const ALL: &[Feature] = &[$(Feature::$name),*];

            /// As the report prints it.
            pub fn name(self) -> &'static str {
                match self { $(Feature::$name => $text),* }
            }
        }
    };
}

features! {
    Simple = "simple protocol", Extended = "extended protocol", Parameters = "parameters", NamedStatement = "named statement, run again",
    PartialFetch = "portal fetched in part",
    Comma = "FROM list", InnerJoin = "INNER JOIN", LeftJoin = "LEFT JOIN", RightJoin = "RIGHT JOIN", FullJoin = "FULL JOIN",
    CrossJoin = "CROSS JOIN", Using = "JOIN USING", Natural = "NATURAL JOIN", NestedJoin = "join of joins", JoinAlias = "alias of a join",
    UsingAlias = "JOIN USING with alias", SelfJoin = "self join", Lateral = "LATERAL", Derived = "subquery in FROM",
    ColumnAliases = "renamed columns", FunctionInFrom = "function in FROM", RowsFrom = "ROWS FROM", Ordinality = "WITH ORDINALITY",
    ValuesInFrom = "VALUES in FROM", Only = "ONLY", Inherited = "inherited table", Partitioned = "partitioned table",
    TableSample = "TABLESAMPLE", Shared = "shared table", Hidden = "hidden table", HiddenColumn = "hidden tenant column",
    Through = "rows that are a parent's", StrayParent = "another tenant's parent named",
    ScalarSubquery = "scalar subquery", Exists = "EXISTS", InSubquery = "IN (subquery)", AnyAll = "ANY/ALL (subquery)",
    ArraySubquery = "ARRAY(subquery)", RowSubquery = "row IN (subquery)", Correlated = "correlated subquery",
    Namesake = "alias of a table further out again", BareName = "column without its table",
    SubqueryInOrder = "subquery in ORDER BY", SubqueryInLimit = "subquery in LIMIT", SubqueryInHaving = "subquery in HAVING",
    Union = "UNION", Intersect = "INTERSECT", Except = "EXCEPT", Cte = "WITH", CteMaterialized = "WITH … MATERIALIZED",
    CteRecursive = "WITH RECURSIVE", SearchCycle = "SEARCH/CYCLE", WritableCte = "writable WITH",
    Where = "WHERE", GroupBy = "GROUP BY", GroupingSets = "GROUPING SETS, CUBE, ROLLUP", Functional = "functional dependence in GROUP BY",
    Having = "HAVING", Aggregate = "aggregate", AggregateOrder = "ordered aggregate", AggregateFilter = "FILTER", WithinGroup = "WITHIN GROUP",
    Window = "window function", NamedWindow = "WINDOW clause", WindowFrame = "window frame",
    Distinct = "DISTINCT", DistinctOn = "DISTINCT ON", OrderBy = "ORDER BY", Limit = "LIMIT", Offset = "OFFSET", WithTies = "WITH TIES",
    Values = "VALUES", Table = "TABLE", Star = "SELECT *", QualifiedStar = "t.*", WholeRow = "whole-row reference",
    RowField = "(row).field", RowComparison = "row comparison", Case = "CASE", Coalesce = "COALESCE, NULLIF, GREATEST",
    Raising = "expression that fails on others' rows", Cast = "cast", Like = "LIKE", Regex = "regular expression", Json = "jsonb",
    Array = "arrays", Between = "BETWEEN", InList = "IN (list)", NullTest = "IS NULL", DistinctFrom = "IS DISTINCT FROM",
    TenantColumn = "tenant column named", OtherTenant = "another tenant named",
    Insert = "INSERT VALUES", InsertMany = "INSERT of several rows", InsertSelect = "INSERT SELECT", InsertDefault = "DEFAULT in INSERT",
    InsertDefaults = "INSERT DEFAULT VALUES", InsertNoColumns = "INSERT without columns", InsertTenant = "INSERT names its tenant",
    ConflictNothing = "ON CONFLICT DO NOTHING", ConflictUpdate = "ON CONFLICT DO UPDATE", Returning = "RETURNING",
    Update = "UPDATE", UpdateFrom = "UPDATE FROM", UpdateRow = "SET (…) = (…)", Delete = "DELETE", DeleteUsing = "DELETE USING",
    Merge = "MERGE", Lock = "FOR UPDATE/SHARE", Transaction = "transaction", Savepoint = "savepoint", SetLocal = "SET LOCAL",
    Isolation = "isolation level", Cursor = "cursor", Prepare = "PREPARE/EXECUTE", CopyOut = "COPY TO", CopyQuery = "COPY (query)",
    Truncate = "TRUNCATE", SeveralStatements = "several statements", Forbidden = "what a tenant must not do", Wrong = "a statement that is wrong", Failing = "fails on own rows",
    Effect = "an effect behind what only others' rows meet", Columnless = "a failure without a column behind it", LazySubquery = "a subquery that fails behind it",
    FieldCall = "field notation that calls",
}

/// A set of features.
pub type Set = u128;

impl Feature {
    /// As a set.
    pub fn bit(self) -> Set {
        1 << (self as u8)
    }
}
