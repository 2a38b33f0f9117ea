//! Tunnels over HTTP: CONNECT (RFC 9110, 9.3.6), in HTTP/2 also the extended one (RFC 8441). What is within is served as if it had come
//! by itself; the headers of the request count for identity.

use super::{Door, HANDSHAKE, Serve};
use crate::identity::Shown;
use crate::relay::{self, Drain};
use crate::upstream::Stream;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Tunnels that one connection holds at once.
const STREAMS: u32 = 100;
/// What comes of one tunnel before it is read. A connection has room for that of all, so that none that is not read keeps others from
/// saying anything (RFC 9113, 5.2).
const WINDOW: u32 = 64 << 10;
/// The longest headers, in bytes.
const HEADERS: u32 = 16 << 10;

/// Serves every tunnel of one connection to its end.
pub async fn serve<S: Serve>(service: Arc<S>, stream: Stream, shown: Shown, drain: Drain) {
    let listener = service.door().config.name.clone();
    let (sender, mut opened) = mpsc::channel::<(Stream, Shown)>(1);
    let door = service.clone();
    let answer = hyper::service::service_fn(move |request| {
        let (sender, shown, door) = (sender.clone(), shown.clone(), door.clone());
        async move { Ok::<_, std::convert::Infallible>(open(request, door.door(), shown, sender)) }
    });
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).keep_alive(false);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(HEADERS);
    builder.http2().initial_stream_window_size(WINDOW).initial_connection_window_size(STREAMS * WINDOW);
    builder.http2().enable_connect_protocol().keep_alive_interval(HANDSHAKE).keep_alive_timeout(HANDSHAKE);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let mut sessions = JoinSet::new();
    let mut stop = drain.clone();
    let (mut open, mut draining, mut idle) = (true, false, Box::pin(tokio::time::sleep(HANDSHAKE)));
    loop {
        tokio::select! {
            ended = connection.as_mut(), if open => {
                open = false;
                if let Err(error) = ended {
                    tracing::info!(listener, error, "tunnels refused");
                }
            }
            Some((stream, shown)) = opened.recv() => {
                let (service, drain) = (service.clone(), drain.clone());
                sessions.spawn(super::to_the_end(Box::pin(service.serve(stream, shown, drain))));
            }
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {
                if sessions.is_empty() && !open {
                    return;
                }
                idle.as_mut().reset(tokio::time::Instant::now() + HANDSHAKE);
            }
            // Nobody has opened a tunnel, or none is left.
            () = idle.as_mut(), if sessions.is_empty() => return,
            () = relay::stopping(&mut stop), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
                if sessions.is_empty() {
                    return;
                }
            }
        }
    }
}

fn open(mut request: Request<Incoming>, door: &Door, mut shown: Shown, sender: mpsc::Sender<(Stream, Shown)>) -> Response<Full<Bytes>> {
    let say = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::CONNECT {
        return say(StatusCode::METHOD_NOT_ALLOWED, "this port opens tunnels: use CONNECT\n");
    }
    // A tunnel is a session of its own, however old its connection is.
    if let Err(error) = door.counts(&shown) {
        tracing::info!(listener = door.config.name, %error, "tunnel refused");
        return say(StatusCode::FORBIDDEN, "the client certificate counts no more\n");
    }
    for (name, value) in request.headers() {
        let Ok(value) = value.to_str() else { return say(StatusCode::BAD_REQUEST, "a header is no text\n") };
        shown.headers.push((name.as_str().to_owned(), value.to_owned()));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let _ = sender.send((Box::new(TokioIo::new(upgraded)), shown)).await;
        }
    });
    say(StatusCode::OK, "")
}
