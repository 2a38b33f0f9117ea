//! Whole replies as values, where the wall itself reads them. What is read is there already, so nothing is believed of lengths.

use super::wire::integer;
use bytes::Bytes;

/// Aggregates within aggregates; what the wall asks for has fewer.
const DEPTH_MAX: usize = 16;

/// One reply, or an element of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A line of this kind, without its end.
    Line(u8, Bytes),
    /// A string.
    Bulk(Bytes),
    /// Nothing.
    Nil,
    /// An aggregate; a map has its keys and values in turn.
    Many(Vec<Value>),
}

impl Value {
    /// Reads as much of a reply as is there: of one that is cut off, the elements before the cut. None: it is none.
    pub fn read(input: &Bytes) -> Option<Self> {
        element(input, &mut 0, DEPTH_MAX).map(|(value, _)| value)
    }

    /// The elements of an aggregate.
    pub fn items(&self) -> &[Value] {
        if let Self::Many(items) = self { items } else { &[] }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&Bytes> {
        if let Self::Bulk(text) = self { Some(text) } else { None }
    }

    /// What stands behind a name in a map, or in a flat array.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let items = self.items();
        let at = items.iter().step_by(2).position(|item| item.text().is_some_and(|text| text == name.as_bytes()))?;
        items.get(at * 2 + 1)
    }
}

/// The element at `at`, and whether it is whole.
fn element(input: &Bytes, at: &mut usize, depth: usize) -> Option<(Value, bool)> {
    let rest = input.get(*at..)?;
    let kind = *rest.first()?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = input.slice(*at + 1..*at + end);
    *at += end + 2;
    match kind {
        b'+' | b'-' | b':' | b',' | b'#' | b'(' => Some((Value::Line(kind, line), true)),
        b'_' => Some((Value::Nil, true)),
        b'$' | b'=' | b'!' | b'*' | b'~' | b'%' | b'>' => {
            let Ok(length) = usize::try_from(integer(&line)?) else { return Some((Value::Nil, true)) };
            if matches!(kind, b'$' | b'=' | b'!') {
                input.get(*at..at.checked_add(length)?)?;
                let text = input.slice(*at..*at + length);
                *at += length + 2;
                return Some((Value::Bulk(text), true));
            }
            let depth = depth.checked_sub(1)?;
            let mut items = Vec::new();
            for _ in 0..length.saturating_mul(if kind == b'%' { 2 } else { 1 }) {
                let Some((item, whole)) = element(input, at, depth) else { return Some((Value::Many(items), false)) };
                items.push(item);
                if !whole {
                    return Some((Value::Many(items), false));
                }
            }
            Some((Value::Many(items), true))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
