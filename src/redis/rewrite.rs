//! From a command and its plan to what is sent: every name gains what stands before it, or the command is refused. All is written anew; none of
//! the client's own framing reaches upstream.

use super::channels::{self, Stands};
use super::commands::Access;
use super::encode;
use super::names::Names;
use super::understand::{Place, Plan, Refusal};
use super::wire::Request;
use bytes::BytesMut;

/// The server's own bound of a string.
const STRING_MAX_BYTES: usize = 512 << 20;

/// Writes the command for upstream. Errors: nothing was written.
pub fn command(out: &mut BytesMut, request: &Request, plan: &Plan, names: &Names) -> Result<(), Refusal> {
    let befores = befores(request, plan, names)?;
    // A pattern that the client left out stands for all of its own.
    let left_out = plan.places.last().filter(|(at, place)| *at == request.len() && *place == Place::Pattern);
    left_out.map_or(Ok(()), |_| names.may_name(Place::Pattern, b"*"))?;
    let more = usize::from(left_out.is_some()) + if plan.within_own { 2 } else { 0 };
    encode::header(out, b'*', request.len() + more);
    args(out, request, &befores);
    if left_out.is_some() {
        encode::bulk(out, &names.all());
    }
    if plan.within_own {
        encode::bulk(out, b"PREFIX");
        encode::bulk(out, names.prefix());
    }
    Ok(())
}

/// Writes the first arguments of a command of `count`, and the head of the next one, which is of `due` bytes. Errors: nothing was written.
pub fn beginning(out: &mut BytesMut, request: &Request, count: usize, due: usize, plan: &Plan, names: &Names) -> Result<(), Refusal> {
    let befores = befores(request, plan, names)?;
    encode::header(out, b'*', count);
    args(out, request, &befores);
    encode::header(out, b'$', due);
    Ok(())
}

/// What is put into an argument, behind so many of its bytes.
struct Before<'n> {
    at: usize,
    behind: usize,
    text: &'n [u8],
}

fn args(out: &mut BytesMut, request: &Request, befores: &[Before]) {
    let mut befores = befores.iter().peekable();
    for (at, arg) in request.iter().enumerate() {
        match befores.next_if(|before| before.at == at) {
            None => encode::bulk(out, arg),
            Some(before) => {
                let (head, tail) = arg.split_at_checked(before.behind).unwrap_or((b"", arg));
                encode::three(out, head, before.text, tail);
            }
        }
    }
}

/// What stands before which argument, ascending.
fn befores<'n>(request: &Request, plan: &Plan, names: &'n Names) -> Result<Vec<Before<'n>>, Refusal> {
    let mut befores = Vec::with_capacity(plan.places.len());
    for (at, place) in plan.places.iter().filter(|(at, _)| *at < request.len()) {
        let arg = request.arg(*at);
        names.may_name(*place, arg)?;
        let mut behind = 0;
        let mut placed = |stands, before| match stands {
            Stands::Bare => b"".as_slice(),
            Stands::Behind(kept) => {
                behind = kept;
                before
            }
        };
        let text: &[u8] = match place {
            Place::Key(access) if names.shares() && names.is_shared(arg) => {
                if *access != Access::Read {
                    return Err(Refusal::early("NOPERM", "this user has no permissions to access one of the keys used as arguments"));
                }
                b""
            }
            Place::Key(_) | Place::Channel | Place::Star => names.prefix(),
            Place::Pattern => names.escaped(),
            Place::Heard => placed(channels::channel(arg), names.prefix()),
            Place::HeardPattern => placed(channels::pattern(arg).unwrap_or(Stands::Behind(0)), names.escaped()),
        };
        if text.len() + arg.len() > STRING_MAX_BYTES {
            return Err(Refusal::late("string exceeds maximum allowed size (proto-max-bulk-len)"));
        }
        befores.push(Before { at: *at, behind, text });
    }
    befores.sort_unstable_by_key(|before| before.at);
    Ok(befores)
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
