//! Texts that differ only in their constants: where a text's plain constants stand, and the text with parameters in their place.
//!
//! The scan knows only as much of the lexical rules (PostgreSQL manual, "Lexical Structure") as it takes to be sure; a text with anything
//! else (comments, dollar quotes, prefixed strings, parameters, more than one statement) has no shape and is judged as it is.

use super::outgoing::quote;
use std::borrow::Cow;
use std::fmt::Write;

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Most constants that are taken out.
const LITERALS_MAX: usize = 256;

/// A text with its constants taken out.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// The text with `$1`, `$2` … for the constants, then NUL and a letter a constant: two texts of one key are read by PostgreSQL's scanner as the
    /// same tokens of the same kinds.
    pub key: String,
    /// The constants, in order.
    pub literals: Vec<Literal>,
}

/// A plain constant in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Where it begins, in bytes; a sign belongs to it.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// What it looks like.
    class: Class,
}

/// Constants of one class are one kind of token, and printed by one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Up to 9 digits: an integer of 4 bytes.
    Integer,
    /// The same below zero.
    Negative,
    /// 11 to 18 digits: an integer of 8 bytes.
    Long,
    /// Digits, a point, digits.
    Decimal,
    /// The same below zero.
    NegativeDecimal,
    /// `'…'` without a backslash.
    Text,
    /// `'…'` with one.
    Escaped,
}

impl Class {
    const fn letter(self) -> char {
        match self {
            Self::Integer => 'i',
            Self::Negative => 'n',
            Self::Long => 'l',
            Self::Decimal => 'd',
            Self::NegativeDecimal => 'm',
            Self::Text => 't',
            Self::Escaped => 'e',
        }
    }
}

impl Literal {
    /// As the wall prints it.
    pub fn printed<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        let raw = sql.get(self.start..self.end).unwrap_or_default();
        if self.class == Class::Escaped { Cow::Owned(quote(&self.value(sql))) } else { Cow::Borrowed(raw) }
    }

    /// Where the constant without its sign begins, in bytes.
    pub fn digits(&self, sql: &str) -> usize {
        self.start + usize::from(sql.as_bytes().get(self.start) == Some(&b'-'))
    }

    /// What it means: the number's digits, the string's characters.
    pub fn value<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        let raw = sql.get(self.start..self.end).unwrap_or_default();
        match raw.strip_prefix('\'').and_then(|r| r.strip_suffix('\'')) {
            Some(body) if body.contains('\'') => Cow::Owned(body.replace("''", "'")),
            Some(body) => Cow::Borrowed(body),
            None => Cow::Borrowed(raw),
        }
    }
}

impl Shape {
    /// The text with parameters.
    pub fn text(&self) -> &str {
        self.key.split('\0').next().unwrap_or_default()
    }

    /// The place in the client's text of a place in [`Shape::text`]; both in bytes.
    pub fn place(&self, in_shape: usize) -> Option<usize> {
        let (mut at, mut client) = (0, 0);
        for (number, literal) in (1..).zip(&self.literals) {
            let plain = literal.start - client;
            if in_shape < at + plain {
                break;
            }
            at += plain;
            if in_shape == at {
                return Some(literal.start);
            }
            at += parameter_len(number);
            client = literal.end;
        }
        Some(client + in_shape.checked_sub(at)?)
    }
}

/// How long `$number` is, in bytes.
fn parameter_len(number: usize) -> usize {
    2 + usize::from(number > 9) + usize::from(number > 99)
}

/// The shape of a text; None where it has no constants or is not certain to be read here as PostgreSQL reads it.
pub fn shape(sql: &str) -> Option<Shape> {
    if sql.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut scan = Scan { text: sql.as_bytes(), at: 0, before: Before::Start, by: None, depth: 0, literals: Vec::new() };
    scan.all()?;
    if scan.literals.is_empty() {
        return None;
    }
    let literals = scan.literals;
    let mut key = String::with_capacity(sql.len() + literals.len() * 2 + 1);
    let mut done = 0;
    for (number, literal) in (1..).zip(&literals) {
        key.push_str(sql.get(done..literal.start)?);
        write!(key, "${number}").ok()?;
        done = literal.end;
    }
    key.push_str(sql.get(done..)?);
    key.push('\0');
    key.extend(literals.iter().map(|l| l.class.letter()));
    Some(Shape { key, literals })
}

/// The token before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    /// A name or key word.
    Word,
    /// A constant, a quoted name, a closing bracket.
    Value,
    /// A string constant.
    Text,
    /// `(`, `,` or an operator of none but `=<>*/+`: what follows `-` is its operand.
    Operand,
    /// Anything else.
    Other,
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    before: Before,
    /// Within `ORDER BY` or `GROUP BY` at this depth of brackets: an integer there may be the number of a column.
    by: Option<usize>,
    depth: usize,
    literals: Vec<Literal>,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn run(&self, from: usize, wanted: impl Fn(u8) -> bool) -> usize {
        self.text.get(from..).unwrap_or_default().iter().take_while(|b| wanted(**b)).count()
    }

    /// None where anything is not certain.
    fn all(&mut self) -> Option<()> {
        while let Some(byte) = self.text.get(self.at).copied() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'\'' => self.string()?,
                b'"' => self.quoted()?,
                b'0'..=b'9' => self.number(self.at)?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word()?,
                b';' => return self.end(),
                b'(' | b'[' => {
                    self.depth += 1;
                    self.step(Before::Operand);
                }
                b')' | b']' => {
                    self.by = self.by.filter(|depth| *depth < self.depth);
                    self.depth = self.depth.checked_sub(1)?;
                    self.step(Before::Value);
                }
                b',' => self.step(Before::Operand),
                b'.' if self.peek(1).is_ascii_digit() => return None,
                b'.' | b':' => self.step(Before::Other),
                _ if is_operator(byte) => self.operator()?,
                _ => return None,
            }
        }
        Some(())
    }

    fn step(&mut self, before: Before) {
        self.at += 1;
        self.before = before;
    }

    /// Nothing but white space may follow.
    fn end(&mut self) -> Option<()> {
        let rest = self.text.get(self.at + 1..)?;
        rest.iter().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).then_some(())
    }

    fn take(&mut self, start: usize, end: usize, class: Class, before: Before) -> Option<()> {
        if self.literals.len() == LITERALS_MAX {
            return None;
        }
        self.literals.push(Literal { start, end, class });
        self.at = end;
        self.before = before;
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        // Two in a row may be one constant.
        if self.before == Before::Text {
            return None;
        }
        let start = self.at;
        let (mut end, mut class) = (start + 1, Class::Text);
        loop {
            match self.text.get(end)? {
                b'\'' if self.text.get(end + 1) == Some(&b'\'') => end += 2,
                b'\'' => break,
                0 => return None,
                byte => {
                    if *byte == b'\\' {
                        class = Class::Escaped;
                    }
                    end += 1;
                }
            }
        }
        self.take(start, end + 1, class, Before::Text)
    }

    fn quoted(&mut self) -> Option<()> {
        let end = self.at + 1 + self.run(self.at + 1, |b| b != b'"');
        self.text.get(end)?;
        self.at = end + 1;
        self.before = Before::Value;
        Some(())
    }

    fn word(&mut self) -> Option<()> {
        let length = self.run(self.at, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..));
        let word = self.text.get(self.at..self.at + length)?;
        // A prefix of a constant or of a name, or something that may be one.
        if matches!(self.peek(length), b'\'' | b'"') || (self.peek(length) == b'&' && word.eq_ignore_ascii_case(b"u")) {
            return None;
        }
        if word.eq_ignore_ascii_case(b"by") {
            self.by = self.by.or(Some(self.depth));
        } else if self.by == Some(self.depth) && ENDS_BY.iter().any(|end| word.eq_ignore_ascii_case(end)) {
            self.by = None;
        }
        self.at += length;
        self.before = Before::Word;
        Some(())
    }

    /// A number whose sign, if it has one, stands at `start`.
    fn number(&mut self, start: usize) -> Option<()> {
        let negative = start < self.at;
        let whole = self.run(self.at, |b| b.is_ascii_digit());
        let mut end = self.at + whole;
        let leading_zero = whole > 1 && self.peek(0) == b'0';
        let point = self.text.get(end) == Some(&b'.');
        let fraction = if point { self.run(end + 1, |b| b.is_ascii_digit()) } else { 0 };
        end += if point { 1 + fraction } else { 0 };
        if self.text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.' | 0x80..)) {
            return None;
        }
        let zero = self.peek(0) == b'0';
        let class = match (point, whole, negative) {
            (true, 1..=18, _) if fraction == 0 || leading_zero => return None,
            (true, 1..=18, false) => Class::Decimal,
            (true, 1..=18, true) => Class::NegativeDecimal,
            (false, 1..=9, false) if !leading_zero => Class::Integer,
            (false, 1..=9, true) if !zero => Class::Negative,
            (false, 11..=18, false) if !zero => Class::Long,
            _ => return None,
        };
        if self.by.is_some() {
            self.at = end;
            self.before = Before::Value;
            return Some(());
        }
        self.take(start, end, class, Before::Value)
    }

    fn operator(&mut self) -> Option<()> {
        let length = self.run(self.at, is_operator);
        let run = self.text.get(self.at..self.at + length)?;
        if run.windows(2).any(|pair| pair == b"--" || pair == b"/*") {
            return None;
        }
        let signed = run.last() == Some(&b'-') && self.text.get(self.at + length).is_some_and(u8::is_ascii_digit);
        let first = run.get(..length - 1)?;
        // The sign of a constant: alone behind what wants an operand, or at the end of an operator that cannot end in it.
        let sign = signed && if first.is_empty() { self.before == Before::Operand } else { first.iter().all(|b| b"=<>*/+".contains(b)) };
        self.at += length;
        if sign {
            return self.number(self.at - 1);
        }
        self.before = if run.iter().all(|b| b"=<>*/+".contains(b)) { Before::Operand } else { Before::Other };
        Some(())
    }
}

/// Key words that end `ORDER BY` and `GROUP BY`.
const ENDS_BY: [&[u8]; 9] = [b"limit", b"offset", b"fetch", b"having", b"window", b"union", b"intersect", b"except", b"returning"];

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

#[cfg(test)]
#[path = "literals_tests.rs"]
mod tests;
