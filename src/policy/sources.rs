//! Reads `identity:` of a policy file.

use super::identity::{
    Expiry, FixedSource, HeaderSource, IdentitySources, JwtSource, MtlsSource, Named, Operators, PasswordSource, PeerSource, ProxySource,
    StartupSource, StatementSource, StaticSource, Template, Trust,
};
use super::roles::Roles;
use crate::config::document::{Fields, Node, Reader, Value, entries, items};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// By how much clocks may differ where the policy does not say.
const LEEWAY: Duration = Duration::from_secs(30);

/// Reads the whole section; what is wrong is told at its place.
pub(super) fn identity(reader: &mut Reader<'_>, node: &Node, roles: Option<&Roles>) -> IdentitySources {
    let fields = reader.fields(node, &["mtls", "jwt", "header", "proxy", "startup", "peer", "password", "static", "statement"], &[]);
    let sources = IdentitySources {
        mtls: fields.get("mtls").and_then(|n| mtls(reader, n)),
        jwt: fields.get("jwt").and_then(|n| jwt(reader, n)),
        header: fields.get("header").and_then(|n| header(reader, n)),
        proxy: fields.get("proxy").and_then(|n| proxy(reader, n)),
        startup: fields.get("startup").map(|n| startup(reader, n)),
        peer: fields.get("peer").and_then(|n| peer(reader, n)),
        password: fields.get("password").and_then(|n| password(reader, n)),
        fixed: fields.get("static").and_then(|n| fixed(reader, n)),
        statement: fields.get("statement").map(|n| statement(reader, n)),
    };
    known_roles(reader, node, &sources, roles);
    sources
}

/// What names a role needs roles, and a role that is named here must be one of them.
fn known_roles(reader: &mut Reader<'_>, node: &Node, sources: &IdentitySources, roles: Option<&Roles>) {
    let of_peers = sources.peer.iter().flat_map(|p| &p.users).filter_map(|(_, named)| named.role.as_ref());
    for name in sources.fixed.iter().filter_map(|f| f.role.as_ref()).chain(of_peers) {
        if !roles.is_some_and(|r| r.all.contains_key(name.as_str())) {
            reader.say(node, format!("there is no role `{name}`"), "list it under `roles`");
        }
    }
    let (mtls, startup, proxy) = (sources.mtls.as_ref(), sources.startup.as_ref(), sources.proxy.as_ref());
    let templates = [
        mtls.and_then(|m| m.uri.as_ref()),
        mtls.and_then(|m| m.dns.as_ref()),
        mtls.and_then(|m| m.cn.as_ref()),
        startup.and_then(|s| s.user.as_ref()),
        startup.and_then(|s| s.database.as_ref()),
        startup.and_then(|s| s.sni.as_ref()),
        proxy.and_then(|p| p.authority.as_ref()),
        proxy.and_then(|p| p.ssl_cn.as_ref()),
        proxy.and_then(|p| p.tlv.as_ref()).map(|(_, t)| t),
    ];
    let named = [
        templates.into_iter().flatten().any(Template::names_role),
        sources.jwt.as_ref().is_some_and(|j| j.role.is_some()),
        sources.header.as_ref().is_some_and(|h| h.role.is_some()),
        startup.is_some_and(|s| s.role.is_some()),
    ];
    if named.contains(&true) && roles.is_none() {
        reader.say(node, "a role is asked for, and the policy has no `roles`", "add `roles:`, or take the role out");
    }
}

type Make = fn(&str) -> Result<Template, &'static str>;

fn template(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, make: Make, example: &str) -> Option<Template> {
    let node = fields.get(key)?;
    let text = reader.text(node)?;
    make(&text).map_err(|message| reader.say(node, message, format!("write e.g. `{example}`"))).ok()
}

fn mtls(reader: &mut Reader<'_>, node: &Node) -> Option<MtlsSource> {
    let fields = reader.fields(node, &["uri", "dns", "cn", "expiry"], &[]);
    if ["uri", "dns", "cn"].iter().all(|key| fields.get(key).is_none()) {
        reader.say(node, "no name of the certificate is asked for", "add `uri:`, `dns:` or `cn:`");
        return None;
    }
    Some(MtlsSource {
        uri: template(reader, &fields, "uri", Template::uri, "spiffe://domain/tenant/{tenant}/*"),
        dns: template(reader, &fields, "dns", Template::dns, "{tenant}.apps.example"),
        cn: template(reader, &fields, "cn", Template::text, "tenant-{tenant}"),
        expiry: expiry(reader, &fields),
    })
}

fn expiry(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Expiry {
    let Some(node) = fields.get("expiry") else { return Expiry::default() };
    match reader.text(node).as_deref() {
        Some("end") => Expiry::End,
        Some("keep") => Expiry::Keep,
        _ => {
            reader.say(node, "`expiry` is `end` or `keep`", "write `expiry: end`");
            Expiry::End
        }
    }
}

fn jwt(reader: &mut Reader<'_>, node: &Node) -> Option<JwtSource> {
    let fields = reader.fields(node, &["from", "keys", "issuer", "audience", "claim", "role", "leeway", "expiry"], &[]);
    let (mut password, mut header) = (false, false);
    let from = reader.need(&fields, "from")?;
    for item in items(from) {
        match reader.text(item).as_deref() {
            Some("password") => password = true,
            Some("header") => header = true,
            _ => reader.say(item, "a token comes as `password` or as `header`", "write `from: [password]`"),
        }
    }
    if !password && !header {
        reader.say(from, "the token comes from nowhere", "write `from: [password]`");
    }
    let keys = reader.need(&fields, "keys").and_then(|n| reader.text(n))?;
    let claim = match fields.get("claim") {
        Some(node) => reader.text(node)?.split('.').map(str::to_owned).collect(),
        None => vec!["tenant".to_owned()],
    };
    let role = fields.get("role").and_then(|n| reader.text(n)).map(|way| way.split('.').map(str::to_owned).collect());
    Some(JwtSource {
        role,
        password,
        header,
        keys: beside(reader, &keys),
        issuer: fields.get("issuer").and_then(|n| reader.text(n)),
        audience: fields.get("audience").and_then(|n| reader.text(n)),
        claim,
        leeway: fields.get("leeway").and_then(|n| seconds(reader, n)).unwrap_or(LEEWAY),
        expiry: expiry(reader, &fields),
    })
}

/// A path relative to the policy's file.
fn beside(reader: &Reader<'_>, path: &str) -> PathBuf {
    Path::new(&*reader.file).parent().unwrap_or(Path::new("")).join(path)
}

fn password(reader: &mut Reader<'_>, node: &Node) -> Option<PasswordSource> {
    let fields = reader.fields(node, &["users"], &[]);
    let users = reader.need(&fields, "users").and_then(|n| reader.text(n))?;
    Some(PasswordSource { users: beside(reader, &users) })
}

/// `30s`
pub fn seconds(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let text = reader.text(node)?;
    let read = text.strip_suffix('s').and_then(|n| n.parse().ok()).filter(|s| *s <= 600).map(Duration::from_secs);
    if read.is_none() {
        reader.say(node, format!("`{text}` is no number of seconds up to 600"), "write `30s`");
    }
    read
}

fn header(reader: &mut Reader<'_>, node: &Node) -> Option<HeaderSource> {
    let fields = reader.fields(node, &["name", "role", "trust"], &[]);
    let place = reader.need(&fields, "name")?;
    let mut header = |place: &Node| {
        let name = reader.text(place)?.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            reader.say(place, format!("`{name}` is no name of a header"), "write e.g. `x-tenant-id`");
        }
        Some(name)
    };
    let (name, role) = (header(place)?, fields.get("role").and_then(header));
    let trust = trust(reader, node, &fields);
    Some(HeaderSource { name, role, trust })
}

/// Who is believed; nobody is a finding.
pub(crate) fn trust(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>) -> Vec<Trust> {
    let mut all = Vec::new();
    for item in fields.get("trust").map(items).unwrap_or_default() {
        let Some(text) = reader.text(item) else { continue };
        let one = match text.as_str() {
            "loopback" => Some(Trust::Loopback),
            uri if uri.contains("://") => Template::principal(uri).ok().map(Trust::Principal),
            net => net.parse().ok().map(Trust::Net),
        };
        if one.is_none() {
            let fix = "write `loopback`, a network like `10.0.0.0/8`, or a principal like `spiffe://corp.example/gateway`";
            reader.say(item, format!("`{text}` is nobody who could be trusted"), fix);
        }
        all.extend(one);
    }
    if fields.get("trust").is_none_or(|n| items(n).is_empty()) {
        reader.say(node, "nobody is trusted to name the tenant", "add `trust: [loopback]`");
    }
    all
}

fn proxy(reader: &mut Reader<'_>, node: &Node) -> Option<ProxySource> {
    let fields = reader.fields(node, &["authority", "ssl_cn", "tlv"], &[]);
    let tlv = fields.get("tlv").and_then(|n| tlv(reader, n));
    let source = ProxySource {
        authority: template(reader, &fields, "authority", Template::dns, "{tenant}.db.example"),
        ssl_cn: template(reader, &fields, "ssl_cn", Template::text, "tenant-{tenant}"),
        tlv,
    };
    if ["authority", "ssl_cn", "tlv"].iter().all(|key| fields.get(key).is_none()) {
        reader.say(node, "no value of the PROXY header is asked for", "add `authority:`, `ssl_cn:` or `tlv:`");
        return None;
    }
    Some(source)
}

fn tlv(reader: &mut Reader<'_>, node: &Node) -> Option<(u8, Template)> {
    let fields = reader.fields(node, &["type", "value"], &[]);
    let place = reader.need(&fields, "type")?;
    let kind = match place.value {
        Value::Int(kind) => u8::try_from(kind).ok().filter(|k| (0xE0..=0xEF).contains(k)),
        _ => None,
    };
    if kind.is_none() {
        reader.say(place, "types of one's own are 0xE0 to 0xEF", "write `type: 0xE0`");
    }
    reader.need(&fields, "value")?;
    Some((kind?, template(reader, &fields, "value", Template::text, "{tenant}")?))
}

fn startup(reader: &mut Reader<'_>, node: &Node) -> StartupSource {
    let fields = reader.fields(node, &["parameter", "role", "user", "database", "sni", "trust"], &[]);
    StartupSource {
        parameter: fields.get("parameter").and_then(|n| reader.text(n)).unwrap_or_else(|| "partywall.tenant".into()),
        role: fields.get("role").and_then(|n| reader.text(n)),
        user: template(reader, &fields, "user", Template::text, "*@{tenant}"),
        database: template(reader, &fields, "database", Template::text, "shop_{tenant}"),
        sni: template(reader, &fields, "sni", Template::dns, "{tenant}.db.example"),
        trust: trust(reader, node, &fields),
    }
}

fn peer(reader: &mut Reader<'_>, node: &Node) -> Option<PeerSource> {
    let fields = reader.fields(node, &["users"], &[]);
    let place = reader.need(&fields, "users")?;
    let mut users: Vec<(u32, Named)> = Vec::new();
    for (account, whose) in entries(place) {
        let named = account_of(reader, whose);
        match account.parse() {
            Ok(number) => users.extend(named.map(|named| (number, named))),
            Err(_) => reader.say_at(whose.key, format!("`{account}` is no number of an account"), "write what `id -u NAME` prints"),
        }
    }
    if entries(place).is_empty() {
        reader.say(place, "no account is listed", "write `users: { 1001: acme }`");
    }
    Some(PeerSource { users })
}

/// `acme`, or `{ tenant: acme, role: clerk }`
fn account_of(reader: &mut Reader<'_>, node: &Node) -> Option<Named> {
    if !matches!(node.value, Value::Map(_)) {
        return reader.text(node).map(|tenant| Named { tenant, role: None });
    }
    let fields = reader.fields(node, &["tenant", "role"], &[]);
    let role = fields.get("role").and_then(|n| reader.text(n));
    let tenant = reader.need(&fields, "tenant").and_then(|n| reader.text(n))?;
    Some(Named { tenant, role })
}

/// `operators:`
pub(super) fn operators(reader: &mut Reader<'_>, node: &Node) -> Operators {
    let fields = reader.fields(node, &["mtls", "reason"], &[]);
    let mut mtls = Vec::new();
    if let Some(place) = reader.need(&fields, "mtls") {
        for item in items(place) {
            let Some(text) = reader.text(item) else { continue };
            match Template::principal(&text) {
                Ok(one) if text.contains("://") => mtls.push(one),
                _ => reader.say(item, format!("`{text}` is no operator's name"), "write e.g. `spiffe://corp.example/migrator`"),
            }
        }
    }
    if fields.get("mtls").is_some_and(|n| items(n).is_empty()) {
        reader.say(node, "nobody is an operator", "name one, or take `operators` out");
    }
    let reason = match fields.get("reason").map(|n| (n, reader.text(n))) {
        None => false,
        Some((_, Some(text))) if text == "required" || text == "optional" => text == "required",
        Some((n, _)) => {
            reader.say(n, "`reason` is `required` or `optional`", "write `reason: required`");
            true
        }
    };
    Operators { mtls, reason }
}

/// How many tenants of one connection keep their sessions where the policy does not say.
const SESSIONS: u32 = 8;

fn statement(reader: &mut Reader<'_>, node: &Node) -> StatementSource {
    let fields = reader.fields(node, &["trust", "otherwise", "key", "signed", "sessions"], &[]);
    let word = |reader: &mut Reader<'_>, key: &str, words: [&str; 2], default: bool| {
        let Some(node) = fields.get(key) else { return default };
        match reader.text(node) {
            Some(text) if words.contains(&text.as_str()) => text == words[0],
            _ => {
                reader.say(node, format!("`{key}` is `{}` or `{}`", words[0], words[1]), format!("write `{key}: {}`", words[1]));
                default
            }
        }
    };
    let key = fields.get("key").and_then(|n| reader.text(n));
    let signed = word(reader, "signed", ["required", "optional"], key.is_some());
    if let (Some(at), true, None) = (fields.get("signed"), signed, &key) {
        reader.say(at, "without a key nothing can be signed", "add `key: statement.key`, a file beside the policy");
    }
    let sessions = fields.get("sessions").and_then(|n| reader.count(n).filter(|count| *count > 0)).unwrap_or(SESSIONS);
    StatementSource {
        trust: trust(reader, node, &fields),
        own: word(reader, "otherwise", ["own", "refuse"], false),
        key: key.map(|path| beside(reader, &path)),
        signed,
        sessions: sessions as usize,
    }
}

fn fixed(reader: &mut Reader<'_>, node: &Node) -> Option<FixedSource> {
    let fields = reader.fields(node, &["tenant", "env", "role"], &[]);
    let role = fields.get("role").and_then(|n| reader.text(n));
    let tenant = match (fields.get("tenant"), fields.get("env")) {
        (Some(tenant), None) => reader.text(tenant).map(StaticSource::Tenant),
        (None, Some(env)) => reader.text(env).map(StaticSource::Env),
        _ => {
            reader.say(node, "either `tenant` or `env` is needed", "write `{ tenant: acme }` or `{ env: PARTYWALL_TENANT }`");
            None
        }
    };
    Some(FixedSource { tenant: tenant?, role })
}
