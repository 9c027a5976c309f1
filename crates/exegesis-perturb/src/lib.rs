//! Black-box attribution: methods that only ask what a model says of changed inputs.
//!
//! A method plays a [`Game`]: it asks for the score with some *players* (columns, patches, super-pixels, tokens) present and
//! the others taken out, as a [`Coalition`]. [`Masked`] makes a game of a row, its [`Players`] and an [`Imputer`] over any
//! [`Predictor`], such as a closure; [`Deleted`] makes one of a text whose tokens are taken out. The [`Evaluator`] between
//! method and game asks nothing twice, reports progress and can be stopped.
//!
//! What does not live here: running models (the runtime crate), what a score is (the attribute crate), files and pictures.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attribution;
mod coalition;
mod error;
mod evaluator;
mod game;
mod imputer;
mod kernel_shap;
mod least_squares;
mod lime;
mod method;
mod occlusion;
mod partition_shap;
mod permutation_shap;
mod players;
pub mod random;
mod rise;
mod shapley;
pub mod slalom;

pub use attribution::Attribution;
pub use coalition::Coalition;
pub use error::{Error, Result};
pub use evaluator::{Control, Evaluator};
pub use game::{Deleted, Game, Masked, Predictor, Sequences};
pub use imputer::{Imputer, fill};
pub use kernel_shap::KernelShap;
pub use lime::{Lime, Sampling};
pub use method::{ImputerChoice, Method};
pub use occlusion::Occlusion;
pub use partition_shap::PartitionShap;
pub use permutation_shap::PermutationShap;
pub use players::slic::{Slic, slic};
pub use players::{FROZEN, Layout, Places, PlayerKind, Players};
pub use rise::Rise;
pub use shapley::Shapley;
