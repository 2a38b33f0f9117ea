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
