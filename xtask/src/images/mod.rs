//! `cargo xtask images`: the operator and the example executor as container images, built on this machine and handed to
//! a stack's containerd or Docker daemon without a registry and without a container builder.

mod archive;
#[cfg(test)]
mod dockerfile;
mod stand_ins;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use archive::{Contents, Entry};

use crate::{
    cargo::{self, Executable},
    cluster::{self, Stack, Which, docker},
    tools::{self, Toolbox},
};

/// Image of the first container of every pod on the real node.
pub const PAUSE: &str = "localhost/pause:dev";
/// Tag that always means the newest build. Not `latest`, for which kubelet would ask a registry.
const TAG: &str = "dev";
/// User and group of the images, as the chart's security context has it.
const USER: &str = "65532:65532";

/// Programs that become images of the same name.
const PROGRAMS: &[&str] = &["colonyos-operator", "executor"];

/// Which images to build, and for which stack.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    pub which: Which,
    /// Cargo profile: `dev` builds faster and shares what the tests have built, `release` runs faster.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    pub profile: Profile,
}

/// A cargo profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    Dev,
    Release,
}

/// What a stack was given last, by image name.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Given {
    images: BTreeMap<String, Image>,
}

/// An image and the file it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Path of the binary.
    binary: PathBuf,
    /// Time of the binary's last change, in nanoseconds since the epoch.
    changed: u128,
    /// Name with a tag that changes with the binary, for example `localhost/executor:dev-0a1b2c3d4e5f`.
    pub reference: String,
}

/// Builds the images and gives them to the stack.
///
/// # Errors
/// When the build fails, the stack is not up or runs no containers.
pub fn run(options: &Options) -> Result<()> {
    let stack = cluster::existing(&options.which.folder()?)?;
    let programs = build(options.profile)?;
    for image in import(&stack, &programs)?.values() {
        println!("{}", image.reference);
    }
    Ok(())
}

/// Builds the static binaries; for the development profile they are those that the tests build too.
///
/// # Errors
/// When they do not compile.
pub fn build(profile: Profile) -> Result<Vec<Executable>> {
    match profile {
        Profile::Dev => cargo::build_programs(),
        Profile::Release => cargo::build(
            "build",
            &[
                "--package",
                "colonyos-operator",
                "--bin",
                "colonyos-operator",
                "--example",
                "executor",
                "--release",
            ],
        ),
    }
}

/// Gives the stack every image whose binary is not the one that it has; returns all by program name.
///
/// # Errors
/// When the stack runs no containers or an image is refused.
pub fn import(stack: &Stack, programs: &[Executable]) -> Result<BTreeMap<String, Image>> {
    if !stack.has_real_node() && !stack.docker {
        bail!("stack {} has neither a real node nor a Docker daemon to give images to", stack.name);
    }
    let tools = tools::provide(if stack.has_real_node() { &["ctr"] } else { &[] })?;
    let record = stack.folder.join(cluster::IMAGES);
    let mut given: Given =
        fs::read(&record).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    for program in PROGRAMS {
        let binary = programs
            .iter()
            .find(|built| built.target == *program)
            .map(|built| built.path.clone())
            .with_context(|| format!("failed to find {program} among what cargo built"))?;
        let changed = changed(&binary)?;
        let present = given.images.get(*program);
        if present.is_some_and(|image| image.binary == binary && image.changed == changed) {
            continue;
        }
        let bytes = stripped(&binary)?;
        let reference = format!("localhost/{program}:{TAG}-{}", &archive::digest(&bytes)[..12]);
        if present.is_none_or(|image| image.reference != reference) {
            let names = [format!("localhost/{program}:{TAG}"), reference.clone()];
            eprintln!("  image {reference} ({} MB)", bytes.len() / 1_000_000);
            let entries = [Entry::program(program, bytes)];
            let entry_point = [format!("/{program}")];
            give(
                stack,
                &tools,
                &Contents {
                    name: program,
                    entries: &entries,
                    entry_point: &entry_point,
                    user: USER,
                    names: &names,
                },
            )?;
        }
        given.images.insert((*program).to_owned(), Image { binary, changed, reference });
    }
    let text = serde_json::to_vec_pretty(&given).context("failed to write the record of images")?;
    fs::write(&record, text).with_context(|| format!("failed to write {}", record.display()))?;
    Ok(given.images)
}

/// Gives the stack the image of the container that every pod begins with.
///
/// # Errors
/// When containerd refuses it.
pub fn import_pause(stack: &Stack, tools: &Toolbox) -> Result<()> {
    let path = tools.path("pause")?;
    let binary = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let names = [PAUSE.to_owned()];
    let entries = [Entry::program("pause", binary)];
    give(
        stack,
        tools,
        &Contents {
            name: "pause",
            entries: &entries,
            entry_point: &["/pause".to_owned()],
            user: USER,
            names: &names,
        },
    )
}

/// Gives the stack images under the names that manifests of the repository use, unless it has them.
///
/// # Errors
/// When a program is missing or containerd refuses an image.
pub fn import_stand_ins(stack: &Stack, executor: &Path) -> Result<()> {
    let mark = stack.folder.join("stand-ins");
    if mark.exists() {
        return Ok(());
    }
    let tools = tools::provide(&["ctr", "pause"])?;
    let read = |path: &Path| fs::read(path).with_context(|| format!("failed to read {}", path.display()));
    let stays = [Entry::program("pause", read(tools.path("pause")?)?)];
    let works = [Entry::program("executor", stripped(executor)?)];
    let shell = stand_ins::shell()?;
    let database = stand_ins::database(&cluster::postgresql_programs()?)?;
    let each = [
        ("shell", &shell[..], "/bin/sh", USER, stand_ins::SHELL),
        ("stays", &stays, "/pause", USER, stand_ins::STAYS),
        ("works", &works, "/executor", USER, stand_ins::WORKS),
        ("database", &database, "/entry-point", stand_ins::DATABASE_USER, stand_ins::DATABASE),
    ];
    for (name, entries, entry_point, user, names) in each {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let entry_point = [entry_point.to_owned()];
        give(stack, &tools, &Contents { name, entries, entry_point: &entry_point, user, names: &names })?;
    }
    fs::write(&mark, []).with_context(|| format!("failed to write {}", mark.display()))
}

/// Packs an image and gives it to all that runs containers in the stack.
fn give(stack: &Stack, tools: &Toolbox, contents: &Contents<'_>) -> Result<()> {
    let path = stack.folder.join(format!("{}.image.tar", contents.name));
    let file = fs::File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
    archive::write(contents, file)?;
    if stack.has_real_node() {
        let mut command = Command::new(tools.path("ctr")?);
        command
            .arg("--address")
            .arg(cluster::socket(stack))
            .args(["--namespace", "k8s.io", "images", "import", "--snapshotter"])
            .arg(cluster::snapshotter(stack)?)
            .arg(&path);
        cluster::output(&mut command)
            .with_context(|| format!("failed to give containerd the image of {}", contents.name))?;
    }
    if stack.docker {
        docker::load(stack, &path)
            .with_context(|| format!("failed to give Docker the image of {}", contents.name))?;
    }
    fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))
}

/// SHA-256 as lower-case hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    archive::digest(bytes)
}

/// The image of one program, as an archive.
///
/// # Errors
/// When it cannot be packed.
pub fn packed(program: &str, binary: Vec<u8>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let entries = [Entry::program(program, binary)];
    let (entry_point, names) = ([format!("/{program}")], [format!("localhost/{program}:{TAG}")]);
    archive::write(
        &Contents { name: program, entries: &entries, entry_point: &entry_point, user: USER, names: &names },
        &mut bytes,
    )?;
    Ok(bytes)
}

/// The binary without debug information and symbols, which only make the image larger.
///
/// # Errors
/// When it cannot be read.
pub fn stripped(binary: &Path) -> Result<Vec<u8>> {
    let target = binary.with_extension("stripped");
    let stripped = cluster::succeeds(Command::new("strip").arg("-o").arg(&target).arg(binary));
    let path = if stripped { target.as_path() } else { binary };
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    if stripped {
        fs::remove_file(&target).with_context(|| format!("failed to remove {}", target.display()))?;
    }
    Ok(bytes)
}

fn changed(binary: &Path) -> Result<u128> {
    let time = fs::metadata(binary)
        .and_then(|metadata| metadata.modified())
        .with_context(|| format!("failed to find {}", binary.display()))?;
    Ok(time.duration_since(UNIX_EPOCH).map(|since| since.as_nanos()).unwrap_or_default())
}
