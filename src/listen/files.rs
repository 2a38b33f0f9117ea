//! Files that say who counts. Each is read again when it changes, and by itself: what cannot be read stays as it was, and keeps nothing else from
//! taking effect.

use anyhow::{Context, bail};
use rustls::pki_types::pem::{PemObject, SectionKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Differs when a file has been written or another stands in its place, whatever time it says.
type Stamp = Option<(i64, i64, i64, i64, u64, u64)>;

/// What was read last of files that go together.
pub struct Kept<T>(Option<Read<T>>);

struct Read<T> {
    paths: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    value: T,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Kept<T> {
    /// Reads the files if they have changed or are others; `read` is given what these files gave before. True: there is something new. Errors: they
    /// cannot be used; what they gave before stays, and what others gave does not stand in for them.
    pub fn renew(&mut self, paths: &[&Path], read: impl FnOnce(Option<&T>) -> anyhow::Result<T>) -> anyhow::Result<bool> {
        // First the stamps: what is written while it is read differs from them.
        let stamps: Vec<Stamp> = paths.iter().map(|path| stamp(path)).collect();
        let former = self.0.take().filter(|former| former.paths == paths);
        if former.as_ref().is_some_and(|former| former.stamps == stamps) {
            self.0 = former;
            return Ok(false);
        }
        match read(former.as_ref().map(|former| &former.value)) {
            Ok(value) => {
                self.0 = Some(Read { paths: paths.iter().map(|path| path.to_path_buf()).collect(), stamps, value });
                Ok(true)
            }
            Err(error) => {
                self.0 = former;
                let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                Err(error.context(names.join(", ")))
            }
        }
    }

    /// The same for one file that is a text.
    pub fn renew_text(&mut self, path: &Path, parse: impl FnOnce(&str) -> anyhow::Result<T>) -> anyhow::Result<bool> {
        self.renew(&[path], |_| parse(&std::fs::read_to_string(path)?))
    }

    /// What was read.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|read| &read.value)
    }
}

fn stamp(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec(), about.len(), about.ino()))
}

/// Everything of this kind in a file: PEM (RFC 7468), or one in DER. Errors: there is nothing, something of another kind, or something that cannot be
/// read; a file that was cut off, emptied or mistaken for another must not pass for one that lists little.
pub fn items<T: PemObject>(path: &Path, wanted: SectionKind) -> anyhow::Result<Vec<T>> {
    const SEQUENCE: u8 = 0x30;
    let bytes = std::fs::read(path)?;
    if bytes.first() == Some(&SEQUENCE) {
        return T::from_pem(wanted, bytes).map(|one| vec![one]).context("DER that cannot be read");
    }
    let all = T::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>()?;
    let marks = |mark: &[u8]| bytes.windows(mark.len()).filter(|at| *at == mark).count();
    let named = String::from_utf8_lossy(wanted_label(wanted));
    if all.is_empty() {
        bail!("there is no {named} in it, neither PEM nor DER");
    }
    if marks(b"-----BEGIN ") != all.len() || marks(b"-----END ") != all.len() {
        bail!("there is something in it besides {named}");
    }
    Ok(all)
}

fn wanted_label(kind: SectionKind) -> &'static [u8] {
    match kind {
        SectionKind::Crl => b"X509 CRL",
        _ => b"CERTIFICATE",
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
