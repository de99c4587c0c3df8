//! `cargo xtask demo`: the product's main job on real servers, step by step.
//!
//! Each step prints the command that a person would type and then runs exactly that, in a shell with the environment of
//! `cargo xtask cluster env`. A second run finds the cluster up and the charts installed, and goes the same way.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    cargo,
    cluster::{self, Stack, UpOptions, Which},
    images, repository,
};

/// Namespace of the operator.
const NAMESPACE: &str = "colonyos-system";

/// Where the demo runs, and with which images if not with those that it builds.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    which: Which,
    /// Image of the operator, for a cluster of your own (`KUBECONFIG`), which must be able to pull it.
    #[arg(long, value_name = "REPOSITORY:TAG")]
    operator_image: Option<String>,
    /// Image of the executor, for a cluster of your own.
    #[arg(long, value_name = "REPOSITORY:TAG")]
    executor_image: Option<String>,
    /// Address at which the pods of your own cluster reach the ColonyOS server that this command starts.
    #[arg(long, value_name = "ADDRESS")]
    colonyos_host: Option<String>,
}

/// The images that the demo installs.
struct Images {
    operator: String,
    executor: String,
}

/// Runs the demo and leaves everything running.
///
/// # Errors
/// When a step fails; the message names it.
pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    title(
        "A cluster with a real node, a ColonyOS server, and the images",
        "cargo xtask cluster up && cargo xtask images",
    );
    let (stack, images) = prepare(options)?;
    let mut variables = cluster::variables(&options.which)?;
    variables.insert("NAMESPACE".to_owned(), NAMESPACE.to_owned());
    let shell = Shell { variables };
    let colony = write_files(&stack, options, &shell.variables, &images)?;
    install(&shell, &images)?;
    connect(&shell, &colony)?;
    executors(&shell, &stack)?;
    work(&shell)?;
    shell
        .step("What the object says about itself", "kubectl get executordeployment workers --output yaml")?;
    farewell(&stack, begun);
    Ok(())
}

/// Brings the cluster up while cargo compiles: Go and Rust take minutes each when nothing is built, and neither uses all
/// cores all the time.
fn prepare(options: &Options) -> Result<(Stack, Images)> {
    if let (Some(operator), Some(executor)) = (&options.operator_image, &options.executor_image) {
        let stack = cluster::up(&options.which, &UpOptions::default())?;
        return Ok((stack, Images { operator: operator.clone(), executor: executor.clone() }));
    }
    if cluster::brings_cluster() {
        bail!(
            "images can be given to a node of this machine alone: for the cluster of KUBECONFIG build them with the \
             Dockerfile, push them where it can pull them, and name them by --operator-image and --executor-image"
        );
    }
    let (stack, programs) = std::thread::scope(|scope| {
        let compiling = scope.spawn(cargo::build_programs);
        let stack = cluster::up(&options.which, &UpOptions::default());
        let programs = compiling.join().unwrap_or_else(|_| bail!("the compiling thread panicked"));
        (stack, programs)
    });
    let (stack, programs) = (stack?, programs?);
    let built = images::import(&stack, &programs)?;
    let reference = |name: &str| {
        built.get(name).map(|image| image.reference.clone()).with_context(|| format!("failed to find {name}"))
    };
    Ok((stack, Images { operator: reference("colonyos-operator")?, executor: reference("executor")? }))
}

/// Files of the demo, as this stack needs them, and the name of the colony.
fn write_files(
    stack: &Stack,
    options: &Options,
    variables: &BTreeMap<String, String>,
    images: &Images,
) -> Result<String> {
    let variable = |name: &str| {
        variables.get(name).cloned().with_context(|| format!("failed to find {name} in the environment"))
    };
    let host = match (&options.colonyos_host, stack.own_cluster || !stack.own_colony) {
        (Some(host), _) => host.clone(),
        (None, true) => variable("COLONIES_SERVER_HOST")?,
        (None, false) => bail!(
            "the pods of your cluster must reach the ColonyOS server on this machine: name an address of it by \
             --colonyos-host"
        ),
    };
    let name = variable("COLONIES_COLONY_NAME")?;
    let colony = serde_json::json!({
        "apiVersion": "colonies.io/v1",
        "kind": "Colony",
        "metadata": {"name": name, "annotations": {"colonies.io/default": "true"}},
        "spec": {
            "server": {
                "host": host,
                "port": variable("COLONIES_SERVER_PORT")?.parse::<u16>().context("failed to read the port")?,
                "insecure": variable("COLONIES_TLS").is_ok_and(|tls| tls == "false"),
            },
            "colonyName": name,
            "location": stack.name,
            "credentialsSecretName": format!("colony-{name}"),
        },
    });
    let file = repository::root().join("examples/fleet.yaml");
    let example = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    write(stack, "colony.yaml", &serde_norway::to_string(&colony).context("failed to write the colony")?)?;
    write(stack, "fleet.yaml", &example.replace("localhost/executor:dev", &images.executor))?;
    Ok(name)
}

fn write(stack: &Stack, name: &str, text: &str) -> Result<()> {
    let folder = stack.folder.join("demo");
    let path = folder.join(name);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("failed to write {}", path.display()))
}

fn install(shell: &Shell, images: &Images) -> Result<()> {
    shell.step(
        "The definitions of the kinds, as a chart of their own so that they can be upgraded",
        "helm upgrade --install colonyos-operator-crds charts/colonyos-operator-crds --namespace $NAMESPACE \
         --create-namespace",
    )?;
    let (repository, tag) = images.operator.rsplit_once(':').context("an image has a tag")?;
    shell.step(
        "The operator, as a pod under its own rights",
        &format!(
            "helm upgrade --install colonyos-operator charts/colonyos-operator --namespace $NAMESPACE \
             --set image.repository={repository},image.tag={tag} --wait --timeout 2m"
        ),
    )?;
    shell.step("It runs", "kubectl --namespace $NAMESPACE get pods --output wide")
}

fn connect(shell: &Shell, colony: &str) -> Result<()> {
    shell.step(
        "The colony's key, in the operator's namespace and nowhere else",
        &format!(
            "printf %s \"$COLONIES_COLONY_PRVKEY\" | kubectl --namespace $NAMESPACE create secret generic colony-{colony} \
             --from-file=colonyPrvKey=/dev/stdin --dry-run=client --output yaml | kubectl apply --server-side --filename -"
        ),
    )?;
    shell.step(
        "The connection to the colony",
        "cat $COLONIES_STACK_STATE/demo/colony.yaml && kubectl apply --filename $COLONIES_STACK_STATE/demo/colony.yaml",
    )?;
    shell.step(
        "The operator has joined it",
        &format!("kubectl wait --for=condition=Ready colony/{colony} --timeout=60s && kubectl get colonies"),
    )
}

fn executors(shell: &Shell, stack: &Stack) -> Result<()> {
    let file = if stack.has_real_node() { "the example" } else { "the example, with your image" };
    shell.step(
        &format!("A fleet of executors: {file}"),
        "cat $COLONIES_STACK_STATE/demo/fleet.yaml && \
         kubectl apply --filename $COLONIES_STACK_STATE/demo/fleet.yaml",
    )?;
    shell.step(
        "Its pods run",
        "kubectl wait --for=condition=Ready executordeployment/workers --timeout=120s && \
         kubectl get executordeployments,deployments,pods",
    )?;
    shell.step("The colony knows them", "colonies executor ls")?;
    shell.step(
        "A process for them, and its result",
        "colonies function exec --func sha256 --args hello --targettype worker --maxexectime 60 --maxretries 3 --wait --out",
    )?;
    shell.step(
        "One more pod",
        "kubectl scale executordeployment workers --replicas=3 && \
         kubectl wait --for=jsonpath='{.status.readyReplicas}'=3 executordeployment/workers --timeout=120s && \
         kubectl get executordeployments,pods",
    )
}

fn work(shell: &Shell) -> Result<()> {
    shell.step(
        "Work as objects: one call of a function, and a request that passes through two jobs",
        "kubectl delete --ignore-not-found --filename examples/work.yaml && cat examples/work.yaml && \
         kubectl apply --filename examples/work.yaml",
    )?;
    shell.step(
        "Both are done, once each",
        "kubectl wait --for=condition=Finished colonyprocess/hash requeststate/order-4711 --timeout=60s && \
         kubectl get colonyprocesses,requeststates",
    )?;
    shell.step(
        "What came out, and the way that the request took",
        "kubectl get colonyprocess hash --output jsonpath='{.status.output[0]}{\"\\n\"}' && \
         kubectl get requeststate order-4711 --output \
         jsonpath='{range .status.history[*]}{.timestamp}  {.job}  {.state}{\"\\n\"}{end}{.status.jobs[*].output[0]}{\"\\n\"}'",
    )
}

fn farewell(stack: &Stack, begun: Instant) {
    let name = if stack.name == "demo" { String::new() } else { format!(" --name {}", stack.name) };
    println!(
        "\nDone in {}s. Everything keeps running; what to try next:\n\n  \
         eval \"$(cargo xtask cluster env{name})\"          # kubectl, helm, colonies and their settings\n  \
         kubectl edit executordeployment workers          # change the image, the environment, the replicas\n  \
         kubectl describe executordeployment workers\n  \
         kubectl delete deployment workers                # it is back within a second\n  \
         colonies function exec --func sleep --args 20 --targettype worker --maxexectime 60 --maxretries 3 --wait\n  \
         colonies process pss                             # what has succeeded; among it each generation of workers\n  \
         cargo xtask cluster stop colonyos{name}          # and see: kubectl get executordeployment workers -o yaml\n  \
         cargo xtask cluster down{name}                   # removes all of it",
        begun.elapsed().as_secs()
    );
}

/// Runs commands as a person would, with the environment of the stack.
struct Shell {
    variables: BTreeMap<String, String>,
}

impl Shell {
    /// Prints what is about to be done, does it, and lets its output through.
    fn step(&self, what: &str, command: &str) -> Result<()> {
        title(what, command);
        let status = Command::new("sh")
            .args(["-c", command])
            .envs(&self.variables)
            .current_dir(repository::root())
            .stdin(Stdio::null())
            .status()
            .context("failed to run sh")?;
        if !status.success() {
            bail!(
                "this step failed: {what}\n  look at: kubectl --namespace {NAMESPACE} logs deployment/colonyos-operator\n  \
                 and at: kubectl describe colony,executordeployment"
            );
        }
        Ok(())
    }
}

fn title(what: &str, command: &str) {
    println!("\n── {what}\n$ {command}");
    // What the command itself prints goes past this process's buffer.
    let _ = std::io::stdout().flush();
}
