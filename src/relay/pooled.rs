//! The pump of a session whose connections upstream are lent to it: it has one while it needs one.

use super::{Drain, End, NOW, Side, WAITING_BYTES};
use crate::observe::Meter;
use crate::pool::{Asker, Holder, Loan, NoLoan, Pool};
use crate::postgres::shared::{Hold, Need};
use crate::postgres::{Judging, Session, errors};
use crate::session::Session as _;
use crate::session::{Close, Turn};
use crate::sql::Refusal;
use bytes::BytesMut;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where a session's connections come from.
pub struct Lender {
    /// These.
    pub pool: Arc<Pool>,
    /// What the client's cancel key stands for.
    pub holder: Arc<Holder>,
    /// Who asks.
    pub asker: Asker,
}

/// Pumps as [`super::pump`] does.
pub async fn pooled<J: Judging + 'static>(
    client: impl AsyncRead + AsyncWrite + Unpin,
    input: BytesMut,
    session: Session<J>,
    mut drain: Drain,
    refresh: impl FnMut(&mut Session<J>),
    meter: &Meter,
    lender: Lender,
) -> End {
    let mut pump = Pump { client: Side::new(client, input), upstream: None, session, turn: Turn::default(), refresh, meter, lender };
    let mut watched = true;
    let end = loop {
        let stop = *drain.borrow_and_update();
        if let Some(end) = pump.renewed(stop) {
            break end;
        }
        let next = {
            let mut changed = pin!(drain.changed());
            poll_fn(|cx| match pump.poll(stop, cx) {
                Poll::Pending if watched => changed.as_mut().poll(cx).map(|kept| {
                    watched = kept.is_ok();
                    Next::Again
                }),
                next => next,
            })
            .await
        };
        let over;
        match next {
            Next::Again => continue,
            Next::End(end) => break end,
            Next::Labour => (pump, over) = Box::pin(pump.labour()).await,
            Next::Lend => (pump, over) = Box::pin(pump.lend(&mut drain)).await,
            Next::Settle => (pump, over) = Box::pin(pump.settle()).await,
        }
        if let Some(end) = over {
            break end;
        }
    };
    Box::pin(pump.finish(end)).await
}

/// What the pump is left for.
enum Next {
    /// The drain has moved on, or the policy.
    Again,
    /// The session has something to do that takes long.
    Labour,
    /// It needs a connection.
    Lend,
    /// Its settings must be read.
    Settle,
    /// It is over.
    End(End),
}

struct Pump<'m, C, J, R> {
    client: Side<C>,
    upstream: Option<Side<Loan>>,
    session: Session<J>,
    turn: Turn,
    refresh: R,
    meter: &'m Meter,
    lender: Lender,
}

impl<C, J, R> Pump<'_, C, J, R>
where
    C: AsyncRead + AsyncWrite + Unpin,
    J: Judging + 'static,
    R: FnMut(&mut Session<J>),
{
    /// Moves what can be moved; Ready when there is something else to do, or it is over.
    fn poll(&mut self, stop: u8, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(next) = self.write(stop, cx).or_else(|| self.hold()) {
                return Poll::Ready(next);
            }
            let mut heard = false;
            if self.client.may_be_read(&self.session, &self.turn)
                && let Poll::Ready(read) = self.client.poll_read(cx)
            {
                let Ok(count) = read else { return Poll::Ready(Next::End(End::ClientGone)) };
                heard = true;
                self.client.ended = count == 0;
                if count > 0 {
                    let lent = self.upstream.is_some();
                    if let Some(end) = self.renewed(stop).or_else(|| lent.then(|| self.heard_client()).flatten()) {
                        return Poll::Ready(Next::End(end));
                    }
                    continue;
                }
            }
            if self.turn.to_client.len() < WAITING_BYTES
                && let Some(upstream) = &mut self.upstream
                && let Poll::Ready(read) = upstream.poll_read(cx)
            {
                heard = true;
                let end = if read.is_ok_and(|count| count > 0) { self.heard_upstream() } else { Some(End::UpstreamGone) };
                if let Some(end) = end {
                    return Poll::Ready(Next::End(end));
                }
            }
            if !heard {
                return Poll::Pending;
            }
        }
    }

    /// Writes what there is, and sees whether it is over.
    fn write(&mut self, stop: u8, cx: &mut Context<'_>) -> Option<Next> {
        if let Some(upstream) = &mut self.upstream
            && upstream.write(cx, &mut self.turn.to_upstream).is_err()
        {
            return Some(Next::End(End::UpstreamGone));
        }
        if self.client.write(cx, &mut self.turn.to_client).is_err() {
            return Some(Next::End(End::ClientGone));
        }
        self.meter.count(&mut self.turn.facts);
        if std::mem::take(&mut self.turn.laborious) {
            return Some(Next::Labour);
        }
        self.client.over(stop, &mut self.session, &mut self.turn).map(Next::End)
    }

    /// Gives the connection back when it is not needed, and takes one when it is.
    fn hold(&mut self) -> Option<Next> {
        if self.upstream.is_some() {
            if self.turn.to_upstream.is_empty() {
                match self.session.hold() {
                    Hold::Busy | Hold::Kept => {}
                    Hold::Unsettled => return Some(Next::Settle),
                    Hold::Free => self.give_back(),
                }
            }
            return None;
        }
        if self.client.input.is_empty() {
            return None;
        }
        match Session::<J>::need(&self.client.input) {
            Need::More => None,
            Need::Nothing => Some(Next::End(self.heard_client().unwrap_or(End::ClientGone))),
            Need::Connection => {
                self.lender.asker.settings = self.session.wants();
                match self.lender.pool.try_lend(&self.lender.asker) {
                    Some(loan) => self.lent(loan).map_or(Some(Next::Again), |end| Some(Next::End(end))),
                    None => Some(Next::Lend),
                }
            }
        }
    }

    fn lent(&mut self, mut loan: Loan) -> Option<End> {
        self.lender.holder.holds(loan.backend().cloned());
        if let Some(lent) = loan.take_lent() {
            self.session.lend(lent);
        }
        self.upstream = Some(Side::new(loan, BytesMut::new()));
        self.heard_client()
    }

    fn give_back(&mut self) {
        let Some(Side { stream: mut loan, input, unflushed, .. }) = self.upstream.take() else { return };
        match self.session.give() {
            // What the server says to nobody is not for the next one.
            Some(lent) if input.is_empty() && !unflushed => {
                loan.put_lent(lent);
                self.lender.holder.give_back(loan);
            }
            _ => self.lender.holder.holds(None),
        }
    }

    fn renewed(&mut self, stop: u8) -> Option<End> {
        (self.refresh)(&mut self.session);
        Side::<C>::renewed(stop, &mut self.session, &mut self.turn)
    }

    fn heard_client(&mut self) -> Option<End> {
        self.client.heard(&mut self.session, &mut self.turn)
    }

    fn heard_upstream(&mut self) -> Option<End> {
        let upstream = self.upstream.as_mut()?;
        self.client.answered(&mut upstream.input, &mut self.session, &mut self.turn)
    }

    /// Waits for a connection. Where there is none the client is told, and the session goes on.
    async fn lend(mut self, drain: &mut Drain) -> (Self, Option<End>) {
        let lent = {
            let mut stopped = pin!(async {
                // Nobody is left who could say so.
                if drain.wait_for(|stop| *stop == NOW).await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            let mut lending = pin!(self.lender.pool.lend(&self.lender.asker));
            poll_fn(|cx| match lending.as_mut().poll(cx) {
                Poll::Ready(lent) => Poll::Ready(Some(lent)),
                Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
            })
            .await
        };
        let end = match lent {
            None => {
                self.session.farewell(&mut self.turn);
                Some(End::Drained)
            }
            Some(Ok(loan)) => self.lent(loan),
            Some(Err(why)) => {
                let refusal = refusal(&why);
                let told = Session::<J>::deny(&mut self.client.input, &refusal, &mut self.turn);
                if !told {
                    errors::fatal(&mut self.turn.to_client, &refusal);
                }
                (!told).then_some(End::Session(Close::Bye))
            }
        };
        (self, end)
    }

    /// Reads the settings of the session's connection, and sets again what it began with.
    async fn settle(mut self) -> (Self, Option<End>) {
        let gone = Some(End::UpstreamGone);
        let Some(Side { stream: loan, input, .. }) = &mut self.upstream else { return (self, gone) };
        if !input.is_empty() {
            return (self, gone);
        }
        let Ok(read) = loan.settings().await else { return (self, gone) };
        let wanted = self.session.settle(read.clone());
        if let Some(read) = read.filter(|read| *read != wanted) {
            match loan.set(&read, &wanted).await {
                Ok(Some(reports)) => {
                    self.session.settled();
                    reports.iter().for_each(|(name, value)| self.session.report(name, value, &mut self.turn));
                }
                Ok(None) => drop(self.session.settle(None)),
                Err(_) => return (self, gone),
            }
        }
        (self, None)
    }

    /// Has the session do what takes long, on a thread for that.
    async fn labour(self) -> (Self, Option<End>) {
        let Self { client, upstream, mut session, mut turn, refresh, meter, lender } = self;
        let (session, turn, result) = super::beside(move || {
            let result = session.labour(&mut turn);
            (session, turn, result)
        })
        .await;
        (Self { client, upstream, session, turn, refresh, meter, lender }, result.err().map(End::Session))
    }

    /// Last words, and the end of the connection: it is given back where nothing of the session is on it.
    async fn finish(mut self, end: End) -> End {
        self.meter.count(&mut self.turn.facts);
        if end == End::UpstreamGone {
            self.session.abandoned(&mut self.turn);
        }
        let whole = end != End::UpstreamGone && self.turn.to_upstream.is_empty();
        match self.session.hold() {
            Hold::Free if whole => self.give_back(),
            Hold::Kept | Hold::Unsettled if whole && !self.lender.pool.config.transaction => {
                if let Some(side) = &mut self.upstream
                    && side.stream.discard().await
                    && let Some(side) = self.upstream.take()
                {
                    self.lender.holder.give_back(side.stream);
                }
            }
            _ => {}
        }
        self.lender.holder.holds(None);
        // Whatever it was doing ends with its connection.
        self.upstream = None;
        let last = self.client.last_words(&end, &mut self.turn);
        let _ = tokio::time::timeout(Duration::from_secs(5), last).await;
        end
    }
}

/// In the application's terms.
pub fn refusal(why: &NoLoan) -> Refusal {
    match why {
        NoLoan::Full => Refusal::with_state("53300", "sorry, too many clients already")
            .detail("All connections to the database were in use for as long as a client waits for one."),
        NoLoan::Connect(error) => {
            tracing::warn!(%error, "upstream refused");
            errors::no_upstream()
        }
        NoLoan::Silent => errors::silent_upstream(),
    }
}
