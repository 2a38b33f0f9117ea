//! Connections to the servers behind the wall.

pub mod postgres;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream both ways: TCP, Unix socket or TLS over one of them.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Any of them.
pub type Stream = Box<dyn Duplex>;
