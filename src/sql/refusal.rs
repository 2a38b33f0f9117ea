//! A refusal as PostgreSQL's client will see it.

use crate::policy::Place;

/// Why a statement is not sent. Becomes an ErrorResponse; see DESIGN §7 for the SQLSTATEs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sqlstate}: {message}")]
pub struct Refusal {
    /// Five characters.
    pub sqlstate: &'static str,
    /// In the application's terms.
    pub message: String,
    /// The reason.
    pub detail: Option<String>,
    /// What would change it.
    pub hint: Option<String>,
    /// 1-based character position in the client's own text.
    pub position: Option<u32>,
}

impl Refusal {
    fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None, position: None }
    }

    /// 0A000: the wall does not understand it, so it does not pass.
    pub fn not_understood(message: impl Into<String>) -> Self {
        Self::new("0A000", message)
    }

    /// 42501: understood and not allowed.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self::new("42501", message)
    }

    /// 42P01: no such relation for this tenant.
    pub fn no_relation(name: &str) -> Self {
        Self::new("42P01", format!("relation \"{name}\" does not exist"))
    }

    /// 42883: no such function for this tenant.
    pub fn no_function(signature: &str) -> Self {
        Self::new("42883", format!("function {signature} does not exist"))
    }

    /// 42601: PostgreSQL's grammar says no; `message` is the parser's.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new("42601", message)
    }

    /// Any other SQLSTATE.
    pub fn with_state(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::new(sqlstate, message)
    }

    /// Adds DETAIL.
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// Adds HINT.
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Adds a HINT that names the policy's line.
    pub fn hint_at(self, what: &str, place: &Place) -> Self {
        let text = format!("{what} ({}:{})", place.file, place.line);
        self.hint(text)
    }

    /// Adds the position in the client's text (1-based characters).
    pub fn at(mut self, position: Option<u32>) -> Self {
        self.position = position;
        self
    }
}
