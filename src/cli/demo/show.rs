//! How the demo looks: two columns, and colour where a terminal shows it.

use crate::cli::paint::{Paint, Tone};

/// Widest line of the plain parts.
const WIDTH: usize = 100;

/// Prints the demo.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    paint: Paint,
}

impl Show {
    /// For standard output.
    pub fn new() -> Self {
        Self { paint: Paint::stdout() }
    }

    /// The text in a tone.
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        self.paint.tone(tone, text)
    }

    /// A part's heading.
    pub fn heading(&self, text: &str) {
        let rule = "─".repeat(WIDTH.saturating_sub(text.chars().count() + 4));
        println!("\n{} {} {}", self.tone(Tone::Dim, "──"), self.tone(Tone::Bold, text), self.tone(Tone::Dim, &rule));
    }

    /// A sentence.
    pub fn say(&self, text: &str) {
        println!("\n{}", self.tone(Tone::Bold, text));
    }

    /// What was typed: SQL over as many lines as it needs.
    pub fn typed(&self, prompt: &str, text: &str) {
        let lines = broken(text, WIDTH - 4 - prompt.len());
        for (index, line) in lines.iter().enumerate() {
            let head = if index == 0 { prompt.to_owned() } else { " ".repeat(prompt.len()) };
            println!("  {}{}", self.tone(Tone::Dim, &head), self.tone(Tone::Cyan, line));
        }
    }

    /// Two answers side by side, each under its tenant.
    pub fn side_by_side(&self, left: (&str, &[String]), right: (&str, &[String])) {
        let (a, b) = (table(left.1), table(right.1));
        let width = a.iter().map(|l| l.chars().count()).max().unwrap_or(0).max(38);
        let bar = self.tone(Tone::Dim, "│");
        println!("\n    {}{} {bar} {}", self.tone(Tone::Yellow, left.0), pad(left.0, width), self.tone(Tone::Yellow, right.0));
        for index in 0..a.len().max(b.len()) {
            let (l, r) = (a.get(index).map_or("", String::as_str), b.get(index).map_or("", String::as_str));
            println!("    {}{} {bar} {}", self.row(l), pad(l, width), self.row(r));
        }
        println!();
    }

    /// One answer.
    pub fn answer(&self, lines: &[String]) {
        table(lines).iter().for_each(|line| println!("    {}", self.row(line)));
    }

    /// A line of an answer, in the tone that its beginning asks for.
    fn row(&self, line: &str) -> String {
        let refused = ["ERROR", "FATAL", "(error)"].iter().any(|w| line.starts_with(w));
        match line {
            _ if refused => self.tone(Tone::Red, line),
            _ if line.starts_with("> ") => self.tone(Tone::Cyan, line),
            _ if line.starts_with('─') || line.starts_with("DETAIL") || line.starts_with("HINT") => self.tone(Tone::Dim, line),
            _ => line.to_owned(),
        }
    }

    /// What the server received, with what the wall added in green.
    pub fn received(&self, text: &str) {
        println!(
            "    {}",
            self.tone(Tone::Dim, "what PostgreSQL received from acme, by its own log (from globex the same with its name):")
        );
        for line in broken(text, WIDTH - 4) {
            println!("    {}", self.paint.guards(&line, "acme"));
        }
    }
}

fn pad(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.chars().count()))
}

/// Lines of cells with `|` between them, aligned; the first such line is the head and is underlined. Other lines stay.
fn table(lines: &[String]) -> Vec<String> {
    let is_message = |line: &str| ["ERROR", "DETAIL", "HINT", "LINE", " "].iter().any(|w| line.starts_with(w));
    let rows: Vec<Vec<&str>> = lines.iter().map(|l| if is_message(l) { vec![l.as_str()] } else { l.split('|').collect() }).collect();
    let columns = rows.first().map_or(0, Vec::len);
    if columns < 2 {
        return lines.to_vec();
    }
    let cells = |row: &&Vec<&str>| row.len() == columns;
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().filter(cells).map(|r| r[c].chars().count()).max().unwrap_or_default()).collect();
    let number = |c: usize| rows.iter().skip(1).filter(cells).all(|r| r[c].parse::<f64>().is_ok());
    let mut out = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if row.len() != columns {
            out.push(row.join("|"));
            continue;
        }
        let cell = |(c, text): (usize, &&str)| {
            if number(c) { format!("{}{text}", pad(text, widths[c])) } else { format!("{text}{}", pad(text, widths[c])) }
        };
        out.push(row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned());
        if index == 0 {
            out.push(widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  "));
        }
    }
    out
}

/// SQL over several lines if it is longer than one: a line a clause, longer ones at blanks.
fn broken(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut clauses = vec![String::new()];
    for word in text.split(' ') {
        let begins = ["FROM", "JOIN", "WHERE", "GROUP", "ORDER", "RETURNING", "VALUES", "SET"].contains(&word);
        if begins && !clauses.last().is_some_and(String::is_empty) {
            clauses.push(String::new());
        }
        let long = clauses.last().is_some_and(|l| l.chars().count() + word.chars().count() + 1 > width);
        if long {
            clauses.push(format!("   {word}"));
        } else if let Some(last) = clauses.last_mut() {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    clauses
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
