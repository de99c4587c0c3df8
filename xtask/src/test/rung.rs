//! The rungs of the ladder: from what needs nothing to what needs a whole cluster.

use clap::ValueEnum;

use crate::cargo::Executable;

/// One rung. Each is one or two test binaries, and finds a kind of mistake that those below it cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Rung {
    /// Format, imports, sizes, clippy, dependencies, generated files.
    Checks,
    /// Beside the code, without a server.
    Unit,
    /// A manifest in, the text of the plan and of the status out.
    Golden,
    /// The decisions about processes, by the thousand, against servers in memory and every failure in between.
    Simulation,
    /// The charts, rendered by Helm.
    Chart,
    /// What a ColonyOS server does: the real one, and the one in memory that simulations stand on.
    Conformance,
    /// The way to a real ColonyOS server, and the example executor on one.
    Colony,
    /// Schema, admission and the operator against a real API server.
    Apiserver,
    /// Requests moved by our commands beside programs of others, on a real API server.
    Interop,
    /// The operator killed, refused and left without answers wherever it writes, against both servers.
    Faults,
    /// The chart in a cluster with a real node and a colony: pods that run, executors that work.
    E2e,
}

/// What a rung needs beside its binaries.
#[expect(clippy::struct_excessive_bools, reason = "a list of things, of which each may be needed or not")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Helm and kubectl.
    pub tools: bool,
    /// Each version of Helm that the charts are for.
    pub helms: bool,
    /// The programs of others, built from folders of `tests/interop`.
    pub programs: bool,
    /// An API server with its controllers, and a ColonyOS server.
    pub servers: bool,
    /// A node that runs containers, and the images.
    pub node: bool,
    /// Programs with which its tests start Docker daemons of their own. Where there are none, those tests are skipped.
    pub docker: bool,
}

impl Rung {
    /// Its name, which is also that of its folder in `tests/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Unit => "unit",
            Self::Golden => "golden",
            Self::Simulation => "simulation",
            Self::Chart => "chart",
            Self::Conformance => "conformance",
            Self::Colony => "colony",
            Self::Apiserver => "apiserver",
            Self::Interop => "interop",
            Self::Faults => "faults",
            Self::E2e => "e2e",
        }
    }

    /// What it needs beside its binaries.
    pub fn needs(self) -> Needs {
        let (tools, servers, node) = match self {
            Self::Unit | Self::Golden | Self::Simulation => (false, false, false),
            Self::Checks | Self::Chart => (true, false, false),
            Self::Conformance | Self::Colony | Self::Faults | Self::Interop => (false, true, false),
            Self::Apiserver => (true, true, false),
            Self::E2e => (true, true, true),
        };
        Needs {
            tools,
            helms: self == Self::Chart,
            programs: self == Self::Interop,
            servers,
            node,
            docker: self == Self::Colony,
        }
    }

    /// How many of its tests run at the same time, where that is not as many as there are processors: those with servers
    /// mostly wait. How many of these run operators is for the tests themselves to say.
    pub fn at_once(self) -> Option<usize> {
        match self {
            Self::Apiserver => Some(16),
            Self::Conformance | Self::Colony | Self::Interop => Some(8),
            _ => None,
        }
    }

    /// Whether a test of it that fails is run again by itself. Tests without servers depend on nothing else, and what
    /// rung faults finds only now and then is just what it is there to find.
    pub fn is_looked_at_again(self) -> bool {
        self.needs().servers && self != Self::Faults
    }

    /// Whether it runs the operator or the executor as programs.
    pub fn runs_programs(self) -> bool {
        !matches!(self, Self::Unit | Self::Golden | Self::Conformance | Self::Simulation)
    }

    /// Whether a test binary belongs to this rung.
    pub fn owns(self, executable: &Executable) -> bool {
        if !executable.is_test {
            return false;
        }
        match self {
            Self::Checks => false,
            Self::Unit => executable.kind != "test",
            // A daemon of its own, beside the colony's server.
            Self::Colony if executable.target == "docker" => executable.kind == "test",
            _ => executable.kind == "test" && executable.target == self.name(),
        }
    }
}

impl Needs {
    /// What all of the rungs together need.
    pub fn of(rungs: &[Rung]) -> Self {
        rungs.iter().map(|rung| rung.needs()).fold(Self::default(), |sum, needs| Self {
            tools: sum.tools || needs.tools,
            helms: sum.helms || needs.helms,
            programs: sum.programs || needs.programs,
            servers: sum.servers || needs.servers,
            node: sum.node || needs.node,
            docker: sum.docker || needs.docker,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(kind: &str, target: &str, is_test: bool) -> Executable {
        Executable {
            package: "colonyos-operator".to_owned(),
            target: target.to_owned(),
            kind: kind.to_owned(),
            is_test,
            path: "/x".into(),
        }
    }

    #[test]
    fn what_is_lost_or_doubled_now_and_then_is_not_excused() {
        let again = Rung::value_variants().iter().copied().filter(|rung| rung.is_looked_at_again());
        let expected = [Rung::Conformance, Rung::Colony, Rung::Apiserver, Rung::Interop, Rung::E2e];
        assert_eq!(again.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_harness_belongs_to_one_rung() {
        let owners = |executable: &Executable| -> Vec<Rung> {
            Rung::value_variants().iter().copied().filter(|rung| rung.owns(executable)).collect()
        };
        assert_eq!(owners(&executable("lib", "colonyos_operator", true)), [Rung::Unit]);
        assert_eq!(owners(&executable("test", "golden", true)), [Rung::Golden]);
        assert_eq!(owners(&executable("test", "e2e", true)), [Rung::E2e]);
        assert_eq!(owners(&executable("test", "docker", true)), [Rung::Colony]);
        assert_eq!(owners(&executable("bin", "colonyos-operator", false)), []);
    }
}
