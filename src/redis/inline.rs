//! Inline commands, split as the server splits them: blanks between words, `"…"` with escapes, `'…'` with `\'` only.

/// The words of a line. None: quotes that do not end, or a word that goes on behind them.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    // The server takes the line for a C string.
    let mut rest = line.split(|b| *b == 0).next().unwrap_or_default();
    loop {
        rest = rest.trim_ascii_start_with_vt();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, behind) = word(rest)?;
        words.push(word);
        rest = behind;
    }
}

trait TrimStart {
    fn trim_ascii_start_with_vt(&self) -> &Self;
}

impl TrimStart for [u8] {
    /// `isspace` of C counts the vertical tab too.
    fn trim_ascii_start_with_vt(&self) -> &Self {
        let blanks = self.iter().take_while(|b| is_blank(**b)).count();
        self.get(blanks..).unwrap_or_default()
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        match first {
            b'"' => return quoted(behind, word, double),
            b'\'' => return quoted(behind, word, single),
            b' ' | b'\n' | b'\r' | b'\t' => break,
            other => word.push(*other),
        }
        rest = behind;
    }
    Some((word, rest))
}

/// Takes one character off the text inside quotes; None at the closing quote.
type Step = for<'a> fn(&'a [u8]) -> Option<(u8, &'a [u8])>;

fn quoted(text: &[u8], mut word: Vec<u8>, step: Step) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text;
    while let Some((byte, behind)) = step(rest) {
        word.push(byte);
        rest = behind;
    }
    // `step` stops at the closing quote or at the end.
    let [_, behind @ ..] = rest else { return None };
    behind.first().is_none_or(|b| is_blank(*b)).then_some((word, behind))
}

fn double(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            Some(((hex(*high) << 4) | hex(*low), rest))
        }
        [b'\\', escaped, rest @ ..] => {
            let byte = match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => *other,
            };
            Some((byte, rest))
        }
        [b'"', ..] | [] => None,
        [byte, rest @ ..] => Some((*byte, rest)),
    }
}

fn single(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', b'\'', rest @ ..] => Some((b'\'', rest)),
        [b'\'', ..] | [] => None,
        [byte, rest @ ..] => Some((*byte, rest)),
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |d| d as u8)
}

#[cfg(test)]
#[path = "inline_tests.rs"]
mod tests;
