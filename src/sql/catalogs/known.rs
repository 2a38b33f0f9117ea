//! Which objects of upstream's catalog belong to a listed relation: by their numbers, as literals to filter by.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Numbers below this one are the system's own, the same in every database of a version.
pub const FIRST_USER_OID: u32 = 16384;

/// A kind of object and its number.
type Object = (char, u32);

/// The known objects beyond the system's own, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    sets: BTreeMap<&'static str, BTreeSet<u32>>,
}

/// Set names as `relations.txt` and `functions.txt` have them, and the kind each holds.
const SETS: &[(&str, char)] = &[
    ("rel", 'R'),
    ("typ", 'T'),
    ("proc", 'P'),
    ("con", 'C'),
    ("nsp", 'N'),
    ("def", 'D'),
    ("trg", 'G'),
    ("rule", 'W'),
    ("stx", 'S'),
    ("ext", 'E'),
];

impl Known {
    /// Whatever belongs to these relations, functions and schemas.
    pub fn build(relations: &[u32], functions: &[u32], namespaces: &[u32], edges: &[Vec<Option<String>>]) -> Self {
        let edges: Vec<Edge> = edges.iter().filter_map(|row| Edge::read(row)).collect();
        let mut uses: HashMap<u32, Vec<Object>> = HashMap::new();
        for edge in edges.iter().filter(|e| e.child.0 == 'U') {
            uses.entry(edge.child.1).or_default().push(edge.parent);
        }
        let mut all: BTreeSet<Object> = relations.iter().map(|oid| ('R', *oid)).collect();
        all.extend(functions.iter().map(|oid| ('P', *oid)));
        all.extend(namespaces.iter().map(|oid| ('N', *oid)));
        loop {
            let before = all.len();
            for edge in edges.iter().filter(|e| !matches!(e.child.0, 'U' | 'I')) {
                let known = |o: &Object| o.1 < FIRST_USER_OID || all.contains(o);
                let parents = all.contains(&edge.parent) && edge.second.as_ref().is_none_or(known);
                // A rule shows the text of its query: only one that names nothing unknown is shown.
                let plain = edge.child.0 != 'W' || uses.get(&edge.child.1).is_none_or(|used| used.iter().all(known));
                if parents && plain {
                    all.insert(edge.child);
                }
            }
            if all.len() == before {
                break;
            }
        }
        let of_kind = |kind: char| all.iter().filter(|o| o.0 == kind && o.1 >= FIRST_USER_OID).map(|o| o.1).collect::<BTreeSet<u32>>();
        let mut sets: BTreeMap<&'static str, BTreeSet<u32>> = SETS.iter().map(|(name, kind)| (*name, of_kind(*kind))).collect();
        // Views whose text may be shown, and relations none of whose ancestors, or descendants, is unknown.
        let shown = |e: &&Edge| e.child.0 == 'W' && all.contains(&e.child);
        sets.insert("view", edges.iter().filter(shown).map(|e| e.parent.1).collect());
        sets.insert("rooted", rooted(&of_kind('R'), &edges));
        sets.insert("treed", treed(&of_kind('R'), &edges));
        Self { sets }
    }

    /// The members of a set, as PostgreSQL writes an array; None for a set that does not exist.
    pub fn array(&self, set: &str) -> Option<String> {
        let members: Vec<String> = self.sets.get(set)?.iter().map(u32::to_string).collect();
        Some(format!("{{{}}}", members.join(",")))
    }

    /// Whether an object is in a set, or the system's.
    pub fn has(&self, set: &str, oid: u32) -> bool {
        oid < FIRST_USER_OID || self.sets.get(set).is_some_and(|s| s.contains(&oid))
    }
}

fn rooted(relations: &BTreeSet<u32>, edges: &[Edge]) -> BTreeSet<u32> {
    let mut good = relations.clone();
    loop {
        let before = good.len();
        for edge in edges.iter().filter(|e| e.child.0 == 'I') {
            if !good.contains(&edge.parent.1) {
                good.remove(&edge.child.1);
            }
        }
        if good.len() == before {
            return good;
        }
    }
}

/// Those whose children are among them.
fn treed(relations: &BTreeSet<u32>, edges: &[Edge]) -> BTreeSet<u32> {
    let mut good = relations.clone();
    loop {
        let before = good.len();
        for edge in edges.iter().filter(|e| e.child.0 == 'I') {
            if !good.contains(&edge.child.1) {
                good.remove(&edge.parent.1);
            }
        }
        if good.len() == before {
            return good;
        }
    }
}

/// `child` is known where `parent`, and `second` if there is one, are.
struct Edge {
    child: Object,
    parent: Object,
    second: Option<Object>,
}

impl Edge {
    fn read(row: &[Option<String>]) -> Option<Self> {
        let object = |at: usize| {
            let kind = row.get(at)?.as_deref()?.chars().next()?;
            Some((kind, row.get(at + 1)?.as_deref()?.parse().ok()?))
        };
        Some(Self { child: object(0)?, parent: object(2)?, second: object(4) })
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
