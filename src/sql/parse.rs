//! Text to PostgreSQL's own tree and back.

use super::{Refusal, syntax};
use pg_query::protobuf::{ParseResult, RawStmt, ScanResult, Token};

/// Longest statement text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;
/// Most tokens that are read: each becomes part of several trees, of some kilobytes together.
pub const TOKENS_MAX: usize = 1 << 17;
/// Deepest nesting of brackets and CASE that is read; far below what the parser's and decoder's stacks bear.
pub const NESTING_MAX: usize = 64;
/// Most bytes that the scanner may look at more than once.
const RESCANNED_MAX: usize = 4 << 20;

/// Parses a text of any number of statements. Errors: 42601 with the position, 54001 for what is too long or too deep.
pub fn parse(text: &str) -> Result<Vec<RawStmt>, Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::with_state("54000", "statement is too long").detail(format!("At most {TEXT_BYTES_MAX} bytes are read.")));
    }
    if text.contains('\0') {
        return Err(Refusal::with_state("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    // A text that has no room for as much needs no count.
    if text.len() > NESTING_MAX && nesting(text) > NESTING_MAX {
        return Err(
            Refusal::with_state("54001", "statement is nested too deeply").detail(format!("At most {NESTING_MAX} levels are read."))
        );
    }
    if text.len() > TOKENS_MAX && tokens(text) > TOKENS_MAX {
        return Err(Refusal::with_state("54001", "statement is too complex")
            .detail(format!("At most {TOKENS_MAX} words, numbers and signs are read."))
            .hint("Send fewer rows at a time, or use COPY."));
    }
    if text.len().saturating_mul(text.len()) > RESCANNED_MAX / 2 && rescanned(text) > RESCANNED_MAX {
        return Err(Refusal::with_state("54001", "statement has too many operators or nested comments in a row"));
    }
    match pg_query::parse(text, pg_query::ParserOptions::default()) {
        Ok(parsed) => Ok(parsed.protobuf.stmts),
        Err(pg_query::Error::Parse(message)) => {
            let place = syntax::offset(text, &message).and_then(|at| syntax::position(text, at));
            Err(Refusal::syntax(message).at(place))
        }
        Err(_) => Err(Refusal::with_state("54001", "statement is too complex to be read")),
    }
}

/// Prints statements, `; ` between them. Errors: 0A000 where the printer has no form for the tree.
pub fn deparse(stmts: Vec<RawStmt>) -> Result<String, Refusal> {
    let tree = ParseResult { version: 0, stmts };
    pg_query::deparse(&tree, pg_query::DeparseOptions::default()).map_err(|_| Refusal::not_understood("statement cannot be printed again"))
}

/// The tokens of a text. Errors: 42601.
pub fn scan(text: &str) -> Result<ScanResult, Refusal> {
    pg_query::scan(text).map_err(|_| Refusal::syntax("unreadable token"))
}

/// A guess at the highest number of a parameter, below 1000: `$1` in a literal counts, too.
pub fn parameters(text: &str) -> u16 {
    let number = |rest: &str| rest.get(..rest.bytes().take(4).take_while(u8::is_ascii_digit).count())?.parse::<u16>().ok();
    text.split('$').skip(1).filter_map(number).filter(|n| *n < 1000).max().unwrap_or(0)
}

/// Refuses numbers that only servers from 16 on can read (`0x1F`, `1_000`): an older one reads another statement. Errors: 42601.
pub fn numbers_as_before_16(text: &str) -> Result<(), Refusal> {
    for token in scan(text)?.tokens {
        let number = token.token == Token::Iconst as i32 || token.token == Token::Fconst as i32;
        let word = text.get(token.start as usize..token.end as usize).unwrap_or_default();
        if number && word.contains(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))) {
            return Err(Refusal::syntax(format!("trailing junk after numeric literal at or near \"{word}\"")));
        }
    }
    Ok(())
}

/// An upper bound of how deep brackets nest: those in literals and comments count too, so it never says too little.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut operators = 0usize;
    for word in text.split(|c: char| c.is_whitespace() || c == ',') {
        for byte in word.bytes() {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        operators += usize::from(word.eq_ignore_ascii_case("case"));
    }
    deepest.max(operators / 8)
}

/// An upper bound of how many tokens there are. What is quoted is one, unless the text has something by which it could not be told what is quoted:
/// then every word counts.
fn tokens(text: &str) -> usize {
    let bytes = text.as_bytes();
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | 0x80..);
    let pairs = |odd: fn(u8, u8) -> bool| bytes.windows(2).any(|p| matches!(p, [a, b] if odd(*a, *b)));
    let plain = !pairs(|a, b| matches!((a, b), (b'\\', b'\'') | (b'-', b'-') | (b'/', b'*')) || (a == b'$' && !b.is_ascii_digit()));
    let (mut count, mut before, mut quote) = (0usize, b' ', None);
    for byte in bytes.iter().copied() {
        if plain && quote.is_some() {
            quote = quote.filter(|q| *q != byte);
            before = b' ';
            continue;
        }
        quote = Some(byte).filter(|b| matches!(b, b'\'' | b'"'));
        let begins = if word(byte) { !word(before) } else { !byte.is_ascii_whitespace() };
        count += usize::from(begins);
        before = byte;
    }
    count
}

/// An upper bound of what PostgreSQL's scanner reads again: at each `/*`, and at each sign that ends an operator, it looks to the end of the run
/// of operator characters (scan.l, `xcstart` and `operator`), so that a long run takes the square of its length.
fn rescanned(text: &str) -> usize {
    let operators = |b: &u8| b"~!@#^&|`?+-*/%<>=".contains(b);
    let mut sum = 0usize;
    for run in text.as_bytes().split(|b| !operators(b)) {
        let comments = run.windows(2).filter(|pair| pair == b"/*").count();
        // `--` ends the run: the rest of the line is a comment.
        let signs = run.windows(2).filter(|pair| matches!(pair, [_, b'+'] | [0..=44 | 46.., b'-'])).count();
        sum = sum.saturating_add(run.len().saturating_mul(comments + signs));
    }
    sum
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
