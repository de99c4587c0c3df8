//! `cargo xtask release`: the operator as it is released: a binary that names its dependencies, an image, and a bill of materials.
//! With `--twice`, from two builds that share nothing, which must be equal byte by byte.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{cargo, folders, images, repository};

/// The release of cargo-auditable, which writes the list of dependencies into the binary, as the Dockerfile has it.
const AUDITABLE: Tool = Tool { name: "cargo-auditable", version: "0.7.7" };
/// The release of cargo-cyclonedx, which writes the bill of materials.
const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9" };

/// What is built, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder for what is built [default: target/release-files]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Build it again in another folder, and fail when binary or image differ
    #[arg(long)]
    twice: bool,
    /// Cargo profile: `dev` shows in less time whether two builds are equal
    #[arg(long, default_value = "release")]
    profile: String,
    /// Build the tools into the cache that are not there (several minutes, once)
    #[arg(long)]
    install: bool,
}

/// Builds everything and names it.
///
/// # Errors
/// When a tool is missing, something does not compile, or two builds differ.
pub fn run(options: &Options) -> Result<()> {
    let tools = [AUDITABLE.find(options.install)?, CYCLONEDX.find(options.install)?];
    let folder = options.output.clone().unwrap_or_else(|| repository::root().join("target/release-files"));
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let one = build(&options.profile, &tools, &folder.join("build-1"))?;
    let packed = images::packed("colonyos-operator", one.clone())?;
    if options.twice {
        let other = build(&options.profile, &tools, &folder.join("build-2"))?;
        same("binaries", &one, &other)?;
        same("images", &packed, &images::packed("colonyos-operator", other)?)?;
        println!("both builds are equal");
    }
    for (file, bytes) in [("colonyos-operator", &one), ("colonyos-operator.image.tar", &packed)] {
        let path = folder.join(file);
        fs::write(&path, bytes).with_context(|| format!("failed to write {}", path.display()))?;
        println!("{}  {}", images::digest(bytes), path.display());
    }
    let bill = bill_of_materials(&tools)?;
    let path = folder.join("colonyos-operator.cdx.json");
    fs::write(&path, &bill).with_context(|| format!("failed to write {}", path.display()))?;
    println!("{}  {}", images::digest(&bill), path.display());
    Ok(())
}

/// The static binary, with the list of its dependencies in it, and without debug information.
fn build(profile: &str, tools: &[PathBuf], target: &Path) -> Result<Vec<u8>> {
    let host = cargo::host()?;
    let root = repository::root().display();
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    // Where it was built is no part of what is built.
    let mut flags = vec![
        cargo::STATIC.to_owned(),
        format!("--remap-path-prefix={}=/target", target.display()),
        format!("--remap-path-prefix={root}=/src"),
    ];
    flags.extend(home.ok().map(|home| format!("--remap-path-prefix={home}=/cargo")));
    let status = cargo::command("auditable")
        .args(["build", "--locked", "--package", "colonyos-operator", "--bin", "colonyos-operator"])
        .args(["--profile", profile, "--target", &host])
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", flags.join(" "))
        .env("PATH", with(tools)?)
        .status()
        .context("failed to start cargo auditable")?;
    if !status.success() {
        bail!("cargo auditable ended with {status}: the compiler's messages stand above");
    }
    let folder = if profile == "dev" { "debug" } else { profile };
    let bytes = images::stripped(&target.join(host).join(folder).join("colonyos-operator"))?;
    if !names_its_dependencies(&bytes) {
        bail!("the binary does not name its dependencies: strip may have removed section .dep-v0");
    }
    Ok(bytes)
}

/// Whether a binary has the section in which cargo-auditable keeps the list.
fn names_its_dependencies(binary: &[u8]) -> bool {
    const SECTION: &[u8] = b".dep-v0\0";
    binary.windows(SECTION.len()).any(|window| window == SECTION)
}

/// What the binary is made of, in the form of `CycloneDX`.
fn bill_of_materials(tools: &[PathBuf]) -> Result<Vec<u8>> {
    let status = cargo::command("cyclonedx")
        .args(["--format", "json", "--spec-version", "1.5", "--target", &cargo::host()?])
        .args(["--override-filename", "bill-of-materials", "--manifest-path", "Cargo.toml"])
        // The time of the last commit, or the bill would change with each build; nor has it a random number then.
        .env("SOURCE_DATE_EPOCH", committed_at().unwrap_or_default())
        .env("PATH", with(tools)?)
        .status()
        .context("failed to start cargo cyclonedx")?;
    if !status.success() {
        bail!("cargo cyclonedx ended with {status}");
    }
    let mut bill = None;
    // It writes one beside each manifest of the workspace.
    for folder in ["", "crates/client", "crates/expression", "crates/fake", "xtask"] {
        let path = repository::root().join(folder).join("bill-of-materials.json");
        if folder.is_empty() {
            bill = Some(
                fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?,
            );
        }
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    Ok(without_folder(&bill.context("there is no bill of materials")?, &repository::root().to_string_lossy()))
}

/// A bill that does not say in which folder it was written: no reader has it.
fn without_folder(bill: &str, folder: &str) -> Vec<u8> {
    bill.replace(&format!("path+file://{folder}"), "path+file:///src").into_bytes()
}

fn committed_at() -> Option<String> {
    let mut git = Command::new("git");
    let output = git.args(["log", "-1", "--format=%ct"]).current_dir(repository::root()).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn same(what: &str, one: &[u8], other: &[u8]) -> Result<()> {
    let [one, other] = [one, other].map(images::digest);
    if one != other {
        bail!("the {what} of two builds differ: sha256 {one} and {other}");
    }
    Ok(())
}

/// The search path with the tools before it.
fn with(tools: &[PathBuf]) -> Result<std::ffi::OsString> {
    let folders = tools.iter().filter_map(|tool| tool.parent()).map(Path::to_path_buf);
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(folders.chain(env::split_paths(&path))).context("failed to write the search path")
}

/// A subcommand of cargo that is not part of it.
struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    /// Where it lies: in the cache, where it is built first if that is asked for.
    fn find(&self, install: bool) -> Result<PathBuf> {
        let Self { name, version } = self;
        let folder = folders::cache()?.join(format!("{name}-{version}"));
        let path = folder.join("bin").join(name);
        if path.is_file() {
            return Ok(path);
        }
        if !install {
            bail!("{name} {version} is not installed: `cargo xtask release --install` builds it");
        }
        let (package, root) = (format!("{name}@{version}"), folder.to_string_lossy().into_owned());
        println!("building {package} into {root}");
        cargo::run("install", ["--locked", "--root", root.as_str(), package.as_str()])?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_names_its_dependencies_by_a_section() {
        assert!(names_its_dependencies(b"\0.text\0.dep-v0\0.bss\0"));
        assert!(!names_its_dependencies(b"\0.text\0.dep-v1\0.bss\0"));
    }

    /// The image is built with the release of the tool that is checked here.
    #[test]
    fn the_dockerfile_has_the_same_tool() {
        let dockerfile = fs::read_to_string(repository::root().join("Dockerfile")).unwrap();
        let Tool { name, version } = AUDITABLE;
        assert!(dockerfile.contains(&format!("{name}@{version}")), "{dockerfile}");
    }

    #[test]
    fn a_bill_does_not_say_where_it_was_written() {
        let bill = r#"{"ref": "path+file:///home/me/r/crates/x#x@1", "purl": "pkg:cargo/y@1"}"#;
        let expected = r#"{"ref": "path+file:///src/crates/x#x@1", "purl": "pkg:cargo/y@1"}"#;
        assert_eq!(without_folder(bill, "/home/me/r"), expected.as_bytes());
    }

    #[test]
    fn two_builds_that_differ_are_told() {
        assert!(same("images", b"a", b"a").is_ok());
        let error = same("images", b"a", b"b").unwrap_err().to_string();
        assert!(error.contains("the images of two builds differ"), "{error}");
    }
}
