//! Unix sockets: who may connect, what was there before, and requests to cancel.

use crate::identity::{USER, policy};
use crate::smoke::shop;
use crate::support::{Client, Wall, eventually};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

/// A wall whose port is this socket; `more` are further keys of its listener, and 1000 is an account that is not this one's.
fn wall(path: &Path, more: &str) -> Result<Wall, String> {
    let account = std::fs::metadata(path.parent().unwrap()).unwrap().uid();
    let config = Wall::config(&shop(), &format!("identity: [peer]{more}"), "user: postgres")
        .replace("127.0.0.1:0', upstream", &format!("unix:{}', upstream", path.display()));
    Wall::attempt(&config, &[("test.yaml", &policy(&format!("  peer: {{ users: {{ {account}: acme, 65534: globex }} }}")))])
}

fn orders(path: &Path) -> String {
    let mut client = Client::start(Box::new(UnixStream::connect(path).unwrap()), USER).unwrap();
    client.query("SELECT item FROM orders ORDER BY id").unwrap().text()
}

#[test]
fn only_a_dead_socket_is_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".s.PGSQL.5432");
    std::fs::write(&path, "of somebody's").unwrap();
    assert!(wall(&path, "").err().unwrap().contains("in use"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "of somebody's");
    std::fs::remove_file(&path).unwrap();
    // What a name leads to is not looked at: it would be another's to say what is taken away.
    let target = directory.path().join("target");
    drop(UnixListener::bind(&target).unwrap());
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(wall(&path, "").is_err());
    std::fs::remove_file(&path).unwrap();
    let alive = UnixListener::bind(&path).unwrap();
    assert!(wall(&path, "").err().unwrap().contains("in use"));
    drop(alive);
    let first = wall(&path, "").unwrap();
    assert_eq!(orders(&path), "anvil\nrocket");
    assert!(wall(&path, "").err().unwrap().contains("in use"), "it is served");
    assert_eq!(orders(&path), "anvil\nrocket");
    drop(first);
    assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let _second = wall(&path, "").unwrap();
    assert_eq!(orders(&path), "anvil\nrocket");
}

#[test]
fn the_mode_says_who_may_connect() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join(".s.PGSQL.5432");
    let mode = |more: &str| {
        let wall = wall(&path, more).unwrap_or_else(|e| panic!("{more}: {e}"));
        (std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, wall)
    };
    for (more, wanted) in [(", socket_mode: '0600'", 0o600), (", socket_mode: '666'", 0o666)] {
        let (mode, wall) = mode(more);
        assert_eq!(mode, wanted);
        assert_eq!(orders(&path), "anvil\nrocket");
        // Another account, where this one may become it.
        if directory.path().metadata().unwrap().uid() == 0 {
            let host = directory.path().to_str().unwrap();
            let psql = ["psql", "-X", "-A", "-t", "-h", host, "-d", "shop", "-c", "SELECT min(item) FROM orders"];
            let output = Command::new("setpriv").args(["--reuid", "65534", "--clear-groups"]).args(psql).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            assert_eq!(said, if wanted == 0o666 { "laser" } else { "" }, "{}", String::from_utf8_lossy(&output.stderr));
        }
        drop(wall);
    }
    for wrong in ["'0o660'", "'888'", "'77'", "'01777'", "660", "'-66'", "'+66'", "true"] {
        assert!(wall(&path, &format!(", socket_mode: {wrong}")).err().unwrap().contains("octal"), "{wrong}");
    }
    let tcp = Wall::config(&shop(), "identity: [startup], socket_mode: '0600'", "user: postgres");
    assert!(Wall::attempt(&tcp, &[("test.yaml", crate::smoke::POLICY)]).err().unwrap().contains("only a Unix socket"));
}

#[test]
fn a_request_to_cancel_needs_the_key_there_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".s.PGSQL.5432");
    let _wall = wall(&path, "").unwrap();
    let cancel = |(number, secret): (u32, u32)| {
        let mut stream = UnixStream::connect(&path).unwrap();
        let words = [16u32, 80_877_102, number, secret].map(u32::to_be_bytes).concat();
        std::io::Write::write_all(&mut stream, &words).unwrap();
        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    };
    let mut client = Client::start(Box::new(UnixStream::connect(&path).unwrap()), USER).unwrap();
    let key = client.key;
    let slow = "SELECT count(*) FROM generate_series(1, 20000000) a";
    let asked = std::thread::spawn(move || {
        let first = client.query("SELECT count(*) FROM generate_series(1, 300000) a").is_ok();
        (first, client.query(slow).err().map(|e| e.code))
    });
    for _ in 0..3 {
        cancel((key.0, key.1 ^ 1));
    }
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(eventually(|| {
        cancel(key);
        asked.is_finished()
    }));
    assert_eq!(asked.join().unwrap(), (true, Some("57014".to_owned())));
}
