//! Every operator of the vocabulary, run by rten and by the slow f64 reference: what the table calls native or lowered
//! must give the same numbers, what it calls refused must be an error that names the node.

#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/elementwise.rs"]
mod elementwise;
#[path = "conformance/indexing.rs"]
mod indexing;
#[path = "conformance/layout.rs"]
mod layout;
#[path = "conformance/linear.rs"]
mod linear;
#[path = "conformance/recurrent.rs"]
mod recurrent;
#[path = "conformance/resampling.rs"]
mod resampling;
#[path = "runtimes/mod.rs"]
mod runtimes;
#[path = "conformance/sweep.rs"]
mod sweep;
#[path = "conformance/windows.rs"]
mod windows;
