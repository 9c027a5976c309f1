//! Options of methods as they are written on the command line, `NAME:key=value,...`: reading them, and saying what they are.

use crate::{Error, ParameterInfo, Result};

/// Parameters of a method, each with a default.
pub trait Options: Default {
    /// What `exegesis methods NAME` says of them, in order.
    const PARAMETERS: &'static [ParameterInfo];

    /// Sets the option `key`, one of [`Options::PARAMETERS`].
    ///
    /// # Errors
    /// An unknown value.
    fn set(&mut self, key: &str, value: &str) -> Result<()>;

    /// Checks options that exclude each other.
    ///
    /// # Errors
    /// Such a pair.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Every option with its value, as [`Options::set`] reads it.
    fn values(&self) -> Vec<(&'static str, String)>;

    /// Reads the options of the method `name`.
    ///
    /// # Errors
    /// An unknown key or value, or values that exclude each other.
    fn read(name: &str, pairs: &[(&str, &str)]) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in pairs {
            if !Self::PARAMETERS.iter().any(|p| p.name == *key) {
                let known: Vec<&str> = Self::PARAMETERS.iter().map(|p| p.name).collect();
                return Err(Error(format!(
                    "method `{name}` has no option `{key}`; it has {}",
                    if known.is_empty() { "none".to_string() } else { known.join(", ") }
                )));
            }
            options.set(key, value)?;
        }
        options.check()?;
        Ok(options)
    }
}

/// Name and options of `NAME[:key=value,...]`.
///
/// # Errors
/// An option that is not `key=value`.
pub fn pairs(text: &str) -> Result<(&str, Vec<(&str, &str)>)> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    let mut pairs = vec![];
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let Some(pair) = option.split_once('=') else {
            return Err(Error(format!(
                "`{option}` in `{text}` is not key=value; write {name}:key=value,..."
            )));
        };
        pairs.push(pair);
    }
    Ok((name, pairs))
}

/// The error of a value that is none of `known`.
pub fn unknown_value(key: &str, value: &str, known: &[&str]) -> Error {
    Error(format!("option {key}={value} is unknown; {key} is one of {}", known.join(", ")))
}

/// A number that `fits`.
///
/// # Errors
/// Another text; `wanted` says which numbers fit.
pub fn number(key: &str, text: &str, fits: impl Fn(f64) -> bool, wanted: &str) -> Result<f64> {
    let number = text.parse::<f64>().ok().filter(|v| v.is_finite() && fits(*v));
    number.ok_or_else(|| Error(format!("option {key}={text} must be a number {wanted}")))
}

/// A whole number from 1 to `most`.
///
/// # Errors
/// Another text.
pub fn count(key: &str, text: &str, most: usize) -> Result<usize> {
    let number = text.parse::<usize>().ok().filter(|n| (1..=most).contains(n));
    number.ok_or_else(|| Error(format!("option {key}={text} must be a whole number from 1 to {most}")))
}

/// A switch.
///
/// # Errors
/// Another text than on or off.
pub fn on_off(key: &str, text: &str) -> Result<bool> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(unknown_value(key, text, &["on", "off"])),
    }
}

/// `on` or `off`.
pub fn on_off_text(on: bool) -> String {
    if on { "on" } else { "off" }.to_string()
}

/// An enum of named choices, with `ALL`, `name` and `parse`.
#[macro_export]
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$item_doc])* $item),+
        }

        impl $name {
            /// Every choice.
            pub const ALL: &'static [Self] = &[$(Self::$item),+];

            /// Name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$item => $text),+
                }
            }

            /// The choice called `text`.
            ///
            /// # Errors
            /// A text that is none.
            pub fn parse(key: &str, text: &str) -> $crate::Result<Self> {
                match text {
                    $($text => Ok(Self::$item),)+
                    _ => Err($crate::unknown_value(key, text, &[$($text),+])),
                }
            }
        }
    };
}
