//! What sentinels say.

use super::*;

#[test]
fn a_switch_of_ones_own_master_is_heard() {
    let said = |text: &str| {
        let mut out = BytesMut::new();
        encode::command(&mut out, &["message", "+switch-master", text]);
        switched(&out, "mymaster")
    };
    assert_eq!(said("mymaster 10.0.0.1 6379 10.0.0.2 6380").as_deref(), Some("10.0.0.2:6380"));
    assert_eq!(said("mymaster ::1 6379 ::2 6380").as_deref(), Some("[::2]:6380"));
    for other in ["mymaster2 10.0.0.1 6379 10.0.0.2 6380", "mymaster 10.0.0.1 6379", "", "mymaster 1 2 3 4 5"] {
        assert_eq!(said(other), None, "{other}");
    }
    assert_eq!(switched(b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n", "mymaster"), None);
}
