//! Text as a model reads it: a tokenizer makes ids of it, and remembers which characters each id stands for.
//!
//! What lives here: reading `tokenizer.json` ([`Tokenizer`]), how much text a model takes (`context`), and texts as inputs of
//! a graph, with mask, type ids and position ids ([`TextReader`]). What tokens are taken out by black-box methods is decided
//! in the explainer, how a coloured text looks in `exegesis-report`.

mod context;
mod reader;
mod tokenizer;

pub(crate) use reader::Companion;
pub use reader::TextReader;
pub(crate) use tokenizer::Encoded;
pub use tokenizer::{SpecialIds, Tokenizer};
