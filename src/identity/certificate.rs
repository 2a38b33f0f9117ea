//! What a client certificate says (RFC 5280): its names, and until when.

use std::time::{Duration, SystemTime};

/// The names of a certificate whose chain was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// URI names.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// The subject's common names; more than one is nobody's.
    pub cn: Vec<String>,
    /// `notAfter`.
    pub ends: Option<SystemTime>,
}

/// `tls-server-end-point` (RFC 5929, 4.1): the certificate's hash, by the algorithm that it is signed with. None for one that has no such hash.
pub fn endpoint(certificate: &[u8]) -> Option<Vec<u8>> {
    use sha2::{Digest, Sha256, Sha384, Sha512};
    let (_, read) = x509_parser::parse_x509_certificate(certificate).ok()?;
    // MD5 and SHA-1 count as SHA-256; RSA and ECDSA.
    match read.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.113549.1.1.11" | "1.2.840.10045.4.1" | "1.2.840.10045.4.3.2" => {
            Some(Sha256::digest(certificate).to_vec())
        }
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// Reads a certificate (DER). One that cannot be read has no names.
pub fn names(certificate: &[u8]) -> Names {
    use x509_parser::extensions::GeneralName;
    let Ok((rest, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return Names::default() };
    if !rest.is_empty() {
        return Names::default();
    }
    let mut names = Names::default();
    let Ok(alternative) = certificate.subject_alternative_name() else { return names };
    for name in alternative.iter().flat_map(|n| &n.value.general_names) {
        match name {
            GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
            GeneralName::DNSName(dns) => names.dns.push((*dns).to_owned()),
            _ => {}
        }
    }
    names.cn = certificate.subject().iter_common_name().filter_map(|cn| cn.as_str().ok()).map(str::to_owned).collect();
    let ends = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
    names.ends = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(ends));
    names
}

/// The trust domain of a client's X.509-SVID (SPIFFE's "X.509-SVID", 2 to 5, and "SPIFFE-ID", 2). Errors: why it is none.
pub fn trust_domain(certificate: &[u8]) -> Result<String, &'static str> {
    let (rest, read) = x509_parser::parse_x509_certificate(certificate).map_err(|_| "it cannot be read")?;
    let [uri] = names(certificate).uris.try_into().map_err(|_| "it has not the one URI name of an SVID")?;
    let domain = spiffe(&uri).ok_or("its URI name is no SPIFFE ID of a workload")?;
    let usage = read.key_usage().map_err(|_| "it cannot be read")?;
    let signs = usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if signs || read.is_ca() || !rest.is_empty() {
        return Err("it is an authority's, and no workload's");
    }
    Ok(domain.to_owned())
}

/// The trust domain of a workload's SPIFFE ID.
fn spiffe(id: &str) -> Option<&str> {
    const LONGEST: usize = 2048;
    let (domain, path) = id.strip_prefix("spiffe://").filter(|_| id.len() <= LONGEST)?.split_once('/')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_domain = !domain.is_empty() && domain.chars().all(|c| is_plain(c) && !c.is_ascii_uppercase());
    let is_path = path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.chars().all(is_plain));
    (is_domain && is_path).then_some(domain)
}

/// Of a list of revoked certificates (DER; RFC 5280, 5): whose it is and for which of its certificates, as bytes to compare, and when it was made, in
/// seconds since 1970. None for one that cannot be read.
pub fn list(list: &[u8]) -> Option<(Vec<u8>, i64)> {
    const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
    let (_, list) = x509_parser::parse_x509_crl(list).ok().filter(|(rest, _)| rest.is_empty())?;
    let part = list.extensions().iter().find(|e| e.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT);
    let of = [list.issuer().as_raw(), part.map_or(&[], |part| part.value)].concat();
    Some((of, list.last_update().timestamp()))
}
