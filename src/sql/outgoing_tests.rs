//! Literals in holes, and places across them.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn template(text: &str, first: u16, places: &[(usize, usize)]) -> Arc<Template> {
    Arc::new(Template::new(text.to_owned(), first, places.to_vec()).unwrap())
}

#[test]
fn a_literal_takes_the_place_of_the_tenants_parameters_only() {
    let text = "SELECT '$2', a FROM t WHERE b = $2 AND c = $2 AND d = $1";
    let filled = template(text, 2, &[]).filled("o'hara");
    assert_eq!(filled.as_str(), "SELECT '$2', a FROM t WHERE b = 'o''hara' AND c = 'o''hara' AND d = $1");
    assert_eq!(template("SELECT $1", 1, &[]).filled("a\\").as_str(), "SELECT  E'a\\\\'");
    assert!(template("SELECT $1", 2, &[]).is_closed());
    assert_eq!(template(text, 2, &[]).outgoing().as_str(), text);
}

#[test]
fn places_are_found_before_between_and_behind_the_holes() {
    // client: SELECT a FROM t WHERE b = 1
    let (text, client) = ("SELECT a FROM s.t WHERE t.x = $1 AND $1 = t.x AND b = 1", "SELECT a FROM t WHERE b = 1");
    let template = template(text, 1, &[(50, 22), (7, 7), (54, 26)]);
    for outgoing in [template.outgoing(), template.filled("acme"), template.filled("a")] {
        let find = |word: &str| outgoing.as_str().rfind(word).map(|at| u32::try_from(at + 1).unwrap()).unwrap();
        assert_eq!(outgoing.client_position(client, find("a FROM")), Some(8));
        assert_eq!(outgoing.client_position(client, find("b = 1")), Some(23));
        assert_eq!(outgoing.client_position(client, find("1")), Some(27));
        assert_eq!(outgoing.client_position(client, find("t.x")), None);
        assert_eq!(outgoing.client_position(client, 0), None);
        assert_eq!(outgoing.client_position(client, 9999), None);
    }
    assert_eq!(template.filled("acme").client_position(client, 32), None);
}

#[test]
fn parameters_stand_where_the_verifier_saw_them_or_the_scanner_tells() {
    let proved = |text: &str, seen: &[(usize, i64)]| Template::proved(text.to_owned(), 2, Vec::new(), seen);
    let text = "SELECT a FROM t WHERE b = $2 AND c = $10 AND d = $1";
    assert_eq!(proved(text, &[(37, 10), (26, 2)]).unwrap(), *template(text, 2, &[]));
    // What looks like one in a literal, and one that was not seen.
    let text = "SELECT '$2', a FROM t WHERE b = $2";
    assert_eq!(proved(text, &[(32, 2)]).unwrap(), *template(text, 2, &[]));
    assert_eq!(proved(text, &[(8, 2)]).unwrap(), *template(text, 2, &[]));
    assert_eq!(proved("SELECT $2, $3", &[(7, 2)]).unwrap(), *template("SELECT $2, $3", 2, &[]));
    for seen in [(6, 2), (8, 2), (7, 3), (99, 2), (usize::MAX, 2)] {
        assert!(proved("SELECT $2", &[seen]).is_err(), "{seen:?}");
    }
    assert!(proved("SELECT $22", &[(7, 2)]).is_err());
}
