//! What FUNCTION STATS says: of what runs, only the tenant's own, with the client's own words.

use crate::redis::encode;
use crate::redis::names::Names;
use crate::redis::value::Value;
use crate::redis::wire::integer;
use bytes::{Bytes, BytesMut};

/// What FUNCTION STATS says of a function that runs; nothing where none of the tenant's own does.
#[derive(Debug, Default)]
pub(super) struct Running(Option<(Bytes, Vec<Bytes>, Bytes)>);

impl Running {
    /// Out of the answer to FUNCTION STATS.
    pub(super) fn read(stats: &Value, names: &Names) -> Self {
        Self(stats.field("running_script").and_then(|running| Self::own(running, names)))
    }

    /// The function's name, the client's words, and for how long. None: it is another tenant's, or longer than what is kept.
    fn own(running: &Value, names: &Names) -> Option<(Bytes, Vec<Bytes>, Bytes)> {
        let library = names.library();
        let name = running.field("name")?.text().filter(|name| name.starts_with(library))?.slice(library.len()..);
        let Value::Line(b':', duration) = running.field("duration_ms")? else { return None };
        let mut words: Vec<Bytes> = running.field("command")?.items().iter().map(|word| word.text().cloned()).collect::<Option<_>>()?;
        let keys = words.get(2).and_then(|keys| integer(keys)).and_then(|keys| usize::try_from(keys).ok())?;
        let cut = |word: &Bytes, before: &Bytes| word.starts_with(before).then(|| word.slice(before.len()..));
        for (at, word) in words.iter_mut().enumerate() {
            match at {
                1 => *word = cut(word, library)?,
                3.. if at - 3 < keys => *word = cut(word, names.prefix())?,
                _ => {}
            }
        }
        Some((name, words, duration.clone()))
    }
}

/// The answer to FUNCTION STATS, with so many libraries and functions.
pub(super) fn stats(running: &Running, (count, functions): (usize, usize), resp: encode::Resp) -> Bytes {
    let mut out = BytesMut::new();
    encode::map(&mut out, resp, 2);
    encode::bulk(&mut out, b"running_script");
    match &running.0 {
        None => encode::null(&mut out, resp),
        Some((name, words, duration)) => {
            encode::map(&mut out, resp, 3);
            encode::bulk(&mut out, b"name");
            encode::bulk(&mut out, name);
            encode::bulk(&mut out, b"command");
            encode::bulks(&mut out, b'*', words);
            encode::bulk(&mut out, b"duration_ms");
            encode::integer(&mut out, integer(duration).unwrap_or(0));
        }
    }
    encode::bulk(&mut out, b"engines");
    encode::map(&mut out, resp, 1);
    encode::bulk(&mut out, b"LUA");
    encode::map(&mut out, resp, 2);
    for (name, number) in [("libraries_count", count), ("functions_count", functions)] {
        encode::bulk(&mut out, name.as_bytes());
        encode::integer(&mut out, i64::try_from(number).unwrap_or(i64::MAX));
    }
    out.freeze()
}
