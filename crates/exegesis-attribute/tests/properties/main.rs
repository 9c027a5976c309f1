//! The properties of specification section 10, on random networks, sizes and batches.
//!
//! Each test says what it would catch. Random cases are the same on every machine. Number 10, recurrent layers unrolled
//! into primitive operators, is in `recurrent_cells.rs` beside the other tests of recurrent layers.
//!
//! | property | file |
//! |---|---|
//! | 1, 2 conservation | `conservation` |
//! | 3, 4 magnitudes, zeros | `magnitudes` |
//! | 5 closed forms, loops, matrices | `closed_forms` |
//! | 6 wide units in f32 | `fan_in` |
//! | 7 tokens and rows | `tokens` |
//! | 8 operators that stand for others | `equivalence` |
//! | 9 products of activations | `products` |
//! | rules of LRP unit by unit | `lrp_layers` |
//! | 11, 12 order, consumers, refusals | `structure` |

mod closed_forms;
#[path = "../common/mod.rs"]
mod common;
mod conservation;
mod equivalence;
mod fan_in;
mod lrp_layers;
mod magnitudes;
mod networks;
#[path = "../operators/mod.rs"]
mod operators;
#[path = "../oracle/mod.rs"]
mod oracle;
mod oracles;
mod products;
mod structure;
mod tokens;
mod traced;
