//! The program as users and scripts run it: what it prints, and with which exit code.

use std::{
    io,
    process::{Command, Output},
};

use serde_json::Value;

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"));
    for variable in ["KUBECONFIG", "POD_NAMESPACE", "COLONYOS_OPERATOR_CONFIG"] {
        program.env_remove(variable);
    }
    program.current_dir(env!("CARGO_MANIFEST_DIR"));
    program
}

/// Runs it with a standard output that nothing reads any more, as when `head` has had enough.
fn with_closed_pipe(arguments: &[&str]) -> Output {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    program().args(arguments).stdout(writer).output().unwrap()
}

#[test]
fn a_closed_pipe_is_no_error() {
    for arguments in [
        &["crds"][..],
        &["plan", "-f", "examples/colony-process.yaml"],
        &["definitions", "import", "examples/blueprint-definition.json"],
        &["completion", "bash"],
        &["--help"],
        &["get", "--help"],
        &["--version"],
    ] {
        let output = with_closed_pipe(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?} {told}", output.status);
        assert!(!told.contains("panicked") && !told.contains("error"), "{arguments:?}: {told}");
    }
}

/// They go on for as long as they serve: what they say is of no use by then.
#[test]
fn programs_that_serve_do_not_end_in_a_panic_where_nothing_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {}}],\n\
                contexts: [{name: c, context: {cluster: k, user: u}}],\n\
                clusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}]}\n";
    std::fs::write(&kubeconfig, text).unwrap();
    for words in [&["director", "--name", "r"][..], &["worker", "--job", "JOB1"], &["worker"]] {
        let pipes = [io::pipe().unwrap(), io::pipe().unwrap()];
        let [out, error] = pipes.map(|(reader, writer)| {
            drop(reader);
            writer
        });
        let mut child = program()
            .args(words)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .stdout(out)
            .stderr(error)
            .spawn()
            .unwrap();
        // A panic would come with the first line; whether the program ends for want of a server is its own affair.
        let mut status = None;
        for _ in 0..100 {
            status = child.try_wait().unwrap();
            if status.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(
            status.is_none_or(|status| status.code().is_some_and(|code| code < 3)),
            "{words:?}: {status:?}"
        );
    }
}

/// What was found is told by the exit code, read or not.
#[test]
fn an_invalid_manifest_is_told_although_nothing_reads_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process.yaml");
    std::fs::write(
        &file,
        "{apiVersion: colonies.io/v1, kind: ColonyProcess, metadata: {name: x}, spec: {}}\n",
    )
    .unwrap();
    let output = with_closed_pipe(&["plan", "-f", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// An error about an error that nothing reads would hide the exit code.
#[test]
fn an_error_that_is_not_read_is_still_one() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = program().args(["plan", "-f", "nowhere.yaml"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn the_cluster_is_the_one_of_the_context_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: one, users: [{name: x, user: {}}],\n\
                contexts: [{name: one, context: {cluster: one, user: x}}, {name: two, context: {cluster: two, user: x}}],\n\
                clusters: [{name: one, cluster: {server: 'http://127.0.0.1:9'}},\n\
                           {name: two, cluster: {server: 'http://127.0.0.2:9'}}]}\n";
    std::fs::write(&kubeconfig, text).unwrap();
    let file = kubeconfig.to_str().unwrap();
    let doctor = |arguments: &[&str], variable: bool| {
        let mut typed = program();
        if variable {
            typed.env("KUBECONFIG", file);
        } else {
            typed.args(["doctor", "--kubeconfig", file]);
        }
        if variable {
            typed.arg("doctor");
        }
        let output = typed.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for variable in [false, true] {
        assert!(doctor(&[], variable).contains("127.0.0.1:9"));
        assert!(doctor(&["--context", "two"], variable).contains("127.0.0.2:9"));
        let unknown = doctor(&["--context", "three", "-o", "yaml"], variable);
        let unknown: Value = serde_norway::from_str(&unknown).unwrap();
        let seen = unknown["findings"][0]["seen"].as_str().unwrap();
        assert!(seen.contains("kubeconfig") && seen.contains("three"), "{seen}");
    }
}

/// What the page about the commands shows of a command that needs no server.
#[test]
fn the_page_shows_what_is_printed() {
    let page = include_str!("../../docs/cli.md");
    let shown = page.split("$ colonyos-operator plan -f examples/colony-process.yaml\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    let printed = program().args(["plan", "-f", "examples/colony-process.yaml"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), shown);
    let explained = include_str!("cases/explain/executors_busy/explain.txt");
    assert!(page.contains(explained.trim_end()), "docs/cli.md shows another explanation");
}

/// kubectl runs what is called `kubectl-colony` as `kubectl colony`.
#[test]
fn under_its_name_as_a_plugin_it_speaks_of_kubectl() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-colony");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_colonyos-operator"), &plugin).unwrap();
    let printed = |arguments: &[&str]| {
        let output = Command::new(&plugin).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = printed(&["rerun", "--help"]);
    assert!(help.contains("Usage: kubectl colony rerun [OPTIONS] <KIND/NAME>"), "{help}");
    assert!(printed(&["completion", "bash"]).contains("complete -F _kubectl__colony"));
}

#[test]
fn each_shell_has_a_script_that_completes_commands() {
    for (shell, mark) in [
        ("bash", "complete -F _colonyos__operator"),
        ("zsh", "#compdef colonyos-operator"),
        ("fish", "complete -c colonyos-operator"),
    ] {
        let output = program().args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains(mark), "{shell}: {script}");
        assert!(script.contains("trigger") && script.contains("kubeconfig"), "{shell}");
    }
    assert_eq!(program().args(["completion", "csh"]).output().unwrap().status.code(), Some(2));
}
