//! `cargo xtask demo`: the product's main job on real servers, step by step.
//!
//! Each step prints the command that a person would type and then runs exactly that, in a shell with the environment of
//! `cargo xtask cluster env`. A second run finds the cluster up and the charts installed: it prepares with a line for each step, and
//! shows the work.

mod docker;
mod shell;
mod tour;

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use shell::{Shell, done, succeeds, title};

use crate::{
    cargo::{self, Executable},
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
    /// What runs the executors: pods of a cluster, or containers without one.
    #[arg(long, value_enum, default_value_t = Runtime::Kubernetes)]
    runtime: Runtime,
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

/// What runs the executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// Pods.
    Kubernetes,
    /// Containers.
    Docker,
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
    if options.runtime == Runtime::Docker {
        return docker::run(options);
    }
    let begun = Instant::now();
    title(
        "A cluster with a real node, a ColonyOS server, and the images",
        "cargo xtask cluster up && cargo xtask images",
    );
    let (stack, images, programs) = prepare(options)?;
    let mut variables = cluster::variables(&options.which)?;
    variables.insert("NAMESPACE".to_owned(), NAMESPACE.to_owned());
    link_plugin(&stack, &programs, &mut variables)?;
    let is_first = !succeeds(&variables, "helm status colonyos-operator --namespace $NAMESPACE")?;
    let shell = Shell { variables, is_first };
    let colony = write_files(&stack, options, &shell.variables, &images)?;
    install(&shell, &images)?;
    connect(&shell, &colony)?;
    executors(&shell, &stack)?;
    tour::all(&shell)?;
    farewell(&stack, begun);
    Ok(())
}

/// Makes the command line of the operator a plugin of kubectl, as users install it.
fn link_plugin(
    stack: &Stack,
    programs: &[Executable],
    variables: &mut BTreeMap<String, String>,
) -> Result<()> {
    let built =
        programs.iter().find(|program| program.kind == "bin" && program.target == "colonyos-operator");
    let built = &built.context("failed to find colonyos-operator among what cargo built")?.path;
    let folder = stack.folder.join("demo/bin");
    let link = folder.join("kubectl-colony");
    let linked = fs::create_dir_all(&folder).and_then(|()| replace_link(built, &link));
    linked.with_context(|| format!("failed to link {}", link.display()))?;
    let path = variables.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
    variables.insert("PATH".to_owned(), format!("{}:{path}", folder.display()));
    Ok(())
}

fn replace_link(to: &Path, link: &Path) -> std::io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(to, link)
}

/// Brings the cluster up while cargo compiles: Go and Rust take minutes each when nothing is built, and neither uses all
/// cores all the time.
fn prepare(options: &Options) -> Result<(Stack, Images, Vec<Executable>)> {
    let given = options.operator_image.clone().zip(options.executor_image.clone());
    if given.is_none() && cluster::brings_cluster() {
        bail!(
            "images can be given to a node of this machine alone: for the cluster of KUBECONFIG build them with the \
             Dockerfile, push them where it can pull them, and name them by --operator-image and --executor-image"
        );
    }
    let (stack, programs) = std::thread::scope(|scope| {
        let compiling = scope.spawn(|| {
            let begun = Instant::now();
            let programs = cargo::build_programs_quietly();
            if programs.is_ok() {
                done("colonyos-operator and the example executor are compiled", begun);
            }
            programs
        });
        let stack = cluster::up(&options.which, &UpOptions::default());
        let programs = compiling.join().unwrap_or_else(|_| bail!("the compiling thread panicked"));
        (stack, programs)
    });
    let (stack, programs) = (stack?, programs?);
    if let Some((operator, executor)) = given {
        return Ok((stack, Images { operator, executor }, programs));
    }
    let built = images::import(&stack, &programs)?;
    let reference = |name: &str| {
        built.get(name).map(|image| image.reference.clone()).with_context(|| format!("failed to find {name}"))
    };
    let images = Images { operator: reference("colonyos-operator")?, executor: reference("executor")? };
    Ok((stack, images, programs))
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
    shell.prepare(
        "The definitions of the kinds, as a chart of their own so that they can be upgraded",
        "helm upgrade --install colonyos-operator-crds charts/colonyos-operator-crds --namespace $NAMESPACE \
         --create-namespace",
    )?;
    let (repository, tag) = images.operator.rsplit_once(':').context("an image has a tag")?;
    shell.prepare(
        "The operator, as a pod under its own rights, which may serve kinds that users define in one group",
        &format!(
            "helm upgrade --install colonyos-operator charts/colonyos-operator --namespace $NAMESPACE \
             --set image.repository={repository},image.tag={tag} --set 'userKinds.groups={{demo.example.com}}' \
             --wait --timeout 2m"
        ),
    )?;
    if shell.is_first {
        shell.step("It runs", "kubectl --namespace $NAMESPACE get pods --output wide")?;
    }
    Ok(())
}

fn connect(shell: &Shell, colony: &str) -> Result<()> {
    shell.prepare(
        "The colony's key, in the operator's namespace and nowhere else",
        &format!(
            "printf %s \"$COLONIES_COLONY_PRVKEY\" | kubectl --namespace $NAMESPACE create secret generic colony-{colony} \
             --from-file=colonyPrvKey=/dev/stdin --dry-run=client --output yaml | kubectl apply --server-side --filename -"
        ),
    )?;
    let apply = "kubectl apply --filename $COLONIES_STACK_STATE/demo/colony.yaml";
    let wait = format!("kubectl wait --for=condition=Ready colony/{colony} --timeout=60s");
    if shell.is_first {
        shell.step(
            "The connection to the colony",
            &format!("cat $COLONIES_STACK_STATE/demo/colony.yaml && {apply}"),
        )?;
        return shell.step("The operator has joined it", &format!("{wait} && kubectl get colonies"));
    }
    shell.prepare("The connection to the colony", &format!("{apply} && {wait}"))
}

fn executors(shell: &Shell, stack: &Stack) -> Result<()> {
    let file = if stack.has_real_node() { "the example" } else { "the example, with your image" };
    let what = format!("A fleet of executors: {file}");
    let apply = "kubectl apply --filename $COLONIES_STACK_STATE/demo/fleet.yaml";
    let wait = "kubectl wait --for=condition=Ready executordeployment/workers --timeout=120s";
    if !shell.is_first {
        return shell.prepare(&what, &format!("{apply} && {wait}"));
    }
    shell.step(&what, &format!("cat $COLONIES_STACK_STATE/demo/fleet.yaml && {apply}"))?;
    shell.step("Its pods run", &format!("{wait} && kubectl get executordeployments,deployments,pods"))?;
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

fn farewell(stack: &Stack, begun: Instant) {
    let name = if stack.name == "demo" { String::new() } else { format!(" --name {}", stack.name) };
    let bin = stack.folder.join("demo/bin");
    println!(
        "\nDone in {}s. Everything keeps running; what to try next:\n\n  \
         eval \"$(cargo xtask cluster env{name})\"          # kubectl, helm, colonies and their settings\n  \
         export PATH={}:$PATH      # kubectl colony\n  \
         kubectl colony get                               # all objects, where they stand and why\n  \
         kubectl edit colonyprocess waits                 # its type is a mistake: it cannot be changed, and you are told so\n  \
         kubectl colony cancel colonyprocess/waits\n  \
         kubectl colony rerun colonyworkflow/picture\n  \
         kubectl edit executordeployment workers          # change the image, the environment, the replicas\n  \
         kubectl delete deployment workers                # it is back within a second\n  \
         colonies process pss                             # what has succeeded; among it each generation of workers\n  \
         cargo xtask cluster stop colonyos{name}          # and see: kubectl colony explain executordeployment/workers\n  \
         cargo xtask cluster down{name}                   # removes all of it",
        begun.elapsed().as_secs(),
        bin.display()
    );
}
