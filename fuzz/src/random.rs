//! Random numbers from a seed, and the mutations that keep a text made of words.

/// xorshift*: the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One below `end`; 0 of nothing.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Changes some of these parts: one is left out, doubled, moved, or becomes a word of `words`.
pub fn mutate_parts(parts: &mut Vec<Vec<u8>>, words: &[&str], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let (at, other) = (random.below(parts.len()), random.below(parts.len()));
        let word = random.pick(words).as_bytes().to_vec();
        match random.below(6) {
            _ if parts.is_empty() => parts.push(word),
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, word),
            2 => parts[at] = word,
            3 => parts.swap(at, other),
            4 => parts.insert(at, parts[other].clone()),
            _ => {
                // A run of parts goes to another place.
                let end = (at + random.below(6)).min(parts.len());
                let run: Vec<_> = parts.drain(at..end).collect();
                let place = random.below(parts.len() + 1);
                parts.splice(place..place, run);
            }
        }
    }
}

/// Changes some bytes.
pub fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(4) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, random.next() as u8),
            2 => bytes[at] ^= 1 << random.below(8),
            _ => bytes[at] = random.next() as u8,
        }
    }
}

/// Reads numbers off input; 0 when it has ended.
#[derive(Clone, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Up to `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// Has it ended?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
