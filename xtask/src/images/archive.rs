//! Packing one static binary as a container image, in the archive format that `docker save` writes and containerd reads.
//!
//! An image of one file needs no container builder: it is a tar file with the layer (itself a tar file), its
//! configuration and a manifest. Equal binaries give equal bytes.

use std::io::Write;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    /// Name of the program, which lies in the root folder and is the entry point.
    pub program: &'a str,
    /// The program, statically linked.
    pub binary: &'a [u8],
    /// Numeric user and group that it runs as, for example `65532:65532`.
    pub user: &'a str,
    /// Names with tags.
    pub names: &'a [String],
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
            "Entrypoint": [format!("/{}", contents.program)],
            "Env": ["PATH=/"],
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
    let mut archive = tar::Builder::new(Vec::with_capacity(contents.binary.len() + 4096));
    append(&mut archive, contents.program, 0o755, contents.binary)?;
    archive.into_inner().context("failed to write the image's layer")
}

/// Adds a file that belongs to root and is as old as the epoch, so that time and builder leave no trace.
fn append(archive: &mut tar::Builder<impl Write>, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(bytes.len()).context("a file's size fits 64 bits")?);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive
        .append_data(&mut header, name, bytes)
        .with_context(|| format!("failed to pack {name} into the image"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn packed(binary: &[u8]) -> Vec<u8> {
        let names = ["localhost/x:dev".to_owned()];
        let mut bytes = Vec::new();
        write(&Contents { program: "x", binary, user: "65532:65532", names: &names }, &mut bytes).unwrap();
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
        let entry = layer.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.header().mode().unwrap(), 0o755);
    }

    #[test]
    fn equal_binaries_give_equal_images() {
        assert_eq!(packed(b"a"), packed(b"a"));
        assert_ne!(packed(b"a"), packed(b"b"));
    }
}
