//! Slots as the specification and a real server say them.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[test]
fn the_prefix_alone_says_the_slot() {
    // The specification's own check value, and what CLUSTER KEYSLOT says.
    assert_eq!(crc16(b"123456789"), 0x31c3);
    assert_eq!(of_prefix(b"{foo}:"), Some(12182));
    assert_eq!(of_prefix(b"pw:{foo}"), Some(12182));
    assert_eq!(of_prefix(b"{foo}{bar}:"), Some(12182));
    for bad in [b"foo:".as_slice(), b"{}foo:", b"{foo:", b"}foo{", b""] {
        assert_eq!(of_prefix(bad), None, "{}", bad.escape_ascii());
    }
}

#[test]
fn redirections_are_told_by_their_word() {
    assert_eq!(redirect(b"-MOVED 3999 127.0.0.1:6381\r\n"), Some(Redirect::Moved));
    assert_eq!(redirect(b"-ASK 3999 127.0.0.1:6381\r\n"), Some(Redirect::Ask));
    assert_eq!(redirect(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"), Some(Redirect::TryAgain));
    assert_eq!(redirect(b"-CLUSTERDOWN Hash slot not served\r\n"), Some(Redirect::Down));
    for other in ["-ERR no\r\n", "+MOVED 1 a:1\r\n", "-MOVEDX\r\n", ""] {
        assert_eq!(redirect(other.as_bytes()), None, "{other}");
    }
    for begun in ["-", "-M", "-MOVED ", "-MOVED 1 a:1\r\n", "-ASK 1 a:1\r\n"] {
        assert!(may_name_a_node(begun.as_bytes()), "{begun}");
    }
    assert!(!may_name_a_node(b"-ERR") && !may_name_a_node(b"+MOVED ") && !may_name_a_node(b"-TRYAGAIN x"));
}

/// As a server of 7.0 says it.
const NODES: &str = "aaa 127.0.0.1:7000@17000,one,shard-id=x myself,master - 0 0 1 connected 0-5460 5462 [77->-bbb] [93-<-ccc]\n\
    bbb 127.0.0.1:7001@17001 master - 0 1426238317239 2 connected 5461 5463-10922\n\
    ccc ::1:7002@17002 master,fail - 0 1426238317239 3 connected 10923-16383\n\
    ddd :7003@17003,four slave aaa 0 1426238317239 1 connected\n\
    eee 127.0.0.1:7004@17004 slave,fail? aaa 0 1426238317239 1 disconnected\n\
    fff :0@0 master,noaddr - 0 1426238317239 0 disconnected\n\
    ggg 127.0.0.1:7005@17005 master - 0 1426238317239 0 connected\n";

#[test]
fn the_cluster_is_read() {
    let map = Map::read(NODES, "node:1", false).unwrap();
    assert_eq!(map.master(0), Some("127.0.0.1:7000"));
    assert_eq!(map.master(5461), Some("127.0.0.1:7001"));
    assert_eq!(map.master(5462), Some("127.0.0.1:7000"));
    assert_eq!(map.master(16383), Some("[::1]:7002"));
    assert_eq!(map.replicas(0), vec!["node:7003"]);
    assert_eq!(map.replicas(5461), Vec::<&str>::new());
    assert_eq!(map.leaves_for(77), Some("127.0.0.1:7001"));
    assert_eq!(map.leaves_for(93), None);
    assert_eq!(map.masters(), ["127.0.0.1:7000", "127.0.0.1:7001", "[::1]:7002"]);
    assert_eq!(map.addresses().len(), 4);
    let named = Map::read(NODES, "node:1", true).unwrap();
    assert_eq!((named.master(0), named.master(5461)), (Some("one:7000"), Some("127.0.0.1:7001")));
}

#[test]
fn what_is_no_map_is_none() {
    for bad in ["", "\n", "aaa", "-ERR no", "a 127.0.0.1:7000@1 master - 0 0 1 connected 99999", "a 127.0.0.1@1 master - 0 0 1 connected"] {
        assert_eq!(Map::read(bad, "x:1", false), None, "{bad}");
    }
}

#[test]
fn a_cursor_is_of_one_node() {
    let (one, other) = (mark("127.0.0.1:7000"), mark("127.0.0.1:7001"));
    assert!(one != 0 && one != other);
    let cursor = cursor_of(77, one).unwrap();
    assert_eq!((cursor_for(cursor, one), cursor_for(cursor, other)), (77, 0));
    // Of no node: where RANDOMKEY begins.
    assert_eq!(cursor_for(77, one), 77);
    assert_eq!((cursor_of(0, one), cursor_of(1 << 40, one)), (Some(0), None));
}
