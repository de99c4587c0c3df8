//! Bringing a stack up, repairing it, stopping parts of it and taking it down.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, time::Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{
    UpOptions, colony, control_plane, docker, environment,
    ledger::Ledger,
    node, process, sandbox,
    stack::{self, Nodes, Stack},
    status::{self, State},
    surroundings,
};
use crate::{
    packages,
    tools::{self, Toolbox},
};

/// Brings a stack up, or repairs it, or finds that there is nothing to do.
///
/// # Errors
/// When options contradict the stack that is there, or a component does not get ready.
pub fn up(folder: &Path, options: &UpOptions) -> Result<Stack> {
    let begun = Instant::now();
    let _held = stack::hold(folder)?;
    let (mut stack, changed) = if let Some(stack) = Stack::load(folder)? {
        adjust(stack, options)?
    } else {
        let _choosing = stack::hold_choice(folder)?;
        let stack = plan(folder, options).and_then(|stack| stack.save().map(|()| stack));
        if stack.is_err() {
            let _ = fs::remove_dir(folder); // nothing is in it yet
        }
        (stack?, true)
    };
    stack.stopped.clear();
    if !changed && status::look(&stack).iter().all(|component| component.state == State::Healthy) {
        eprintln!("stack {} is up already ({:.1}s)", stack.name, begun.elapsed().as_secs_f32());
        stack.save()?;
        return Ok(stack);
    }
    eprintln!("stack {}: {}", stack.name, folder.display());
    let tools = provide(&stack)?;
    make_folders(&stack)?;
    stack.save()?;
    environment::link_programs(&stack, &tools)?;
    let ledger = Ledger::new(stack, tools);
    start(&ledger)?;
    let stack = ledger.stack();
    eprintln!("stack {} is up ({:.1}s)", stack.name, begun.elapsed().as_secs_f32());
    Ok(stack)
}

/// Decides everything about a new stack.
fn plan(folder: &Path, options: &UpOptions) -> Result<Stack> {
    let mut surroundings = surroundings::find();
    if options.colony_alone {
        surroundings.kubeconfig = None;
    }
    if let Some(kubeconfig) = &surroundings.kubeconfig {
        eprintln!("using the cluster of KUBECONFIG={}: none is started", kubeconfig.display());
    }
    if surroundings.colony {
        eprintln!("using the ColonyOS server of the COLONIES_* variables: none is started");
    }
    let nodes = options.nodes.unwrap_or(Nodes::Real);
    let own_cluster = surroundings.kubeconfig.is_none() && !options.colony_alone;
    if own_cluster
        && nodes == Nodes::Real
        && let Some(obstacle) = sandbox::obstacle()
    {
        bail!(
            "{obstacle}. Or use `--nodes kwok`, whose pods run no code, or set KUBECONFIG to a cluster that is there"
        );
    }
    let (port_base, subnet) = stack::free_slot(folder, options.port_base)?;
    let name = folder.file_name().context("the stack's folder has a name")?.to_string_lossy().into_owned();
    Ok(Stack {
        name,
        nodes,
        kwok_nodes: options.kwok_nodes.unwrap_or(u32::from(nodes == Nodes::Kwok)),
        port_base,
        subnet,
        own_cluster,
        foreign_kubeconfig: surroundings.kubeconfig,
        own_colony: !surroundings.colony,
        docker: options.docker,
        colonies_environment: options.colonyos_env.iter().cloned().collect(),
        processes: std::collections::BTreeMap::new(),
        stopped: Vec::new(),
        folder: folder.to_path_buf(),
    })
}

/// Takes over those options that a running stack can follow; returns whether any changed.
fn adjust(mut stack: Stack, options: &UpOptions) -> Result<(Stack, bool)> {
    let name = &stack.name;
    if options.nodes.is_some_and(|nodes| nodes != stack.nodes) {
        bail!(
            "stack {name} has other nodes: take it down first with `cargo xtask cluster down --name {name}`"
        );
    }
    if options.port_base.is_some_and(|base| base != stack.port_base) {
        bail!(
            "stack {name} has other ports: take it down first with `cargo xtask cluster down --name {name}`"
        );
    }
    let mut changed = false;
    if let Some(count) = options.kwok_nodes.filter(|count| *count != stack.kwok_nodes) {
        stack.kwok_nodes = count;
        changed = true;
    }
    if options.docker && !stack.docker {
        stack.docker = true;
        // It has none of the images that the stack was given before.
        let _ = fs::remove_file(stack.folder.join(stack::IMAGES));
        changed = true;
    }
    let wanted = options.colonyos_env.iter().cloned().collect();
    if !options.colonyos_env.is_empty() && stack.colonies_environment != wanted {
        stack.colonies_environment = wanted;
        if let Some(server) = stack.alive("colonyos") {
            server.stop()?;
        }
        changed = true;
    }
    Ok((stack, changed))
}

/// Finds or builds the programs of a stack, and installs what comes from the distribution.
fn provide(stack: &Stack) -> Result<Toolbox> {
    let mut names = tools::COLONY.to_vec();
    if stack.own_cluster {
        names.extend(tools::CONTROL_PLANE);
    }
    if stack.has_real_node() {
        names.extend(tools::NODE);
        names.push("helm");
        packages::ensure(node::PACKAGES, "a real node (or use `--nodes kwok`)")?;
    }
    if stack.docker {
        docker::install()?;
    }
    if stack.foreign_kubeconfig.is_some() {
        // An existing cluster usually comes with these; only what is missing is built.
        names.extend(["kubectl", "helm"].into_iter().filter(|name| packages::find(name).is_none()));
    }
    tools::provide(&names)
}

fn make_folders(stack: &Stack) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(stack.folder.join("logs"))
        .with_context(|| format!("failed to create {}", stack.folder.join("logs").display()))
}

/// Starts what does not run: the colony, the container runtime and the control plane beside each other.
fn start(ledger: &Ledger) -> Result<()> {
    let stack = ledger.stack();
    if stack.has_real_node() && stack.alive(sandbox::COMPONENT).is_none() {
        // Certificates and servers name the address of the pair of interfaces, so it comes first.
        sandbox::up(ledger)?;
    }
    std::thread::scope(|scope| {
        let colony = scope.spawn(|| if stack.own_colony { colony::up(ledger) } else { Ok(()) });
        let runtime =
            scope.spawn(|| if stack.has_real_node() { node::container_runtime(ledger) } else { Ok(()) });
        let docker = scope.spawn(|| if stack.docker { docker::up(ledger) } else { Ok(()) });
        let control_plane = if stack.own_cluster { control_plane::up(ledger) } else { Ok(()) };
        let runtime = runtime.join().unwrap_or_else(|_| bail!("the container runtime's thread panicked"));
        let node = control_plane
            .and(runtime)
            .and_then(|()| if stack.has_real_node() { node::join(ledger) } else { Ok(()) });
        let colony = colony.join().unwrap_or_else(|_| bail!("the colony's thread panicked"));
        let docker = docker.join().unwrap_or_else(|_| bail!("the Docker daemon's thread panicked"));
        node.and(colony).and(docker)
    })
}

/// Takes a stack down: ends what `up` started and removes the stack's folder.
///
/// # Errors
/// When a process cannot be ended or the folder not removed.
pub fn down(folder: &Path) -> Result<()> {
    let begun = Instant::now();
    if !folder.exists() {
        eprintln!("there is no stack in {}", folder.display());
        return Ok(());
    }
    let _held = stack::hold(folder)?;
    let Some(mut stack) = Stack::load(folder)? else {
        eprintln!("there is no stack in {}", folder.display());
        return Ok(());
    };
    if stack.docker {
        docker::down(&stack)?;
    }
    let strays = control_plane::strays(&stack);
    stack.processes.extend(strays.into_iter().map(|(name, process)| (name.to_owned(), process)));
    // All at once: nothing is kept, so nothing has to be told in order. PostgreSQL alone is asked to end, by SIGINT
    // (without waiting for its clients), since it would leave shared memory behind.
    std::thread::scope(|scope| {
        let threads: Vec<_> = stack
            .processes
            .iter()
            .map(|(component, process)| {
                scope.spawn(move || match component.as_str() {
                    "postgresql" => {
                        process.signal(Signal::INT)?;
                        process::wait_until(process::PATIENCE, || !process.is_alive());
                        process.kill()
                    }
                    _ => process.kill(),
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    if stack.has_real_node() {
        sandbox::clean(&stack);
    }
    fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    eprintln!("stack {} is down ({:.1}s)", stack.name, begun.elapsed().as_secs_f32());
    Ok(())
}

/// Stops one component on purpose, to see what others do without it.
///
/// # Errors
/// When the stack has no such component or it cannot be ended.
pub fn stop_component(folder: &Path, component: &str, at_once: bool) -> Result<()> {
    let _held = stack::hold(folder)?;
    let mut stack = existing(folder)?;
    check_component(&stack, component)?;
    stack.stopped.retain(|stopped| stopped != component);
    stack.stopped.push(component.to_owned());
    stack.save()?;
    let Some(process) = stack.alive(component) else {
        eprintln!("{component} does not run");
        return Ok(());
    };
    match component {
        _ if at_once => process.kill()?,
        "postgresql" => {
            process.signal(Signal::INT)?;
            process.stop()?;
        }
        _ => process.stop()?,
    }
    eprintln!("{component} stopped; `cargo xtask cluster start {component} --name {}` starts it", stack.name);
    Ok(())
}

/// Starts one component that `cluster stop` stopped and waits until it is ready.
///
/// # Errors
/// When the stack has no such component or it does not get ready.
pub fn start_component(folder: &Path, component: &str) -> Result<()> {
    let _held = stack::hold(folder)?;
    let mut stack = existing(folder)?;
    check_component(&stack, component)?;
    stack.stopped.retain(|stopped| stopped != component);
    stack.save()?;
    let tools = provide(&stack)?;
    let ledger = Ledger::new(stack, tools);
    if colony::COMPONENTS.contains(&component) {
        colony::up(&ledger)?;
    } else if component == docker::COMPONENT {
        docker::up(&ledger)?;
    } else if control_plane::COMPONENTS.contains(&component) {
        control_plane::up(&ledger)?;
    } else {
        node::container_runtime(&ledger)?;
        node::join(&ledger)?;
    }
    eprintln!("{component} started");
    Ok(())
}

/// The stack in `folder`.
///
/// # Errors
/// When there is none; the message says how to make it.
pub fn existing(folder: &Path) -> Result<Stack> {
    Stack::load(folder)?.with_context(|| {
        let name = folder.file_name().unwrap_or_default().display();
        format!("there is no stack {name}: `cargo xtask cluster up --name {name}` makes it")
    })
}

fn check_component(stack: &Stack, component: &str) -> Result<()> {
    let known = status::expected(stack);
    if !known.contains(&component) {
        bail!("stack {} has no component {component}; it has {}", stack.name, known.join(", "));
    }
    Ok(())
}
