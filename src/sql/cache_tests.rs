//! What is kept, for whom, and how much.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::sql::outgoing::Template;

fn judged(text: &str) -> Arc<Judged> {
    let template = Arc::new(Template::new(text.to_owned(), 1, Vec::new()).unwrap());
    Arc::new(Judged { template, first: 1, private: false, assurance: Arc::default(), statements: Vec::new(), script: None, prepared: None })
}

#[test]
fn an_entry_is_for_its_text_and_its_declared_parameters() {
    let cache = Cache::default();
    cache.put("SELECT 1", None, judged("SELECT 1"));
    assert!(cache.get("SELECT 1", None).is_some());
    assert!(cache.get("SELECT 1", Some(0)).is_none());
    assert!(cache.get("SELECT 2", None).is_none());
}

#[test]
fn a_flood_of_texts_stays_within_the_bound() {
    let cache = Cache::default();
    for n in 0..20_000 {
        let text = format!("SELECT {n}, '{}'", "x".repeat(600));
        cache.put(&text, None, judged(&text));
    }
    assert!(cache.0.weight() <= BYTES_MAX && cache.0.len() > 1000, "{} {}", cache.0.weight(), cache.0.len());
}
