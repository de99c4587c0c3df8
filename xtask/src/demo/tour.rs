//! What the demo shows of work, in every run.

use anyhow::Result;

use super::shell::Shell;

/// Work of each kind, what it came to, and what is said where it goes wrong.
pub fn all(shell: &Shell) -> Result<()> {
    shell.prepare(
        "What an earlier run has left is deleted",
        "kubectl delete --ignore-not-found --filename examples/work.yaml --filename examples/tour/workflow.yaml \
         --filename examples/tour/cron.yaml --filename examples/tour/waiting.yaml && \
         if kubectl get crd greetings.demo.example.com >/dev/null 2>&1; \
         then kubectl delete --ignore-not-found --filename examples/tour/greeting.yaml; fi",
    )?;
    work(shell)?;
    workflow(shell)?;
    cron(shell)?;
    kind(shell)?;
    why(shell)
}

fn work(shell: &Shell) -> Result<()> {
    shell.step(
        "Work as objects: one call of a function, and a request that passes through two jobs",
        "cat examples/work.yaml && kubectl apply --filename examples/work.yaml",
    )?;
    shell.step(
        "Both are done, once each",
        "kubectl wait --for=condition=Finished colonyprocess/hash requeststate/order-4711 --timeout=60s && \
         kubectl get colonyprocesses,requeststates",
    )?;
    shell.step(
        "What came out, and the way that the request took",
        "kubectl colony output colonyprocess/hash && echo && kubectl get requeststate order-4711 --output \
         jsonpath='{range .status.history[*]}{.timestamp}  {.job}  {.state}{\"\\n\"}{end}'",
    )
}

fn workflow(shell: &Shell) -> Result<()> {
    shell.step(
        "A workflow: calls that wait for each other",
        "cat examples/tour/workflow.yaml && kubectl apply --filename examples/tour/workflow.yaml && \
         kubectl wait --for=condition=Finished colonyworkflow/picture --timeout=60s",
    )?;
    shell.step("As a graph", "kubectl colony graph picture")
}

fn cron(shell: &Shell) -> Result<()> {
    shell.step(
        "Work on a schedule, and a run of it now",
        "kubectl apply --filename examples/tour/cron.yaml && kubectl colony trigger colonycron/nightly && \
         kubectl wait --for=condition=Finished colonyprocess --selector colonies.io/cron=nightly --timeout=60s && \
         kubectl get colonycrons && kubectl get colonyprocesses --selector colonies.io/cron=nightly",
    )
}

fn kind(shell: &Shell) -> Result<()> {
    shell.step(
        "A kind of your own: the operator creates its CRD and has executors carry out its objects",
        "cat examples/tour/kind.yaml && kubectl apply --filename examples/tour/kind.yaml && \
         kubectl wait --for=condition=Ready resourcedefinition/greetings.demo.example.com --timeout=60s",
    )?;
    shell.step(
        "An object of it",
        "cat examples/tour/greeting.yaml && kubectl apply --filename examples/tour/greeting.yaml && \
         kubectl wait --for=condition=Ready greeting/hello --timeout=60s && kubectl get greetings",
    )
}

fn why(shell: &Shell) -> Result<()> {
    shell.step(
        "Why something waits: this executor type is misspelt",
        "kubectl apply --filename examples/tour/waiting.yaml && \
         kubectl wait --for=jsonpath='{.status.state}'=Waiting colonyprocess/waits --timeout=60s && \
         kubectl colony explain colonyprocess/waits",
    )?;
    shell.step(
        "Whether all is well, as the operator sees it",
        "kubectl --namespace $NAMESPACE exec deployment/colonyos-operator -- colonyos-operator doctor",
    )
}
