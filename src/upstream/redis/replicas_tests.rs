//! Only a replica that the master itself holds to be in sync is read.

use super::*;

#[test]
fn a_replica_is_in_sync_by_its_masters_word() {
    let says = |replicas: &str| {
        in_sync(&format!(
            "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n{replicas}\r\nmaster_replid:x\r\nmaster_repl_offset:5000000\r\n"
        ))
    };
    assert_eq!(says("slave0:ip=10.0.0.2,port=6379,state=online,offset=4999000,lag=0"), ["10.0.0.2:6379"]);
    assert_eq!(
        says("slave0:ip=::1,port=1,state=online,offset=5000000,lag=2\r\nslave1:ip=a,port=2,state=online,offset=5000000,lag=1"),
        ["[::1]:1", "a:2"]
    );
    for bad in [
        "slave0:ip=a,port=1,state=wait_bgsave,offset=5000000,lag=0",
        "slave0:ip=a,port=1,state=online,offset=5000000,lag=3",
        "slave0:ip=a,port=1,state=online,offset=5000000,lag=-1",
        "slave0:ip=a,port=1,state=online,offset=1000,lag=0",
        "slave0:ip=a,port=1,state=online",
        "slave_x:ip=a,port=1,state=online,offset=5000000,lag=0",
        "",
    ] {
        assert_eq!(says(bad), [""; 0], "{bad}");
    }
    let of_a_replica = "role:slave\r\nslave0:ip=a,port=1,state=online,offset=5000000,lag=0\r\nmaster_repl_offset:5000000\r\n";
    assert_eq!(in_sync(of_a_replica), [""; 0]);
}
