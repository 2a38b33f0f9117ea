//! The names by which one source may speak: each on both protocols, as in `every_source`; and the host name of TLS, as clients can write it.

use crate::every_source::{ABSENT, CONFLICT, Case, Dial, INVALID, Port, UNTRUSTED, check, long, proxied, says, with};
use crate::support::{message, socket, startup, terminated};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn every_name_of_a_certificate() {
    let identity = "  mtls: { uri: 'spiffe://corp/{tenant}', dns: '{tenant}.apps.example', cn: 'of {tenant}' }";
    let tls = ", tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt] }";
    let port = Port::new(identity, "mtls", tls, &[]);
    let shows = |signed| with(|d| (d.tls, d.certificate) = (true, Some(signed)));
    let named = |cn: &[&str], dns: &[&str]| shows(port.authority.named_client(cn, dns));
    check(
        &port,
        &[
            ("URI", shows(port.authority.client("spiffe://corp/globex", false)), "globex", "globex", ""),
            ("URI without a tenant", shows(port.authority.client("spiffe://corp/", false)), "28000", "NOAUTH", ABSENT),
            ("URI that names none", shows(port.authority.client("spiffe://corp/A_B", false)), "28000", "NOAUTH", INVALID),
            ("DNS", named(&[], &["globex.apps.example"]), "globex", "globex", ""),
            ("DNS in another case", named(&[], &["globex.APPS.Example"]), "globex", "globex", ""),
            ("DNS, another's domain", named(&[], &["globex.apps.example.evil"]), "28000", "NOAUTH", ABSENT),
            ("DNS, one label more", named(&[], &["a.globex.apps.example"]), "28000", "NOAUTH", ABSENT),
            ("DNS, any", named(&[], &["*.apps.example"]), "28000", "NOAUTH", INVALID),
            ("DNS, two", named(&[], &["globex.apps.example", "acme.apps.example"]), "28000", "NOAUTH", CONFLICT),
            ("CN", named(&["of globex"], &[]), "globex", "globex", ""),
            ("CN, forged", named(&["of globex\nof acme"], &[]), "28000", "NOAUTH", INVALID),
            ("CN, oversized", named(&[&format!("of {}", long())], &[]), "28000", "NOAUTH", INVALID),
            ("CN and DNS that agree", named(&["of globex"], &["globex.apps.example"]), "globex", "globex", ""),
            ("CN and DNS that differ", named(&["of globex"], &["acme.apps.example"]), "28000", "NOAUTH", CONFLICT),
        ],
    );
}

#[test]
fn every_name_at_the_start() {
    let options = |text: String| with(|d| d.parameters = vec![("options", text)]);
    let port = Port::new("  startup: { trust: [loopback] }", "startup", "", &[]);
    check(
        &port,
        &[
            ("options", options("-c partywall.tenant=globex".into()), "globex", "-", ""),
            ("options, long", options("--partywall.tenant=globex".into()), "globex", "-", ""),
            ("options, twice", options("-c partywall.tenant=globex --partywall.tenant=acme".into()), "28000", "-", CONFLICT),
            ("options, forged", options("-c partywall.tenant=glob\\ ex".into()), "28000", "-", INVALID),
            ("options, oversized", options(format!("-c partywall.tenant={}", long())), "28000", "-", INVALID),
        ],
    );
    for (template, good, other) in [("*@{tenant}", "app@globex", "app@x@globex"), ("app.{tenant}", "app.globex", "apps.globex")] {
        let port = Port::new(&format!("  startup: {{ user: '{template}', trust: [loopback] }}"), "startup", "", &[]);
        check(
            &port,
            &[
                ("user", says(good, "x"), "globex", "globex", ""),
                ("user of another form", says("globex", "x"), "28000", "WRONGPASS", ABSENT),
                ("user, forged", says(other, "x"), "28000", "WRONGPASS", "tenant identity"),
                ("user, none", says(&good.replace("globex", ""), "x"), "28000", "WRONGPASS", ABSENT),
                ("user, oversized", says(&good.replace("globex", &long()), "x"), "28000", "WRONGPASS", INVALID),
            ],
        );
        let port = Port::new(&format!("  startup: {{ user: '{template}', trust: [10.0.0.0/8] }}"), "startup", "", &[]);
        check(&port, &[("user, from a stranger", says(good, "x"), "28000", "WRONGPASS", UNTRUSTED)]);
    }
    let database = |name: &str| with(|d| d.parameters = vec![("database", name.to_owned())]);
    let both =
        |name: &str, tenant: &str| with(|d| d.parameters = vec![("database", name.to_owned()), ("partywall.tenant", tenant.to_owned())]);
    let port = Port::new("  startup: { database: 'shop_{tenant}', trust: [loopback] }", "startup", "", &[]);
    check(
        &port,
        &[
            ("database", database("shop_globex"), "globex", "-", ""),
            ("database of another form", database("shop"), "28000", "-", ABSENT),
            ("database, forged", database("shop_glob ex"), "28000", "-", INVALID),
            ("database, oversized", database(&format!("shop_{}", long())), "28000", "-", INVALID),
            ("database and parameter that agree", both("shop_globex", "globex"), "globex", "-", ""),
            ("database and parameter that differ", both("shop_globex", "acme"), "28000", "-", CONFLICT),
        ],
    );
}

#[test]
fn every_value_of_a_proxy() {
    let identity = "  proxy: { authority: '{tenant}.db.example', ssl_cn: 'of {tenant}', tlv: { type: 0xE1, value: '{tenant}' } }";
    let port = Port::new(identity, "proxy", ", proxy_protocol: { trust: [loopback] }", &[]);
    let sends = |values: &[(u8, &[u8])]| with(|d| d.first = proxied(values));
    // What the client did (a certificate), how its verification ended, and its name.
    let ssl = |client: u8, verify: u8, name: &[u8]| {
        [&[client, 0, 0, 0, verify, 0x22], &u16::try_from(name.len()).unwrap().to_be_bytes()[..], name].concat()
    };
    let (good, unverified, none) = (ssl(7, 0, b"of globex"), ssl(7, 1, b"of globex"), ssl(1, 0, b"of globex"));
    let large = ssl(7, 0, format!("of {}", long()).as_bytes());
    let cases: &[Case] = &[
        ("authority", sends(&[(2, b"globex.db.example")]), "globex", "globex", ""),
        ("authority in another case", sends(&[(2, b"globex.DB.example")]), "globex", "globex", ""),
        ("authority, a dot behind", sends(&[(2, b"globex.db.example.")]), "28000", "NOAUTH", ABSENT),
        ("authority, forged", sends(&[(2, b"acme.globex.db.example")]), "28000", "NOAUTH", ABSENT),
        ("authority, oversized", sends(&[(2, format!("{}.db.example", long()).as_bytes())]), "28000", "NOAUTH", INVALID),
        ("CN", sends(&[(0x20, &good)]), "globex", "globex", ""),
        ("CN that was not verified", sends(&[(0x20, &unverified)]), "28000", "NOAUTH", ABSENT),
        ("CN without a certificate", sends(&[(0x20, &none)]), "28000", "NOAUTH", ABSENT),
        ("CN outside", sends(&[(0x22, b"of globex")]), "28000", "NOAUTH", ABSENT),
        ("CN, oversized", sends(&[(0x20, &large)]), "28000", "NOAUTH", INVALID),
        ("values that agree", sends(&[(2, b"globex.db.example"), (0x20, &good), (0xE1, b"globex")]), "globex", "globex", ""),
        ("authority and CN that differ", sends(&[(2, b"acme.db.example"), (0x20, &good)]), "28000", "NOAUTH", CONFLICT),
        ("CN and a value that differ", sends(&[(0x20, &good), (0xE1, b"acme")]), "28000", "NOAUTH", CONFLICT),
        ("cut off", sends(&[(0x20, b"\x07\0\0\0")]), "closed", "closed", "malformed"),
        ("far too large", sends(&[(2, &long().repeat(2).into_bytes())]), "closed", "closed", "too long"),
    ];
    check(&port, cases);
}

#[test]
fn accounts_and_fixed_tenants() {
    use std::os::unix::fs::MetadataExt;
    let account = tempfile::tempdir().unwrap().path().metadata().unwrap().uid();
    let local = with(|d| d.unix = true);
    let peer = |tenant: &str| format!("  peer: {{ users: {{ {account}: {tenant} }} }}");
    check(&Port::new(&peer("globex"), "static, peer", "", &[]), &[("they differ", local.clone(), "28000", "NOAUTH", CONFLICT)]);
    check(&Port::new(&peer("acme"), "static, peer", "", &[]), &[("they agree", local.clone(), "acme", "acme", "")]);
    check(&Port::new(&peer("'A B'"), "peer", "", &[]), &[("no tenant", local.clone(), "28000", "NOAUTH", INVALID)]);
    check(&Port::new(&peer(&long()), "peer", "", &[]), &[("oversized", local, "28000", "NOAUTH", INVALID)]);
    // As the Kubernetes downward API gives it: by the environment.
    let fixed = |value: &str| {
        Port::in_environment("  static: { env: PARTYWALL_TEST_TENANT }", "static", ("", &[]), &[("PARTYWALL_TEST_TENANT", value)])
    };
    check(&fixed("globex"), &[("environment", Dial::default(), "globex", "globex", "")]);
    for wrong in ["", "glob ex", "acme,globex", &long()] {
        check(&fixed(wrong), &[("environment, no tenant", Dial::default(), "28000", "NOAUTH", INVALID)]);
    }
}

/// By openssl, which says any name: whose rows come back when these bytes are said, or the refusal.
fn by_name(port: &Port, listener: &str, name: Option<&str>, more: &[&str], said: &[u8]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", port.wall.port(listener))]).args(more);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let _ = child.stdin.as_mut().unwrap().write_all(said);
    let (mut back, mut read, mut stdout) = (Vec::new(), [0; 4096], child.stdout.take().unwrap());
    let found = loop {
        let count = stdout.read(&mut read).unwrap();
        back.extend_from_slice(&read[..count]);
        let text = String::from_utf8_lossy(&back);
        // The last two: a tenant that has nothing.
        let word = ["acme", "globex", "28000", "NOAUTH", "SELECT 1", "$-1"].into_iter().find(|word| text.contains(word));
        if count == 0 || word.is_some() {
            break word.unwrap_or("closed").to_owned();
        }
    };
    let _ = child.kill();
    child.wait().unwrap();
    found
}

#[test]
fn the_host_name_of_tls_as_anybody_writes_it() {
    let identity = "  startup: { sni: '{tenant}.db.example', trust: [loopback] }";
    let port = Port::new(identity, "startup", ", tls: { cert: tls/tls.crt, key: tls/tls.key }", &[]);
    let opens = |more: &[(&str, &str)]| {
        let query = message(b'Q', &terminated("SELECT CASE min(item) WHEN 'anvil' THEN 'acme' WHEN 'laser' THEN 'globex' END FROM orders"));
        [startup(&[&[("user", "app"), ("database", "shop")], more].concat()), query].concat()
    };
    let long = format!("{}.db.example", "a".repeat(63));
    for (name, wanted) in [
        (Some("acme.db.example"), "acme"),
        (Some("ACME.Db.Example"), "acme"),
        (Some("globex.db.example"), "globex"),
        (Some("acme.db.example."), "acme"),
        // Not of the form, or no tenant's: nobody.
        (Some("acme.db.example.."), "-"),
        (Some("acme.db.example.evil"), "-"),
        (Some("x.acme.db.example"), "-"),
        (Some(".db.example"), "-"),
        (Some("*.db.example"), "-"),
        (Some("acme\u{ff0e}db.example"), "-"),
        (Some("\u{430}cme.db.example"), "-"),
        (Some("xn--cme-7cd.db.example"), "-"),
        (Some(&*long), "-"),
        (Some("127.0.0.1"), "-"),
        (None, "-"),
    ] {
        for (ways, listener, said) in [
            (&["-starttls", "postgres"][..], "pg", opens(&[])),
            (&["-alpn", "postgresql"], "pg", opens(&[])),
            (&[], "redis", b"GET who\r\n".to_vec()),
        ] {
            let got = by_name(&port, listener, name, ways, &said);
            assert!(got == wanted || wanted == "-" && !["acme", "globex"].contains(&&*got), "{name:?} {ways:?}: {got}");
        }
    }
    // The name and what the client says besides.
    for (tenant, wanted) in [("acme", "acme"), ("globex", "28000"), ("ACME", "28000")] {
        for ways in [["-starttls", "postgres"], ["-alpn", "postgresql"]] {
            assert_eq!(by_name(&port, "pg", Some("acme.db.example"), &ways, &opens(&[("partywall.tenant", tenant)])), wanted, "{ways:?}");
        }
    }
    // TLS 1.2 and a session of another name: each connection has the name that it says.
    let sessions = tempfile::NamedTempFile::new().unwrap();
    let path = sessions.path().to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let ask = |name, option| by_name(&port, "redis", Some(name), &[version, option, path], b"GET who\r\n");
        assert_eq!(ask("acme.db.example", "-sess_out"), "acme");
        assert_eq!(
            (ask("globex.db.example", "-sess_in"), ask("acme.db.example", "-sess_in")),
            ("globex".into(), "acme".into()),
            "{version}"
        );
    }
}

/// Two names in one hello (RFC 6066, 3 forbids it): nobody chooses one of them.
#[test]
fn a_hello_with_two_host_names_is_refused() {
    let identity = "  startup: { sni: '{tenant}.db.example', trust: [loopback] }";
    let port = Port::new(identity, "startup", ", tls: { cert: tls/tls.crt, key: tls/tls.key }", &[]);
    let hello = |names: &[&str]| {
        let one = |name: &&str| [&[0], &u16::try_from(name.len()).unwrap().to_be_bytes()[..], name.as_bytes()].concat();
        let sized = |bytes: Vec<u8>| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        let names = sized(names.iter().flat_map(one).collect());
        let point = rcgen::KeyPair::generate().unwrap().public_key_raw().to_vec();
        let share = sized([&[0, 0x17][..], &sized(point)].concat());
        let extensions = sized(
            [(0u16, names), (0x2b, vec![2, 3, 4]), (0x0a, vec![0, 2, 0, 0x17]), (0x0d, vec![0, 2, 4, 3]), (0x33, share)]
                .into_iter()
                .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), sized(body)].concat())
                .collect(),
        );
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &extensions].concat();
        let message = [&[1, 0][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat();
        let mut socket = socket(port.wall.port("redis"));
        socket.write_all(&[&[0x16, 3, 1][..], &sized(message)].concat()).unwrap();
        let mut first = [0];
        socket.read_exact(&mut first).map(|()| first[0]).unwrap_or_default()
    };
    assert_eq!(hello(&["acme.db.example"]), 0x16, "a hello of the server's");
    for names in [&["acme.db.example", "globex.db.example"][..], &["acme.db.example", "acme.db.example"]] {
        assert_ne!(hello(names), 0x16, "{names:?}");
    }
}
