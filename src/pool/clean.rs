//! A connection becomes what a session must find: nothing of the one before it, and its own settings.
//!
//! Asked for and waited for before anything of the session's is sent: where it fails the connection is closed, and another one is taken.

use super::{Asker, Greeting, Loan, NoLoan, PATIENCE};
use crate::postgres::lent::{Lent, Settings};
use crate::sql::catalogs::{quote_name, quote_text};
use std::fmt::Write;

/// What DISCARD ALL does, but for prepared statements, whose names are the wall's; and a seed for `random()` that nobody knows.
const CLEAN: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); \
    DISCARD TEMP; DISCARD SEQUENCES; ";

/// A timeout of one session's must not strike what makes the connection another's.
const PATIENT: &str = "SET LOCAL statement_timeout TO 0; ";

/// Settings of the session that are not what it began with.
const SETTINGS: &str = "SELECT name, setting FROM pg_catalog.pg_settings \
    WHERE source OPERATOR(pg_catalog.=) 'session' ORDER BY name COLLATE \"C\"";

/// What a session leaves if it leaves nothing: asked after DISCARD ALL.
const LEFT: &str = "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels()) \
    OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors) \
    OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements) \
    OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) \
        pg_catalog.pg_my_temp_schema()) \
    OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
        AND locktype OPERATOR(pg_catalog.=) 'advisory') \
    OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session') \
    OPERATOR(pg_catalog.+) pg_catalog.pg_my_temp_schema()::pg_catalog.int8";

impl Loan {
    /// Makes the connection what `asker` must find; false where it cannot be, and then it is of no use.
    pub(super) async fn make_ready(&mut self, asker: &Asker) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        let soiled = conn.lent.soiled && conn.lent.last != asker.number;
        if !soiled && conn.lent.settings == asker.settings {
            return true;
        }
        // Once only: a SET LOCAL behind RESET ALL would leave the server's own value as one that a session has set (guc.c, GUC_SET_LOCAL).
        let mut text = String::from(PATIENT);
        if soiled {
            text.push_str(CLEAN);
            let Ok(seed) = seed() else { return false };
            let _ = write!(text, "SELECT pg_catalog.setseed({seed}); ");
        }
        let before = if soiled { Settings::default() } else { conn.lent.settings.clone() };
        text.push_str(&changes(&before, &asker.settings));
        let Ok(Ok(rows)) = tokio::time::timeout(PATIENCE, conn.connection.rows(&text)).await else { return false };
        // Nothing takes away that the connection has a temporary schema: pg_my_temp_schema() tells of it.
        if soiled && !matches!(rows.as_slice(), [row] if row.first() == Some(&Some("0".to_owned()))) {
            return false;
        }
        conn.lent.soiled &= !soiled;
        conn.lent.settings = asker.settings.clone();
        true
    }

    /// What these startup settings come to. The connection is none's yet.
    pub(super) async fn begin(&mut self, startup: &[(String, String)]) -> Result<Greeting, NoLoan> {
        let Some(conn) = &mut self.conn else { return Err(NoLoan::Silent) };
        // What came before counts as another session's.
        conn.lent.last = 0;
        // Sessions hear themselves what the server reports of their settings.
        conn.connection.parameters.clone_from(&conn.parameters);
        if startup.is_empty() {
            return Ok(Greeting { parameters: conn.parameters.clone(), settings: Settings::default() });
        }
        let wanted: Settings = startup.into();
        conn.connection.rows(&patient(&Settings::default(), &wanted)).await?;
        let settings = read(conn.connection.rows(SETTINGS).await?);
        conn.lent.settings = settings.clone();
        Ok(Greeting { parameters: conn.connection.parameters.clone(), settings })
    }

    /// The settings as they are now; None where they cannot be read, but nothing is broken.
    pub async fn settings(&mut self) -> Result<Option<Settings>, NoLoan> {
        let Some(conn) = &mut self.conn else { return Err(NoLoan::Silent) };
        let asked = tokio::time::timeout(PATIENCE, conn.connection.attempt(SETTINGS)).await;
        Ok(asked.map_err(|_| NoLoan::Silent)??.ok().map(read))
    }

    /// Sets again what a client has RESET that asked for it when it began; what the server reports of it. False where it could not be.
    pub async fn set(&mut self, from: &Settings, to: &Settings) -> Result<Option<Vec<(String, String)>>, NoLoan> {
        let Some(conn) = &mut self.conn else { return Err(NoLoan::Silent) };
        conn.connection.parameters.clear();
        let asked = tokio::time::timeout(PATIENCE, conn.connection.attempt(&patient(from, to))).await;
        if asked.map_err(|_| NoLoan::Silent)??.is_err() {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut conn.connection.parameters)))
    }

    /// Takes away all that a session has left which kept its connection for itself; false where something stays.
    pub async fn discard(&mut self) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        let asked = tokio::time::timeout(PATIENCE, async {
            conn.connection.rows("DISCARD ALL").await?;
            let Ok(seed) = seed() else { return Ok(false) };
            conn.connection.rows(&format!("SELECT pg_catalog.setseed({seed})")).await?;
            let left = conn.connection.rows(LEFT).await?;
            Ok::<_, crate::upstream::postgres::ConnectError>(matches!(left.as_slice(), [row] if row.as_slice() == [Some("0".to_owned())]))
        });
        let clean = matches!(asked.await, Ok(Ok(true)));
        if clean {
            *conn.lent = Lent::default();
        }
        clean
    }
}

/// [`changes`] that no timeout strikes.
fn patient(from: &Settings, to: &Settings) -> String {
    format!("{PATIENT}{}", changes(from, to))
}

/// The statements that lead from settings to others; the last one gives one row, the number of the temporary schema first.
fn changes(from: &Settings, to: &Settings) -> String {
    let mut text = String::new();
    for (name, _) in from.iter().filter(|(name, _)| !to.iter().any(|(n, _)| n == name)) {
        let _ = write!(text, "RESET {}; ", quote_name(name));
    }
    text.push_str("SELECT pg_catalog.pg_my_temp_schema()");
    for (name, value) in to.iter().filter(|pair| !from.contains(pair)) {
        let _ = write!(text, ", pg_catalog.set_config({}, {}, false)", quote_text(name), quote_text(value));
    }
    text
}

fn read(rows: crate::sql::catalog::Rows) -> Settings {
    let pair = |row: Vec<Option<String>>| match row.as_slice() {
        [Some(name), Some(value)] => Some((name.clone(), value.clone())),
        _ => None,
    };
    rows.into_iter().filter_map(pair).collect()
}

/// From -1 to 1, by the system's randomness.
fn seed() -> Result<f64, getrandom::Error> {
    let bits = getrandom::u64()? >> 11;
    Ok(bits as f64 / (1u64 << 52) as f64 - 1.0)
}
