//! `cargo xtask demo --runtime docker`: a fleet of containers, without Kubernetes.

use std::{collections::BTreeMap, fs, process::Command, time::Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{
    Options, link_plugin, replace_link,
    shell::{Shell, done, title},
};
use crate::{
    cargo::{self, Executable},
    cluster::{self, Stack, UpOptions, Which},
    images,
};

/// The stack, unless another name is given.
const NAME: &str = "colony";
/// Where the containers are, in the colony.
const LOCATION: &str = "here";
/// A container of the fleet.
const OF_FLEET: &str = "--filter label=colonies.deployment=workers";

/// Runs the demo and leaves everything running.
///
/// # Errors
/// When a step fails; the message names it.
pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let is_default = options.which.name == "demo";
    let name = if is_default { NAME.to_owned() } else { options.which.name.clone() };
    let which = Which { name, state: options.which.state.clone() };
    title(
        "PostgreSQL, a ColonyOS server, a Docker daemon, and the images",
        &format!("cargo xtask colony up --docker --name {0} && cargo xtask images --name {0}", which.name),
    );
    let (stack, programs) = prepare(&which)?;
    let mut variables = cluster::variables(&which)?;
    link_plugin(&stack, &programs, &mut variables)?;
    link_operator(&stack, &programs)?;
    let shell = Shell { variables, is_first: true };
    write_files(&stack)?;
    tour(&shell, &which)?;
    let stack = &which.name;
    println!(
        "\nDone in {}s. Everything keeps running; what to try next:\n\n  \
         eval \"$(cargo xtask colony env --name {stack})\"     # docker, colonies and their settings\n  \
         colonies blueprint set --name workers --key spec.replicas --value 5\n  \
         docker kill $(docker ps --quiet {OF_FLEET} | head -1)   # it is back within seconds, with another key\n  \
         cargo xtask cluster stop dockerd --kill --name {stack}   # and: cluster start dockerd\n  \
         tail -f $COLONIES_STACK_STATE/logs/reconciler.log\n  \
         cargo xtask colony down --name {stack}                # removes all of it",
        begun.elapsed().as_secs(),
    );
    Ok(())
}

fn prepare(which: &Which) -> Result<(Stack, Vec<Executable>)> {
    let options = UpOptions { docker: true, colony_alone: true, ..UpOptions::default() };
    let (stack, programs) = std::thread::scope(|scope| {
        let compiling = scope.spawn(|| {
            let begun = Instant::now();
            let programs = cargo::build_programs_quietly();
            if programs.is_ok() {
                done("colonyos-operator and the example executor are compiled", begun);
            }
            programs
        });
        let stack = cluster::up(which, &options);
        (stack, compiling.join().unwrap_or_else(|_| bail!("the compiling thread panicked")))
    });
    let (stack, programs) = (stack?, programs?);
    images::import(&stack, &programs)?;
    Ok((stack, programs))
}

/// Under its own name beside the plugin of kubectl.
fn link_operator(stack: &Stack, programs: &[Executable]) -> Result<()> {
    let built =
        programs.iter().find(|program| program.kind == "bin" && program.target == "colonyos-operator");
    let built = &built.context("failed to find colonyos-operator among what cargo built")?.path;
    let link = stack.folder.join("demo/bin/colonyos-operator");
    replace_link(built, &link).with_context(|| format!("failed to link {}", link.display()))
}

fn write_files(stack: &Stack) -> Result<()> {
    let definition = json!({
        "kind": "BlueprintDefinition",
        "metadata": {"name": "executor-deployment"},
        "spec": {
            "group": "compute.colonies.io", "version": "v1", "scope": "Namespaced",
            "names": {"kind": "ExecutorDeployment", "plural": "executordeployments", "singular": "executordeployment"},
            "handler": {"executorType": "docker-reconciler", "functionName": "reconcile"},
        },
    });
    let blueprint = json!({
        "kind": "ExecutorDeployment",
        "metadata": {"name": "workers", "locationname": LOCATION},
        "spec": {
            "runtime": "docker", "replicas": 3, "executorType": "worker", "image": "localhost/executor:dev",
            "env": {"EXECUTOR_POLL_SECONDS": "2"},
        },
    });
    for (name, value) in [("definition.json", definition), ("fleet.json", blueprint)] {
        let path = stack.folder.join("demo").join(name);
        let text = serde_json::to_vec_pretty(&value).context("failed to write JSON")?;
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

fn tour(shell: &Shell, which: &Which) -> Result<()> {
    let until = |count: u32| {
        format!(
            "timeout 120 sh -c 'until [ \"$(docker ps --quiet {OF_FLEET} | wc -l)\" = {count} ]; do sleep 0.2; done' && \
             docker ps {OF_FLEET} --format 'table {{{{.ID}}}}\\t{{{{.Names}}}}\\t{{{{.Status}}}}'"
        )
    };
    let folder = "$COLONIES_STACK_STATE/demo";
    let reconciler = format!(
        "colonyos-operator reconciler --runtime docker --location {LOCATION} --network host --state-dir {folder}/state"
    );
    title("The reconciler, in the background", &reconciler);
    start(shell, which, &reconciler)?;
    shell.step(
        "A definition, whose handler is the reconciler; its key is the owner's",
        &format!(
            "colonies blueprint definition get --name executor-deployment >/dev/null 2>&1 || \
             COLONIES_PRVKEY=$COLONIES_COLONY_PRVKEY colonies blueprint definition add --spec {folder}/definition.json"
        ),
    )?;
    shell.step(
        "A fleet",
        &format!(
            "cat {folder}/fleet.json && {{ colonies blueprint get --name workers >/dev/null 2>&1 || \
             colonies blueprint add --spec {folder}/fleet.json; }}"
        ),
    )?;
    shell.step("Its containers", &until(3))?;
    shell.step("Each is an executor of its own", "colonies executor ls")?;
    shell.step(
        "A process for them, and its result",
        "colonies function exec --func sha256 --args hello --targettype worker --maxexectime 60 --maxretries 3 --wait --out",
    )?;
    shell.step(
        "One more",
        &format!("colonies blueprint set --name workers --key spec.replicas --value 4 && {}", until(4)),
    )?;
    shell.step(
        "Back to three: what runs is finished first",
        &format!("colonies blueprint set --name workers --key spec.replicas --value 3 && {}", until(3)),
    )?;
    shell.step("What the reconciler said", "tail -n 20 $COLONIES_STACK_STATE/logs/reconciler.log")
}

/// Starts it as a part of the stack, unless it runs.
fn start(shell: &Shell, which: &Which, command: &str) -> Result<()> {
    let begun = Instant::now();
    let mut sh = Command::new("sh");
    let variables: &BTreeMap<String, String> = &shell.variables;
    sh.args(["-c", &format!("exec {command}")]).envs(variables);
    cluster::start_beside(which, "reconciler", &mut sh)?;
    done("it runs", begun);
    Ok(())
}
