//! The Docker runtime on a real dockerd, which is started for this test without a registry. Skipped, with the reason, where there is none.

#[cfg(test)]
mod runtime;
#[cfg(test)]
#[path = "../../../../tests/support"]
#[allow(dead_code, reason = "each of the binaries that share it uses a part")]
mod support {
    pub mod daemon;
    pub mod environment;
}
