//! What is a statement header, and what is a comment.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn tenant(sql: &str) -> Result<Option<String>, Bad> {
    read(sql).map(|said| said.map(|s| s.tenant))
}

#[test]
fn a_comment_at_the_very_start_names_it() {
    for sql in [
        "/*tenant='acme'*/ SELECT 1",
        " \n/*tenant='acme'*/SELECT 1",
        "/* tenant='acme' */ SELECT 1",
        "/*traceparent='00-5bd-01',tenant='acme'*/ SELECT 1",
        "/*route='%2Fpolls%201',tenant='%61cme',db_driver='it\\'s'*/ SELECT 1",
    ] {
        assert_eq!(tenant(sql), Ok(Some("acme".into())), "{sql}");
    }
    assert_eq!(tenant("/*tenant='%27%3B%20a%2Fb'*/"), Ok(Some("'; a/b".into())));
}

#[test]
fn what_speaks_of_no_tenant_is_a_comment() {
    for sql in [
        "SELECT 1 /* by the tenant's admin: tenant = 'acme' */",
        "SELECT 1 -- tenant: acme",
        "/* hello */ SELECT 1",
        "/*traceparent='x'*/ /*db_driver='y'*/ SELECT 1",
        "/*traceparent='tenant=acme',x='tenant%3D%27acme%27'*/ SELECT 1",
        "/*+ SeqScan(t) */ SELECT 1",
        "/*+ Leading((orders tenants)) */ SELECT 1",
        "/* the tenant is acme */ SELECT 1",
        "SELECT '/*tenant=''acme''*/'",
        "SELECT '--', '/*tenant=''acme''*/'",
        "SELECT E'\\'/*tenant=\\'acme\\'*/' -- x",
        "SELECT \"/*tenant='acme'*/\"",
        "SELECT $$ /*tenant='acme'*/ $$",
        "SELECT $a$ $$ /*tenant='acme'*/ $a$, $1 -- x",
        "SELECT 'it''s' /* it's */, 'x' --it's",
        "",
    ] {
        assert_eq!(tenant(sql), Ok(None), "{sql}");
    }
}

#[test]
fn a_header_anywhere_else_is_refused() {
    for comment in [
        "/*tenant='acme'*/",
        "/*a='1',tenant='acme'*/",
        "/* TENANT='acme' */",
        "/*%74enant='acme'*/",
        "/*tenant_id='7'*/",
        "--tenant='acme'\n",
    ] {
        for sql in [
            format!("SELECT 1 {comment}"),
            format!("SELECT {comment} 1"),
            format!("; {comment} SELECT 1"),
            format!("-- x\n{comment} SELECT 1"),
            format!("/* hello */ {comment} SELECT 1"),
            format!("/*traceparent='x'*/{comment} SELECT 1"),
            format!("\u{feff}{comment} SELECT 1"),
            format!("/*tenant='acme'*/ SELECT 1; {comment} SELECT 2"),
            format!("SELECT 'it''s', e'\\'', \"x'y\", $t$'$t$, a$b$ {comment}"),
            format!("SELECT 1 /* ' /* \" */ $$ */ + 1 {comment}"),
        ] {
            assert!(tenant(&sql).is_err(), "{sql}");
        }
    }
}

#[test]
fn no_spelling_of_the_key_is_overheard() {
    let keys = [
        "TENANT",
        "Tenant",
        "tEnAnT",
        "tenant_id",
        "tenantid",
        "TENANT_ID",
        "tenant-id",
        "tenant.id",
        "x_tenant",
        "x-tenant-id",
        "tenants",
        "!tenant",
        "+tenant",
        "tenant!",
        "@tenant",
        "%54ENANT",
        "%74enant_id",
        "%2574enant",
        "%252574enant",
        "tenant%20",
        "%20tenant",
        "tenant%00",
        "te%E2%80%8Bnant",
        "%EF%BB%BFtenant",
        "Tenant_Exp",
        "TENANT_SIG",
        "tenant_signature",
        "`tenant`",
        "partywall.tenant",
    ];
    for key in keys {
        for sql in [
            format!("/*{key}='acme'*/ SELECT 1"),
            format!("/* {key}='acme' */ SELECT 1"),
            format!("/*a='1',{key}='acme'*/ SELECT 1"),
            format!("/*tenant='globex',{key}='acme'*/ SELECT 1"),
            format!("/*{key}='acme',tenant='globex'*/ SELECT 1"),
        ] {
            assert!(tenant(&sql).is_err(), "{sql}");
        }
    }
}

#[test]
fn what_is_not_of_the_form_is_not_overheard() {
    for sql in [
        "/*tenant=acme*/ SELECT 1",
        "/*tenant='acme'",
        "/*tenant=\"acme\"*/ SELECT 1",
        "/*tenant='acme' x*/ SELECT 1",
        "/*tenant='acme',*/ SELECT 1",
        "/*tenant='acme',tenant='globex'*/ SELECT 1",
        "/*tenant='acme',%74enant='acme'*/ SELECT 1",
        "/*tenant='ac%zzme'*/ SELECT 1",
        "/*tenant='%ff'*/ SELECT 1",
        "/*tenant='acme/*'*/ SELECT 1",
        "/*/*tenant='acme'*/*/ SELECT 1",
        "/*tenant_sig='00'*/ SELECT 1",
        "/*x, TENANT = 'acme'*/ SELECT 1",
        "/*tenant ='acme'*/ SELECT 1",
        "/*tenant= 'acme'*/ SELECT 1",
        "/*tenant\u{a0}='acme'*/ SELECT 1",
        "/*\ttenant\n=\n'acme'*/ SELECT 1",
        "/*tenant:'acme'*/ SELECT 1",
        "/*tenant: acme*/ SELECT 1",
        "/*{\"tenant\": \"acme\"}*/ SELECT 1",
        "/*tenant => 'acme'*/ SELECT 1",
        "/*tenant acme*/ SELECT 1",
        "/*'tenant'='acme'*/ SELECT 1",
        "/*tenant%3D'acme'*/ SELECT 1",
        "/*tenant%3D%27acme%27*/ SELECT 1",
        "/*%74%65nant = 'acme'*/ SELECT 1",
        "/*x /* */ tenant='acme'*/ SELECT 1",
        "/*a='1';tenant='acme'*/ SELECT 1",
    ] {
        assert!(tenant(sql).is_err(), "{sql}");
    }
    assert!(tenant(&format!("/*tenant='acme',x='{}'*/", "y".repeat(BYTES_MAX))).is_err());
}

#[test]
fn places_stay_and_nothing_of_the_tenant_goes_on() {
    let sql = " /*a='1',tenant='acme',tenant_exp='5',tenant_sig='ab'*/ SELECT 1";
    let said = read(sql).unwrap().unwrap();
    for (keep, wanted) in [(true, "/*a='1'*/ SELECT 1"), (false, "SELECT 1")] {
        let text = said.blanked(sql, keep);
        assert_eq!((text.len(), text.split_whitespace().collect::<Vec<_>>().join(" ").as_str()), (sql.len(), wanted));
        assert!(!text.contains("acme") && !text.contains("ab'"), "{text}");
    }
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn sign(key: &str, tenant: &str, expires: &str) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(message(tenant, expires).as_bytes());
    mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_signature_holds_for_its_tenant_and_its_time() {
    let keys = Keys::parse(&format!("\n{}\n{KEY}\n", "z".repeat(32))).unwrap();
    let good = sign(KEY, "acme", "100");
    // As Python's hmac has it.
    assert_eq!(good, "313f4755f09f95d761a792885c751ad8a18b557e6eae9ae60b9ce2dbbd767f62");
    let verify = |text: &str, now| keys.verify(&word(text), now);
    assert_eq!(verify(&format!("acme:100:{good}"), 99), Ok(100));
    assert_eq!(verify(&format!("acme:100:{}", good.to_uppercase()), 99), Ok(100));
    assert_eq!(verify(&format!("acme:100:{good}"), 100), Err("the tenant's signature has ended"));
    for bad in [
        format!("globex:100:{good}"),
        format!("acme:101:{good}"),
        format!("acme:+100:{good}"),
        format!("acme: 100:{good}"),
        format!("acme:100:{}", sign(&"y".repeat(32), "acme", "100")),
        format!("acme:100:{}", good.get(2..).unwrap()),
        format!("acme:100:{good}00"),
        format!("acme:100:zz{}", good.get(2..).unwrap()),
        "acme".to_owned(),
        String::new(),
    ] {
        assert!(verify(&bad, 1).is_err(), "{bad}");
    }
}

#[test]
fn a_short_key_is_none() {
    assert!(Keys::parse("").is_err());
    assert!(Keys::parse("secret").is_err());
    assert!(Keys::parse(&format!("{KEY}\nshort")).is_err());
}
