//! Draws explanations of models.
//!
//! The crate takes plain data ([`Report`]) and gives back text: an HTML page in one file, SVG, PNG, or a terminal summary.
//! It computes nothing about models; the only arithmetic here is what a picture needs (channel sums, scales, colours).
//!
//! * [`render_html`]: one self-contained page, no scripts and no network.
//! * [`render_svg`]: one row as a figure for a paper or a slide.
//! * [`render_png`]: one row as a picture.
//! * [`render_terminal`]: a summary of at most 100 columns.
//! * [`render_comparison_html`] and [`render_comparison_terminal`]: methods against metrics.
//!
//! A value that is not finite never stops a picture: it is drawn as zero, counted, and named in a note.
//!
//! ```
//! use exegesis_report::*;
//!
//! let row = RowReport {
//!     name: "review 1".into(),
//!     inputs: vec![ReportInput {
//!         name: "input_ids".into(),
//!         view: InputView::Tokens { ids: vec![7, 8], texts: Some(vec!["good".into(), " film".into()]) },
//!     }],
//!     methods: vec![MethodReport {
//!         name: "attn-lrp".into(),
//!         attributions: vec![Attribution { shape: vec![2], values: vec![0.9, 0.1], ..Default::default() }],
//!         sum: 1.0,
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let report = Report { title: "A review".into(), rows: vec![row], ..Default::default() };
//! assert!(render_html(&report).contains("good"));
//! assert!(render_terminal(&report, &TerminalOptions::default()).contains("attn-lrp"));
//! # Ok::<(), ReportError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod balance;
mod canvas;
pub mod color;
mod comparison;
mod data;
mod error;
mod features;
mod font;
mod html;
pub mod image_map;
mod passage;
mod plane;
mod png;
mod prepare;
pub mod reduce;
pub mod scale;
mod svg;
mod terminal;
mod text;

pub use comparison::{
    ComparedCell, ComparedCurves, ComparedFamily, ComparedMethod, ComparedMetric, ComparedPair,
    ComparisonReport, CurveLine, RankSpread, render_comparison_terminal,
};
pub use data::{
    Attribution, ChannelReport, ClassScore, Flow, FlowMap, FlowSplit, FlowStage, ImageView, InputView,
    Layout, Ledger, LedgerNode, MethodReport, ModelInfo, Plane, PlaneQuality, PlaneType, Polarity,
    Prediction, Provenance, Report, ReportInput, RowReport, Scatter, ScatterPoint, Table, TensorInfo,
    TextToken, TextView, Timings, TokenKind,
};
pub use error::{ErrorKind, ReportError, Result};
pub use html::{render_comparison_html, render_html};
pub use png::{PngOptions, render_png};
pub use svg::{SvgOptions, SvgPart, render_ranks_svg, render_svg};
pub use terminal::{ColorChoice, TerminalOptions, render_terminal};
