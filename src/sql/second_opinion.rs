//! The second opinion: another parser reads the final text, and a walk of our own over its whole tree lists the relations.

use super::tree::{self, Value};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeSet;

/// The most operators and keywords that are read: each may be one more level of a tree that is walked by recursion.
const LEVELS_MAX: usize = 4000;
/// What a level takes of the stack at most, in bytes, also without optimization.
const LEVEL_BYTES: usize = 16 << 10;
/// What everything else takes.
const BASE_BYTES: usize = 512 << 10;

/// The qualified relations, `schema.name` sorted, that sqlparser sees; None where it cannot read the text.
pub fn relations(text: &str) -> Option<Vec<String>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).with_unescape(false).tokenize_with_location().ok()?;
    let levels = tokens.iter().filter(|t| may_nest(&t.token)).count();
    if levels > LEVELS_MAX {
        return None;
    }
    // `a AND b AND c …` is read by a loop into a tree as deep as it is long, which is then walked and dropped by recursion.
    let stack = BASE_BYTES + levels * LEVEL_BYTES;
    stacker::maybe_grow(stack, stack, || {
        let options = ParserOptions::new().with_unescape(false);
        let parser = Parser::new(&PostgreSqlDialect {}).with_options(options).with_recursion_limit(40);
        let tree = tree::of(&parser.with_tokens_with_locations(tokens).parse_statements().ok()?).ok()?;
        let mut seen = BTreeSet::new();
        walk(&tree, &mut seen);
        Some(seen.into_iter().collect())
    })
}

/// Whether a token may stand for a level of the tree; brackets are bounded by the parser's own limit.
fn may_nest(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            !matches!(word.keyword, Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::DEFAULT)
        }
        Token::Whitespace(_) | Token::Comma | Token::LParen | Token::RParen | Token::Number(..) | Token::SingleQuotedString(_) => false,
        _ => true,
    }
}

/// Relations of the final text are qualified and nothing else in a relation's place is: WITH queries and functions drop out.
fn walk(value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| walk(v, seen)),
        Value::Object(map) => {
            for (key, inner) in map.iter() {
                match key {
                    // TableFactor::Table and SetExpr::Table (`TABLE t`)
                    "Table" if inner.get("args").is_none_or(Value::is_null) => {
                        note(inner.get("name"), seen);
                        // COPY's
                        note(inner.get("table_name"), seen);
                        if let (Some(schema), Some(name)) =
                            (inner.get("schema_name").and_then(word), inner.get("table_name").and_then(word))
                        {
                            seen.insert(format!("{schema}.{name}"));
                        }
                    }
                    "Lock" => {
                        let tables = inner.get("tables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                        tables.iter().for_each(|t| note(t.get("name"), seen));
                    }
                    "Truncate" => {
                        let tables = inner.get("table_names").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                        tables.iter().for_each(|t| note(t.get("name"), seen));
                    }
                    // INSERT's target
                    "TableName" => note(Some(inner), seen),
                    _ => {}
                }
                walk(inner, seen);
            }
        }
        _ => {}
    }
}

fn note(name: Option<&Value>, seen: &mut BTreeSet<String>) {
    let parts = name.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if let [schema, name] = parts
        && let (Some(schema), Some(name)) = (ident(schema), ident(name))
    {
        seen.insert(format!("{schema}.{name}"));
    }
}

fn ident(part: &Value) -> Option<String> {
    word(part.get("Identifier")?)
}

fn word(ident: &Value) -> Option<String> {
    let raw = ident.get("value")?.as_str()?;
    Some(if ident.get("quote_style").is_none_or(Value::is_null) { raw.to_lowercase() } else { raw.replace("\"\"", "\"") })
}

#[cfg(test)]
#[path = "second_opinion_tests.rs"]
mod tests;
