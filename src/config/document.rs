//! A YAML file as typed, every node with its place; findings are collected, never stopped at.

use saphyr::{LoadableYamlNode, MarkedYamlOwned, ScalarOwned, YamlDataOwned};
use serde::Serialize;
use std::sync::Arc;

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file as it was named.
    pub file: String,
    /// 1-based; 0 where the file as a whole is meant.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What mends it.
    pub fix: String,
}

/// Findings of all files, in the order they were met.
pub type Findings = Vec<Finding>;

/// A node and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// 1-based.
    pub line: u32,
    /// 1-based.
    pub column: u32,
    /// Line and column of the key it stands under; its own where there is none.
    pub key: (u32, u32),
}

impl Node {
    fn at(line: u32, column: u32) -> Self {
        Self { value: Value::Null, line, column, key: (line, column) }
    }
}

/// The forms that the files use.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, or `~`.
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other scalar.
    Text(String),
    /// `[…]`, `- …`
    List(Vec<Node>),
    /// `{…}`, `key: …`, in file order.
    Map(Vec<(String, Node)>),
}

/// A file being read.
#[derive(Debug)]
pub struct Reader<'a> {
    /// As it was named.
    pub file: Arc<str>,
    /// Collected so far.
    pub findings: &'a mut Findings,
}

impl Reader<'_> {
    /// Reports something at a node.
    pub fn say(&mut self, at: &Node, message: impl Into<String>, fix: impl Into<String>) {
        self.say_at((at.line, at.column), message, fix);
    }

    /// Reports something at a line and column.
    pub fn say_at(&mut self, (line, column): (u32, u32), message: impl Into<String>, fix: impl Into<String>) {
        let file = self.file.to_string();
        self.findings.push(Finding { file, line, column, message: message.into(), fix: fix.into() });
    }

    /// Parses a text; None, with a finding, if it is no YAML or no single document.
    pub fn parse(&mut self, text: &str) -> Option<Node> {
        match MarkedYamlOwned::load_from_str(text) {
            Ok(mut documents) if documents.len() == 1 => Some(self.node(&documents.remove(0))),
            Ok(documents) => {
                self.say(&Node::at(1, 1), format!("the file holds {} documents", documents.len()), "write exactly one");
                None
            }
            Err(e) => {
                let at = (number(e.marker().line()), number(e.marker().col()) + 1);
                self.say_at(at, format!("not YAML: {}", e.info()), "mend the syntax");
                None
            }
        }
    }

    fn node(&mut self, yaml: &MarkedYamlOwned) -> Node {
        let (line, column) = (number(yaml.span.start.line()), number(yaml.span.start.col()) + 1);
        let mut node = Node::at(line, column);
        node.value = match &yaml.data {
            YamlDataOwned::Value(ScalarOwned::Null) => Value::Null,
            YamlDataOwned::Value(ScalarOwned::Boolean(b)) => Value::Bool(*b),
            YamlDataOwned::Value(ScalarOwned::Integer(i)) => Value::Int(*i),
            YamlDataOwned::Value(ScalarOwned::FloatingPoint(f)) => Value::Text(f.to_string()),
            YamlDataOwned::Value(ScalarOwned::String(s)) => Value::Text(s.clone()),
            YamlDataOwned::Sequence(all) => Value::List(all.iter().map(|n| self.node(n)).collect()),
            YamlDataOwned::Mapping(all) => Value::Map(all.iter().map(|(k, v)| self.entry(k, v)).collect()),
            _ => {
                self.say(&node, "this form of YAML is not read", "write it without tags, anchors and aliases");
                Value::Null
            }
        };
        node
    }

    fn entry(&mut self, key: &MarkedYamlOwned, value: &MarkedYamlOwned) -> (String, Node) {
        let (key, mut value) = (self.node(key), self.node(value));
        value.key = (key.line, key.column);
        (self.key(&key), value)
    }

    fn key(&mut self, node: &Node) -> String {
        match &node.value {
            Value::Text(s) => s.clone(),
            Value::Int(i) => i.to_string(),
            Value::Bool(b) => b.to_string(),
            _ => {
                self.say(node, "a key must be a plain word", "write a word");
                String::new()
            }
        }
    }

    /// The fields of a mapping. A key that is neither in `known` nor in `later` is a finding, with the nearest known one as its fix; one
    /// in `later` is told to be not supported yet.
    pub fn fields<'n>(&mut self, node: &'n Node, known: &[&str], later: &[&str]) -> Fields<'n> {
        let Value::Map(all) = &node.value else {
            self.say(node, "a mapping is expected here", format!("write `key: value` with any of: {}", known.join(", ")));
            return Fields { node, all: &[] };
        };
        for (index, (key, value)) in all.iter().enumerate() {
            if later.contains(&key.as_str()) {
                self.say_at(value.key, format!("`{key}` is not supported yet"), "take it out");
            } else if !known.contains(&key.as_str()) {
                let near = known.iter().min_by_key(|k| distance(k, key)).copied().unwrap_or_default();
                let fix =
                    if distance(near, key) <= 3 { format!("did you mean `{near}`?") } else { format!("known here: {}", known.join(", ")) };
                self.say_at(value.key, format!("unknown key `{key}`"), fix);
            }
            if all.iter().take(index).any(|(k, _)| k == key) {
                self.say_at(value.key, format!("`{key}` stands twice"), "keep one of them");
            }
        }
        Fields { node, all }
    }

    /// A string; a finding and None otherwise.
    pub fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(s) => Some(s.clone()),
            Value::Int(i) => Some(i.to_string()),
            _ => {
                self.say(node, "a string is expected here", "write a string");
                None
            }
        }
    }

    /// A whole number from 1 on.
    pub fn count(&mut self, node: &Node) -> Option<u32> {
        match &node.value {
            Value::Int(i) if *i > 0 => u32::try_from(*i).ok(),
            _ => {
                self.say(node, "a whole number from 1 on is expected here", "write a number");
                None
            }
        }
    }

    /// A required field.
    pub fn need<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            self.say(fields.node, format!("`{key}` is missing"), format!("add `{key}:`"));
        }
        found
    }
}

/// The fields of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    all: &'n [(String, Node)],
}

impl<'n> Fields<'n> {
    /// The field of this name.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.all.iter().find(|(k, _)| k == key).map(|(_, n)| n)
    }
}

/// The items of a list, or the one node that stands in its place.
pub fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(all) => all,
        _ => std::slice::from_ref(node),
    }
}

/// The entries of a mapping; nothing for anything else.
pub fn entries(node: &Node) -> &[(String, Node)] {
    match &node.value {
        Value::Map(all) => all,
        _ => &[],
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or_default();
            let left = if j == 0 { i + 1 } else { row.get(j).copied().unwrap_or_default() };
            let next = (corner + usize::from(x != *y)).min(above + 1).min(left + 1);
            corner = above;
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = next;
            }
        }
    }
    if b.is_empty() { a.chars().count() } else { row.last().copied().unwrap_or_default() }
}
