//! Colour, where a terminal shows it.

use std::io::IsTerminal;

/// What to emphasize, as ANSI codes.
#[derive(Clone, Copy, Debug)]
pub enum Tone {
    /// Headings.
    Bold,
    /// Side notes.
    Dim,
    /// What the wall added; what is good.
    Green,
    /// What was refused.
    Red,
    /// What was typed.
    Cyan,
    /// Tenants.
    Yellow,
}

/// Whether there is colour.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// Colour on a terminal that does not ask for none.
    pub fn stdout() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { colour: wanted && !dumb && std::io::stdout().is_terminal() }
    }

    /// The text in a tone.
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Green => "32",
            Tone::Red => "31",
            Tone::Cyan => "36",
            Tone::Yellow => "1;33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Words of a statement that the wall wrote are green, by what only it writes.
    pub fn guards(&self, line: &str, tenant: &str) -> String {
        let value = format!("'{tenant}'");
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for index in 0..words.len() {
            let operator = words.get(index).is_some_and(|w| w == "OPERATOR(pg_catalog.=)");
            let ours = operator && words.get(index + 1).is_some_and(|w| w.starts_with(&value));
            if ours {
                for at in [index.saturating_sub(1), index, index + 1] {
                    if let Some(word) = words.get_mut(at) {
                        *word = self.tone(Tone::Green, word);
                    }
                }
            }
        }
        words.join(" ")
    }
}
