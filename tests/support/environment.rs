//! The environment of the test process.

/// The value of an environment variable; `None` when it is not set or empty.
#[expect(clippy::disallowed_methods, reason = "a test's one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
