//! What is said of many samples and methods together.
