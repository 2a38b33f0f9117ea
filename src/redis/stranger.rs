//! A client that has not said who it is, on a port where it may say so itself: `AUTH tenant anything`, or HELLO with the same.

use super::commands::Lacks;
use super::encode;
use super::understand::{is_word, lookup};
use super::wire::{Limits, Request, Scanner, WireError};
use bytes::BytesMut;
use std::sync::Arc;

/// What a stranger's command comes to.
#[derive(Debug)]
pub enum Said {
    /// Nothing whole yet.
    Nothing,
    /// An answer was written; the next command may be read.
    Answered,
    /// It says who it is by AUTH, or by HELLO, the rest of which is then to be answered.
    Named(Credentials, Option<Request>),
    /// It goes, and the answer was written.
    Bye,
}

/// What AUTH carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// None in the form of one argument, which means the default user.
    pub user: Option<String>,
    /// The password, or the token that stands in its place.
    pub password: String,
}

impl Credentials {
    /// Is the password of a token's form (RFC 7515, 3.1)?
    pub fn has_token(&self) -> bool {
        self.password.split('.').count() == 3
    }
}

/// The conversation up to a name.
#[derive(Debug, Default)]
pub struct Stranger {
    scanner: Scanner,
}

/// Takes what a client says later that is in already; true: it is the same one, and goes on.
#[derive(Clone)]
pub struct Renews(pub Arc<dyn Fn(&Credentials) -> bool + Send + Sync>);

impl std::fmt::Debug for Renews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renews")
    }
}

/// The server's words for a name that is none here.
pub const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

const HELLO: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option \
    can be used to authenticate the client and select the RESP protocol version at the same time";

impl Stranger {
    /// Takes the next command off `input` and answers it into `out`. Errors: the protocol is broken, as the answer says.
    pub fn hear(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Said, WireError> {
        let heard = self.scanner.scan(input, &Limits::STRANGER);
        let heard = if self.scanner.over(&Limits::STRANGER) { Err(WireError::Request) } else { heard };
        match heard {
            Ok(None) => Ok(Said::Nothing),
            Ok(Some(request)) => Ok(answer(request, out)),
            Err(error) => {
                encode::error(out, format!("ERR Protocol error: {error}").as_bytes());
                Err(error)
            }
        }
    }
}

fn answer(request: Request, out: &mut BytesMut) -> Said {
    let entry = match lookup(&request, &Lacks::default()) {
        Ok(entry) => entry,
        Err(refusal) => {
            encode::error(out, &refusal.text);
            return Said::Answered;
        }
    };
    match (entry.name, request.len()) {
        ("auth", 2 | 3) => match credentials(&request, 1, request.len() == 3) {
            Some(credentials) => return Said::Named(credentials, None),
            None => encode::error(out, WRONGPASS.as_bytes()),
        },
        ("auth", _) => encode::error(out, b"ERR syntax error"),
        ("hello", _) => match of_hello(&request) {
            Some((credentials, rest)) => return Said::Named(credentials, Some(rest)),
            None => encode::error(out, HELLO.as_bytes()),
        },
        ("quit", _) => {
            encode::simple(out, "OK");
            return Said::Bye;
        }
        ("reset", _) => encode::simple(out, "RESET"),
        _ => encode::error(out, b"NOAUTH Authentication required."),
    }
    Said::Answered
}

/// What stands at `at`: a user, where one is `named`, and a password.
pub fn credentials(request: &Request, at: usize, named: bool) -> Option<Credentials> {
    let user = if named { Some(super::whole(request.arg(at))?) } else { None };
    Some(Credentials { user, password: super::whole(request.arg(at + usize::from(named)))? })
}

/// What a HELLO's AUTH says, if the server would get as far as that, and the HELLO without it. One that says two things says nothing.
fn of_hello(request: &Request) -> Option<(Credentials, Request)> {
    let (mut at, mut said) = (2, None);
    let mut rest = vec![request.arg(0), request.arg(1)];
    while at < request.len() {
        if is_word(request.arg(at), "auth") && at + 2 < request.len() {
            let credentials = credentials(request, at + 1, true)?;
            if said.get_or_insert_with(|| credentials.clone()) != &credentials {
                return None;
            }
            at += 3;
        } else if is_word(request.arg(at), "setname") && at + 1 < request.len() {
            rest.extend([request.arg(at), request.arg(at + 1)]);
            at += 2;
        } else {
            return None;
        }
    }
    Some((said?, Request::new(&rest)))
}

#[cfg(test)]
#[path = "stranger_tests.rs"]
mod tests;
