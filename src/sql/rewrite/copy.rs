//! COPY: out of a table it is a COPY of the tenant's rows; into a table each row is written for the tenant and checked by WHERE.

use super::from::push;
use super::write::marker;
use super::{Res, Rewriter};
use crate::sql::catalog::Relation;
use crate::sql::scope::{Scope, Thing};
use crate::sql::{CopyFormat, CopyIn, Gain, Kind, Refusal, nodes};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pg, CopyStmt, DefElem, Node, ResTarget, SelectStmt};

impl Rewriter<'_> {
    pub(super) fn copy(&mut self, x: &mut CopyStmt) -> Res<Kind> {
        self.literal = true;
        self.cx.parameters = false;
        if x.is_program || !x.filename.is_empty() {
            return Err(Refusal::not_allowed("COPY to or from a file or a program of the server is not allowed")
                .hint("COPY … TO STDOUT and COPY … FROM STDIN are; psql's \\copy reads and writes files of the client."));
        }
        if let Some(table) = x.relation.as_mut().and_then(|var| self.unguarded(var)) {
            Self::no_temporary_view(&table)?;
            return self.copy_temp(x);
        }
        if x.is_from {
            return self.copy_in(x);
        }
        self.copy_options(&x.options)?;
        match (x.relation.take(), x.query.as_mut().and_then(|q| q.node.as_mut())) {
            (Some(var), _) => x.query = nodes::boxed(self.rows_of(var, &std::mem::take(&mut x.attlist))?),
            (
                None,
                Some(query @ (NodeEnum::SelectStmt(_) | NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_))),
            ) => {
                self.statement(query)?;
            }
            _ => return Err(Refusal::not_understood("this COPY is not supported")),
        }
        Ok(Kind::CopyOut)
    }

    /// COPY of a temporary table passes as it is.
    fn copy_temp(&mut self, x: &mut CopyStmt) -> Res<Kind> {
        let (format, header) = (self.copy_options(&x.options)?, header(&x.options)?);
        if let Some(condition) = x.where_clause.as_mut() {
            self.expr(condition)?;
        }
        let copy = CopyIn { format, gain: Gain::Named, header, column: String::new(), type_oid: 0 };
        Ok(if x.is_from { Kind::CopyIn(copy) } else { Kind::CopyOut })
    }

    /// `SELECT columns FROM ONLY t`: COPY of a table takes no rows of its children.
    fn rows_of(&mut self, mut var: pg::RangeVar, columns: &[Node]) -> Res<Node> {
        let place = self.at(var.location);
        let relation = self.relation(&mut var.clone())?;
        if relation.kind != 'r' {
            let what = if relation.kind == 'p' { "partitioned table" } else { "view" };
            return Err(Refusal::with_state("42809", format!("cannot copy from {what} \"{}\"", relation.name))
                .hint("Try the COPY (SELECT ...) TO variant.")
                .at(place));
        }
        let targets = columns_of(&relation, columns)?.into_iter().map(|name| {
            let val = nodes::boxed(nodes::column(&relation.name, &name));
            nodes::node(NodeEnum::ResTarget(Box::new(ResTarget { val, location: -1, ..Default::default() })))
        });
        var.inh = false;
        let mut select = SelectStmt {
            target_list: targets.collect(),
            from_clause: vec![nodes::node(NodeEnum::RangeVar(var))],
            limit_option: pg::LimitOption::Default as i32,
            op: pg::SetOperation::SetopNone as i32,
            ..Default::default()
        };
        self.select(&mut select)?;
        Ok(nodes::node(NodeEnum::SelectStmt(Box::new(select))))
    }

    fn copy_in(&mut self, x: &mut CopyStmt) -> Res<Kind> {
        let format = self.copy_options(&x.options)?;
        let header = header(&x.options)?;
        let (relation, guard, scope) = self.target(x.relation.as_mut())?;
        self.no_through(&relation, "COPY")?;
        let named = columns_of(&relation, &x.attlist)?;
        self.no_copy_checks(&relation, &named)?;
        forced(&relation, &x.options, &named)?;
        let at = named.iter().position(|c| *c == guard.column);
        let gain = match (x.attlist.is_empty(), at) {
            (true, Some(at)) => Gain::Missing { fields: named.len(), at },
            (true, None) if relation.hidden.is_none() => return Err(Refusal::no_relation(&relation.name)),
            (_, None) => Gain::First,
            (false, Some(_)) => Gain::Named,
        };
        if gain != Gain::Named {
            self.unlike_literals.extend(null_texts(&x.options));
        }
        let first = (gain == Gain::First).then(|| guard.column.clone());
        x.attlist = first.into_iter().chain(named).map(|name| nodes::string(&name)).collect();
        // Written for a table that is made in the same transaction; here it never is.
        x.options.retain(|o| !matches!(&o.node, Some(NodeEnum::DefElem(o)) if o.defname == "freeze"));
        if let Some(condition) = x.where_clause.as_mut() {
            let mut level = Scope::default();
            let item = push(&mut level, relation.name.clone(), Thing::Wrapped(relation.clone()))?;
            (item.hides, item.alone) = (relation.hides().map(str::to_owned), true);
            self.levels.push(level);
            let result = self.expr(condition);
            self.levels.pop();
            result?;
        }
        drop(scope);
        let client = x.where_clause.take().map_or_else(|| nodes::truth(true), |c| *c);
        x.where_clause = nodes::boxed(nodes::case(guard.predicate(), client, Some(marker(&guard, "partywall:tenant"))));
        let type_oid = relation.stored_column(&guard.column).map_or(25, |c| c.type_oid);
        Ok(Kind::CopyIn(CopyIn { format, gain, header, column: guard.column, type_oid }))
    }

    /// Options that change how rows are read or shown; all others are refused. Each is as the printer expects it, which does not look itself.
    fn copy_options(&self, options: &[Node]) -> Res<CopyFormat> {
        let mut seen: Vec<&str> = Vec::new();
        for option in options {
            let Some(NodeEnum::DefElem(o)) = &option.node else { return Err(Refusal::not_understood("this COPY option is not supported")) };
            let place = self.at(o.location);
            if seen.contains(&o.defname.as_str()) {
                return Err(Refusal::syntax("conflicting or redundant options").at(place));
            }
            seen.push(&o.defname);
            match o.defname.as_str() {
                "format" => has_text(o).and_then(|()| has_format(o).map_err(|r| r.at(place))),
                "encoding" => has_text(o).and_then(|()| is_utf8(o).map_err(|r| r.at(place))),
                "delimiter" | "null" | "default" | "quote" | "escape" => has_text(o),
                "force_quote" | "force_not_null" | "force_null" => has_columns(o).map_err(|r| r.at(place)),
                "freeze" => has_truth(o, &["true", "false", "on", "off", "1", "0"]),
                "header" => has_truth(o, &["true", "false", "on", "off", "1", "0", "match"]),
                name if NOT_SUPPORTED.contains(&name) => {
                    Err(Refusal::not_understood(format!("COPY option \"{name}\" is not supported")).at(place))
                }
                name => Err(Refusal::syntax(format!("option \"{name}\" not recognized")).at(place)),
            }?;
        }
        let one = |name: &str, default: u8| match find(options, name) {
            None => Ok(default),
            Some(o) => match text_of(o).map(String::into_bytes).as_deref() {
                Some([byte]) => Ok(*byte),
                _ => Err(Refusal::not_understood(format!("COPY {name} must be a single one-byte character"))),
            },
        };
        match find(options, "format").and_then(text_of).as_deref() {
            None | Some("text") => Ok(CopyFormat::Text { delimiter: one("delimiter", b'\t')? }),
            Some("csv") => {
                let quote = one("quote", b'"')?;
                Ok(CopyFormat::Csv { delimiter: one("delimiter", b',')?, quote, escape: one("escape", quote)? })
            }
            Some(_) => Ok(CopyFormat::Binary),
        }
    }
}

/// The columns that the list names, or all that COPY takes: none that is computed.
fn columns_of(relation: &Relation, list: &[Node]) -> Res<Vec<String>> {
    if list.is_empty() {
        return Ok(relation.columns.iter().filter(|c| !c.computed).map(|c| c.name.clone()).collect());
    }
    let names = nodes::names(list).ok_or_else(|| Refusal::not_understood("this column list is not supported"))?;
    for name in &names {
        match relation.column(name) {
            Some(column) if !column.computed => {}
            Some(_) => return Err(Refusal::with_state("42P10", format!("column \"{name}\" is a generated column"))),
            None => {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
                return Err(Refusal::with_state("42703", message));
            }
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// FORCE_NULL and its kin name columns that are copied (copy.c, BeginCopyFrom).
fn forced(relation: &Relation, options: &[Node], copied: &[String]) -> Res<()> {
    for name in ["force_null", "force_not_null"] {
        let Some(NodeEnum::List(list)) = find(options, name).and_then(|o| o.arg.as_ref()?.node.as_ref()) else { continue };
        for column in columns_of(relation, &list.items)? {
            if !copied.contains(&column) {
                let message = format!("{} column \"{column}\" not referenced by COPY", name.to_uppercase());
                return Err(Refusal::with_state("42P10", message));
            }
        }
    }
    Ok(())
}

fn find<'o>(options: &'o [Node], name: &str) -> Option<&'o DefElem> {
    options.iter().find_map(|o| match &o.node {
        Some(NodeEnum::DefElem(o)) if o.defname == name => Some(o.as_ref()),
        _ => None,
    })
}

fn text_of(option: &DefElem) -> Option<String> {
    match option.arg.as_ref()?.node.as_ref()? {
        NodeEnum::String(s) => Some(s.sval.clone()),
        NodeEnum::Integer(i) => Some(i.ival.to_string()),
        NodeEnum::Boolean(b) => Some(b.boolval.to_string()),
        _ => None,
    }
}

fn is_utf8(option: &DefElem) -> Res<()> {
    match text_of(option).map(|e| e.to_ascii_lowercase()).as_deref() {
        Some("utf8" | "utf-8" | "unicode") => Ok(()),
        _ => Err(Refusal::not_understood("COPY in another encoding than UTF8 is not supported")),
    }
}

fn has_format(option: &DefElem) -> Res<()> {
    match text_of(option).unwrap_or_default().as_str() {
        "text" | "csv" | "binary" => Ok(()),
        other => Err(Refusal::with_state("22023", format!("COPY format \"{other}\" not recognized"))),
    }
}

/// Options of PostgreSQL's that change what an error does.
const NOT_SUPPORTED: &[&str] = &["convert_selectively", "log_verbosity", "on_error", "reject_limit"];

/// An option whose value is a string. Errors: it is another, which the printer would take for one.
fn has_text(option: &DefElem) -> Res<()> {
    match option.arg.as_ref().and_then(|a| a.node.as_ref()) {
        Some(NodeEnum::String(_)) => Ok(()),
        None => Err(Refusal::syntax(format!("{} requires a parameter", option.defname))),
        Some(_) => Err(Refusal::not_understood(format!("COPY option \"{}\" is supported with a string", option.defname))),
    }
}

/// An option whose value is a list of columns, or all of them.
fn has_columns(option: &DefElem) -> Res<()> {
    match option.arg.as_ref().and_then(|a| a.node.as_ref()) {
        Some(NodeEnum::AStar(_)) => Ok(()),
        Some(NodeEnum::List(list)) if !list.items.is_empty() && nodes::names(&list.items).is_some() => Ok(()),
        _ => Err(Refusal::with_state("22023", format!("argument to option \"{}\" must be a list of column names", option.defname))),
    }
}

/// An option whose value, if it has one, is one of these words: the printer writes it without quotes.
fn has_truth(option: &DefElem, words: &[&str]) -> Res<()> {
    if option.arg.is_none() || text_of(option).is_some_and(|t| words.contains(&t.to_ascii_lowercase().as_str())) {
        return Ok(());
    }
    let match_too = if words.contains(&"match") { " or \"match\"" } else { "" };
    Err(Refusal::syntax(format!("{} requires a Boolean value{match_too}", option.defname)))
}

/// Does the first line hold names?
fn header(options: &[Node]) -> Res<bool> {
    let Some(option) = find(options, "header") else { return Ok(false) };
    if option.arg.is_none() {
        return Ok(true);
    }
    match text_of(option).map(|t| t.to_ascii_lowercase()).as_deref() {
        Some("true" | "on" | "1" | "match") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        _ => Err(Refusal::not_understood("this HEADER is not supported")),
    }
}

/// Texts that the server reads as something else than themselves.
fn null_texts(options: &[Node]) -> Vec<String> {
    [find(options, "null"), find(options, "default")].into_iter().flatten().filter_map(text_of).collect()
}
