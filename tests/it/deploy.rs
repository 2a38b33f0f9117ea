//! What is shipped to be copied: the example configuration, the Pod with its embedded files, the container file.

use saphyr::{LoadableYamlNode, YamlOwned};
use std::fs;
use std::path::Path;
use std::process::Command;

fn shipped(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn check(config: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_partywall")).arg("check").arg("--config").arg(config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_example_configuration_is_good() {
    check(&shipped("deploy/partywall.yaml"));
}

#[test]
fn the_pod_runs_the_wall_as_a_sidecar_on_good_files() {
    let text = fs::read_to_string(shipped("deploy/sidecar.yaml")).unwrap();
    let documents = YamlOwned::load_from_str(&text).unwrap();
    let [files, pod] = documents.as_slice() else { panic!("{} documents", documents.len()) };
    let dir = tempfile::tempdir().unwrap();
    for name in ["partywall.yaml", "shop.yaml"] {
        fs::write(dir.path().join(name), files["data"][name].as_str().unwrap()).unwrap();
    }
    check(&dir.path().join("partywall.yaml"));

    let wall = &pod["spec"]["initContainers"][0];
    assert_eq!(wall["restartPolicy"].as_str(), Some("Always"));
    assert_eq!(wall["startupProbe"]["httpGet"]["path"].as_str(), Some("/readyz"));
    assert_eq!(wall["livenessProbe"]["httpGet"]["path"].as_str(), Some("/livez"));
    assert_eq!(wall["securityContext"]["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(wall["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(wall["securityContext"]["capabilities"]["drop"][0].as_str(), Some("ALL"));
    let all = &pod["spec"]["securityContext"];
    assert_eq!((all["runAsNonRoot"].as_bool(), all["seccompProfile"]["type"].as_str()), (Some(true), Some("RuntimeDefault")));
    // What the probes ask is what the embedded configuration serves, and the identity is the Pod's own label.
    let config = files["data"]["partywall.yaml"].as_str().unwrap();
    let port = wall["ports"][0]["containerPort"].as_integer().unwrap();
    assert!(config.contains(&format!("admin: 0.0.0.0:{port}")));
    assert_eq!(wall["env"][0]["valueFrom"]["fieldRef"]["fieldPath"].as_str(), Some("metadata.labels['tenant']"));
    assert!(files["data"]["shop.yaml"].as_str().unwrap().contains(&format!("env: {}", wall["env"][0]["name"].as_str().unwrap())));
}

#[test]
fn the_image_is_built_apart_and_runs_without_root() {
    let text = fs::read_to_string(shipped("deploy/Containerfile")).unwrap();
    let last = text.rsplit("\nFROM ").next().unwrap();
    assert_eq!(text.lines().filter(|l| l.starts_with("FROM ")).count(), 2);
    assert!(last.contains("\nCOPY --from=build ") && last.contains("\nUSER 65532:65532\n"));
}
