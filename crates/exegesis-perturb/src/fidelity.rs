//! How faithful an explanation of a text is: the protocol of Leemann et al. 2025 (arXiv 2405.13536), sections 5 and 6.
//!
//! [`removal`] asks whether an explanation foretells what happens when tokens are removed, [`curves`] whether the tokens that it
//! ranks first carry the prediction, [`ranks`] has the statistics that scores are compared by, [`generators`] the texts whose
//! log-odds are known, [`additive`] the surrogates that transformers are shown not to follow.

pub mod additive;
pub mod curves;
pub mod generators;
pub mod ranks;
pub mod removal;
