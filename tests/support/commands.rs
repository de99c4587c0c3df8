//! Commands as a person types them.

use std::process::Command;

/// Runs kubectl, which has to succeed; what it prints.
pub fn kubectl(arguments: &[&str]) -> String {
    let output = Command::new("kubectl").args(arguments).output().expect("kubectl is on the PATH");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
