//! The user and password of a connection upstream: read anew for each, so that a rotation reaches it; a login that fails reads once more.

use crate::config::{Credentials, Login, Secret, Upstream};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// For a command to print a password.
const COMMAND: Duration = Duration::from_secs(10);

/// What an upstream is logged in to with.
pub struct Logins {
    user: String,
    credentials: Credentials,
    /// The last good value by where it came from: half of a rotation changes nothing.
    last: Mutex<HashMap<String, String>>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For<'a> {
    /// The wall's own.
    Wall,
    /// A tenant's.
    Tenant(&'a str),
    /// An operator's.
    Operator,
}

/// One login.
#[derive(Clone, PartialEq, Eq)]
pub struct Who {
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logins").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Logins {
    /// Of an upstream. Errors: the file of its own password cannot be read, or the variable is not there.
    pub fn new(upstream: &Upstream) -> anyhow::Result<Self> {
        let (user, credentials) = (upstream.user.clone(), upstream.credentials.clone());
        match &credentials.secret {
            Secret::File(path) => drop(std::fs::read_to_string(path)?),
            Secret::Env(name) => drop(variable(name).map_err(anyhow::Error::msg)?),
            Secret::None | Secret::Command(_) => {}
        }
        Ok(Self { user, credentials, last: Mutex::default() })
    }

    /// Has this tenant one of its own?
    pub fn is_own(&self, tenant: &str) -> bool {
        self.credentials.each.is_some() || self.credentials.tenants.contains_key(tenant)
    }

    /// The login for whom it is. `again`: what was given last has failed. Errors: in words, without the secret.
    pub async fn of(&self, whose: For<'_>, again: bool) -> Result<Who, String> {
        let credentials = &self.credentials;
        let found = match whose {
            For::Wall => None,
            For::Operator => credentials.operators.clone().map(Ok),
            For::Tenant(t) => credentials.tenants.get(t).cloned().map(Ok).or_else(|| Some(each(credentials.each.as_ref()?, t))),
        };
        let login = match found {
            Some(login) => login?,
            None => Login { user: None, secret: credentials.secret.clone() },
        };
        let user = login.user.unwrap_or_else(|| self.user.clone());
        Ok(Who { user, password: self.password(&login.secret, again).await? })
    }

    async fn password(&self, secret: &Secret, again: bool) -> Result<Option<String>, String> {
        let from = format!("{secret:?}");
        let known = || self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&from).cloned();
        let read = match secret {
            Secret::None => return Ok(None),
            Secret::File(path) => tokio::fs::read_to_string(path).await.map_err(|e| format!("{}: {e}", path.display())),
            Secret::Env(name) => variable(name),
            Secret::Command(words) => match known().filter(|_| !again) {
                Some(known) => return Ok(Some(known)),
                None => printed(words).await,
            },
        };
        let read = read.and_then(|text| {
            let password = text.trim_end_matches(['\r', '\n']).to_owned();
            if password.is_empty() { Err("the password is empty".to_owned()) } else { Ok(password) }
        });
        match read {
            Ok(password) => {
                self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(from, password.clone());
                Ok(Some(password))
            }
            Err(error) => match known() {
                Some(known) => {
                    tracing::warn!(error, "a password cannot be read; the last one is used");
                    Ok(Some(known))
                }
                None => Err(error),
            },
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|e| format!("{name}: {e}"))
}

/// `each:` for one tenant. Errors: its id would lead elsewhere.
fn each(login: &Login, tenant: &str) -> Result<Login, String> {
    let put = |text: &str| text.replace("{tenant}", tenant);
    let secret = match &login.secret {
        Secret::File(path) if tenant.contains(['/', '\\']) || tenant.starts_with('.') => {
            return Err(format!("the id of a tenant leads out of {}", path.display()));
        }
        Secret::Command(_) if tenant.starts_with('-') => return Err("the id of a tenant reads as an option".to_owned()),
        Secret::File(path) => Secret::File(put(&path.to_string_lossy()).into()),
        Secret::Env(name) => Secret::Env(put(name)),
        Secret::Command(words) => Secret::Command(words.iter().map(|w| put(w)).collect()),
        Secret::None => Secret::None,
    };
    Ok(Login { user: login.user.as_deref().map(put), secret })
}

/// What a program prints. No shell reads the words.
async fn printed(words: &[String]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND, command.output()).await.map_err(|_| format!("{program}: it takes too long"))?;
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program}: what it prints is no text"))
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
