//! What a client may say before it has said who it is.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn hear(line: &str) -> (String, String) {
    let (mut input, mut out) = (BytesMut::from(line), BytesMut::new());
    let said = Stranger::default().hear(&mut input, &mut out);
    let said = match said.unwrap() {
        Said::Named(Credentials { user, password }, hello) => {
            let rest = hello.map(|hello| hello.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "));
            format!("named {} {password} {}", user.unwrap_or_default(), rest.unwrap_or_default())
        }
        other => format!("{other:?}").to_lowercase(),
    };
    (said, String::from_utf8(out.to_vec()).unwrap().trim_end().to_owned())
}

#[test]
fn auth_and_hello_name_a_tenant() {
    assert_eq!(hear("AUTH acme x\r\n"), ("named acme x ".into(), String::new()));
    assert_eq!(hear("HELLO 3 SETNAME n AUTH acme x\r\n"), ("named acme x HELLO 3 SETNAME n".into(), String::new()));
    assert_eq!(hear("AUTH x\r\n"), ("named  x ".into(), String::new()));
}

#[test]
fn nothing_else_is_heard() {
    for (line, words) in [
        ("GET k", "-NOAUTH Authentication required."),
        ("HELLO 3", "-NOAUTH HELLO must be called"),
        ("HELLO 3 AUTH acme x AUTH globex x", "-NOAUTH HELLO must be called"),
        ("HELLO 3 AUTH acme x SETNAME n auth acme y", "-NOAUTH HELLO must be called"),
        ("HELLO 3 AUTH acme x AUTH globex", "-NOAUTH HELLO must be called"),
        ("HELLO 3 AUTH acme x JUNK", "-NOAUTH HELLO must be called"),
        ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
        ("AUTH x \"\\xff\"", "-WRONGPASS"),
        ("AUTH \"\\xff\" x", "-WRONGPASS"),
        ("NOSUCH", "-ERR unknown command 'NOSUCH'"),
        ("RESET", "+RESET"),
    ] {
        let (said, answer) = hear(&format!("{line}\r\n"));
        assert_eq!(said, "answered", "{line}");
        assert!(answer.starts_with(words), "{line}: {answer}");
    }
    assert_eq!(hear("QUIT\r\n"), ("bye".into(), "+OK".into()));
    assert_eq!(hear("AUTH acme"), ("nothing".into(), String::new()));
}

#[test]
fn a_stranger_keeps_nothing_large() {
    let mut out = BytesMut::new();
    assert!(Stranger::default().hear(&mut BytesMut::from("*1\r\n$99999\r\n"), &mut out).is_err());
    assert_eq!(&out[..], b"-ERR Protocol error: unauthenticated bulk length\r\n");
}
