//! A last net under the runtime: its panics become errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

/// Calls `body`; a panic in it becomes an error that says what `doing` was.
///
/// rten indexes and asserts in places that an unusual but well-formed graph can reach. The closure only borrows loaded
/// models and tensors that are not changed by a run (rten builds its state anew for each), so nothing that outlives a
/// panic is left half-written: asserting unwind safety is sound.
pub(super) fn guarded<T>(doing: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            Err(Error::execution(format!("rten failed while it {doing}: {}", text(payload.as_ref()))))
        }
    }
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

    #[test]
    fn a_panic_becomes_an_error_that_says_what_was_done() {
        let error = guarded::<()>("ran \"model\"", || panic!("index out of bounds")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Execution);
        assert_eq!(error.to_string(), "rten failed while it ran \"model\": index out of bounds");
    }
}
