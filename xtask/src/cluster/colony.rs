//! The ColonyOS side of a stack: PostgreSQL, the server, and in it a colony with a user, all with keys made here.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    commands, http,
    ledger::Ledger,
    process,
    stack::{Stack, write_private},
};
use crate::{folders, packages};

/// Components of the colony, in the order in which they start.
pub const COMPONENTS: &[&str] = &["postgresql", "colonyos"];
/// Name of the colony.
const COLONY: &str = "dev";
/// Name of the user.
const USER: &str = "ops";
/// How long one component may take to be ready.
const LIMIT: Duration = Duration::from_mins(1);

/// An identity of ColonyOS: an id that is public and the key that proves it.
#[derive(Clone, Serialize, Deserialize)]
struct Identity {
    id: String,
    key: String,
}

/// The identities of a stack.
#[derive(Clone, Serialize, Deserialize)]
struct Keys {
    server: Identity,
    colony: Identity,
    user: Identity,
}

/// Starts what of PostgreSQL and ColonyOS does not run and makes the colony and its user.
///
/// # Errors
/// When PostgreSQL is missing or one of them does not get ready; the message has the end of the log.
pub fn up(ledger: &Ledger) -> Result<()> {
    let keys = keys(ledger)?;
    postgresql(ledger)?;
    if !ledger.lacks("colonyos") {
        return Ok(());
    }
    let stack = ledger.stack();
    let ports = stack.ports();
    let colonies = ledger.tools.path("colonies")?;
    let environment = variables(&stack, &keys);
    let data = stack.folder.join("colonyos");
    let mut command = Command::new(colonies);
    command
        .args(["server", "start", "--initdb", "--insecure", "--etcdname", "server1"])
        .args(["--etcdhost", "127.0.0.1", "--port", &ports.colonies.to_string()])
        .args(["--etcdclientport", &ports.colonies_etcd.to_string()])
        .args(["--etcdpeerport", &ports.colonies_etcd_peer.to_string()])
        .args(["--relayport", &ports.colonies_relay.to_string(), "--initial-cluster"])
        .arg(format!(
            "server1=127.0.0.1:{}:{}:{}",
            ports.colonies_etcd_peer, ports.colonies_relay, ports.colonies
        ))
        .arg("--etcddatadir")
        .arg(&data)
        .envs(&environment)
        .env("TZ", "UTC") // the server does not start without it
        .env("LANG", "C.UTF-8")
        .envs(process::GARBAGE)
        .env("COLONIES_DB_HOST", "127.0.0.1")
        .env("COLONIES_DB_PORT", ports.postgresql.to_string())
        .env("COLONIES_DB_USER", "postgres")
        .env("COLONIES_DB_PASSWORD", "unused") // PostgreSQL trusts every local connection
        .envs(&stack.colonies_environment);
    let started = process::start(&mut command, &stack.log("colonyos"))?;
    ledger.record("colonyos", started.clone())?;
    process::wait_ready("colonyos", &started, LIMIT, || is_healthy(&stack, "colonyos"))?;
    populate(colonies, &environment, &keys)?;
    eprintln!("  ColonyOS ready at {}:{}", stack.host_address(), ports.colonies);
    Ok(())
}

/// Whether the component answers its health check.
pub fn is_healthy(stack: &Stack, component: &str) -> bool {
    let ports = stack.ports();
    match component {
        "postgresql" => std::net::TcpStream::connect(("127.0.0.1", ports.postgresql)).is_ok(),
        _ => http::is_ok("127.0.0.1", ports.colonies, "/health"),
    }
}

/// The `COLONIES_*` variables of a client of this stack.
///
/// # Errors
/// When the stack has no keys yet.
pub fn environment(stack: &Stack) -> Result<BTreeMap<String, String>> {
    let file = key_file(stack);
    let text = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let keys: Keys =
        serde_json::from_slice(&text).with_context(|| format!("failed to understand {}", file.display()))?;
    Ok(variables(stack, &keys))
}

fn variables(stack: &Stack, keys: &Keys) -> BTreeMap<String, String> {
    [
        ("COLONIES_TLS", "false"),
        ("COLONIES_SERVER_HOST", &stack.host_address()),
        ("COLONIES_SERVER_PORT", &stack.ports().colonies.to_string()),
        ("COLONIES_SERVER_ID", &keys.server.id),
        ("COLONIES_SERVER_PRVKEY", &keys.server.key),
        ("COLONIES_COLONY_NAME", COLONY),
        ("COLONIES_COLONY_ID", &keys.colony.id),
        ("COLONIES_COLONY_PRVKEY", &keys.colony.key),
        ("COLONIES_ID", &keys.user.id),
        ("COLONIES_PRVKEY", &keys.user.key),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn key_file(stack: &Stack) -> PathBuf {
    stack.folder.join("keys.json")
}

/// The stack's keys, made at the first call.
fn keys(ledger: &Ledger) -> Result<Keys> {
    let stack = ledger.stack();
    let file = key_file(&stack);
    if let Ok(text) = fs::read(&file) {
        return serde_json::from_slice(&text)
            .with_context(|| format!("failed to understand {}", file.display()));
    }
    let colonies = ledger.tools.path("colonies")?;
    let keys = Keys { server: generate(colonies)?, colony: generate(colonies)?, user: generate(colonies)? };
    let text = serde_json::to_vec_pretty(&keys).context("failed to write the keys")?;
    write_private(&file, &text)?;
    Ok(keys)
}

/// Lets ColonyOS's own client make an identity; it prints it as `Id=… PrvKey=…` on standard error.
fn generate(colonies: &Path) -> Result<Identity> {
    let done = Command::new(colonies)
        .args(["security", "generate"])
        .output()
        .context("failed to run colonies security generate")?;
    let printed = String::from_utf8_lossy(&done.stderr);
    let value = |name: &str| {
        printed
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .filter(|value| value.len() == 64)
            .map(str::to_owned)
            .context("failed to find a key in what colonies security generate printed")
    };
    Ok(Identity { id: value("Id=")?, key: value("PrvKey=")? })
}

/// Makes the colony and its user unless they are there from an earlier start.
fn populate(colonies: &Path, environment: &BTreeMap<String, String>, keys: &Keys) -> Result<()> {
    let run = |arguments: &[&str]| commands::output(Command::new(colonies).args(arguments).envs(environment));
    if run(&["user", "ls"]).is_ok_and(|users| users.contains(USER)) {
        return Ok(());
    }
    run(&["colony", "add", "--name", COLONY, "--colonyid", &keys.colony.id])
        .context("failed to add the colony")?;
    let user = ["user", "add", "--name", USER, "--email", "", "--phone", "", "--userid", &keys.user.id];
    run(&user).context("failed to add the user")?;
    Ok(())
}

fn postgresql(ledger: &Ledger) -> Result<()> {
    if !ledger.lacks("postgresql") {
        return Ok(());
    }
    let stack = ledger.stack();
    let programs = postgresql_programs()?;
    let data = stack.folder.join("postgresql");
    let owner = owner();
    if !data.join("PG_VERSION").exists() {
        make_database(&programs, &data, owner)?;
    }
    // What a server that was killed left behind; the ledger says that it is gone.
    let _ = fs::remove_file(data.join("postmaster.pid"));
    let port = stack.ports().postgresql.to_string();
    let mut command = as_owner(owner, &programs.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-k", ""]) // no Unix socket, whose path could be too long
        .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
        .args(["-c", "max_connections=300"])
        .current_dir("/");
    let started = process::start(&mut command, &stack.log("postgresql"))?;
    ledger.record("postgresql", started.clone())?;
    let ready = programs.join("pg_isready");
    process::wait_ready("postgresql", &started, LIMIT, || {
        commands::succeeds(Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port]))
    })
}

fn make_database(programs: &Path, data: &Path, owner: Option<&str>) -> Result<()> {
    fs::create_dir_all(data).with_context(|| format!("failed to create {}", data.display()))?;
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("failed to protect {}", data.display()))?;
    if let Some(owner) = owner {
        commands::output(Command::new("chown").arg(owner).arg(data))?;
        // PostgreSQL refuses to run as root, and the user it runs as must be able to reach its data.
        if !commands::succeeds(as_owner(Some(owner), Path::new("test")).arg("-x").arg(data)) {
            bail!(
                "user {owner}, as whom PostgreSQL runs, cannot reach {}: choose a --state folder whose parents \
                 all users may pass through",
                data.display()
            );
        }
    }
    let mut initdb = as_owner(owner, &programs.join("initdb"));
    initdb.arg("-D").arg(data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    commands::output(initdb.current_dir("/")).context("failed to create the PostgreSQL database")?;
    Ok(())
}

/// The user that PostgreSQL runs as when this is root: its own, or one that owns nothing.
fn owner() -> Option<&'static str> {
    folders::is_root().then(|| {
        let known = commands::succeeds(Command::new("id").arg("postgres"));
        if known { "postgres" } else { "nobody" }
    })
}

fn as_owner(owner: Option<&str>, program: &Path) -> Command {
    let Some(owner) = owner else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", owner, "--regid"])
        .arg(group_of(owner))
        .args(["--init-groups", "--"])
        .arg(program);
    command
}

/// Primary group of a user, by number: `nobody` has a group of another name on Debian.
fn group_of(user: &str) -> String {
    commands::output(Command::new("id").args(["-g", user]))
        .map_or_else(|_| user.to_owned(), |id| id.trim().to_owned())
}

/// Folder of `postgres`, `initdb` and `pg_isready`, installed if missing. Debian keeps them off the `PATH`.
///
/// # Errors
/// When it cannot be installed.
pub fn postgresql_programs() -> Result<PathBuf> {
    if let Some(folder) = find_postgresql() {
        return Ok(folder);
    }
    packages::install(&["postgresql"], "PostgreSQL, which ColonyOS keeps its data in")?;
    find_postgresql().context("failed to find initdb after PostgreSQL was installed")
}

/// The newest version in Debian's folders, else the one on the `PATH`, where a link may stand for one of three.
fn find_postgresql() -> Option<PathBuf> {
    let on_path = packages::find("initdb").and_then(|path| fs::canonicalize(path).ok());
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .chain(on_path.as_deref().and_then(Path::parent).map(Path::to_path_buf))
        .filter(|folder| ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file()))
        .collect();
    folders.sort_by_key(|folder| version_in(folder));
    folders.pop()
}

/// The `15` in `/usr/lib/postgresql/15/bin`; 0 elsewhere.
fn version_in(folder: &Path) -> u32 {
    let parent = folder.parent().and_then(Path::file_name);
    parent.and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}
