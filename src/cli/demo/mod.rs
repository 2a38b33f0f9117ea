//! `partywall demo`: everything at once on this machine; two tenants type the same and each finds a database of its own.

mod scenes;
mod show;
mod stage;

use super::paint::Tone;
use scenes::{Attack, Scene};
use show::Show;
use stage::{Stage, Undertaker};
use std::process::{Command, ExitCode, Stdio};
use tokio::signal::unix::{SignalKind, signal};

const TENANTS: [&str; 2] = ["acme", "globex"];

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Check what is shown, then end; nothing is left running
    #[arg(long)]
    check: bool,
}

impl Demo {
    /// Plays the demo; stays until Ctrl-C, unless it only checks.
    pub fn run(self) -> ExitCode {
        let missing = stage::missing();
        if !missing.is_empty() {
            eprintln!("partywall: the demo needs what this machine lacks. On Debian:\n  apt-get install {}", missing.join(" "));
            return ExitCode::from(2);
        }
        match self.play() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("partywall: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn play(&self) -> anyhow::Result<ExitCode> {
        let stage = Stage::new(!self.check)?;
        let mut undertaker = Undertaker::hire(&stage.dir)?;
        let check = self.check;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.block_on(async {
            let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let show = tokio::task::spawn_blocking(move || perform(stage, check));
            let result: anyhow::Result<usize> = tokio::select! {
                played = show => played?,
                _ = term.recv() => return Ok(None),
                _ = int.recv() => return Ok(None),
            };
            if !check && result.is_ok() {
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
                println!();
            }
            undertaker.bury();
            anyhow::Ok(Some(result))
        })?;
        match ended {
            Some(Ok(0)) if !check => println!("Everything is gone again."),
            Some(Ok(0)) => {}
            Some(Ok(failures)) => {
                eprintln!("partywall: {failures} answers were not as they must be");
                return Ok(ExitCode::FAILURE);
            }
            Some(Err(error)) => return Err(error),
            // Interrupted half way; the thread that plays may still be talking.
            None => {
                undertaker.bury();
                std::process::exit(130)
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn perform(mut stage: Stage, check: bool) -> anyhow::Result<usize> {
    let mut play = Play { show: Show::new(), checks: 0, failures: Vec::new() };
    play.all(&mut stage, check)?;
    Ok(play.failures.len())
}

/// A performance, and what went wrong in it.
struct Play {
    show: Show,
    checks: usize,
    failures: Vec<String>,
}

impl Play {
    fn all(&mut self, stage: &mut Stage, check: bool) -> anyhow::Result<()> {
        println!(
            "{}",
            self.show.tone(Tone::Bold, "Partywall: two tenants, one PostgreSQL, one Redis, and an application that knows nothing of it")
        );
        println!("{}", self.show.tone(Tone::Dim, "Throwaway servers are started; that takes a moment."));
        stage.start_postgres()?;
        stage.start_redis()?;
        stage.make_certificates()?;
        stage.start_wall()?;
        self.cast(stage);
        self.sql(stage)?;
        self.redis(stage)?;
        if check {
            self.try_invitation(stage)?;
            println!("\n{} answers checked, {} wrong", self.checks, self.failures.len());
        } else {
            self.invite(stage);
        }
        for failure in &self.failures {
            println!("{}", self.show.tone(Tone::Red, failure));
        }
        Ok(())
    }

    fn cast(&self, stage: &Stage) {
        let line = |what: &str, place: String, note: &str| {
            println!("  {}{what:<18}{place:<34}{}", self.show.tone(Tone::Green, "● "), self.show.tone(Tone::Dim, note));
        };
        println!();
        line(&stage.versions[0], format!("127.0.0.1:{}", stage.postgres), "three tenants' rows in the same tables");
        line(&stage.versions[1], format!("127.0.0.1:{}", stage.redis), "three tenants' keys in one database");
        let ports = format!("127.0.0.1:{} and :{}", stage.wall_postgres, stage.wall_redis);
        line("Partywall", ports, "where the application connects");
    }

    fn expect(&mut self, what: &str, wanted: &str, got: &str) {
        self.checks += 1;
        if wanted != got {
            self.failures.push(format!("{what}\n  wanted: {wanted:?}\n  got:    {got:?}"));
        }
    }

    fn sql(&mut self, stage: &Stage) -> anyhow::Result<()> {
        self.show.heading("PostgreSQL");
        self.show.say("What the tables hold, as only their owner sees it:");
        self.show.typed("shop=# ", scenes::OWNER_SQL);
        println!();
        let head = "tenant_id|id|customer_id|status".to_owned();
        let rows = stage.owner("shop", scenes::OWNER_SQL)?;
        self.show.answer(&std::iter::once(head).chain(rows.lines().map(str::to_owned)).collect::<Vec<_>>());
        for scene in scenes::SQL {
            self.statement(stage, scene)?;
        }
        self.show.heading("What acme must not get");
        for attack in scenes::SQL_ATTACKS {
            self.attack(attack, "acme=> ", &ask_postgres(stage, "acme", attack.typed)?);
        }
        let after = stage.owner("shop", scenes::OWNER_SQL)?;
        self.expect("the owner's rows afterwards", &scenes::OWNER_AFTER.join("\n"), &after);
        Ok(())
    }

    fn statement(&mut self, stage: &Stage, scene: &Scene) -> anyhow::Result<()> {
        let mut answers = Vec::new();
        let mut received = Vec::new();
        for (tenant, wanted) in TENANTS.iter().zip(scene.answers) {
            let before = stage.log_length();
            let answer = ask_postgres(stage, tenant, scene.typed)?;
            self.expect(&format!("{tenant}: {}", scene.typed), &wanted.join("\n"), &answer.join("\n"));
            answers.push(answer);
            received.push(stage.received_since(before)?);
        }
        self.show.say(scene.title);
        self.show.typed("=> ", scene.typed);
        self.show.side_by_side((TENANTS[0], &answers[0]), (TENANTS[1], &answers[1]));
        self.expect("both texts are one", &received[0].replace("'acme'", "'globex'"), &received[1]);
        self.expect("the text names the tenant", "true", &received[0].contains("'acme'").to_string());
        self.show.received(&received[0]);
        Ok(())
    }

    fn attack(&mut self, attack: &Attack, prompt: &str, answer: &[String]) {
        self.show.say(attack.title);
        self.show.typed(prompt, attack.typed);
        println!();
        self.show.answer(answer);
        let text = answer.join("\n");
        self.expect(attack.typed, "true", &text.starts_with(attack.answer).to_string());
        let leaked = ["Hank", "Greta", "hammock", "sk-live", "Nothing can"].iter().any(|w| text.contains(w));
        self.expect("nothing of another tenant is said", "false", &leaked.to_string());
    }

    fn redis(&mut self, stage: &Stage) -> anyhow::Result<()> {
        self.show.heading("Redis");
        self.show.say("The same commands; the certificate of the connection says whose they are.");
        let mut sides = [Vec::new(), Vec::new()];
        for scene in scenes::REDIS {
            for ((tenant, wanted), side) in TENANTS.iter().zip(scene.answers).zip(&mut sides) {
                let answer = ask_redis(stage, tenant, scene.typed)?;
                self.expect(&format!("{tenant}: {}", scene.typed), &wanted.join("\n"), &answer.join("\n"));
                side.push(format!("> {}", scene.typed));
                side.extend(answer);
            }
            // Lists are of different length: the next command stands in one line for both.
            let longest = sides.iter().map(Vec::len).max().unwrap_or_default();
            sides.iter_mut().for_each(|side| side.resize(longest, String::new()));
        }
        self.show.side_by_side((TENANTS[0], &sides[0]), (TENANTS[1], &sides[1]));
        self.show.say("What Redis holds, as only its owner sees it:");
        self.show.typed("> ", "KEYS *");
        let keys = stage.redis_owner(&["KEYS", "*"])?;
        let mut keys: Vec<&str> = keys.lines().collect();
        keys.sort_unstable();
        self.expect("the keys afterwards", &scenes::REDIS_KEYS.join("\n"), &keys.join("\n"));
        println!("    {}", keys.join("  "));
        self.show.heading("What acme must not get");
        for attack in scenes::REDIS_ATTACKS {
            let answer = ask_redis(stage, "acme", attack.typed)?;
            self.attack(attack, "> ", &answer);
        }
        Ok(())
    }

    /// What a person can type, and that it works.
    fn try_invitation(&mut self, stage: &Stage) -> anyhow::Result<()> {
        for (tenant, motto) in TENANTS.iter().zip(["Quality is our first dream", "Nothing can stop us now"]) {
            let [psql, redis_cli] = invitation(stage, tenant);
            let named = stage.shell(&format!("{psql} -Atc 'SELECT count(DISTINCT tenant_id), min(tenant_id) FROM orders'"))?;
            self.expect(&psql, &format!("1|{tenant}"), &named);
            self.expect(&redis_cli, motto, &stage.shell(&format!("{redis_cli} GET motto"))?);
        }
        Ok(())
    }

    fn invite(&self, stage: &Stage) {
        let cyan = |text: &str| self.show.tone(Tone::Cyan, text);
        self.show.heading("Now you");
        self.show.say("The wall stays up until Ctrl-C; then everything is gone again. In another terminal:");
        println!("\n  {}", cyan(&format!("cd {}", stage.dir.display())));
        for tenant in TENANTS {
            println!("\n  {}", self.show.tone(Tone::Yellow, tenant));
            invitation(stage, tenant).iter().for_each(|line| println!("  {}", cyan(line)));
        }
        println!("\n  {}", self.show.tone(Tone::Yellow, "their owner, past the wall"));
        let socket = stage.dir.join("pg");
        println!("  {}", cyan(&format!("psql -h {} -p {} -U postgres shop", socket.display(), stage.postgres)));
        println!("  {}", cyan(&format!("redis-cli -p {}", stage.redis)));
        let health = format!("http://127.0.0.1:{}/", stage.admin);
        println!("\n  {} {}", self.show.tone(Tone::Dim, "health and metrics:"), cyan(&health));
    }
}

/// How a tenant connects from a shell in the stage's directory: psql, redis-cli.
fn invitation(stage: &Stage, tenant: &str) -> [String; 2] {
    [format!("psql \"{}\"", stage.conninfo(tenant)), format!("redis-cli {}", stage.redis_arguments(tenant))]
}

/// What psql tells this tenant, line by line.
fn ask_postgres(stage: &Stage, tenant: &str, sql: &str) -> anyhow::Result<Vec<String>> {
    let mut command = stage::psql(&stage.conninfo(tenant));
    answer(command.args(["-A", "-F", "|", "-P", "footer=off", "-v", "VERBOSITY=verbose", "-c", sql]))
}

/// What redis-cli tells this tenant, as on a terminal.
fn ask_redis(stage: &Stage, tenant: &str, typed: &str) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new("redis-cli");
    command.args(stage.redis_arguments(tenant).split(' ')).current_dir(&stage.dir).arg("--no-raw").args(stage::words(typed));
    answer(&mut command)
}

fn answer(command: &mut Command) -> anyhow::Result<Vec<String>> {
    let output = command.stdin(Stdio::null()).output()?;
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).trim_end().to_owned();
    Ok(text.lines().map(|l| l.trim_end().to_owned()).filter(|l| !l.starts_with("LOCATION:")).collect())
}
