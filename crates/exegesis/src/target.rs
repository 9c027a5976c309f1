//! The text form of a target: `argmax`, a class, `A-B`, coordinates `I,J,...`, `index:i,j,...`, `input`, `seed`.

use exegesis_attribute::Target;

use crate::{Error, Labels, Result};

/// The target that `text` names.
///
/// # Errors
/// A text that is none of the forms, or a class name that the labels do not have.
pub fn parse_target(text: &str, labels: &Labels) -> Result<Target> {
    match text {
        "argmax" => return Ok(Target::ArgMax),
        "input" => return Ok(Target::Input),
        "seed" => return Ok(Target::Seed),
        _ => {}
    }
    if let Some(position) = text.strip_prefix("index:") {
        let parts: Option<Vec<usize>> = position.split(',').map(|p| p.trim().parse().ok()).collect();
        return parts
            .map(Target::Position)
            .ok_or_else(|| wrong(text, "index: is followed by whole numbers joined by commas"));
    }
    if let Ok(class) = text.trim().parse::<usize>() {
        return Ok(Target::Class(class));
    }
    if let Some(coordinates) = text.split(',').map(|part| part.trim().parse().ok()).collect() {
        return Ok(Target::Coordinates(coordinates));
    }
    if text.starts_with(' ') {
        return Err(Error::not_built("a token as --target", "Give its id."));
    }
    let class = |part: &str| part.trim().parse::<usize>().or_else(|_| labels.index(part.trim()));
    let whole = if labels.is_empty() { None } else { labels.index(text).ok() };
    if let Some(class) = whole {
        return Ok(Target::Class(class));
    }
    // Names may hold a minus themselves: any place where both sides are classes will do.
    for (at, _) in text.match_indices('-') {
        if let (Ok(first), Ok(second)) = (class(&text[..at]), class(&text[at + 1..])) {
            return Ok(Target::Difference(first, second));
        }
    }
    if labels.is_empty() {
        return Err(wrong(text, "it is no index, and the model has no class names"));
    }
    labels.index(text).map(Target::Class)
}

fn wrong(text: &str, why: &str) -> Error {
    Error::usage(format!(
        "the target \"{text}\" is not understood: {why}. Give argmax, a class index, a class name with --labels FILE, \
         A-B, coordinates I,J,..., index:i,j,..., or seed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_targets() {
        let labels = Labels::parse("cat\nt-shirt\ndog");
        let parse = |text: &str| parse_target(text, &labels);
        assert_eq!(parse("argmax").unwrap(), Target::ArgMax);
        assert_eq!(parse("7").unwrap(), Target::Class(7));
        assert_eq!(parse("t-shirt").unwrap(), Target::Class(1));
        assert_eq!(parse("t-shirt-dog").unwrap(), Target::Difference(1, 2));
        assert_eq!(parse("3-cat").unwrap(), Target::Difference(3, 0));
        assert_eq!(parse("index:0,4").unwrap(), Target::Position(vec![0, 4]));
        assert_eq!(parse("0,2").unwrap(), Target::Coordinates(vec![0, 2]));
        assert_eq!(parse("seed").unwrap(), Target::Seed);
        for text in ["", "fish", "-1", "0,", "0,x", "index:a", "index:", "1-", " Paris"] {
            assert_eq!(parse(text).unwrap_err().exit_code(), 2, "{text:?}");
        }
    }
}
