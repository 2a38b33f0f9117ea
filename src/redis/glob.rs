//! Patterns as the server matches them, and how a literal becomes one.

/// `text` as a pattern that matches it alone.
pub fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// Whether `text` matches; the steps are bounded by the product of both lengths.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut p, mut t) = (pattern, text);
    // Where to go on when what follows the last star does not fit.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match p {
            [b'*', rest @ ..] => {
                star = Some((rest, t));
                p = rest;
                continue;
            }
            [] if t.is_empty() => return true,
            _ => one(p, t, nocase),
        };
        match (step, &mut star) {
            (Some((rest_p, rest_t)), _) => (p, t) = (rest_p, rest_t),
            (None, Some((after, from))) => {
                let [_, later @ ..] = *from else { return false };
                *from = later;
                (p, t) = (*after, later);
            }
            (None, None) => return false,
        }
    }
}

/// Whether a text that begins with `head` can match.
pub fn can_begin_with(pattern: &[u8], head: &[u8]) -> bool {
    let (mut p, mut h) = (pattern, head);
    loop {
        match (p, h) {
            (_, []) | ([b'*', ..], _) => return true,
            ([], _) => return false,
            _ => match one(p, h, false) {
                Some((rest_p, rest_h)) => (p, h) = (rest_p, rest_h),
                None => return false,
            },
        }
    }
}

/// What is left of both after one element of the pattern took one byte.
fn one<'a>(pattern: &'a [u8], text: &'a [u8], nocase: bool) -> Option<(&'a [u8], &'a [u8])> {
    let ([first, behind @ ..], [byte, text @ ..]) = (pattern, text) else { return None };
    let same = |a: u8, b: u8| if nocase { a.eq_ignore_ascii_case(&b) } else { a == b };
    match (first, behind) {
        (b'?', _) => Some((behind, text)),
        (b'[', _) => {
            let (hit, rest) = class(behind, *byte, nocase);
            hit.then_some((rest, text))
        }
        (b'\\', [escaped, rest @ ..]) => same(*escaped, *byte).then_some((rest, text)),
        _ => same(*first, *byte).then_some((behind, text)),
    }
}

/// A class behind its `[`, which may lack its end.
fn class(pattern: &[u8], byte: u8, nocase: bool) -> (bool, &[u8]) {
    let fold = |b: u8| if nocase { b.to_ascii_lowercase() } else { b };
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut hit = false;
    loop {
        match rest {
            [b'\\', escaped, behind @ ..] => {
                hit |= *escaped == byte;
                rest = behind;
            }
            [b']', behind @ ..] => return (hit != negated, behind),
            [] => return (hit != negated, rest),
            [low, b'-', high, behind @ ..] => {
                let (low, high) = (fold(*low.min(high)), fold(*low.max(high)));
                hit |= (low..=high).contains(&fold(byte));
                rest = behind;
            }
            [one, behind @ ..] => {
                hit |= fold(*one) == fold(byte);
                rest = behind;
            }
        }
    }
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
