//! What the second parser sees, and how deep it looks.

use super::*;

#[test]
fn relations_are_seen_wherever_they_stand() {
    let text = "SELECT 1 FROM public.a JOIN public.\"B\" ON true WHERE EXISTS (SELECT 1 FROM public.c UNION TABLE public.d)";
    assert_eq!(relations(text), Some(["public.B", "public.a", "public.c", "public.d"].map(str::to_owned).to_vec()));
    assert_eq!(relations("SELECT FROM ("), None);
}

#[test]
fn a_chain_of_operators_does_not_overflow_the_stack() {
    let chain = |n: usize| format!("SELECT 1 FROM public.a WHERE true{}", " AND 1 = 1".repeat(n));
    let run = move || {
        assert_eq!(relations(&chain(1900)), Some(vec!["public.a".to_owned()]));
        assert_eq!(relations(&chain(100_000)), None);
    };
    // As small as a server's thread has.
    let ended = std::thread::Builder::new().stack_size(2 << 20).spawn(run).map(std::thread::JoinHandle::join);
    assert!(matches!(ended, Ok(Ok(()))));
}

#[test]
fn truncate_shows_its_tables() {
    let seen = |sql: &str| relations(sql).unwrap_or_default();
    assert_eq!(seen("TRUNCATE public.orders"), ["public.orders"]);
    assert_eq!(seen("TRUNCATE a.orders, a.items RESTART IDENTITY"), ["a.items", "a.orders"]);
    assert_eq!(seen("TRUNCATE ONLY a.orders, a.items CASCADE"), ["a.items", "a.orders"]);
}
