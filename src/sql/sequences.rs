//! Sequences that a tenant may draw from: those that a column of a listed table owns, named by a literal.

use super::Catalog;

/// The literal to send for the sequence that `text` means, as `nextval` reads names; None where it is no sequence of a listed table.
pub fn resolve(catalog: &Catalog, text: &str) -> Option<String> {
    let known = |schema: &str, name: &str| catalog.sequences.contains(&(schema.to_owned(), name.to_owned()));
    let (schema, name) = match parts(text)?.as_slice() {
        [name] => (catalog.search_path.iter().find(|schema| known(schema, name))?.clone(), name.clone()),
        [schema, name] if known(schema, name) => (schema.clone(), name.clone()),
        _ => return None,
    };
    let quoted = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
    Some(format!("{}.{}", quoted(&schema), quoted(&name)))
}

/// Identifiers between dots: quoted ones as they are, others in lower case.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    loop {
        let mut word = String::new();
        if let Some(mut inside) = rest.strip_prefix('"') {
            loop {
                let (before, after) = inside.split_once('"')?;
                word.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        word.push('"');
                        inside = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(rest.len());
            word.push_str(&rest[..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
        if word.is_empty() {
            return None;
        }
        all.push(word);
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Some(all),
            None => return None,
        }
    }
}

#[cfg(test)]
#[path = "sequences_tests.rs"]
mod tests;
