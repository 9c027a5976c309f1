//! Numbers and names as text: formatting, escaping, shortening. Shared by all renderers.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A number with four significant digits; very large and very small ones in scientific form.
pub(crate) fn number(value: f64) -> String {
    number_with(value, 4)
}

/// A number with `digits` significant digits, trailing zeros kept only where they carry precision.
pub(crate) fn number_with(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "not a number".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "infinite".into() } else { "-infinite".into() };
    }
    if value == 0.0 {
        return "0".into();
    }
    // The exponent after rounding: 0.09999999 is written as 0.1000, not as 0.10000.
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let magnitude: i32 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if !(-4..6).contains(&magnitude) {
        return format!("{value:.*e}", digits.saturating_sub(2));
    }
    let decimals = (digits as i32 - 1 - magnitude).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if value.fract() == 0.0 && text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    text
}

/// Numbers that stand below each other: as many decimals as the largest needs for `digits` significant digits, so that
/// their points align. A value that would lose too much that way keeps its own form.
pub(crate) fn aligned(values: &[f64], digits: usize) -> Vec<String> {
    let largest = values.iter().filter(|v| v.is_finite()).map(|v| v.abs()).fold(0.0, f64::max);
    if !(1e-3..1e6).contains(&largest) {
        return values.iter().map(|v| number_with(*v, digits)).collect();
    }
    let decimals = (digits as f64 - 1.0 - largest.log10().floor()).max(0.0) as usize;
    // Fewer than two significant digits would be left.
    let smallest = 10f64.powi(1 - decimals as i32);
    let whole = values.iter().all(|v| v.fract() == 0.0);
    values
        .iter()
        .map(|v| match v {
            v if whole => format!("{v:.0}"),
            v if v.is_finite() && (*v == 0.0 || v.abs() >= smallest) => format!("{v:.decimals$}"),
            v => number_with(*v, 2),
        })
        .collect()
}

/// [`aligned`] with explicit signs.
pub(crate) fn aligned_signed(values: &[f64], digits: usize) -> Vec<String> {
    let sign = |(text, value): (String, &f64)| if *value > 0.0 { format!("+{text}") } else { text };
    aligned(values, digits).into_iter().zip(values).map(sign).collect()
}

/// A number with an explicit sign, as attributions are read by sign.
pub(crate) fn signed(value: f64) -> String {
    let text = number(value);
    if value > 0.0 { format!("+{text}") } else { text }
}

/// A share as a percentage with one decimal. Values that would round to a false 0 or 100 keep a comparison sign.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    if !value.is_finite() {
        return "n/a".into();
    }
    if value > 99.95 && value < 100.0 {
        return ">99.9%".into();
    }
    if value > 0.0 && value < 0.05 {
        return "<0.1%".into();
    }
    if value < 0.0 && value > -0.05 {
        return ">-0.1%".into();
    }
    format!("{value:.1}%")
}

/// Milliseconds as the reader would say them.
pub(crate) fn duration_ms(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        return "unknown".into();
    }
    if ms < 1.0 {
        format!("{ms:.2} ms")
    } else if ms < 1000.0 {
        format!("{} ms", number_with(ms, 3))
    } else if ms < 120_000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else {
        format!("{:.1} min", ms / 60_000.0)
    }
}

/// Escapes text for HTML and XML, in element content and in quoted attributes.
///
/// Characters that XML 1.0 forbids become U+FFFD, so that a stray control character in a token cannot make a file
/// unreadable.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') || is_direction_control(c) => {
                out.push('\u{fffd}')
            }
            c => out.push(c),
        }
    }
    out
}

/// Text on one line: line breaks and tabs become visible marks, other control characters U+FFFD.
///
/// Terminal escape sequences and direction overrides in a label must not reach the reader's screen as commands.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '⏎',
            '\t' => '⇥',
            '\r' => '␍',
            c if c.is_control() || is_direction_control(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Bidirectional overrides and isolates, which can make a label read as something else.
fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a text takes in a fixed-width font.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Shortens to at most `columns`, marking the cut with an ellipsis at the end.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > columns {
            break;
        }
        used += w;
        out.push(c);
    }
    out.push('…');
    out
}

/// Shortens in the middle, for paths and node names whose ends both matter.
pub(crate) fn shorten_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns || columns < 5 {
        return shorten(text, columns);
    }
    let tail_columns = (columns - 1) * 2 / 3;
    let mut tail: Vec<char> = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        let w = c.width().unwrap_or(0);
        if used + w > tail_columns {
            break;
        }
        used += w;
        tail.push(c);
    }
    let head = shorten(text, columns - used);
    head + &tail.iter().rev().collect::<String>()
}

/// Pads with spaces on the right to `columns`, after shortening.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let text = shorten(text, columns);
    let fill = columns.saturating_sub(width(&text));
    text + &" ".repeat(fill)
}

/// Pads with spaces on the left to `columns`.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    let fill = columns.saturating_sub(width(text));
    " ".repeat(fill) + text
}

/// `1 row`, `2 rows`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (-0.03, "-0.03000"),
            (11.3249, "11.32"),
            (123456.0, "123456"),
            (f64::from(0.1f32), "0.1000"),
            (0.099_999_99, "0.1000"),
            (1.5e-7, "1.50e-7"),
            (3.2e9, "3.20e9"),
            (f64::NAN, "not a number"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn numbers_below_each_other_share_their_decimals() {
        assert_eq!(
            aligned(&[1.53, -1.12, 0.08, 0.0, 0.001], 4),
            ["1.530", "-1.120", "0.080", "0.000", "0.0010"]
        );
        assert_eq!(aligned(&[3.0, -12.0], 4), ["3", "-12"]);
        assert_eq!(aligned_signed(&[2e-9, f64::NAN], 3), ["+2.0e-9", "not a number"]);
    }

    #[test]
    fn percentages_never_round_to_a_false_whole() {
        assert_eq!(percent(0.9999), ">99.9%");
        assert_eq!(percent(1.0), "100.0%");
        assert_eq!(percent(0.0001), "<0.1%");
        assert_eq!(percent(f64::NAN), "n/a");
    }

    #[test]
    fn escaping_covers_markup_and_forbidden_characters() {
        assert_eq!(escape("<a b='\"&\u{1}\u{202e}"), "&lt;a b=&#39;&quot;&amp;\u{fffd}\u{fffd}");
    }

    #[test]
    fn shortening_respects_wide_characters() {
        assert_eq!(shorten("日本語文", 5), "日本…");
        assert_eq!(width(&shorten_middle("/model/encoder/layer.11/attention/MatMul", 20)), 20);
        assert_eq!(one_line("a\nb\u{1b}[31m"), "a⏎b\u{fffd}[31m");
    }
}
