//! What a listener's `tls:` may say of an agent.

use super::Own;
use crate::config::document::{Findings, Reader};
use std::path::Path;

#[test]
fn an_agent_is_a_unix_socket_in_the_place_of_files_and_of_a_build_that_has_it() {
    for (text, wanted) in [
        ("{ workload_api: 'unix:/run/spire/agent.sock', require: true }", Ok("/run/spire/agent.sock")),
        ("{ workload_api: 'unix:/run/spire/agent.sock', crl: tls/crl.pem }", Ok("/run/spire/agent.sock")),
        ("{ workload_api: 'unix:///run/agent.sock' }", Ok("///run/agent.sock")),
        ("{ workload_api: 'unix:run/agent.sock' }", Err("is no socket of an agent")),
        ("{ workload_api: 'unix:/' }", Err("is no socket of an agent")),
        ("{ workload_api: 'tcp:127.0.0.1:8081' }", Err("is no socket of an agent")),
        ("{ workload_api: /run/agent.sock }", Err("is no socket of an agent")),
        ("{ workload_api: 'unix:/a', cert: c, key: k }", Err("stands in the place of `cert`")),
        ("{ workload_api: 'unix:/a', client_ca: c }", Err("stands in the place of `client_ca`")),
        ("{ cert: c }", Err("`key` is missing")),
    ] {
        let mut findings = Findings::new();
        let mut reader = Reader { file: "c".into(), findings: &mut findings };
        let node = reader.parse(text).unwrap_or_else(|| unreachable!());
        let read = super::read(&mut reader, &node, Path::new("base"));
        let names_agent = text.contains("workload_api");
        if names_agent && !cfg!(feature = "workload-api") {
            let told =
                findings.iter().any(|f| f.message == "this build has no `workload_api`" && f.fix.contains("--features workload-api"));
            assert!(told && read.is_none(), "{text}: {findings:?}");
            continue;
        }
        match wanted {
            Ok(path) => {
                let own = read.map(|tls| tls.own);
                assert!(
                    findings.is_empty() && matches!(&own, Some(Own::Agent(p)) if p == Path::new(path)),
                    "{text}: {findings:?}, {own:?}"
                );
            }
            Err(wanted) => assert!(findings.iter().any(|f| f.message.contains(wanted)), "{text}: {findings:?}"),
        }
    }
}
