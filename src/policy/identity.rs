//! The identity sources that a policy defines: what shows a tenant, by which template, and who is believed.

use core::net::IpAddr;
use ipnet::IpNet;
use regex::Regex;
use std::path::PathBuf;
use std::time::Duration;

/// The identity sources that the policy defines; a listener's `identity:` list says which count on its port.
#[derive(Clone, Debug, Default)]
pub struct IdentitySources {
    /// From the client certificate.
    pub mtls: Option<MtlsSource>,
    /// From a signed token.
    pub jwt: Option<JwtSource>,
    /// From a header of the HTTP request that opens a tunnel.
    pub header: Option<HeaderSource>,
    /// From what a proxy in front says in its PROXY header.
    pub proxy: Option<ProxySource>,
    /// From what the client says when it begins.
    pub startup: Option<StartupSource>,
    /// From the account at the other end of a Unix socket.
    pub peer: Option<PeerSource>,
    /// From a user and its password.
    pub password: Option<PasswordSource>,
    /// One tenant for the whole port.
    pub fixed: Option<FixedSource>,
    /// From what stands before each statement.
    pub statement: Option<StatementSource>,
}

/// What to do with a session when what it was let in by ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// The session ends at its next safe point.
    #[default]
    End,
    /// It was good when it began.
    Keep,
}

/// `mtls:` templates over the names of the client's certificate, e.g. `spiffe://corp.example/tenant/{tenant}/*`.
#[derive(Clone, Debug)]
pub struct MtlsSource {
    /// URI names.
    pub uri: Option<Template>,
    /// DNS names.
    pub dns: Option<Template>,
    /// The subject's common name.
    pub cn: Option<Template>,
    /// When the certificate ends.
    pub expiry: Expiry,
}

/// `jwt:` a token signed by one of the keys of a JWK set (RFC 7519, 7517).
#[derive(Clone, Debug)]
pub struct JwtSource {
    /// It may come as the password.
    pub password: bool,
    /// It may come as `Authorization: Bearer` of the HTTP request that opens a tunnel.
    pub header: bool,
    /// The JWK set, a file.
    pub keys: PathBuf,
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `aud` must be or hold this.
    pub audience: Option<String>,
    /// The way to the claim that names the tenant.
    pub claim: Vec<String>,
    /// The way to the claim that names the role, if one does.
    pub role: Option<Vec<String>>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// When the token ends.
    pub expiry: Expiry,
}

/// `header:` a header that names the tenant.
#[derive(Clone, Debug)]
pub struct HeaderSource {
    /// Its name, in lower case.
    pub name: String,
    /// The name of the header that names the role, if one does.
    pub role: Option<String>,
    /// Who may say so.
    pub trust: Vec<Trust>,
}

/// `proxy:` the values of a PROXY protocol header, version 2. Who may send one stands at the listener.
#[derive(Clone, Debug)]
pub struct ProxySource {
    /// PP2_TYPE_AUTHORITY: the host name that the client asked for.
    pub authority: Option<Template>,
    /// PP2_SUBTYPE_SSL_CN: the common name of the client certificate that the proxy verified.
    pub ssl_cn: Option<Template>,
    /// A type of one's own, 0xE0 to 0xEF, and its template.
    pub tlv: Option<(u8, Template)>,
}

/// `startup:` what the client says of itself, which anybody can say: so it needs to be trusted.
#[derive(Clone, Debug)]
pub struct StartupSource {
    /// Parameter name, default `partywall.tenant` (also inside `options=-c name=value`).
    pub parameter: String,
    /// Name of the parameter that names the role, if one does.
    pub role: Option<String>,
    /// Template of the user name.
    pub user: Option<Template>,
    /// Template of the database name.
    pub database: Option<Template>,
    /// Template of the host name that TLS asked for (SNI).
    pub sni: Option<Template>,
    /// Who may say so.
    pub trust: Vec<Trust>,
}

/// `peer:` accounts (by number) and the tenant of each.
#[derive(Clone, Debug)]
pub struct PeerSource {
    /// Account number, and who it is.
    pub users: Vec<(u32, Named)>,
}

/// `password:` a list of users, the tenant of each, and what a server stores of its password.
#[derive(Clone, Debug)]
pub struct PasswordSource {
    /// The list, a file.
    pub users: PathBuf,
}

/// Whom a source names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its tenant.
    pub tenant: String,
    /// Its role, where the source says one.
    pub role: Option<String>,
}

/// `static:` whose the whole port is.
#[derive(Clone, Debug)]
pub struct FixedSource {
    /// Its tenant.
    pub tenant: StaticSource,
    /// Its role, where the source says one.
    pub role: Option<String>,
}

/// A fixed tenant, or the value of an environment variable read at start.
#[derive(Clone, Debug)]
pub enum StaticSource {
    /// `{ tenant: acme }`
    Tenant(String),
    /// `{ env: PARTYWALL_TENANT }`
    Env(String),
}

/// `statement:` whose a statement is, by a comment before it or by SET partywall.tenant.
#[derive(Clone, Debug)]
pub struct StatementSource {
    /// Who may say so.
    pub trust: Vec<Trust>,
    /// A statement that says nothing is of the tenant that other sources name; otherwise it is refused.
    pub own: bool,
    /// Keys that sign, a file.
    pub key: Option<PathBuf>,
    /// What is not signed counts for nothing.
    pub signed: bool,
    /// How many tenants of one connection keep their sessions at once.
    pub sessions: usize,
}

/// `operators:` clients whom nobody guards; each of their statements is audited.
#[derive(Clone, Debug)]
pub struct Operators {
    /// URI names of their certificates.
    pub mtls: Vec<Template>,
    /// They have to say why they come; who acts for a tenant always has to.
    pub reason: bool,
}

/// Who is believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// This machine: a loopback address or a Unix socket.
    Loopback,
    /// A network.
    Net(IpNet),
    /// A certificate with a URI name of this form.
    Principal(Template),
}

/// The far end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Not known: nobody.
    #[default]
    Unknown,
    /// A Unix socket, and whose it is.
    Unix(Option<u32>),
    /// An address.
    Ip(IpAddr),
}

impl Peer {
    /// Whether it is certainly on the wall's own machine.
    pub fn is_of_this_machine(self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Ip(ip) => ip.to_canonical().is_loopback(),
            Self::Unknown => false,
        }
    }
}

impl Trust {
    /// Does it hold for this peer, whose certificate has these URI names?
    pub fn holds(&self, peer: Peer, uris: &[String]) -> bool {
        match (self, peer) {
            (Self::Loopback, _) => peer.is_of_this_machine(),
            (Self::Net(net), Peer::Ip(ip)) => net.contains(&ip.to_canonical()),
            (Self::Principal(template), _) => uris.iter().any(|uri| template.fits(uri)),
            _ => false,
        }
    }
}

/// A name with a place for the tenant, and perhaps one for the role.
#[derive(Clone, Debug)]
pub struct Template(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Segments between separators: each `{tenant}`, `{role}`, `*` or a literal.
    Path { separator: char, segments: Vec<Segment>, any_case: bool },
    /// The groups are the tenant and the role.
    Text(Regex),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Tenant,
    Role,
    Any,
    Literal(String),
}

impl Template {
    /// Segments between slashes; `{tenant}` and `*` each stand for a whole one. Errors: the tenant does not stand there exactly once.
    pub fn uri(text: &str) -> Result<Self, &'static str> {
        Self::path(text, '/', false, true).ok_or("the template needs `{tenant}` exactly once, as a whole path segment")
    }

    /// Labels between dots, in any case. Errors: as in [`Template::uri`].
    pub fn dns(text: &str) -> Result<Self, &'static str> {
        Self::path(text, '.', true, true).ok_or("the template needs `{tenant}` exactly once, as a whole label")
    }

    /// A URI name without a tenant. Errors: there is one.
    pub fn principal(text: &str) -> Result<Self, &'static str> {
        Self::path(text, '/', false, false).ok_or("a trusted principal has no `{tenant}`")
    }

    fn path(text: &str, separator: char, any_case: bool, tenant: bool) -> Option<Self> {
        let segments: Vec<Segment> = text.split(separator).map(Segment::new).collect();
        let count = |wanted: Segment| segments.iter().filter(|s| **s == wanted).count();
        let (tenants, roles) = (count(Segment::Tenant), count(Segment::Role));
        let whole = text.matches("{tenant}").count() == tenants && text.matches("{role}").count() == roles;
        let whole = whole && tenants == usize::from(tenant) && roles <= tenants;
        (whole && segments.len() > 1).then_some(Self(Form::Path { separator, segments, any_case }))
    }

    /// A plain text with `{tenant}` in it once, perhaps `{role}` once, and perhaps one `*`, which stands for at least one character; what stands
    /// for the role or the star holds none of the characters beside it: `*@{tenant}`, `{role}.{tenant}`. Errors: another form.
    pub fn text(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str =
            "the template needs `{tenant}` exactly once, and `{role}` and `*` at most once, with a character between each two of them";
        let places: Vec<(usize, &str)> = ["{tenant}", "{role}", "*"].iter().flat_map(|p| text.match_indices(p)).collect();
        let count = |place: &str| places.iter().filter(|(_, p)| *p == place).count();
        if count("{tenant}") != 1 || count("{role}") > 1 || count("*") > 1 {
            return Err(WRONG);
        }
        let mut sorted = places;
        sorted.sort_unstable();
        let (mut pattern, mut end, last) = (String::from("^"), 0, sorted.len() - 1);
        for (index, (at, place)) in sorted.into_iter().enumerate() {
            let before = text.get(end..at).unwrap_or_default();
            if before.is_empty() && index > 0 {
                return Err(WRONG);
            }
            end = at + place.len();
            let after = text.get(end..).and_then(|rest| rest.chars().next());
            let beside = [before.chars().next_back().filter(|_| index > 0), after.filter(|_| index < last)];
            let beside: String = beside.into_iter().flatten().map(|c| regex::escape(&c.to_string())).collect();
            pattern.push_str(&regex::escape(before));
            pattern.push_str(&match (place, beside.is_empty()) {
                ("{tenant}", _) => "(?P<tenant>(?s:.+))".to_owned(),
                ("{role}", true) => "(?P<role>.+)".to_owned(),
                ("{role}", false) => format!("(?P<role>[^{beside}]+)"),
                (_, true) => "(?s:.+)".to_owned(),
                (_, false) => format!("[^{beside}]+"),
            });
        }
        pattern.push_str(&regex::escape(text.get(end..).unwrap_or_default()));
        pattern.push('$');
        Regex::new(&pattern).map(|r| Self(Form::Text(r))).map_err(|_| WRONG)
    }

    /// Does it have a place for the role?
    pub fn names_role(&self) -> bool {
        match &self.0 {
            Form::Text(regex) => regex.capture_names().flatten().any(|name| name == "role"),
            Form::Path { segments, .. } => segments.contains(&Segment::Role),
        }
    }

    /// Whom a name means; nothing is decoded. None where the name is another.
    pub fn named(&self, name: &str) -> Option<Named> {
        match &self.0 {
            Form::Text(regex) => {
                let found = regex.captures(name)?;
                let part = |name: &str| found.name(name).map(|m| m.as_str().to_owned());
                Some(Named { tenant: part("tenant")?, role: part("role") })
            }
            Form::Path { .. } => {
                let [tenant, role] = self.walk(name)?;
                let tenant = tenant.filter(|t| !t.is_empty())?;
                Some(Named { tenant, role })
            }
        }
    }

    /// Is the name of this form?
    pub fn fits(&self, name: &str) -> bool {
        match &self.0 {
            Form::Text(regex) => regex.is_match(name),
            Form::Path { .. } => self.walk(name).is_some(),
        }
    }

    fn walk(&self, name: &str) -> Option<[Option<String>; 2]> {
        let Form::Path { separator, segments, any_case } = &self.0 else { return None };
        let given: Vec<&str> = name.split(*separator).collect();
        if given.len() != segments.len() {
            return None;
        }
        let (mut tenant, mut role) = (None, None);
        for (wanted, given) in segments.iter().zip(given) {
            match wanted {
                Segment::Tenant => tenant = Some(given.to_owned()),
                Segment::Role if !given.is_empty() => role = Some(given.to_owned()),
                Segment::Any if !given.is_empty() => {}
                Segment::Literal(literal) if literal == given || (*any_case && literal.eq_ignore_ascii_case(given)) => {}
                _ => return None,
            }
        }
        Some([tenant, role])
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        match text {
            "{tenant}" => Self::Tenant,
            "{role}" => Self::Role,
            "*" => Self::Any,
            literal => Self::Literal(literal.to_owned()),
        }
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
