//! The rules that a layer with weights can get, as data.

use std::fmt;

use exegesis_catalogue::{Error, Result};

/// How a layer `z_j = sum_i w_ij x_i + b_j` shares what each unit received, `r_j`, among its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerRule {
    /// `x_i w_ij / (z_j + eps sign z_j) r_j` (Bach et al. 2015, equation 58).
    Epsilon(f64),
    /// `x_i w_ij / z_j r_j`; a unit with `z_j = 0` passes nothing (ibid., equation 56).
    Zero,
    /// Epsilon with terms of the unit's own sign raised by this factor (Montavon et al. 2019; for operands of both signs
    /// Andeol et al. 2021).
    Gamma(f64),
    /// `alpha (x_i w_ij)+ / z_j+ r_j - beta (x_i w_ij)- / z_j- r_j`, with `alpha - beta = 1` (Bach et al. 2015, equation 60).
    AlphaBeta {
        /// Factor of positive terms.
        alpha: f64,
        /// Factor of negative terms.
        beta: f64,
    },
    /// `r_j` equally among the operands that connect (Bach et al. 2016, arXiv 1512.00172).
    Flat,
    /// `w_ij^2 / sum_i w_ij^2 r_j` (Montavon et al. 2017, arXiv 1512.02479).
    WSquare,
    /// `(x_i w_ij - l_i w_ij+ - h_i w_ij-) / sum_i (...) r_j` for operands between `l` and `h` (ibid.).
    ZBox,
}

/// How rules are written.
const SPELLINGS: &str = "epsilon[:E], zero, gamma[:G], alpha-beta:A/B, z-plus, flat, w-square, z-box";

impl LayerRule {
    /// Positive terms only.
    pub const Z_PLUS: Self = Self::AlphaBeta { alpha: 1.0, beta: 0.0 };
    /// Positive terms twice, negative ones once.
    pub const ALPHA_2_BETA_1: Self = Self::AlphaBeta { alpha: 2.0, beta: 1.0 };

    /// Name without parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon(_) => "epsilon",
            Self::Zero => "zero",
            Self::Gamma(_) => "gamma",
            Self::Z_PLUS => "z-plus",
            Self::AlphaBeta { .. } => "alpha-beta",
            Self::Flat => "flat",
            Self::WSquare => "w-square",
            Self::ZBox => "z-box",
        }
    }

    /// Reads `NAME[:PARAMETER]`; parameters that are left out are those given here.
    ///
    /// # Errors
    /// An unknown name, or a parameter that does not fit.
    pub fn parse(text: &str, epsilon: f64, gamma: f64) -> Result<Self> {
        let wrong = || Error(format!("`{text}` is no rule; rules are {SPELLINGS}"));
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (text, None),
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(wrong);
        let own = |default: f64, least: &dyn Fn(f64) -> bool| match parameter {
            None => Ok(default),
            Some(text) => number(text).and_then(|v| if least(v) { Ok(v) } else { Err(wrong()) }),
        };
        match (name, parameter) {
            ("epsilon", _) => Ok(Self::Epsilon(own(epsilon, &|v| v > 0.0)?)),
            ("gamma", _) => Ok(Self::Gamma(own(gamma, &|v| v >= 0.0)?)),
            ("alpha-beta", Some(both)) => {
                let (alpha, beta) = both.split_once('/').ok_or_else(wrong)?;
                let (alpha, beta) = (number(alpha)?, number(beta)?);
                if beta < 0.0 || (alpha - beta - 1.0).abs() > 1e-9 {
                    return Err(Error(format!(
                        "`{text}`: alpha - beta must be 1 and beta at least 0, or relevance is made or lost"
                    )));
                }
                Ok(Self::AlphaBeta { alpha, beta })
            }
            ("zero", None) => Ok(Self::Zero),
            ("z-plus", None) => Ok(Self::Z_PLUS),
            ("flat", None) => Ok(Self::Flat),
            ("w-square", None) => Ok(Self::WSquare),
            ("z-box", None) => Ok(Self::ZBox),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for LayerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match *self {
            Self::Z_PLUS => Ok(()),
            Self::Epsilon(v) | Self::Gamma(v) => write!(f, ":{v}"),
            Self::AlphaBeta { alpha, beta } => write!(f, ":{alpha}/{beta}"),
            _ => Ok(()),
        }
    }
}

/// A rule for the layers whose name fits a pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// `*` stands for any characters, `?` for one.
    pub pattern: String,
    /// The rule as it was written; parameters that it leaves out follow the other options.
    pub rule: String,
}

impl Override {
    /// Reads `PATTERN@RULE`.
    ///
    /// # Errors
    /// A text of another form, or an unknown rule.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((pattern, rule)) = text.rsplit_once('@').filter(|(pattern, _)| !pattern.is_empty()) else {
            return Err(Error(format!(
                "option rule={text} must be PATTERN@RULE, such as conv1*@gamma:0.1; rules are {SPELLINGS}"
            )));
        };
        LayerRule::parse(rule, 1e-6, 0.25)?;
        Ok(Self { pattern: pattern.to_string(), rule: rule.to_string() })
    }

    /// True if the pattern describes the whole of `name`.
    pub fn fits(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.pattern.chars().collect();
        let name: Vec<char> = name.chars().collect();
        // Greedy, going back to the last star: time is the product of the lengths.
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((at, from)) => {
                        p = at + 1;
                        n = from + 1;
                        star = Some((at, from + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pattern, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a spelling that is read as another rule, or written in a form that is not read.
    #[test]
    fn rules_are_read_as_they_are_written() {
        let all = [
            LayerRule::Epsilon(0.5),
            LayerRule::Zero,
            LayerRule::Gamma(0.0),
            LayerRule::Z_PLUS,
            LayerRule::ALPHA_2_BETA_1,
            LayerRule::Flat,
            LayerRule::WSquare,
            LayerRule::ZBox,
        ];
        for rule in all {
            assert_eq!(LayerRule::parse(&rule.to_string(), 1.0, 2.0).unwrap(), rule, "{rule}");
        }
        assert_eq!(LayerRule::parse("gamma", 1.0, 2.0).unwrap(), LayerRule::Gamma(2.0));
        for wrong in
            ["", "alpha-beta", "alpha-beta:2/2", "alpha-beta:0/-1", "epsilon:0", "flat:1", "gamma:nan"]
        {
            assert!(LayerRule::parse(wrong, 1.0, 1.0).is_err(), "{wrong}");
        }
    }

    /// Catches a pattern that fits a part of a name only, or goes astray behind a star.
    #[test]
    fn patterns_describe_whole_names() {
        let fits =
            |pattern: &str, name: &str| Override::parse(&format!("{pattern}@zero")).unwrap().fits(name);
        assert!(fits("/conv*/Conv", "/conv/1/Conv") && fits("*", "") && fits("a?c*", "abc"));
        assert!(fits("*ab*b", "aabab") && fits("node@1", "node@1"));
        assert!(!fits("conv", "conv1") && !fits("conv", "/conv") && !fits("a?", "a") && !fits("*b", "abc"));
        assert!(Override::parse("conv").is_err() && Override::parse("@zero").is_err());
    }
}
