//! Passwords from each place, before and after a rotation.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use std::path::Path;

fn logins(credentials: Credentials) -> Logins {
    Logins { user: "app".into(), credentials, last: Mutex::default() }
}

fn of(logins: &Logins, tenant: Option<&str>, again: bool) -> Result<(String, Option<String>), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(logins.of(tenant.map_or(For::Wall, For::Tenant), again)).map(|who| (who.user, who.password))
}

fn is(user: &str, password: &str) -> Result<(String, Option<String>), String> {
    Ok((user.to_owned(), Some(password.to_owned())))
}

#[test]
fn a_file_is_read_each_time_and_half_a_rotation_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let logins = logins(Credentials { secret: Secret::File(path.clone()), ..Credentials::default() });
    assert!(of(&logins, None, false).is_err());
    std::fs::write(&path, "one\r\n").unwrap();
    assert_eq!(of(&logins, None, false), is("app", "one"));
    std::fs::write(&path, "two").unwrap();
    assert_eq!(of(&logins, Some("acme"), false), is("app", "two"));
    std::fs::write(&path, "").unwrap();
    assert_eq!(of(&logins, None, false), is("app", "two"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(of(&logins, None, true), is("app", "two"));
}

#[test]
fn a_command_runs_again_when_a_login_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let counter = directory.path().join("count").display().to_string();
    let words = ["sh", "-c", "echo x >> \"$0\"; wc -l < \"$0\"", &counter].map(str::to_owned).to_vec();
    let logins = logins(Credentials { secret: Secret::Command(words), ..Credentials::default() });
    assert_eq!(of(&logins, None, false), is("app", "1"));
    assert_eq!(of(&logins, None, false), is("app", "1"));
    assert_eq!(of(&logins, None, true), is("app", "2"));
    assert_eq!(of(&logins, None, false), is("app", "2"));
    let wrong = super::tests::logins(Credentials { secret: Secret::Command(vec!["false".into()]), ..Credentials::default() });
    assert!(of(&wrong, None, false).unwrap_err().contains("exit status: 1"));
}

#[test]
fn a_tenants_own_comes_before_each_and_each_before_the_walls() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("globex"), "g").unwrap();
    std::fs::write(directory.path().join("own"), "o").unwrap();
    let file = |name: &str| Secret::File(Path::new(directory.path()).join(name));
    let each = Some(Login { user: Some("app_{tenant}".into()), secret: file("{tenant}") });
    let own = Login { user: Some("special".into()), secret: file("own") };
    let logins = logins(Credentials { secret: file("own"), each, tenants: [("acme".to_owned(), own)].into(), operators: None });
    assert_eq!(of(&logins, Some("acme"), false), is("special", "o"));
    assert_eq!(of(&logins, Some("globex"), false), is("app_globex", "g"));
    assert_eq!(of(&logins, None, false), is("app", "o"));
    for bad in ["../own", "..", "a/b", "nobody"] {
        assert!(of(&logins, Some(bad), false).is_err(), "{bad}");
    }
    assert!(!format!("{logins:?}").contains("own"));
}
