//! What the Dockerfile begins from: nothing that may change while the file stays the same.

/// The images that a Dockerfile fetches by a name that may come to mean another image.
fn unpinned(dockerfile: &str) -> Vec<String> {
    let mut stages = vec!["scratch"];
    let mut found = Vec::new();
    let mut check = |image: &str, stages: &[&str]| {
        let digest = image.split_once("@sha256:").map_or("", |(_, digest)| digest);
        let is_pinned = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_pinned && !stages.contains(&image) {
            found.push(image.to_owned());
        }
    };
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let directive: String = line.chars().filter(|letter| !letter.is_whitespace()).collect();
        if let Some(image) = directive.to_lowercase().strip_prefix("#syntax=") {
            check(image, &[]);
        }
        match words.first().map(|word| word.to_uppercase()).as_deref() {
            Some("FROM") => {
                let rest: Vec<&str> =
                    words.into_iter().skip(1).filter(|word| !word.starts_with("--")).collect();
                check(rest.first().unwrap_or(&""), &stages);
                stages.extend(rest.get(2));
            }
            _ => {
                for from in words.iter().flat_map(|word| word.split(',')) {
                    if let Some(image) = from.strip_prefix("--from=").or_else(|| from.strip_prefix("from=")) {
                        check(image, &stages);
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_images_that_a_build_fetches_are_pinned_by_digest() {
    let path = crate::repository::root().join("Dockerfile");
    let dockerfile = std::fs::read_to_string(path).unwrap();
    assert_eq!(unpinned(&dockerfile), Vec::<String>::new());
    assert!(dockerfile.contains("FROM rust:"), "{dockerfile}");
}

#[test]
fn an_image_by_tag_alone_is_found_wherever_it_stands() {
    let digest = "a".repeat(64);
    for (text, expected) in [
        ("FROM rust:1", vec!["rust:1"]),
        ("FROM --platform=linux/amd64 rust:1 AS build\nFROM build", vec!["rust:1"]),
        ("# syntax=docker/dockerfile:1\nFROM scratch", vec!["docker/dockerfile:1"]),
        ("FROM scratch AS a\nCOPY --from=a /x /x\nCOPY --from=busybox:1 /x /x", vec!["busybox:1"]),
        ("FROM scratch\nRUN --mount=type=bind,from=busybox:1,target=/x x", vec!["busybox:1"]),
        ("from rust@sha256:abc", vec!["rust@sha256:abc"]),
    ] {
        assert_eq!(unpinned(text), expected, "{text}");
    }
    let pinned =
        format!("# syntax=docker/dockerfile:1@sha256:{digest}\nFROM rust:1@sha256:{digest} AS b\nFROM b");
    assert_eq!(unpinned(&pinned), Vec::<String>::new());
}
