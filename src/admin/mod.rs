//! The admin port: `/livez /readyz /metrics /tenants`, and a page for people at `/`. HTTP/1.1, GET only, no secrets.

use crate::observe::Metrics;
use anyhow::Context;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Binds the port. Errors: the address, or the system's.
pub async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("admin cannot listen on {address}"))
}

/// Serves until it is aborted; not ready as soon as the drain begins.
pub async fn serve(socket: TcpListener, metrics: Arc<Metrics>, drain: watch::Receiver<u8>) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (metrics, drain) = (metrics.clone(), drain.clone());
        tokio::spawn(async move {
            let answer = |request: Request<Incoming>| {
                let response = respond(request.method(), request.uri().path(), &metrics, *drain.borrow() == 0);
                async move { Ok::<_, Infallible>(response) }
            };
            let served =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
            // A client that asks for nothing is let go.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(60), served).await;
        });
    }
}

fn respond(method: &Method, path: &str, metrics: &Metrics, ready: bool) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (method, path) {
        (&Method::GET, "/livez") => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        (&Method::GET, "/readyz") if ready => (StatusCode::OK, "text/plain", "ready\n".to_owned()),
        (&Method::GET, "/readyz") => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".to_owned()),
        (&Method::GET, "/metrics") => (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics.text()),
        (&Method::GET, "/tenants") => {
            (StatusCode::OK, "application/json", serde_json::to_string(&metrics.tenants()).unwrap_or_default() + "\n")
        }
        (&Method::GET, "/") => (StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned()),
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "text/plain", "not found\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

const PAGE: &str = "<!doctype html><title>Partywall</title><h1>Partywall</h1>\
<ul><li><a href=/livez>livez</a><li><a href=/readyz>readyz</a><li><a href=/metrics>metrics</a><li><a href=/tenants>tenants</a></ul>\n";
