//! A last net under a runtime: its panics become errors, and deep graphs get a stack that holds them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

/// Graphs of more nodes get a stack of their own. The smallest stack that a caller usually has, 2 MiB, holds several times
/// as many levels.
const NODES_ON_THE_CALLERS_STACK: usize = 2000;

/// Stack for each node: rten plans by recursion along the longest way through the graph, at less than half of this a level.
const STACK_PER_NODE: usize = 1024;

/// Stack beside that.
const STACK_BASE: usize = 4 << 20;

/// Calls `body`; a panic in it becomes an error that says what `runtime` was `doing`. `nodes` is the size of the graph that it
/// is about.
///
/// rten indexes and asserts in places that an unusual but well-formed graph can reach. The closure only borrows loaded
/// models and tensors that are not changed by a run (state is built anew for each), so nothing that outlives a
/// panic is left half-written: asserting unwind safety is sound.
///
/// # Errors
/// What `body` says, a panic in it, or no memory for the stack that a graph of so many nodes needs.
pub(crate) fn guarded<T: Send>(
    runtime: &str,
    doing: &str,
    nodes: usize,
    body: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let caught = || match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            Err(Error::execution(format!("{runtime} failed while it {doing}: {}", text(payload.as_ref()))))
        }
    };
    if nodes <= NODES_ON_THE_CALLERS_STACK {
        return caught();
    }
    let stack = STACK_BASE.saturating_add(nodes.saturating_mul(STACK_PER_NODE));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("exegesis-{runtime}")).stack_size(stack);
        let running = thread.spawn_scoped(scope, caught).map_err(|error| {
            Error::execution(format!(
                "there is no stack for a graph of {nodes} nodes ({stack} bytes): {error}"
            ))
        })?;
        running.join().unwrap_or_else(|payload| Err(Error::execution(text(payload.as_ref()))))
    })
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown cause")
}

#[cfg(test)]
mod tests {
    use super::guarded;
    use crate::ErrorKind;

    /// Something on the stack for each level, as rten's planner has.
    fn descend(levels: usize) -> usize {
        let frame = std::hint::black_box([levels; 32]);
        if levels == 0 { 0 } else { 1 + descend(frame[31] - 1) }
    }

    /// 256 bytes and more on each of 100,000 levels overflow the 2 MiB of a test's thread.
    #[test]
    fn deep_graphs_get_a_deep_stack() {
        assert_eq!(guarded("rten", "ran", 100_000, || Ok(descend(100_000))), Ok(100_000));
    }

    #[test]
    fn a_panic_becomes_an_error_that_says_what_was_done() {
        for nodes in [1, 5000] {
            let error =
                guarded::<()>("rten", "ran \"model\"", nodes, || panic!("index out of bounds")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Execution);
            assert_eq!(error.to_string(), "rten failed while it ran \"model\": index out of bounds");
        }
    }
}
