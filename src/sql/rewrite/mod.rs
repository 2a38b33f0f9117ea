//! The rewriter: walks PostgreSQL's own tree, refuses each node it does not know, and puts the tenant's guard at every reference.
//!
//! [`rewrite`] is the only way in. Where a guard stands: `from`. Which expressions pass and which are fenced: `expr`, `fence`. Writes: `write`.

mod arbiter;
mod calls;
mod catalogs;
mod collations;
mod conversions;
mod copy;
mod ddl;
mod ddl_parts;
mod expr;
mod fence;
mod free;
mod from;
mod grouping;
mod hazards;
mod hidden;
mod json;
mod labels;
mod linked_row;
mod links;
mod locks;
mod merge;
mod names;
mod own;
mod own_part;
mod own_place;
mod own_schema;
mod returning;
mod rights;
mod row_function;
mod row_types;
mod rows;
mod rows_calls;
mod search;
mod select;
mod session;
mod shape;
mod shown;
mod side_effects;
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
mod view_write;
mod views;
mod whole;
mod write;
mod xml;

use super::catalog::{Catalog, Relation};
use super::private::Private;
use super::rows::{RowCheck, RowType};
use super::scope::{Guard, Scope, Use};
use super::tree::Value;
use super::{Kind, OwnParameter, Refusal, parse, settings};
use crate::policy::{Policy, TableRule};
pub use own_part::Part;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar, RawStmt};
use std::sync::Arc;

type Res<T> = Result<T, Refusal>;

/// A statement with every guard in place, and what must hold when it is used.
#[derive(Debug)]
pub struct Rewritten {
    /// The tree, still to be printed and verified.
    pub stmt: RawStmt,
    /// What it is.
    pub kind: Kind,
    /// Highest parameter number of the client's own text.
    pub client_params: u16,
    /// Types of the parameters that carry the tenant, from `first` on.
    pub tenant_types: Vec<u32>,
    /// Client parameters that must be the tenant's own id.
    pub own: Vec<OwnParameter>,
    /// Literals that must be the tenant's own id.
    pub own_literals: Vec<String>,
    /// Literals that must not be it.
    pub unlike_literals: Vec<String>,
    /// What a literal says was asked, so that another in its place needs a judgement of its own.
    pub asked: bool,
    /// Client parameters that name a channel.
    pub channels: Vec<u16>,
    /// The tenant must stand in it as a literal.
    pub literal: bool,
    /// It holds what is this session's own.
    pub private: bool,
    /// What its rows show of whose they are.
    pub rows: RowCheck,
}

/// What the rewriter looks at and never changes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The listed functions.
    pub policy: &'a Policy,
    /// The listed relations.
    pub catalog: &'a Catalog,
    /// What is the session's own.
    pub private: &'a Private,
    /// The client's text, to point into.
    pub source: &'a str,
    /// The statement's own part of it, so that a text of many statements is not looked through for each.
    pub own: Part<'a>,
    /// The statement as the client sent it, in its generic form.
    pub tree: &'a Value,
    /// Whether `$n` may stand in the text.
    pub parameters: bool,
    /// Number of the first parameter that carries the tenant.
    pub first: u16,
    /// Whether rows are to show whose they are.
    pub rows: bool,
    /// The protection that is left out.
    #[cfg(feature = "mutants")]
    pub mutant: Option<super::mutants::Mutant>,
}

/// Rewrites one statement. Errors: the refusal, pointing into the client's text.
pub fn rewrite(context: Context<'_>, stmt: &RawStmt) -> Res<Rewritten> {
    let mut mode = Mode::default();
    loop {
        let (rewritten, again) = attempt(context, stmt, mode.clone())?;
        if again == mode {
            rights::check(&context, stmt, &rewritten.kind)?;
            return Ok(rewritten);
        }
        mode = again;
    }
}

/// What a first walk may find to be needed everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mode {
    /// An expression that raises may be run inside an inlined WITH query: then every one becomes a barrier.
    cte_barriers: bool,
    /// A subquery that raises may be run on a row before a guard by way of a parent, which is a join: then such tables are wrapped.
    wrapped_through: bool,
    /// System columns of tables that became subqueries are named: then these carry them.
    carried: system::Carried,
}

/// Rewrites in a mode, and says in which it has to be.
fn attempt(context: Context<'_>, stmt: &RawStmt, mode: Mode) -> Res<(Rewritten, Mode)> {
    let mut rewriter = Rewriter::new(context, mode.clone());
    let mut stmt = stmt.clone();
    let inner = stmt.stmt.as_mut().and_then(|n| n.node.as_mut()).ok_or_else(|| Refusal::not_understood("empty statement"))?;
    rewriter.loose = conversions::has_loose_parameters(&context, inner);
    rewriter.conversions = conversions::Conversions::of(&context, rewriter.loose);
    rewriter.collations = collations::may_meet(&context);
    rewriter.odd = rewriter.loose || hazards::is_odd(&context);
    if (rewriter.odd || rewriter.collations) && hazards::is_misfit(&context, inner) {
        return Err(Refusal::not_understood("temporary relations with a collation or a type of this kind are not supported")
            .detail("Comparing values of their columns can fail, and later statements would not know."));
    }
    rewriter.rows_begin(inner);
    let kind = rewriter.statement(inner)?;
    let rows = rewriter.row_check(&kind, inner);
    rewriter.channels_stand_alone()?;
    rewriter.no_parents_made()?;
    let cte_barriers = mode.cte_barriers || (rewriter.raised && rewriter.has_ctes);
    let carried = &mode.carried | &rewriter.carried;
    let again = Mode { cte_barriers, wrapped_through: mode.wrapped_through || rewriter.early, carried };
    let done = Rewritten {
        stmt,
        kind,
        client_params: rewriter.client_params,
        tenant_types: rewriter.tenant_types,
        own: rewriter.own,
        own_literals: rewriter.own_literals,
        unlike_literals: rewriter.unlike_literals,
        asked: rewriter.asked.get(),
        channels: rewriter.channels,
        literal: rewriter.literal,
        private: rewriter.private,
        rows,
    };
    Ok((done, again))
}

/// The state of one walk.
struct Rewriter<'a> {
    cx: Context<'a>,
    /// Enclosing query levels, innermost last.
    levels: Vec<Scope>,
    /// Names of WITH in sight, innermost last.
    ctes: Vec<Vec<String>>,
    client_params: u16,
    tenant_types: Vec<u32>,
    own: Vec<OwnParameter>,
    own_literals: Vec<String>,
    unlike_literals: Vec<String>,
    /// What a literal says was asked: what holds of it need not hold of another in its place.
    asked: std::cell::Cell<bool>,
    upsert: bool,
    /// How many conditions were fenced so far.
    fences: usize,
    has_write: bool,
    /// Some condition had to be fenced.
    raised: bool,
    has_ctes: bool,
    conversions: conversions::Conversions,
    /// A parameter is declared, in Parse or PREPARE, as of a type that makes PostgreSQL convert what stands beside it.
    loose: bool,
    /// The statement may make values that cannot be compared without a chance to fail.
    odd: bool,
    /// The statement may bring two collations together.
    collations: bool,
    mode: Mode,
    /// How many expressions can raise so far.
    raisings: usize,
    /// In how many subqueries of expressions the walk is, and what columns these have read so far.
    sublinks: usize,
    reads: Vec<Use>,
    /// Something that raises may run before a guard by way of a parent.
    early: bool,
    /// The subquery that is looked at next is a condition of its own, which becomes a join or is looked at before any row.
    alone: bool,
    /// In how many aggregates' arguments the walk is: rows that come there have passed the filter of the aggregate's level, and a fence in it that names
    /// another level would make it one of that level.
    aggregated: usize,
    /// What is looked at stands in the condition of a FULL JOIN, which stays at the join of the wrapped tables.
    full: bool,
    /// The query that is entered next is an arm of a set operation.
    arm: bool,
    /// How many windows, and aggregates of sorted or distinct values, there were so far.
    sorted_calls: usize,
    /// How many rows stand as values so far.
    row_values: usize,
    /// How many writes there were, the tables they write, and those in which they look up what their rows refer to, by schema and name.
    writes: usize,
    written: Vec<(String, String, usize)>,
    looked_up: Vec<(String, String, usize)>,
    /// The tenant must stand in the text as a literal.
    literal: bool,
    /// It holds what is this session's own.
    private: bool,
    /// Client parameters that name a channel, and all as they occur.
    channels: Vec<u16>,
    seen: Vec<u16>,
    /// The cursor of WHERE CURRENT OF.
    cursor: Option<String>,
    /// How many references to shared relations there were so far.
    shared: usize,
    /// Names of wrapped tables with renamed columns: their whole rows would tell the new names.
    renamed: Vec<String>,
    /// What is looked at next is asked for its values alone: the names of its columns do not show.
    nameless: bool,
    /// How many views' definitions the walk is in.
    views: usize,
    catalogs: catalogs::Seen,
    rows: rows::Rows,
    /// The statement is pg_dump's [`settings::DUMP_GUARD`].
    dump_guard: bool,
    hidden: hidden::Hidden,
    /// The call that is looked at next may return rows of a table with a hidden column.
    reveals: bool,
    /// The query or write that is entered next is the whole statement; which of its columns are rows of tables.
    outermost: bool,
    returns: bool,
    row_types: Vec<RowType>,
    /// System columns that were named so far.
    carried: system::Carried,
}

impl<'a> Rewriter<'a> {
    fn new(cx: Context<'a>, mode: Mode) -> Self {
        Self {
            cx,
            levels: Vec::new(),
            ctes: Vec::new(),
            client_params: 0,
            tenant_types: Vec::new(),
            own: Vec::new(),
            own_literals: Vec::new(),
            unlike_literals: Vec::new(),
            asked: std::cell::Cell::default(),
            upsert: false,
            fences: 0,
            has_write: false,
            raised: false,
            has_ctes: false,
            conversions: conversions::Conversions::default(),
            collations: false,
            loose: false,
            odd: false,
            mode,
            raisings: 0,
            sublinks: 0,
            reads: Vec::new(),
            early: false,
            alone: false,
            full: false,
            aggregated: 0,
            arm: false,
            sorted_calls: 0,
            row_values: 0,
            writes: 0,
            written: Vec::new(),
            looked_up: Vec::new(),
            literal: false,
            private: false,
            channels: Vec::new(),
            seen: Vec::new(),
            cursor: None,
            shared: 0,
            renamed: Vec::new(),
            nameless: false,
            views: 0,
            catalogs: catalogs::Seen::default(),
            rows: rows::Rows::default(),
            dump_guard: false,
            hidden: hidden::Hidden::default(),
            reveals: false,
            outermost: false,
            returns: false,
            row_types: Vec::new(),
            carried: system::Carried::default(),
        }
    }

    fn statement(&mut self, node: &mut NodeEnum) -> Res<Kind> {
        self.look_for_catalogs(node, self.cx.tree);
        self.outermost = true;
        match node {
            NodeEnum::SelectStmt(select) if select.into_clause.is_some() => {
                let (into, kind) = self.select_into(select)?;
                *node = into;
                Ok(kind)
            }
            NodeEnum::SelectStmt(select) => {
                if let Some(kind) = utility::path_call(self.cx.catalog, select)? {
                    return Ok(kind);
                }
                self.dump_guard = self.is_dump_guard(select);
                self.select(select)?;
                Ok(if self.has_write { Kind::Write { upsert: self.upsert } } else { Kind::Read })
            }
            NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
                self.write(node)?;
                Ok(self.cursor.take().map_or(Kind::Write { upsert: self.upsert }, Kind::Positioned))
            }
            other => self.utility(other),
        }
    }

    /// pg_dump's wish for a setting that the tenant's pg_settings does not have, so that no row asks for it.
    fn is_dump_guard(&self, select: &pg_query::protobuf::SelectStmt) -> bool {
        let node = || Some(Box::new(super::nodes::node(NodeEnum::SelectStmt(Box::new(select.clone())))));
        self.cx.own.text.contains("restrict_nonsystem_relation_kind")
            && !settings::may_show("restrict_nonsystem_relation_kind")
            && parse::deparse(vec![RawStmt { stmt: node(), ..Default::default() }]).is_ok_and(|text| text == settings::DUMP_GUARD)
    }

    /// A 1-based character position for a byte offset of the tree; None within a view's definition.
    fn at(&self, location: i32) -> Option<u32> {
        if self.views > 0 {
            return None;
        }
        let before = self.cx.own.characters_before(usize::try_from(location).ok()?)?;
        u32::try_from(before).ok().map(|n| n + 1)
    }

    fn unknown(&self, what: &str, node: &Node) -> Refusal {
        self.unknown_at(what, super::nodes::location(node))
    }

    /// The same for what stands at a byte offset of the tree.
    fn unknown_at(&self, what: &str, location: Option<i32>) -> Refusal {
        let place = location.and_then(|l| self.at(l));
        Refusal::not_understood(format!("{what} is not supported")).at(place)
    }

    /// The parameter that carries the tenant for a column of this type.
    fn tenant_parameter(&mut self, type_oid: u32) -> Res<u16> {
        let type_oid = if type_oid == 1043 { 25 } else { type_oid };
        let index = self.tenant_types.iter().position(|t| *t == type_oid).unwrap_or_else(|| {
            self.tenant_types.push(type_oid);
            self.tenant_types.len() - 1
        });
        u16::try_from(index)
            .ok()
            .and_then(|i| self.cx.first.checked_add(i))
            .ok_or_else(|| Refusal::with_state("54000", "statement has too many parameters"))
    }

    fn is_cte(&self, var: &RangeVar) -> bool {
        var.schemaname.is_empty() && var.catalogname.is_empty() && self.ctes.iter().any(|names| names.contains(&var.relname))
    }

    /// The listed relation that a name means; the name is qualified in place.
    fn relation(&mut self, var: &mut RangeVar) -> Res<Arc<Relation>> {
        let place = self.at(var.location);
        if let Some(table) = self.temp(var) {
            self.is_fresh(&table)?;
            return Ok(table);
        }
        if !var.catalogname.is_empty() {
            return Err(Refusal::not_understood("cross-database references are not supported").at(place));
        }
        if self.cx.catalog.system.schema_of(&var.schemaname, &var.relname).is_some() {
            return Err(Refusal::not_allowed(format!("permission denied for table {}", var.relname)).at(place));
        }
        if !self.cx.catalog.system.is_read()
            && (matches!(var.schemaname.as_str(), "pg_catalog" | "information_schema") || var.relname.starts_with("pg_"))
        {
            return Err(Refusal::not_understood(format!("catalog \"{}\" is not known without a server", var.relname)).at(place));
        }
        if left_out!(self.cx, OtherSchema) && self.cx.catalog.find(&var.schemaname, &var.relname).is_none() {
            return Ok(crate::sql::private::temporary(&var.relname, Vec::new()));
        }
        let Some(relation) = self.cx.catalog.find(&var.schemaname, &var.relname) else {
            let name = if var.schemaname.is_empty() { var.relname.clone() } else { format!("{}.{}", var.schemaname, var.relname) };
            return Err(Refusal::no_relation(&name)
                .hint(format!("Tenants see the tables that postgres.tables in {} lets them see.", self.cx.policy.file))
                .at(place));
        };
        if !left_out!(self.cx, OwnSchema) {
            var.schemaname.clone_from(&relation.schema);
        }
        Ok(relation.clone())
    }

    /// The guard for a reference to a scoped relation by this name; None for a shared one.
    fn guard(&mut self, relation: &Relation, reference: &str) -> Res<Option<Guard>> {
        match &relation.rule {
            TableRule::SharedRead | TableRule::Own => Ok(None),
            TableRule::Hidden => Err(Refusal::no_relation(&relation.name)),
            TableRule::Scoped { column, .. } => {
                let found = relation.stored_column(column).ok_or_else(|| Refusal::no_relation(&relation.name))?;
                let (not_null, type_oid) = (found.not_null, found.type_oid);
                let parameter = self.tenant_parameter(type_oid)?;
                self.rows.guards += 1;
                self.hidden.named |= relation.hidden.is_some();
                let (reference, column, through) = (reference.to_owned(), column.clone(), Vec::new());
                Ok(Some(Guard { reference, column, not_null, parameter, through }))
            }
            TableRule::Through(_) => self.through_guard(relation, reference).map(Some),
        }
    }
}
