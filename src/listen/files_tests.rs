//! What counts as a list, and what is read again.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use rustls::pki_types::CertificateRevocationListDer;

const LIST: &str = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";

fn read(bytes: &[u8]) -> Result<usize, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    items::<CertificateRevocationListDer<'static>>(file.path(), SectionKind::Crl).map(|all| all.len()).map_err(|e| e.to_string())
}

#[test]
fn a_file_gives_something_and_nothing_else() {
    assert_eq!(read(LIST.as_bytes()), Ok(1));
    assert_eq!(read(format!("# of ours\n{LIST}\n{LIST}").as_bytes()), Ok(2));
    assert_eq!(read(&[0x30, 0]), Ok(1), "DER");
    let other = LIST.replace("X509 CRL", "CERTIFICATE");
    let unknown = LIST.replace("X509 CRL", "CRL");
    for bad in [
        String::new(),
        "junk\n".into(),
        other.clone(),
        unknown.clone(),
        format!("{LIST}{other}"),
        format!("{LIST}{unknown}"),
        format!("\u{feff}{LIST}{LIST}"),
        format!(" {LIST}{LIST}"),
        format!("{LIST}-----BEGIN X509 CRL-----\nMAA="),
        format!("{LIST}-----BEGIN X509 CRL-----"),
        format!("-----BEGIN X509 CRL-----\n{LIST}"),
        LIST[..LIST.len() - 3].into(),
        LIST[..30].into(),
    ] {
        assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn what_cannot_be_read_stays_and_another_file_does_not_stand_in_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let mut kept = Kept::default();
    let mut renew = |path: &Path| {
        let renewed = kept.renew_text(path, |text| Ok(text.parse::<u32>()?)).map_err(drop);
        (renewed, kept.get().copied())
    };
    assert_eq!(renew(&one), (Err(()), None));
    std::fs::write(&one, "1").unwrap();
    assert_eq!(renew(&one), (Ok(true), Some(1)));
    assert_eq!(renew(&one), (Ok(false), Some(1)));
    std::fs::write(&one, "x").unwrap();
    assert_eq!([renew(&one), renew(&one)], [(Err(()), Some(1)); 2], "it is tried again");
    std::fs::write(&one, "12").unwrap();
    assert_eq!(renew(&one), (Ok(true), Some(12)));
    assert_eq!(renew(&two), (Err(()), None));
}
