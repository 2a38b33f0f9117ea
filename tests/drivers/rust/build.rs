//! The drivers' versions, from the lock file.

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").expect("a lock file");
    for name in ["tokio-postgres", "sqlx", "diesel", "redis"] {
        let version = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).and_then(|rest| rest.split('"').next()).expect(name);
        println!("cargo::rustc-env={}={version}", name.replace('-', "_").to_uppercase());
    }
}
