//! Black-box attribution: methods that only ask what a model says of changed inputs.
//!
//! A method plays a [`Game`]: it asks for the score with some *players* (columns, patches, super-pixels, tokens) present and
//! the others taken out, as a [`Coalition`]. [`Masked`] makes a game of a row, its [`Players`] and an [`Imputer`] over any
//! [`Predictor`], such as a closure; [`Deleted`] makes one of a text whose tokens are taken out. The [`Evaluator`] between
//! method and game asks nothing twice, reports progress and can be stopped.
//!
//! ```
//! use exegesis_graph::Tensor;
//! use exegesis_perturb::random::RowKey;
//! use exegesis_perturb::{Control, Evaluator, Imputer, Layout, Masked, Method, Players};
//!
//! // Anything that predicts: here the product of two columns plus the third.
//! let predict = |batch: &[(String, Tensor)]| {
//!     let cells = batch[0].1.to_f64().unwrap_or_default();
//!     Ok(cells.chunks(3).map(|x| x[0] * x[1] + x[2]).collect())
//! };
//! let row = [("x".to_string(), Tensor::new([1, 3], vec![2.0f32, 3.0, 1.0]).unwrap())];
//! let players = Players::new(vec![vec![0, 1, 2]], Layout::Unordered)?; // a player per column
//! let imputer = Imputer::Reference(vec![Tensor::new([1, 3], vec![0.0f32; 3]).unwrap()]);
//! let mut game = Masked::new(&row, &players, &imputer, predict)?;
//! let mut control = Control { progress: &mut |_, _| {}, stop: None };
//! let method = Method::parse("shapley").ok().flatten().unwrap();
//! let mut evaluator = Evaluator::new(&mut game, &mut control);
//! let found = method.attribute(&mut evaluator, &players.layout, RowKey { seed: 0, row: 0 })?;
//! let expected = [3.0, 3.0, 1.0];
//! assert!(found.values.iter().zip(expected).all(|(value, expected)| (value - expected).abs() < 1e-12));
//! # Ok::<(), exegesis_perturb::Error>(())
//! ```
//!
//! What does not live here: running models (the runtime crate), what a score is (the attribute crate), files and pictures.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attribution;
mod coalition;
mod error;
mod evaluator;
pub mod fidelity;
mod game;
mod hierarchy;
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
#[cfg(test)]
mod recorded;
mod rise;
mod shapley;
pub mod slalom;
mod tolerance;

pub use attribution::Attribution;
pub use coalition::Coalition;
pub use error::{Error, Result};
pub use evaluator::{Control, Evaluator};
pub use game::{Deleted, Game, Masked, Predictor, Sequences};
pub use hierarchy::HierarchyChoice;
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
