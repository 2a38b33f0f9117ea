//! Random commands by the patterns of `tests/redis/oracle.txt`.

use super::reply::Alike;

/// A small generator of random numbers, the same for the same seed.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound.max(1) as u64).unwrap()
    }

    /// One of them.
    pub fn of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A command, and how its replies are compared.
#[derive(Clone)]
pub struct Command {
    pub words: Vec<Vec<u8>>,
    pub alike: Alike,
    /// It may be spoilt, run within a transaction, or from a script.
    pub plain: bool,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<String> = self.words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
        f.write_str(&words.join(" "))
    }
}

struct Pattern {
    tokens: Vec<&'static str>,
    alike: Alike,
    plain: bool,
}

/// All patterns.
pub struct Generator {
    patterns: Vec<Pattern>,
    pub random: Random,
    /// Commands that are not played are thrown again.
    pub fits: fn(&[Vec<u8>]) -> bool,
    ids: u64,
}

/// What takes the place of an argument. SORT ALPHA compares C strings: behind a NUL nothing counts, and none is the beginning of another here.
const JUNK: &[&str] =
    &["", "-1", "x", "STORE", "1.5", "9999999999999999999", " 1", "+2", "GET", "-0", "0", "LIMIT", "STREAMS", "q\0", "*a"];

impl Generator {
    /// For a seed.
    pub fn new(seed: u64, fits: fn(&[Vec<u8>]) -> bool) -> Self {
        // Read when it runs, and kept for as long as the process.
        let text: &'static str = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/oracle.txt")).unwrap().leak();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let patterns = lines.map(|line| {
            let (text, how) = line.split_once(" => ").unwrap_or((line, "exact"));
            let (plain, how) = how.strip_suffix('!').map_or((true, how), |how| (false, how));
            let alike = match how {
                "exact" => Alike::Exact,
                "unordered" => Alike::Unordered,
                "near" => Alike::Near,
                "count" => Alike::Count,
                "kind" => Alike::Kind,
                "page" => Alike::Page,
                other => panic!("{other}"),
            };
            Pattern { tokens: text.split_whitespace().collect(), alike, plain }
        });
        Self { patterns: patterns.collect(), random: Random::new(seed), fits, ids: 0 }
    }

    /// The next command.
    pub fn command(&mut self) -> Command {
        loop {
            let command = self.any();
            if (self.fits)(&command.words) {
                return command;
            }
        }
    }

    fn any(&mut self) -> Command {
        let at = self.random.below(self.patterns.len());
        let (tokens, mut alike, plain) = (self.patterns[at].tokens.clone(), self.patterns[at].alike, self.patterns[at].plain);
        let mut words = Vec::new();
        self.all(&tokens, &mut words);
        if plain && self.random.below(25) == 0 {
            self.spoil(&mut words);
            if words[0].ends_with(b"RANDMEMBER") || words[0].ends_with(b"HRANDFIELD") {
                // With another count, or none, each server chooses.
                alike = Alike::Count;
            }
        }
        Command { words, alike, plain }
    }

    fn spoil(&mut self, words: &mut Vec<Vec<u8>>) {
        let at = 1 + self.random.below(words.len().max(2) - 1);
        match self.random.below(4) {
            0 if words.len() > 1 => {
                words.pop();
            }
            1 => words.push(words[self.random.below(words.len())].clone()),
            2 if at < words.len() => {
                words.remove(at);
            }
            _ if at < words.len() => words[at] = self.random.of(JUNK).as_bytes().to_vec(),
            _ => words.push(self.random.of(JUNK).as_bytes().to_vec()),
        }
    }

    fn all(&mut self, mut tokens: &[&'static str], out: &mut Vec<Vec<u8>>) {
        while let Some((first, rest)) = tokens.split_first() {
            match *first {
                "[" | "(" => {
                    let end = closing(rest);
                    let (inner, behind) = (&rest[..end], &rest[end + 1..]);
                    let again = rest[end].ends_with('+');
                    let times = match (*first, again) {
                        ("[", _) => usize::from(self.random.below(3) == 0),
                        (_, true) => 1 + self.random.below(3),
                        _ => 1,
                    };
                    for _ in 0..times {
                        let ways = alternatives(inner);
                        let way = ways[self.random.below(ways.len())];
                        self.all(way, out);
                    }
                    tokens = behind;
                }
                token => {
                    self.one(token, out);
                    tokens = rest;
                }
            }
        }
    }

    fn one(&mut self, token: &'static str, out: &mut Vec<Vec<u8>>) {
        let Some(kind) = token.strip_prefix('<').and_then(|t| t.strip_suffix('>')) else {
            return out.push(token.replace("\\_", " ").replace("\\n", "\n").into_bytes());
        };
        if let Some(kind) = kind.strip_prefix("keys:") {
            let count = 1 + self.random.below(3);
            out.push(count.to_string().into_bytes());
            return (0..count).for_each(|_| {
                let key = self.key(kind);
                out.push(key);
            });
        }
        let word = self.word(kind);
        out.push(word);
    }

    fn word(&mut self, kind: &str) -> Vec<u8> {
        if let Some(kind) = kind.strip_prefix("k:") {
            return self.key(kind);
        }
        let random = &mut self.random;
        match kind {
            "k" => {
                let kind = random.of(&["s", "l", "t", "z", "h", "x", "g", "b", "p"]).to_owned();
                self.key(&kind)
            }
            "n" => (random.below(12) as i64 - 3).to_string().into_bytes(),
            "u" => random.below(10).to_string().into_bytes(),
            "bit" => random.below(200).to_string().into_bytes(),
            "ttl" => (1000 + random.below(1000)).to_string().into_bytes(),
            "at" => (4_000_000_000 + random.below(1000)).to_string().into_bytes(),
            "score" => random.of(&["0", "1", "2.5", "-3", "1e3", "inf", "-inf", "7", "0.1"]).as_bytes().to_vec(),
            "bound" => random.of(&["-inf", "+inf", "(1", "0", "2", "(2.5", "1000"]).as_bytes().to_vec(),
            "lex" => random.of(&["-", "+", "[a", "(b", "[m2", "(z"]).as_bytes().to_vec(),
            "m" => random.of(&["a", "b", "c", "m1", "m2", "m3", "1", "2", "10", "acme:a", "q\u{0}x", ""]).as_bytes().to_vec(),
            "f" => random.of(&["f", "g", "f1", "f2", "n"]).as_bytes().to_vec(),
            "v" => random.of(&["v", "1", "12", "-5", "hello world", "acme:s1", "3.5", "", "\r\n", "a:b", "\u{ff}"]).as_bytes().to_vec(),
            "lon" => random.of(&["13.361389", "15.087269", "0", "-122.4", "181"]).as_bytes().to_vec(),
            "lat" => random.of(&["38.115556", "37.502669", "0", "37.7", "86"]).as_bytes().to_vec(),
            "glob" => random.of(&["*", "s*", "?1", "[a-l]*", "*:*", "acme:*", "nosuch", "\\*", "x[^1]"]).as_bytes().to_vec(),
            "id" => {
                self.ids += 1;
                let id = self.ids;
                random.of(&["{}-1", "{}-*", "{}-1", "{}", "1-1"]).replace("{}", &id.to_string()).into_bytes()
            }
            "range" => random.of(&["-", "+", "0", "1-1", "5", "(3-1", "20"]).as_bytes().to_vec(),
            "since" => random.of(&["0", "0-0", "3-1", "$", "10"]).as_bytes().to_vec(),
            "grp" => random.of(&["g1", "g2"]).as_bytes().to_vec(),
            "c" => random.of(&["c1", "c2", "STREAMS"]).as_bytes().to_vec(),
            "ch" => random.of(&["ch", "p1", "other", "acme:ch"]).as_bytes().to_vec(),
            "db" => random.of(&["0", "1", "2"]).as_bytes().to_vec(),
            other => panic!("no kind {other}"),
        }
    }

    /// Mostly one of its kind, else any, else an odd one.
    fn key(&mut self, kind: &str) -> Vec<u8> {
        match self.random.below(20) {
            0 => self.random.of(&["", "acme:s1", "globex:s1", "a b", "{t}x", "\0k", "STORE", "k\r\n", "*"]).as_bytes().to_vec(),
            1 => format!("{}{}", self.random.of(&["s", "l", "t", "z", "h", "x", "g", "b", "p"]), 1 + self.random.below(3)).into_bytes(),
            _ => format!("{kind}{}", 1 + self.random.below(3)).into_bytes(),
        }
    }
}

/// The place of the bracket that ends what begins before `tokens`.
fn closing(tokens: &[&str]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "[" | "(" => depth += 1,
            "]" | ")" | ")+" if depth == 0 => return at,
            "]" | ")" | ")+" => depth -= 1,
            _ => {}
        }
    }
    panic!("no end: {tokens:?}")
}

fn alternatives<'t>(tokens: &'t [&'static str]) -> Vec<&'t [&'static str]> {
    let (mut depth, mut start, mut ways) = (0, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "[" | "(" => depth += 1,
            "]" | ")" | ")+" => depth -= 1,
            "|" if depth == 0 => {
                ways.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    ways.push(&tokens[start..]);
    ways
}
