//! PostgreSQL's side of saying who one is: a token or a password, asked for where nothing else has spoken. Source: the manual's "Message Flow",
//! section "Start-up", and "SASL Authentication".

use super::postgres::Client;
use super::{HANDSHAKE, Service};
use crate::identity::scram::Exchange;
use crate::identity::{Evidence, IdentityError, Principal, chooses, hears_tokens, plain};
use crate::policy::Named;
use crate::postgres::encode;
use crate::postgres::startup::STARTUP_BYTES;
use crate::postgres::wire::{self, WireError};
use crate::sql::Refusal;
use crate::upstream::Stream;
use bytes::BytesMut;
use std::io::{Error, Result};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Who it is; None where nothing says so but each statement will. Errors: the refusal.
pub async fn identify(service: &Arc<Service>, client: &mut Client) -> std::result::Result<Option<Principal>, Refusal> {
    let judge = service.shared.judge.load_full();
    let (door, policy) = (&service.door, judge.policy());
    let evidence = Evidence { shown: &client.shown, startup: &client.params, token: None, user: None };
    // Whoever reads them, there is one of each.
    let user = plain(&client.params, "user").and_then(|user| plain(&client.params, "database").map(|_| user)).map_err(refuse)?;
    let absent = match door.identify(policy, &evidence) {
        Err(IdentityError::Absent) => IdentityError::Absent,
        said => return said.map(Some).map_err(refuse),
    };
    if chooses(policy, &door.config.identity, &client.shown) {
        return Ok(None);
    }
    if hears_tokens(policy, &door.config.identity) {
        if !client.shown.secret {
            return Err(Refusal::with_state("28000", "a token is taken over TLS only"));
        }
        let asked = tokio::time::timeout(HANDSHAKE, token(&mut client.stream, &mut client.input)).await;
        let Ok(Ok(token)) = asked else { return Err(refuse(absent)) };
        let (service, shown, startup, judge) = (service.clone(), client.shown.clone(), client.params.clone(), judge.clone());
        // A signature is not for the thread that serves others.
        let check =
            move || service.door.identify(judge.policy(), &Evidence { shown: &shown, startup: &startup, token: Some(&token), user: None });
        return door.attempts.check((client.shown.peer, None), check).await.map(Some).map_err(refuse);
    }
    let Some(users) = door.users() else { return Err(refuse(absent)) };
    door.attempts.wait(client.shown.peer, user.as_deref()).await.map_err(|busy| refuse(busy.into()))?;
    let exchange = Exchange::new(&users, user.as_deref().unwrap_or_default(), client.shown.endpoint.as_deref());
    let asked = tokio::time::timeout(HANDSHAKE, sasl(exchange, &mut client.stream, &mut client.input)).await;
    let proved = asked.unwrap_or_else(|_| Err(Error::other("it takes too long")));
    let named = proved.map_err(|error| {
        tracing::info!(listener = door.config.name, %error, "a password proves nothing");
        door.attempts.failed(client.shown.peer);
        refuse(IdentityError::Password)
    })?;
    door.identify(policy, &Evidence { user: Some(&named), ..evidence }).map(Some).map_err(refuse)
}

fn refuse(error: IdentityError) -> Refusal {
    let state = if matches!(error, IdentityError::Token(_) | IdentityError::Password) { "28P01" } else { "28000" };
    Refusal::with_state(state, error.to_string())
}

fn broken(error: WireError) -> Error {
    Error::other(error.to_string())
}

/// The next PasswordMessage, SASLInitialResponse or SASLResponse: they share a tag. Errors: another message, or the end.
async fn response(stream: &mut Stream, input: &mut BytesMut) -> Result<wire::Frame> {
    loop {
        if let Some(frame) = wire::take(input, |_| STARTUP_BYTES).map_err(broken)? {
            return if frame.tag == b'p' { Ok(frame) } else { Err(Error::other("no answer to the question")) };
        }
        if stream.read_buf(input).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// AuthenticationCleartextPassword and its answer. Errors: another message, or the end.
async fn token(stream: &mut Stream, input: &mut BytesMut) -> Result<String> {
    let mut out = BytesMut::new();
    encode::authentication_cleartext(&mut out);
    stream.write_all(&out).await?;
    let frame = response(stream, input).await?;
    let mut reader = wire::Reader::new(frame.body());
    let token = reader.string().map_err(broken)?.to_owned();
    reader.end().map_err(broken)?;
    Ok(token)
}

/// AuthenticationSASL to AuthenticationSASLFinal; gives whose the user is. Errors: the exchange fails.
async fn sasl(mut exchange: Exchange<'_>, stream: &mut Stream, input: &mut BytesMut) -> Result<Named> {
    let mut out = BytesMut::new();
    encode::authentication_sasl(&mut out, exchange.mechanisms()).map_err(broken)?;
    stream.write_all(&out).await?;
    let frame = response(stream, input).await?;
    let mut reader = wire::Reader::new(frame.body());
    let mechanism = reader.string().map_err(broken)?.to_owned();
    let length = usize::try_from(reader.u32().map_err(broken)?).map_err(Error::other)?;
    let message = wire::utf8(reader.bytes(length).map_err(broken)?).map_err(broken)?;
    reader.end().map_err(broken)?;
    let challenge = exchange.first(&mechanism, message).map_err(Error::other)?;
    out.clear();
    encode::authentication(&mut out, 11, challenge.as_bytes()).map_err(broken)?;
    stream.write_all(&out).await?;
    let frame = response(stream, input).await?;
    let (last, named) = exchange.last(wire::utf8(frame.body()).map_err(broken)?).map_err(Error::other)?;
    out.clear();
    encode::authentication(&mut out, 12, last.as_bytes()).map_err(broken)?;
    stream.write_all(&out).await?;
    Ok(named)
}
