//! Queries: level by level, FROM before all that can name it.

use super::super::scopes::called_as;
use super::sources::{Source, new_names};
use super::{Reader, Res, disagree, fields, kind, list, text};
use crate::policy::Verb;
use crate::sql::tree::Value;

/// The names under which a query's columns show, and whether there may be more.
pub(super) type Shape = (Vec<String>, bool);

impl Reader<'_> {
    /// WITH, which stays in sight until the caller forgets it; gives how many there were before.
    pub(super) fn with(&mut self, with: &Value) -> Res<usize> {
        let before = self.queries.len();
        let all: Vec<&Value> = list(with, "ctes").iter().filter_map(|c| fields(c, "CommonTableExpr")).collect();
        let recursive = with.get("recursive") == Some(&Value::Bool(true));
        if recursive {
            self.queries.extend(all.iter().map(|c| (text(c, "ctename").to_owned(), Vec::new(), true)));
        }
        for (index, cte) in all.iter().enumerate() {
            let (columns, more) = self.shape_of(&cte["ctequery"])?;
            let columns = new_names(columns, &super::super::names(list(cte, "aliascolnames")));
            let more = more || !cte["search_clause"].is_null() || !cte["cycle_clause"].is_null();
            let entry = (text(cte, "ctename").to_owned(), columns, more);
            match self.queries.get_mut(before + index) {
                Some(known) if recursive => *known = entry,
                _ => self.queries.push(entry),
            }
        }
        Ok(before)
    }

    fn shape_of(&mut self, node: &Value) -> Res<Shape> {
        match kind(node) {
            Some(("SelectStmt", x)) => self.query(x),
            Some((name @ ("InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt"), x)) => self.write(name, x),
            _ => disagree("a query is none"),
        }
    }

    pub(super) fn query(&mut self, x: &Value) -> Res<Shape> {
        let before = self.with(&x["with_clause"])?;
        let shape = self.query_itself(x);
        self.queries.truncate(before);
        shape
    }

    fn query_itself(&mut self, x: &Value) -> Res<Shape> {
        let limits = |reader: &mut Self| {
            reader.walk(&x["limit_count"])?;
            reader.walk(&x["limit_offset"])
        };
        if !x["larg"].is_null() {
            let shape = self.query(&x["larg"])?;
            self.query(&x["rarg"])?;
            let output = Source::other("", shape.0.clone(), shape.1);
            self.within(vec![output], |reader| reader.walk(&x["sort_clause"]).and_then(|()| limits(reader)))?;
            return Ok(shape);
        }
        let mut frame = Vec::new();
        for item in list(x, "from_clause") {
            self.from(item, &mut frame)?;
        }
        let values = list(x, "values_lists");
        self.walk(&x["values_lists"])?;
        self.locks(list(x, "locking_clause"), &frame);
        self.within(frame, |reader| {
            ["where_clause", "target_list", "having_clause", "window_clause"].iter().try_for_each(|part| reader.walk(&x[*part]))?;
            limits(reader)?;
            let output: Vec<&str> = list(x, "target_list").iter().filter_map(label).collect();
            for item in list(x, "sort_clause").iter().chain(list(x, "distinct_clause")) {
                if !alone(item).is_some_and(|name| output.contains(&name)) {
                    reader.walk(item)?;
                }
            }
            reader.groups(list(x, "group_clause"), &output)?;
            match values.first().and_then(|row| fields(row, "List")) {
                Some(row) => Ok(((1..=list(row, "items").len()).map(|n| format!("column{n}")).collect(), false)),
                None => Ok(reader.output(list(x, "target_list"))),
            }
        })
    }

    /// GROUP BY: a bare name is a column here before it is one of the output.
    fn groups(&mut self, items: &[Value], output: &[&str]) -> Res<()> {
        for item in items {
            if let Some(set) = fields(item, "GroupingSet") {
                self.groups(list(set, "content"), output)?;
                continue;
            }
            let frame = self.frames.last().cloned().unwrap_or_default();
            match alone(item).filter(|name| output.contains(name)) {
                Some(name) => {
                    if !self.taken_here(&frame, name) {
                        self.none_hides(&frame, name)?;
                    }
                }
                None => self.walk(item)?,
            }
        }
        Ok(())
    }

    /// FOR UPDATE and its kin.
    fn locks(&mut self, clauses: &[Value], frame: &[Source]) {
        for clause in clauses.iter().filter_map(|c| fields(c, "LockingClause")) {
            let named: Vec<&str> =
                list(clause, "locked_rels").iter().filter_map(|r| fields(r, "RangeVar")).map(|r| text(r, "relname")).collect();
            for source in frame.iter().filter(|s| named.is_empty() || named.contains(&s.name.as_str())) {
                source.inside.iter().for_each(|table| self.want(table, Verb::Update, super::Of::Any));
            }
        }
    }

    /// An item of FROM.
    pub(super) fn from(&mut self, item: &Value, frame: &mut Vec<Source>) -> Res<()> {
        match kind(item) {
            Some(("RangeVar", x)) => {
                let source = self.from_name(x)?;
                frame.push(source);
            }
            Some(("RangeSubselect", x)) => {
                let around = if x["lateral"] == Value::Bool(true) { Some(frame.clone()) } else { None };
                let lateral = around.is_some();
                self.frames.extend(around);
                let shape = self.shape_of(&x["subquery"]);
                if lateral {
                    self.frames.pop();
                }
                let (columns, more) = shape?;
                let columns = new_names(columns, &super::super::names(list(&x["alias"], "colnames")));
                let inside = self.tables_of(&x["subquery"])?;
                frame.push(Source { inside, ..Source::other(text(&x["alias"], "aliasname"), columns, more) });
            }
            Some(("RangeTableSample", x)) => {
                let around = frame.clone();
                self.within(around, |reader| reader.walk(&x["args"]).and_then(|()| reader.walk(&x["repeatable"])))?;
                self.from(&x["relation"], frame)?;
            }
            Some(("RangeFunction", x)) => {
                let around = frame.clone();
                self.within(around, |reader| reader.walk(&x["functions"]))?;
                let own = fields(&x["functions"].as_array().and_then(|f| f.first()).cloned().unwrap_or_default(), "List")
                    .and_then(|l| list(l, "items").first())
                    .and_then(|call| fields(call, "FuncCall"))
                    .and_then(|call| super::super::names(list(call, "funcname")).last().map(|n| (*n).to_owned()));
                let name = if x["alias"].is_null() { own.unwrap_or_default() } else { text(&x["alias"], "aliasname").to_owned() };
                let given = super::super::names(list(&x["alias"], "colnames"));
                let columns = if given.is_empty() { vec![name.clone()] } else { new_names(Vec::new(), &given) };
                frame.push(Source::other(&name, columns, true));
            }
            Some(("RangeTableFunc", x)) => {
                let around = frame.clone();
                self.within(around, |reader| {
                    ["docexpr", "rowexpr", "namespaces", "columns"].iter().try_for_each(|part| reader.walk(&x[*part]))
                })?;
                let own = list(x, "columns").iter().filter_map(|c| fields(c, "RangeTableFuncCol")).map(|c| text(c, "colname").to_owned());
                let columns = new_names(own.collect(), &super::super::names(list(&x["alias"], "colnames")));
                let name = called_as(x, "xmltable");
                frame.push(Source::other(name, columns, false));
            }
            Some(("JsonTable", x)) => {
                let around = frame.clone();
                let parts = ["context_item", "pathspec", "passing", "columns", "on_error"];
                self.within(around, |reader| parts.iter().try_for_each(|part| reader.walk(&x[*part])))?;
                let mut own = Vec::new();
                json_columns(list(x, "columns"), &mut own);
                let columns = new_names(own, &super::super::names(list(&x["alias"], "colnames")));
                let name = called_as(x, "json_table");
                frame.push(Source::other(name, columns, false));
            }
            Some(("JoinExpr", x)) => self.join(x, frame)?,
            _ => return disagree("FROM has something else"),
        }
        Ok(())
    }

    fn join(&mut self, x: &Value, frame: &mut Vec<Source>) -> Res<()> {
        let first = frame.len();
        self.from(&x["larg"], frame)?;
        let left = frame.get(first..).unwrap_or_default().to_vec();
        self.from(&x["rarg"], frame)?;
        let both = frame.get(first..).unwrap_or_default().to_vec();
        let right = both.get(left.len()..).unwrap_or_default().to_vec();
        if x["is_natural"] == Value::Bool(true) {
            self.none_hides(&both, "a column that NATURAL joins by")?;
        }
        for name in super::super::names(list(x, "using_clause")) {
            for side in [&left, &right] {
                if !self.taken_here(side, name) {
                    self.none_hides(side, name)?;
                }
            }
        }
        self.within(both, |reader| reader.walk(&x["quals"]))?;
        if !x["join_using_alias"].is_null() {
            let columns = super::super::names(list(x, "using_clause")).into_iter().map(str::to_owned).collect();
            frame.push(Source { qualified: true, ..Source::other(text(&x["join_using_alias"], "aliasname"), columns, false) });
        }
        if !x["alias"].is_null() {
            let renamed = !list(&x["alias"], "colnames").is_empty();
            for source in frame.iter_mut().skip(first) {
                text(&x["alias"], "aliasname").clone_into(&mut source.name);
                source.renamed |= renamed;
            }
        }
        Ok(())
    }

    /// The tables that a row lock on a subquery reaches.
    fn tables_of(&self, query: &Value) -> Res<Vec<std::sync::Arc<super::Relation>>> {
        let mut tables = Vec::new();
        let mut items: Vec<&Value> = fields(query, "SelectStmt").map(|x| list(x, "from_clause").iter().collect()).unwrap_or_default();
        while let Some(item) = items.pop() {
            match kind(item) {
                Some(("RangeVar", x)) => {
                    let bare = text(x, "schemaname").is_empty();
                    let own = fields(query, "SelectStmt").map(|q| list(&q["with_clause"], "ctes")).unwrap_or_default();
                    let own = own.iter().filter_map(|c| fields(c, "CommonTableExpr")).any(|c| text(c, "ctename") == text(x, "relname"));
                    if !(bare && (own || self.queries.iter().any(|(name, _, _)| name == text(x, "relname")))) {
                        tables.extend(self.relation(x)?);
                    }
                }
                Some(("RangeSubselect", x)) => tables.extend(self.tables_of(&x["subquery"])?),
                Some(("RangeTableSample", x)) => items.push(&x["relation"]),
                Some(("JoinExpr", x)) => items.extend([&x["larg"], &x["rarg"]]),
                _ => {}
            }
        }
        Ok(tables)
    }

    /// The names under which a list's columns show.
    pub(super) fn output(&self, targets: &[Value]) -> Shape {
        let (mut columns, mut more) = (Vec::new(), false);
        for target in targets {
            if let Some(name) = label(target) {
                columns.push(name.to_owned());
                continue;
            }
            let value = fields(target, "ResTarget").map(|t| &t["val"]).unwrap_or(&Value::Null);
            match kind(value) {
                Some(("ColumnRef", star)) => {
                    let of = super::super::names(list(star, "fields")).last().copied();
                    let frame = self.frames.last().map(Vec::as_slice).unwrap_or_default();
                    for source in frame.iter().filter(|s| of.map_or(!s.qualified, |n| s.name == n)) {
                        columns.extend(source.columns.iter().map(|(here, _)| here.clone()));
                        more |= source.more || source.renamed;
                    }
                }
                Some(("FuncCall", call)) => columns.extend(super::super::names(list(call, "funcname")).last().map(|n| (*n).to_owned())),
                Some(("AConst" | "AExpr" | "ParamRef", _)) => columns.push("?column?".to_owned()),
                _ => more = true,
            }
        }
        (columns, more)
    }
}

/// The name that AS gives, or the column's.
fn label(target: &Value) -> Option<&str> {
    let target = fields(target, "ResTarget")?;
    match text(target, "name") {
        "" => {
            let parts = list(fields(&target["val"], "ColumnRef")?, "fields");
            parts.last().and_then(|p| fields(p, "String")).map(|s| text(s, "sval"))
        }
        name => Some(name),
    }
}

/// A name that stands alone in ORDER BY, DISTINCT ON or GROUP BY.
fn alone(item: &Value) -> Option<&str> {
    let value = fields(item, "SortBy").map_or(item, |s| &s["node"]);
    let parts = list(fields(value, "ColumnRef")?, "fields");
    match super::super::names(parts).as_slice() {
        [name] if parts.len() == 1 => Some(name),
        _ => None,
    }
}

/// The columns of JSON_TABLE, those that are nested too.
fn json_columns(all: &[Value], names: &mut Vec<String>) {
    for column in all.iter().filter_map(|c| fields(c, "JsonTableColumn")) {
        let name = text(column, "name");
        names.extend((!name.is_empty()).then(|| name.to_owned()));
        json_columns(list(column, "columns"), names);
    }
}
