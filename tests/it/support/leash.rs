//! A program that cannot outlive the test process, however that ends: a shell waits on a pipe from it and ends the program when the pipe
//! closes, and a directory is removed after.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// The shell gives the program's pid as the first line, then waits until nobody holds its standard input.
const SCRIPT: &str = r#"trap : INT TERM HUP
signal=$1 directory=$2; shift 2
sh -c 'echo $$; exec "$@"' leash "$@" </dev/null & child=$!
exec >/dev/null 2>&1
cat
kill -"$signal" $child
wait $child
[ -z "$directory" ] || rm -rf "$directory""#;

/// A running program.
pub struct Leash {
    shell: Child,
    hand: Option<ChildStdin>,
    pid: u32,
    /// What it prints.
    pub stdout: Option<BufReader<ChildStdout>>,
    /// What it complains of.
    pub stderr: Option<BufReader<ChildStderr>>,
}

impl Leash {
    /// Starts `program` (name and arguments); `signal` ends it, `remove` is a directory that goes with it.
    pub fn start(signal: &str, remove: Option<&Path>, program: &[&str], directory: &Path, env: &[(&str, &str)]) -> Self {
        let remove = remove.map(|p| p.display().to_string()).unwrap_or_default();
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "leash", signal, &remove])
            .args(program)
            .current_dir(directory)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut stdout = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("{program:?} did not start: {line}"));
        let stderr = BufReader::new(shell.stderr.take().unwrap());
        Self { hand: shell.stdin.take(), shell, pid, stdout: Some(stdout), stderr: Some(stderr) }
    }

    /// The program's own process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal, by name without SIG.
    pub fn signal(&self, name: &str) {
        Command::new("kill").args([&format!("-{name}"), &self.pid.to_string()]).status().unwrap();
    }

    /// Has it ended (a zombie has)?
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.hand.take();
        let _ = self.shell.wait();
    }
}
