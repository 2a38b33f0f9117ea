//! Where one reply or one command ends and the next begins, without understanding either: a connection that many clients share is cut by this alone.
//! Nothing is skipped or guessed: what is no reply (or is said unasked) breaks the connection.

use super::encode::Resp;
use super::mark;
use super::shape::Broken;
use super::wire::integer;

/// A header: a type and a number.
const HEADER_MAX_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// An element begins.
    #[default]
    Header,
    /// Up to the line's end.
    Line,
    /// The line's end may have begun.
    LineEnd,
    /// This many bytes more, the line end among them.
    Body(u64),
}

/// The place within one reply of an upstream connection.
#[derive(Debug, Default)]
pub struct Measure {
    /// Elements still to come of the reply that is passing; 0 between two.
    left: u64,
    state: State,
    messages: bool,
    /// A message is passing within a reply: what is still to come of that.
    interrupted: Option<u64>,
}

impl Measure {
    /// One for a connection that somebody listens on: messages are measured like replies.
    pub fn with_messages() -> Self {
        Self { messages: true, ..Self::default() }
    }

    /// True between two replies.
    pub fn at_rest(&self) -> bool {
        self.left == 0
    }

    /// How many bytes of `input` belong to the reply at its beginning, and whether they end it. A header that is not whole counts as nothing yet.
    /// Errors: it is no reply that was asked for; nothing that follows can be told apart any more.
    pub fn feed(&mut self, input: &[u8], resp: Resp) -> Result<(usize, bool), Broken> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok((at, false));
            }
            let whole = match self.state {
                State::Header => match self.header(rest, resp)? {
                    None => return Ok((at, false)),
                    Some((bytes, whole)) => {
                        at += bytes;
                        whole
                    }
                },
                State::Line => match rest.iter().position(|b| *b == b'\r') {
                    None => return Ok((input.len(), false)),
                    Some(end) => {
                        at += end + 1;
                        self.state = State::LineEnd;
                        false
                    }
                },
                State::LineEnd => {
                    if rest.first() != Some(&b'\n') {
                        return Err(Broken("a line without its end"));
                    }
                    at += 1;
                    true
                }
                State::Body(left) => {
                    let part = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    at += part;
                    self.state = State::Body(left - part as u64);
                    left == part as u64
                }
            };
            if whole {
                self.state = State::Header;
                self.left -= 1;
                if self.left == 0 {
                    match self.interrupted.take() {
                        Some(left) => self.left = left,
                        None => return Ok((at, true)),
                    }
                }
            }
        }
    }

    /// The head of an element: its bytes, and whether it is all of it. None: more is needed.
    fn header(&mut self, rest: &[u8], resp: Resp) -> Result<Option<(usize, bool)>, Broken> {
        let kind = rest.first().copied().unwrap_or_default();
        match (kind, resp) {
            (b'+' | b'-' | b':', _) | (b'_' | b'#' | b',' | b'(', Resp::Three) => {
                self.begin();
                self.state = State::Line;
                return Ok(Some((1, false)));
            }
            (b'$' | b'*', _) | (b'!' | b'=' | b'%' | b'~', Resp::Three) => {}
            (b'>', Resp::Three) if self.messages => {}
            (b'>', _) => return Err(Broken("a message on a connection that nobody listens on")),
            _ => return Err(Broken("an unknown type")),
        }
        let Some(end) = rest.iter().take(HEADER_MAX_BYTES).position(|b| *b == b'\n') else {
            return if rest.len() < HEADER_MAX_BYTES { Ok(None) } else { Err(Broken("a line too long")) };
        };
        let number = rest.get(1..end).and_then(|line| line.strip_suffix(b"\r")).and_then(integer);
        let number = number.filter(|n| *n >= -1).ok_or(Broken("a length that is none"))?;
        if kind == b'>' && self.left > 0 {
            // Redis 7.0 writes it between the elements of EXEC.
            if self.interrupted.replace(std::mem::take(&mut self.left)).is_some() {
                return Err(Broken("a message within a message"));
            }
        }
        self.begin();
        let Ok(number) = u64::try_from(number) else { return Ok(Some((end + 1, true))) };
        if matches!(kind, b'$' | b'!' | b'=') {
            self.state = State::Body(number + 2);
            return Ok(Some((end + 1, false)));
        }
        let elements = if kind == b'%' { number.checked_mul(2) } else { Some(number) };
        self.left = elements.and_then(|n| self.left.checked_add(n)).ok_or(Broken("too many"))?;
        Ok(Some((end + 1, true)))
    }

    fn begin(&mut self) {
        self.left = self.left.max(1);
    }
}

/// The words of the command at the beginning of `input`, as the wall writes it, and where it ends. None: it is no whole command.
pub fn command<'i>(input: &'i [u8], words: &mut Vec<&'i [u8]>) -> Option<usize> {
    words.clear();
    let mut at = 0;
    let count = number(input, b'*', &mut at)?;
    for _ in 0..count {
        let length = number(input, b'$', &mut at)?;
        let end = at.checked_add(length)?;
        words.push(input.get(at..end)?);
        (input.get(end..end + 2)? == b"\r\n").then_some(())?;
        at = end + 2;
    }
    (count > 0).then_some(at)
}

fn number(input: &[u8], kind: u8, at: &mut usize) -> Option<usize> {
    let rest = input.get(*at..)?;
    (rest.first() == Some(&kind)).then_some(())?;
    let end = rest.iter().take(HEADER_MAX_BYTES).position(|b| *b == b'\r')?;
    (rest.get(end + 1) == Some(&b'\n')).then_some(())?;
    let number = usize::try_from(integer(rest.get(1..end)?)?).ok()?;
    *at += end + 2;
    Some(number)
}

/// Commands of one client.
pub struct Pieces {
    /// How many.
    pub count: usize,
    /// Behind which of them a mark is due: how many they are up to there, and how many bytes.
    pub marked: Vec<(usize, usize)>,
}

/// What commands these are. None: not all of them may be shared.
pub fn pieces(commands: &[u8], may_pass: fn(&[&[u8]]) -> bool) -> Option<Pieces> {
    let (mut pieces, mut at, mut words) = (Pieces { count: 0, marked: Vec::new() }, 0, Vec::with_capacity(8));
    while at < commands.len() {
        at += command(commands.get(at..)?, &mut words)?;
        if !may_pass(&words) {
            return None;
        }
        pieces.count += 1;
        if mark::is_due(&words) {
            pieces.marked.push((pieces.count, at));
        }
    }
    (pieces.count > 0).then_some(pieces)
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
