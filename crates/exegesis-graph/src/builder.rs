//! placeholder
pub struct Builder;
