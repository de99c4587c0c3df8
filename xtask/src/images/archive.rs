//! Packing files as a container image, in the archive format that `docker save` writes and containerd reads.
//!
//! An image of a few files needs no container builder: it is a tar file with the layer (itself a tar file), its
//! configuration and a manifest. Equal files give equal bytes.

use std::io::Write;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    /// What it is called in messages and file names.
    pub name: &'a str,
    /// What lies in it.
    pub entries: &'a [Entry],
    /// What is run in it: a program and arguments.
    pub entry_point: &'a [String],
    /// Numeric user and group that it runs as, for example `65532:65532`.
    pub user: &'a str,
    /// Names with tags.
    pub names: &'a [String],
}

/// Something in the file system of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its path, without the leading slash.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What something in a file system is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// A file that may be read.
    File(Vec<u8>),
    /// A file that may be run.
    Program(Vec<u8>),
    /// A folder in which all users may write.
    SharedFolder,
    /// A symbolic link, by where it leads.
    Link(String),
}

impl Entry {
    /// A statically linked program in the root folder.
    pub fn program(name: &str, binary: Vec<u8>) -> Self {
        Self { path: name.to_owned(), content: Content::Program(binary) }
    }
}

/// SHA-256 as lower-case hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Writes the image to `target`.
///
/// # Errors
/// When `target` cannot be written to.
pub fn write(contents: &Contents<'_>, target: impl Write) -> Result<()> {
    let layer = layer(contents)?;
    let layer_name = format!("{}.tar", digest(&layer));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let configuration = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": contents.entry_point,
            "Env": ["PATH=/:/bin"],
            "User": contents.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
    })
    .to_string();
    let configuration_name = format!("{}.json", digest(configuration.as_bytes()));
    let manifest = json!([{
        "Config": configuration_name,
        "RepoTags": contents.names,
        "Layers": [layer_name],
    }])
    .to_string();
    let mut archive = tar::Builder::new(target);
    append(&mut archive, &layer_name, 0o644, &layer)?;
    append(&mut archive, &configuration_name, 0o644, configuration.as_bytes())?;
    append(&mut archive, "manifest.json", 0o644, manifest.as_bytes())?;
    archive.finish().context("failed to write the image")
}

fn layer(contents: &Contents<'_>) -> Result<Vec<u8>> {
    let size = contents.entries.iter().map(|entry| entry.content.bytes().len() + 4096).sum();
    let mut archive = tar::Builder::new(Vec::with_capacity(size));
    for Entry { path, content } in contents.entries {
        match content {
            Content::File(bytes) => append(&mut archive, path, 0o644, bytes)?,
            Content::Program(bytes) => append(&mut archive, path, 0o755, bytes)?,
            Content::SharedFolder => {
                let mut header = header(0o1777, 0);
                header.set_entry_type(tar::EntryType::Directory);
                archive
                    .append_data(&mut header, format!("{path}/"), &[][..])
                    .with_context(|| format!("failed to pack folder {path} into the image"))?;
            }
            Content::Link(target) => {
                let mut header = header(0o777, 0);
                header.set_entry_type(tar::EntryType::Symlink);
                archive
                    .append_link(&mut header, path, target)
                    .with_context(|| format!("failed to pack link {path} into the image"))?;
            }
        }
    }
    archive.into_inner().context("failed to write the image's layer")
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::File(bytes) | Self::Program(bytes) => bytes,
            Self::SharedFolder | Self::Link(_) => &[],
        }
    }
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let size = u64::try_from(bytes.len()).context("a file's size fits 64 bits")?;
    archive
        .append_data(&mut header(mode, size), path, bytes)
        .with_context(|| format!("failed to pack {path} into the image"))
}

/// Of a file that belongs to root and is as old as the epoch, so that time and builder leave no trace.
fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn packed(binary: &[u8]) -> Vec<u8> {
        let names = ["localhost/x:dev".to_owned()];
        let entries = [
            Entry::program("x", binary.to_vec()),
            Entry { path: "tmp".to_owned(), content: Content::SharedFolder },
            Entry { path: "bin/x".to_owned(), content: Content::Link("/x".to_owned()) },
        ];
        let entry_point = ["/x".to_owned()];
        let contents = Contents {
            name: "x",
            entries: &entries,
            entry_point: &entry_point,
            user: "65532:65532",
            names: &names,
        };
        let mut bytes = Vec::new();
        write(&contents, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_manifest_names_files_that_are_there_and_the_layer_has_its_digest() {
        let bytes = packed(b"program");
        let files: std::collections::BTreeMap<String, Vec<u8>> = tar::Archive::new(&bytes[..])
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect();
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "localhost/x:dev");
        let configuration: serde_json::Value =
            serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(configuration["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(layer)));
        assert_eq!(configuration["config"]["Entrypoint"][0], "/x");
        let mut layer = tar::Archive::new(&layer[..]);
        let found: Vec<(String, u32, tar::EntryType)> = layer
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.entry_type())
            })
            .collect();
        let expected = [
            ("x", 0o755, tar::EntryType::Regular),
            ("tmp/", 0o1777, tar::EntryType::Directory),
            ("bin/x", 0o777, tar::EntryType::Symlink),
        ];
        assert_eq!(found, expected.map(|(path, mode, kind)| (path.to_owned(), mode, kind)));
    }

    #[test]
    fn equal_binaries_give_equal_images() {
        assert_eq!(packed(b"a"), packed(b"a"));
        assert_ne!(packed(b"a"), packed(b"b"));
    }
}
