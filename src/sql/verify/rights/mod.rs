//! Whether the session's role may do what the client's statement does: an own reading of the tree, in which whatever is no name is looked through for names.
//!
//! First all that is wanted is gathered, then each is compared with the grants. That the final text is the client's and nothing else is proved
//! beside this; the wall's own additions need no right of the role's.

mod reading;
mod sources;
mod writing;

use super::{Private, Res, TEMP, disagree, fields, kind, list, text};
use crate::policy::Verb;
use crate::sql::catalog::{Catalog, Relation};
use crate::sql::sequences;
use crate::sql::tree::Value;
use sources::Source;
use std::sync::Arc;

/// Proves it for one statement, in a session as it is before that. Errors: something is not granted.
pub(super) fn granted(catalog: &Catalog, private: &Private, statement: &Value) -> Res<()> {
    let Some(rights) = catalog.rights.as_deref() else { return Ok(()) };
    let mut reader = Reader { catalog, private, wants: Vec::new(), frames: Vec::new(), queries: Vec::new() };
    reader.top(statement)?;
    for want in &reader.wants {
        let good = match &want.what {
            Of::Any => rights.may_any(&want.relation, want.verb),
            Of::All => rights.may_all(&want.relation, want.verb),
            Of::Column(name) => rights.may(&want.relation, want.verb, name),
        };
        if !good {
            return disagree(format!("the role may not {} {}", want.verb.word(), want.relation.name));
        }
    }
    Ok(())
}

/// Something that needs a right.
struct Want {
    relation: Arc<Relation>,
    verb: Verb,
    what: Of,
}

enum Of {
    Any,
    All,
    Column(String),
}

struct Reader<'a> {
    catalog: &'a Catalog,
    private: &'a Private,
    wants: Vec<Want>,
    /// What each level around can name, innermost last.
    frames: Vec<Vec<Source>>,
    /// WITH queries in sight, innermost last: names, columns, and whether there may be more of these.
    queries: Vec<(String, Vec<String>, bool)>,
}

/// Statements that name no relation of the tables', or only what is the session's own.
const WITHOUT: &[&str] = &[
    "TransactionStmt",
    "VariableSetStmt",
    "VariableShowStmt",
    "DiscardStmt",
    "FetchStmt",
    "ClosePortalStmt",
    "DeallocateStmt",
    "ConstraintsSetStmt",
    "ListenStmt",
    "NotifyStmt",
    "UnlistenStmt",
];

impl Reader<'_> {
    fn want(&mut self, relation: &Arc<Relation>, verb: Verb, what: Of) {
        self.wants.push(Want { relation: relation.clone(), verb, what });
    }

    fn column_of(&mut self, relation: &Arc<Relation>, verb: Verb, column: &str) {
        self.want(relation, verb, Of::Column(column.to_owned()));
    }

    fn top(&mut self, statement: &Value) -> Res<()> {
        let Some((name, x)) = kind(statement) else { return Ok(()) };
        match name {
            "SelectStmt" if !x["into_clause"].is_null() => {
                self.makes_temporary(&x["into_clause"]["rel"])?;
                self.walk(statement)
            }
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "ExecuteStmt" => self.walk(statement),
            "DeclareCursorStmt" | "PrepareStmt" | "ExplainStmt" => self.top(&x["query"]),
            "CreateTableAsStmt" => {
                self.makes_temporary(&x["into"]["rel"])?;
                self.top(&x["query"])
            }
            "ViewStmt" => {
                self.makes_temporary(&x["view"])?;
                self.top(&x["query"])
            }
            "CreateStmt" => {
                self.makes_temporary(&x["relation"])?;
                let like = list(x, "table_elts").iter().filter_map(|e| fields(e, "TableLikeClause")).map(|l| &l["relation"]);
                let parents = list(x, "inh_relations").iter().filter_map(|r| fields(r, "RangeVar"));
                let all: Vec<&Value> = like.chain(parents).collect();
                all.into_iter().try_for_each(|var| self.whole(var, &[Verb::Select]))
            }
            "CreateSeqStmt" => self.makes_temporary(&x["sequence"]),
            "AlterTableStmt" | "IndexStmt" | "RenameStmt" => self.is_own(&x["relation"]),
            "AlterSeqStmt" => self.is_own(&x["sequence"]),
            "DropStmt" => self.drops(x),
            "CopyStmt" => self.copy(x),
            "LockStmt" => self.lock(x),
            "TruncateStmt" => {
                list(x, "relations").iter().filter_map(|r| fields(r, "RangeVar")).try_for_each(|var| self.whole(var, &[Verb::Truncate]))
            }
            other if WITHOUT.contains(&other) => Ok(()),
            other => disagree(format!("{other} of a session with a role")),
        }
    }

    /// In the shared tables nothing else can be made: that is proved beside this.
    fn makes_temporary(&self, var: &Value) -> Res<()> {
        let temporary = text(var, "relpersistence") == "t" || text(var, "schemaname") == TEMP;
        if temporary || !self.catalog.is_own_place() { Ok(()) } else { disagree("the role may not change the database") }
    }

    fn is_own(&self, var: &Value) -> Res<()> {
        let own = self.is_temporary(var);
        if own || !self.catalog.is_own_place() { Ok(()) } else { disagree("the role may not change the database") }
    }

    fn drops(&self, x: &Value) -> Res<()> {
        let own = |object: &Value| {
            let names = super::names(fields(object, "List").map(|l| list(l, "items")).unwrap_or_default());
            match names.as_slice() {
                [TEMP, _] => true,
                [name] => self.private.temps.get(name).is_some(),
                _ => false,
            }
        };
        if !self.catalog.is_own_place() || list(x, "objects").iter().all(own) {
            return Ok(());
        }
        disagree("the role may not change the database")
    }

    fn is_temporary(&self, var: &Value) -> bool {
        match text(var, "schemaname") {
            TEMP => true,
            "" => self.private.temps.get(text(var, "relname")).is_some(),
            _ => false,
        }
    }

    /// The relation of the tables' that a name means; None for any other.
    fn relation(&self, var: &Value) -> Res<Option<Arc<Relation>>> {
        let (schema, name) = (text(var, "schemaname"), text(var, "relname"));
        if self.is_temporary(var) || self.catalog.system.schema_of(schema, name).is_some() {
            return Ok(None);
        }
        let path: Vec<&str> = if schema.is_empty() { self.catalog.search_path.iter().map(String::as_str).collect() } else { vec![schema] };
        let at = |schema: &&str| ((*schema).to_owned(), name.to_owned());
        let relation = path.iter().find_map(|s| self.catalog.relations.get(&at(s)));
        match relation.or_else(|| path.iter().find_map(|s| self.catalog.sequences.get(&at(s)))) {
            Some(relation) => Ok(Some(relation.clone())),
            None => disagree(format!("nothing is known of {name}")),
        }
    }

    /// The first of these rights that is granted, on a whole table.
    fn whole(&mut self, var: &Value, verbs: &[Verb]) -> Res<()> {
        let Some(relation) = self.relation(var)? else { return Ok(()) };
        let rights = self.catalog.rights.as_deref();
        let verb = verbs.iter().find(|v| rights.is_some_and(|r| r.may_all(&relation, **v))).or_else(|| verbs.first());
        verb.map_or(Ok(()), |verb| {
            self.want(&relation, *verb, Of::All);
            Ok(())
        })
    }

    fn lock(&mut self, x: &Value) -> Res<()> {
        const ACCESS_SHARE: i64 = 1;
        const ROW_EXCLUSIVE: i64 = 3;
        let mode = x["mode"].as_i64().unwrap_or(i64::MAX);
        let old = self.catalog.server_version < 160_000;
        let verbs: &[Verb] = match mode {
            ACCESS_SHARE if old => &[Verb::Select],
            ACCESS_SHARE => &[Verb::Select, Verb::Insert, Verb::Update, Verb::Delete, Verb::Truncate],
            ROW_EXCLUSIVE => &[Verb::Insert, Verb::Update, Verb::Delete, Verb::Truncate],
            _ if mode < ROW_EXCLUSIVE && !old => &[Verb::Insert, Verb::Update, Verb::Delete, Verb::Truncate],
            _ => &[Verb::Update, Verb::Delete, Verb::Truncate],
        };
        list(x, "relations").iter().try_for_each(|r| match fields(r, "RangeVar") {
            Some(var) => self.whole(var, verbs),
            None => disagree("LOCK of something else"),
        })
    }

    fn copy(&mut self, x: &Value) -> Res<()> {
        if x["relation"].is_null() {
            return self.top(&x["query"]);
        }
        let Some(relation) = self.relation(&x["relation"])? else { return Ok(()) };
        let verb = if x["is_from"] == Value::Bool(true) { Verb::Insert } else { Verb::Select };
        let named = super::names(list(x, "attlist"));
        match (named.as_slice(), verb) {
            ([], Verb::Insert) if !relation.is_own() => {
                let written: Vec<String> = relation.columns.iter().filter(|c| !c.computed).map(|c| c.name.clone()).collect();
                written.iter().for_each(|column| self.column_of(&relation, verb, column));
            }
            ([], _) => self.want(&relation, verb, Of::All),
            (named, _) => named.iter().for_each(|column| self.column_of(&relation, verb, column)),
        }
        self.within(vec![Source::table(&relation.name, &relation, &[])], |reader| reader.walk(&x["where_clause"]))
    }

    /// Walks a part in a level of its own.
    fn within<T>(&mut self, frame: Vec<Source>, walk: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        self.frames.push(frame);
        let result = walk(self);
        self.frames.pop();
        result
    }

    /// Looks through any part for what needs a right.
    fn walk(&mut self, value: &Value) -> Res<()> {
        match value {
            Value::Array(all) => all.iter().try_for_each(|v| self.walk(v)),
            Value::Object(_) => match kind(value) {
                Some((name, x)) => self.node(name, x),
                None => value.as_object().map_or(Ok(()), |x| x.values().try_for_each(|v| self.walk(v))),
            },
            _ => Ok(()),
        }
    }

    fn node(&mut self, name: &str, x: &Value) -> Res<()> {
        match name {
            "ColumnRef" => self.reference(list(x, "fields")),
            "SelectStmt" => self.query(x).map(drop),
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => self.write(name, x).map(drop),
            "RangeVar" => disagree("a relation stands where none is looked for"),
            "CommonTableExpr" | "JoinExpr" | "RangeSubselect" | "RangeFunction" => {
                disagree(format!("{name} stands where none is looked for"))
            }
            "FuncCall" => {
                self.sequence(x)?;
                self.parts(x)
            }
            "IndexElem" if !text(x, "name").is_empty() => self.bare(text(x, "name")),
            _ => self.parts(x),
        }
    }

    fn parts(&mut self, x: &Value) -> Res<()> {
        x.as_object().map_or(Ok(()), |x| x.values().try_for_each(|v| self.walk(v)))
    }

    /// A call that draws from a sequence, moves it, or reads it.
    fn sequence(&mut self, call: &Value) -> Res<()> {
        let verb = match super::names(list(call, "funcname")).last() {
            Some(&("nextval" | "setval")) => Verb::Update,
            Some(&"currval") => Verb::Select,
            _ => return Ok(()),
        };
        let mut literal = list(call, "args").first();
        while let Some(cast) = literal.and_then(|l| fields(l, "TypeCast")) {
            literal = Some(&cast["arg"]);
        }
        let named = literal.and_then(|l| fields(l, "AConst")).and_then(|c| c.pointer("/val/Sval/sval")).and_then(Value::as_str);
        let Some(named) = named else { return disagree("a sequence is not named") };
        if sequences::temporary(&self.private.temps, named).is_some() {
            return Ok(());
        }
        match sequences::meant(self.catalog, named) {
            Some(sequence) => {
                self.want(&sequence.clone(), verb, Of::Any);
                Ok(())
            }
            None => disagree("a sequence is not known"),
        }
    }
}
