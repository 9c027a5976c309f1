//! Raster canvas.
