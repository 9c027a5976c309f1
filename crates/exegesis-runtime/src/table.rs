//! What rten can run.
