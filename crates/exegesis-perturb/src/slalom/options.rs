//! Options of the method and its page.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, choices, count, number,
    on_off, on_off_text,
};

choices! {
    /// Which texts the model is asked about.
    Design {
        /// What suits the fit: `short_iid` for `eff` and `counts_sgd`, `deletion` for `fidel` and `fidel_iter`, `closed` for
        /// `closed`, else `short`.
        #[default]
        Auto = "auto",
        /// Each type alone, then short sequences dealt from a shuffled deck of all types, which keeps them balanced.
        Short = "short",
        /// Short sequences of independent uniform types.
        ShortIid = "short_iid",
        /// The text without a few random tokens.
        Deletion = "deletion",
        /// Each type alone and pairs with a pivot: the fewest that determine a surrogate.
        Closed = "closed",
        /// The text, each type alone, and the text without each type.
        Loto = "loto",
        /// Types alone, pairs, short sequences and deletions, each with a quarter of the weight.
        Mixed = "mixed",
    }
}

choices! {
    /// How values and importances are found.
    Fit {
        /// Variable projection with a ridge that the data choose.
        #[default]
        Adaptive = "adaptive",
        /// Variable projection with a given ridge.
        Fixed = "fixed",
        /// The closed form of the design.
        Closed = "closed",
        /// Adam from zero, as published for short sequences (from the score of the text, for deletions).
        Eff = "eff",
        /// Least squares with one round of alternation, as published for deletions.
        Fidel = "fidel",
        /// Least squares with rounds of alternation for as long as the error falls.
        FidelIter = "fidel_iter",
        /// Adam on small batches, as published for synthetic studies.
        CountsSgd = "counts_sgd",
    }
}

choices! {
    /// Which players share a value and an importance.
    Types {
        /// Equal tokens.
        #[default]
        Token = "token",
        /// None: every position has its own.
        Position = "position",
    }
}

/// Options of `slalom`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slalom {
    /// Which texts the model is asked about.
    pub design: Design,
    /// Queries, repetitions included; `None` is what the design and the fit say.
    pub samples: Option<usize>,
    /// How values and importances are found.
    pub fit: Fit,
    /// Tokens of a short sequence.
    pub length: usize,
    /// Most tokens that a deletion takes out.
    pub removals: usize,
    /// Which players share a value and an importance.
    pub types: Types,
    /// True if something that is no player takes attention too. Experimental.
    pub background: bool,
    /// Share of the distinct queries that is held out to judge the surrogate; 0 for none.
    pub holdout: f64,
    /// Fits to resampled queries, for standard errors; 0 for those of the curvature.
    pub bootstrap: usize,
    /// Ridge of the values, of `fit=fixed`; `None` is 1e-3 per distinct query.
    pub rho_v: Option<f64>,
    /// Ridge of the importances, of `fit=fixed`; `None` is 1e-3 per distinct query times the variance of the scores.
    pub rho_s: Option<f64>,
    /// Ids in front of the text that always stay.
    pub prefix_ids: Vec<i64>,
    /// Ids behind the text that always stay.
    pub suffix_ids: Vec<i64>,
    /// The id that fills texts up.
    pub pad_id: Option<i64>,
}

impl Default for Slalom {
    fn default() -> Self {
        Self {
            design: Design::Auto,
            samples: None,
            fit: Fit::Adaptive,
            length: 3,
            removals: 5,
            types: Types::Token,
            background: false,
            holdout: 0.15,
            bootstrap: 0,
            rho_v: None,
            rho_s: None,
            prefix_ids: vec![],
            suffix_ids: vec![],
            pad_id: None,
        }
    }
}

/// `slalom`.
pub const INFO: MethodInfo = MethodInfo {
    name: "slalom",
    summary: "A surrogate of the form of one attention layer: each type of token has a value (the log-odds if it stood alone) and \
              an importance (how strongly it takes the attention), fitted to what the model says of short or thinned texts. \
              Additive surrogates can't follow transformers, which average over tokens where a sum grows with each of \
              them. The attribution of a token is its contribution, attention share times value; they add up to the \
              surrogate's log-odds of the text.",
    formula: "f(x) = sum_i a_i v_i, a_i = exp(s_i) / sum_j exp(s_j); attribution a_i v_i; v, s minimise sum_q w_q (F(q) - f(q))^2 + \
              rho_v |v - mean F|^2 + rho_s |s|^2",
    cost: "short forwards of 3 tokens: 20 per type of token, 500 to 5,000",
    misleads: "It knows neither order nor context, so it can't see negation. Short sequences are unlike the texts that the model \
               was trained on; where held-out scores are explained no better than by a linear surrogate, which is said, prefer \
               `design=deletion` or another method. Standard errors measure lack of fit: a token marked as not identified has \
               no reliable value or importance. It always explains the log-odds of the target.",
    citation: "Leemann, Fastowski, Pfeiffer, Kasneci 2025, Attention Mechanisms Don't Learn Additive Models: Rethinking Feature \
               Importance for Transformers, TMLR, arXiv 2405.13536",
    parameters: Slalom::PARAMETERS,
};

const DESIGNS: &str = "auto, short, short_iid, deletion, closed, loto, mixed";
const FITS: &str = "adaptive, fixed, closed, eff, fidel, fidel_iter, counts_sgd";

const fn parameter(
    name: &'static str,
    default: &'static str,
    values: &'static str,
    doc: &'static str,
) -> ParameterInfo {
    ParameterInfo { name, default, values, doc }
}

impl Options for Slalom {
    const PARAMETERS: &'static [ParameterInfo] = &[
        parameter(
            "design",
            "auto",
            DESIGNS,
            "texts to ask about: `short` says what words mean to the model, `deletion` why it says this of this text, `closed` and \
             `loto` are the cheapest; auto is short, or what a published fit goes with",
        ),
        parameter(
            "samples",
            "auto",
            "a whole number",
            "queries, repetitions included: auto is 20 per type of token, 500 to 5,000 (fits as published: 500 short or 5,000 \
             thinned texts; `closed`: 2n-1; `loto`: 2n+1)",
        ),
        parameter(
            "fit",
            "adaptive",
            FITS,
            "adaptive: variable projection, ridge from the data; fixed: with rho_v, rho_s; closed: the closed form of `closed` \
             or `loto`; eff, fidel, counts_sgd: as published",
        ),
        parameter(
            "length",
            "3",
            "a whole number",
            "tokens of a short sequence (the paper says 2, its code takes 3)",
        ),
        parameter("removals", "5", "a whole number", "most tokens that a deletion takes out"),
        parameter(
            "types",
            "token",
            "token, position",
            "what shares a value and an importance: equal tokens, or none",
        ),
        parameter(
            "background",
            "off",
            "on, off",
            "special tokens take attention too, importances become relative to them; experimental",
        ),
        parameter("holdout", "0.15", "0 to 0.5", "share of the distinct queries that judges the fit"),
        parameter(
            "bootstrap",
            "0",
            "a whole number",
            "fits to resampled queries for the standard errors; 0: from the curvature",
        ),
        parameter(
            "rho_v",
            "auto",
            "a number above 0",
            "ridge of values of fit=fixed; auto: 0.001 per distinct query",
        ),
        parameter(
            "rho_s",
            "auto",
            "a number above 0",
            "ridge of importances of fit=fixed; auto: 0.001 per distinct query times the variance of the scores",
        ),
        parameter(
            "prefix_ids",
            "none",
            "ids, joined by /",
            "token ids in front of the text that always stay",
        ),
        parameter("suffix_ids", "none", "ids, joined by /", "token ids behind the text that always stay"),
        parameter("pad_id", "none", "an id", "token id that fills texts up: no player"),
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "design" => self.design = Design::parse(key, value)?,
            "samples" => self.samples = unless("auto", value, |v| count(key, v, 1 << 24))?,
            "fit" => self.fit = Fit::parse(key, value)?,
            "length" => self.length = count(key, value, 64)?,
            "removals" => self.removals = count(key, value, 1 << 16)?,
            "types" => self.types = Types::parse(key, value)?,
            "background" => self.background = on_off(key, value)?,
            "holdout" => self.holdout = number(key, value, |v| (0.0..=0.5).contains(&v), "from 0 to 0.5")?,
            "bootstrap" => self.bootstrap = if value == "0" { 0 } else { count(key, value, 10_000)? },
            "rho_v" => self.rho_v = unless("auto", value, |v| number(key, v, |r| r > 0.0, "above 0"))?,
            "rho_s" => self.rho_s = unless("auto", value, |v| number(key, v, |r| r > 0.0, "above 0"))?,
            "prefix_ids" => self.prefix_ids = ids(key, value)?,
            "suffix_ids" => self.suffix_ids = ids(key, value)?,
            "pad_id" => self.pad_id = unless("none", value, |v| id(key, v))?,
            _ => return Err(OptionError(format!("`slalom` has no option {key}"))),
        }
        Ok(())
    }

    fn check(&self) -> OptionResult<()> {
        if self.fit != Fit::Fixed && (self.rho_v.is_some() || self.rho_s.is_some()) {
            return Err(OptionError(
                "rho_v and rho_s belong to fit=fixed; fit=adaptive takes them from the data".to_string(),
            ));
        }
        if self.background && !matches!(self.fit, Fit::Adaptive | Fit::Fixed | Fit::Closed) {
            return Err(OptionError(format!(
                "background=on goes with fit=adaptive, fixed or closed, not with fit={}",
                self.fit.name()
            )));
        }
        let closed = matches!(self.design, Design::Auto | Design::Closed | Design::Loto);
        if self.fit == Fit::Closed && (!closed || self.background && self.design == Design::Loto) {
            return Err(OptionError(format!(
                "fit=closed has no closed form for design={}{}; choose design=closed{}",
                self.design.name(),
                if self.background { " with a background" } else { "" },
                if self.background { "" } else { " or loto" },
            )));
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let auto = |v: Option<String>| v.unwrap_or_else(|| "auto".to_string());
        vec![
            ("design", self.design.name().to_string()),
            ("samples", auto(self.samples.map(|s| s.to_string()))),
            ("fit", self.fit.name().to_string()),
            ("length", self.length.to_string()),
            ("removals", self.removals.to_string()),
            ("types", self.types.name().to_string()),
            ("background", on_off_text(self.background)),
            ("holdout", self.holdout.to_string()),
            ("bootstrap", self.bootstrap.to_string()),
            ("rho_v", auto(self.rho_v.map(|r| r.to_string()))),
            ("rho_s", auto(self.rho_s.map(|r| r.to_string()))),
            ("prefix_ids", ids_text(&self.prefix_ids)),
            ("suffix_ids", ids_text(&self.suffix_ids)),
            ("pad_id", self.pad_id.map_or_else(|| "none".to_string(), |id| id.to_string())),
        ]
    }
}

/// `None` for the text `none`, else what `read` makes of it.
fn unless<T>(none: &str, text: &str, read: impl Fn(&str) -> OptionResult<T>) -> OptionResult<Option<T>> {
    if text == none { Ok(None) } else { read(text).map(Some) }
}

fn id(key: &str, text: &str) -> OptionResult<i64> {
    let id = text.parse::<i64>().ok();
    id.ok_or_else(|| OptionError(format!("option {key}={text} must be a token id, a whole number")))
}

fn ids(key: &str, text: &str) -> OptionResult<Vec<i64>> {
    if text == "none" {
        return Ok(vec![]);
    }
    text.split('/').map(|part| id(key, part)).collect()
}

fn ids_text(ids: &[i64]) -> String {
    let texts: Vec<String> = ids.iter().map(i64::to_string).collect();
    if texts.is_empty() { "none".to_string() } else { texts.join("/") }
}
