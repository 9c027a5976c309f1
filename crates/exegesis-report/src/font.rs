//! A bitmap font.
