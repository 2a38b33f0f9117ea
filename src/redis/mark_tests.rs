//! Nothing but its own echo passes for a mark.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[test]
fn only_its_echo_passes() {
    let (mark, other) = (Mark::by_chance(), Mark::by_chance());
    let mut asked = BytesMut::new();
    mark.ask(&mut asked);
    let echo = format!("$16\r\n{}\r\n", mark.0);
    assert_eq!(asked, format!("*2\r\n$4\r\nECHO\r\n{echo}"));
    assert_ne!(mark.0, other.0);
    for end in 0..echo.len() {
        assert_eq!(mark.echoed(&echo.as_bytes()[..end]).unwrap(), 0, "{end}");
    }
    assert_eq!(mark.echoed(format!("{echo}+OK\r\n").as_bytes()).unwrap(), echo.len());
    for said in ["+OK\r\n", "$6\r\nFORGED\r\n", "-ERR x\r\n", "-BUSY x\r\n", "$16\r\n0000000000000000\r\n", "$5000\r\n", ":1"] {
        assert!(mark.echoed(said.as_bytes()).is_err(), "{said}");
    }
}

#[test]
fn a_server_that_is_busy_echoes_nothing() {
    let mark = Mark::by_chance();
    let busy = "-BUSY Redis is busy running a script.\r\n";
    assert_eq!(mark.echoed_or_busy(format!("{busy}+OK\r\n").as_bytes(), true).unwrap(), busy.len());
    assert!(mark.echoed_or_busy(busy.as_bytes(), false).is_err());
    assert!(mark.echoed_or_busy(b"-ERR x\r\n", true).is_err() && mark.echoed_or_busy(&[BUSY, &[b'x'; 300]].concat(), true).is_err());
    for end in 0..busy.len() {
        assert_eq!(mark.echoed_or_busy(&busy.as_bytes()[..end], true).unwrap(), 0);
    }
    assert_eq!(mark.echoed_or_busy(format!("$16\r\n{}\r\n", mark.0).as_bytes(), true).unwrap(), 23);
}

#[test]
fn what_scripts_say_is_marked() {
    for (command, due) in [("EVAL", true), ("evalsha_ro", true), ("FCALL", true), ("GET", false), ("FUNCTION", false), ("EXEC", false)] {
        assert_eq!(is_due(&[command.as_bytes(), b"x"]), due, "{command}");
    }
    assert!(!is_due(&[]));
}
