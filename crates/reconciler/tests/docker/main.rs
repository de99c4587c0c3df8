//! The Docker runtime on a real dockerd, which is started for this test without a registry. Skipped, with the reason, where there is none.

#[cfg(test)]
mod runtime;
