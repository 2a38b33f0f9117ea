//! The demo checks itself; here it is seen to end well and to leave nothing behind.

use std::process::Command;

#[test]
fn the_demo_holds_what_it_shows_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    // PostgreSQL's account has to reach what lies in it.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_partywall"));
    let output = command.args(["demo", "--check"]).env("TMPDIR", dir.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("Hank Scorpio") && shown.contains(" 0 wrong") && !shown.contains('\x1b'), "{shown}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files are left");
    let left = Command::new("pgrep").args(["-f", dir.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "processes are left");
}
