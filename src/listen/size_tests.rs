//! What a connection takes while it says nothing.

use super::*;

/// Bytes of the future that a function of four arguments gives.
fn size<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
    size_of::<F>()
}

/// The same of six.
fn size_of_six<A, B, C, D, E, F, G: Future>(_: impl FnOnce(A, B, C, D, E, F) -> G) -> usize {
    size_of::<G>()
}

#[test]
fn a_task_is_small() {
    for (what, bytes, most) in [
        ("a task", size_of_val(&to_the_end(Box::pin(async { None }))), 64),
        ("a PostgreSQL client's arrival", size(arrive::<Service>), 768),
        ("a Redis client's arrival", size(arrive::<redis::Service>), 768),
        ("a Redis conversation", size_of_six(redis::Service::converse), 2192),
        ("a PostgreSQL client's way", size(<Service as Serve>::serve), 1536),
        ("a Redis client's way", size(<redis::Service as Serve>::serve), 1536),
        ("a PostgreSQL session", size_of::<crate::postgres::Session<crate::sql::Judge>>(), 1024),
        ("a Redis session", size_of::<crate::redis::Session>(), 1280),
    ] {
        assert!(bytes <= most, "{what} takes {bytes} bytes, more than {most}");
    }
}
