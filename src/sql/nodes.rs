//! Small constructors and readers for PostgreSQL's parse tree. No judgement here.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    self as pg, AConst, AExpr, AExprKind, BoolExpr, BoolExprType, CaseExpr, CaseWhen, ColumnRef, Node, NullTest, NullTestType, ParamRef,
    a_const,
};

/// Wraps a node.
pub fn node(inner: NodeEnum) -> Node {
    Node { node: Some(inner) }
}

/// Wraps a node into a box.
pub fn boxed(inner: Node) -> Option<Box<Node>> {
    Some(Box::new(inner))
}

/// A name as the tree holds it.
pub fn string(text: &str) -> Node {
    node(NodeEnum::String(pg::String { sval: text.to_owned() }))
}

/// `qualifier.column`
pub fn column(qualifier: &str, name: &str) -> Node {
    node(NodeEnum::ColumnRef(ColumnRef { fields: vec![string(qualifier), string(name)], location: -1 }))
}

/// `$number`
pub fn parameter(number: u16) -> Node {
    node(NodeEnum::ParamRef(ParamRef { number: i32::from(number), location: -1 }))
}

/// `expr::pg_catalog.type`
pub fn cast(expr: Node, type_name: &str) -> Node {
    let names = vec![string("pg_catalog"), string(type_name)];
    let type_name = Some(pg::TypeName { names, typemod: -1, location: -1, ..Default::default() });
    node(NodeEnum::TypeCast(Box::new(pg::TypeCast { arg: boxed(expr), type_name, location: -1 })))
}

/// `left OPERATOR(pg_catalog.op) right`, which no operator of a user's schema can shadow.
pub fn operator(op: &str, left: Node, right: Node) -> Node {
    let name = vec![string("pg_catalog"), string(op)];
    node(NodeEnum::AExpr(Box::new(AExpr {
        kind: AExprKind::AexprOp as i32,
        name,
        lexpr: boxed(left),
        rexpr: boxed(right),
        location: -1,
        ..Default::default()
    })))
}

/// `a AND b AND …`; the expression itself where there is one.
pub fn and(args: Vec<Node>) -> Node {
    boolean(BoolExprType::AndExpr, args)
}

/// `a OR b`.
pub fn or(args: Vec<Node>) -> Node {
    boolean(BoolExprType::OrExpr, args)
}

fn boolean(kind: BoolExprType, mut args: Vec<Node>) -> Node {
    if args.len() == 1 {
        return args.remove(0);
    }
    node(NodeEnum::BoolExpr(Box::new(BoolExpr { xpr: None, boolop: kind as i32, args, location: -1 })))
}

/// `expr IS NULL`
pub fn is_null(expr: Node) -> Node {
    null_test(expr, NullTestType::IsNull)
}

/// `expr IS NOT NULL`
pub fn is_not_null(expr: Node) -> Node {
    null_test(expr, NullTestType::IsNotNull)
}

fn null_test(expr: Node, kind: NullTestType) -> Node {
    node(NodeEnum::NullTest(Box::new(NullTest { arg: boxed(expr), nulltesttype: kind as i32, location: -1, ..Default::default() })))
}

/// `CASE WHEN condition THEN result [ELSE otherwise] END`
pub fn case(condition: Node, result: Node, otherwise: Option<Node>) -> Node {
    let when = CaseWhen { expr: boxed(condition), result: boxed(result), location: -1, ..Default::default() };
    let args = vec![node(NodeEnum::CaseWhen(Box::new(when)))];
    node(NodeEnum::CaseExpr(Box::new(CaseExpr { args, defresult: otherwise.and_then(boxed), location: -1, ..Default::default() })))
}

/// `pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0`: true of every group, and known only once the group is complete.
pub fn any_count() -> Node {
    let count = pg::FuncCall {
        funcname: vec![string("pg_catalog"), string("count")],
        agg_star: true,
        funcformat: pg::CoercionForm::CoerceExplicitCall as i32,
        location: -1,
        ..Default::default()
    };
    operator(">=", node(NodeEnum::FuncCall(Box::new(count))), integer(0))
}

/// `EXISTS (query)`
pub fn exists(query: pg::SelectStmt) -> Node {
    sublink(pg::SubLinkType::ExistsSublink, query)
}

/// `(query)`, one value.
pub fn scalar(query: pg::SelectStmt) -> Node {
    sublink(pg::SubLinkType::ExprSublink, query)
}

fn sublink(kind: pg::SubLinkType, query: pg::SelectStmt) -> Node {
    let subselect = boxed(node(NodeEnum::SelectStmt(Box::new(query))));
    node(NodeEnum::SubLink(Box::new(pg::SubLink { sub_link_type: kind as i32, subselect, location: -1, ..Default::default() })))
}

/// `(query) AS alias (columns)`, in FROM.
pub fn subquery(query: pg::SelectStmt, alias: &str, colnames: Vec<Node>) -> Node {
    let alias = Some(pg::Alias { aliasname: alias.to_owned(), colnames });
    let subquery = boxed(node(NodeEnum::SelectStmt(Box::new(query))));
    node(NodeEnum::RangeSubselect(Box::new(pg::RangeSubselect { lateral: false, subquery, alias })))
}

/// `schema.table alias`
pub fn table(schema: &str, table: &str, alias: &str) -> Node {
    let alias = Some(pg::Alias { aliasname: alias.to_owned(), colnames: Vec::new() });
    let (schemaname, relname) = (schema.to_owned(), table.to_owned());
    node(NodeEnum::RangeVar(pg::RangeVar {
        schemaname,
        relname,
        alias,
        inh: true,
        relpersistence: "p".into(),
        location: -1,
        ..Default::default()
    }))
}

/// `SELECT values FROM items`
pub fn query(values: Vec<Node>, from_clause: Vec<Node>) -> pg::SelectStmt {
    let target = |val: Node| node(NodeEnum::ResTarget(Box::new(pg::ResTarget { val: boxed(val), location: -1, ..Default::default() })));
    pg::SelectStmt {
        target_list: values.into_iter().map(target).collect(),
        from_clause,
        limit_option: pg::LimitOption::Default as i32,
        op: pg::SetOperation::SetopNone as i32,
        ..Default::default()
    }
}

/// NULL
pub fn null() -> Node {
    node(NodeEnum::AConst(AConst { isnull: true, location: -1, val: None }))
}

/// A boolean constant.
pub fn truth(value: bool) -> Node {
    let val = Some(a_const::Val::Boolval(pg::Boolean { boolval: value }));
    node(NodeEnum::AConst(AConst { isnull: false, location: -1, val }))
}

/// An integer constant.
pub fn integer(value: i32) -> Node {
    let val = Some(a_const::Val::Ival(pg::Integer { ival: value }));
    node(NodeEnum::AConst(AConst { isnull: false, location: -1, val }))
}

/// A string constant.
pub fn text(value: &str) -> Node {
    let val = Some(a_const::Val::Sval(pg::String { sval: value.to_owned() }));
    node(NodeEnum::AConst(AConst { isnull: false, location: -1, val }))
}

/// The names of a list of String nodes; None if anything else is among them.
pub fn names(list: &[Node]) -> Option<Vec<&str>> {
    list.iter()
        .map(|n| match &n.node {
            Some(NodeEnum::String(s)) => Some(s.sval.as_str()),
            _ => None,
        })
        .collect()
}

/// `schema.name`, or `public` and a bare name.
pub fn qualified(parts: &[Node]) -> Option<(String, String)> {
    match names(parts)?.as_slice() {
        [name] => Some(("public".into(), (*name).to_owned())),
        [.., schema, name] => Some(((*schema).to_owned(), (*name).to_owned())),
        [] => None,
    }
}

/// Where a node stands in the text: a byte offset, if it has one.
pub fn location(n: &Node) -> Option<i32> {
    let at = match n.node.as_ref()? {
        NodeEnum::ColumnRef(x) => x.location,
        NodeEnum::ParamRef(x) => x.location,
        NodeEnum::AConst(x) => x.location,
        NodeEnum::AExpr(x) => x.location,
        NodeEnum::FuncCall(x) => x.location,
        NodeEnum::RangeVar(x) => x.location,
        NodeEnum::TypeCast(x) => x.location,
        NodeEnum::ResTarget(x) => x.location,
        NodeEnum::SubLink(x) => x.location,
        _ => -1,
    };
    (at >= 0).then_some(at)
}

/// Puts guards in front of a condition, which keeps its own parentheses.
pub fn guarded(guards: Vec<Node>, condition: Option<Box<Node>>) -> Option<Box<Node>> {
    if guards.is_empty() {
        return condition;
    }
    let mut all = guards;
    all.extend(condition.map(|c| *c));
    boxed(and(all))
}

/// What a CASE compares with one another, and what it may give.
pub fn arms(case: &CaseExpr) -> (Vec<Node>, Vec<Node>) {
    let whens = case.args.iter().filter_map(|arm| match &arm.node {
        Some(NodeEnum::CaseWhen(arm)) => Some((arm.expr.as_deref(), arm.result.as_deref())),
        _ => None,
    });
    let (mut compared, mut given): (Vec<Node>, Vec<Node>) = (Vec::new(), case.defresult.as_deref().cloned().into_iter().collect());
    compared.extend(case.arg.as_deref().cloned());
    for (expr, result) in whens {
        compared.extend(expr.filter(|_| case.arg.is_some()).cloned());
        given.extend(result.cloned());
    }
    (compared, given)
}
