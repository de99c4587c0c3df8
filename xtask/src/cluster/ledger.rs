//! The stack's record while a command works on it: parts of a stack come up side by side, and each process is written
//! down the moment it exists, so that an interrupted `up` leaves nothing that `down` does not know of.

use anyhow::Result;
use parking_lot::{Mutex, MutexGuard};

use super::{process::Process, stack::Stack};
use crate::tools::Toolbox;

/// A stack that is being worked on, and the tools for it.
#[derive(Debug)]
pub struct Ledger {
    stack: Mutex<Stack>,
    /// Programs that the stack runs.
    pub tools: Toolbox,
}

impl Ledger {
    /// Begins to work on `stack`.
    pub fn new(stack: Stack, tools: Toolbox) -> Self {
        Self { stack: Mutex::new(stack), tools }
    }

    /// The stack as it stands now.
    pub fn stack(&self) -> Stack {
        self.lock().clone()
    }

    /// Whether a component is to be started: it should run and does not.
    pub fn lacks(&self, component: &str) -> bool {
        let stack = self.lock();
        stack.wants(component) && stack.alive(component).is_none()
    }

    /// Writes down the process of a component.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn record(&self, component: &str, process: Process) -> Result<()> {
        let mut stack = self.lock();
        stack.processes.insert(component.to_owned(), process);
        stack.stopped.retain(|stopped| stopped != component);
        stack.save()
    }

    fn lock(&self) -> MutexGuard<'_, Stack> {
        // Every change is written in one go, so a thread that panicked left a whole record.
        self.stack.lock()
    }
}
