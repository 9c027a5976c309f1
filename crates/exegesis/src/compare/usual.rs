//! What is compared if nothing else is asked for.

use exegesis_metrics::{Modality, Operator};

/// Another stand-in than `first` for the same kind of data: orders that hang on one are no finding.
fn second_operator(modality: Modality, first: Operator) -> Operator {
    let all: &[Operator] = match modality {
        Modality::Image => &[Operator::Blur, Operator::Mean],
        Modality::Text => &[Operator::Delete, Operator::Mask],
        Modality::Table => &[Operator::Background, Operator::Zero],
        Modality::Series => &[Operator::Zero, Operator::Mean],
    };
    all.iter().copied().find(|operator| *operator != first).unwrap_or(first)
}

/// The metrics of a kind of data, as they are written on the command line: of each family some, one of faithfulness with a
/// second operator, and with known evidence those of localisation.
pub fn usual_metrics(modality: Modality, operator: Operator, has_truth: bool) -> Vec<String> {
    let second = second_operator(modality, operator).name();
    let mut all: Vec<String> = ["insertion", "deletion", "morf", "lerf", "abpc"].map(String::from).to_vec();
    all.push(format!("abpc:operator={second},steps=32"));
    all.extend(["faithfulness-correlation", "comprehensiveness", "sufficiency", "msi"].map(String::from));
    // The neighbours of a text are other texts.
    if modality != Modality::Text {
        all.push("max-sensitivity".to_string());
    }
    all.extend(["mprt:layers=3", "completeness", "gini", "complexity"].map(String::from));
    if has_truth {
        let truth = ["pointing-game", "relevance-mass", "relevance-rank", "localisation-auc"];
        all.extend(truth.map(String::from));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches defaults that are misspelled, and a second operator that is the first.
    #[test]
    fn usual_metrics_are_metrics_with_two_operators() {
        for modality in [Modality::Image, Modality::Text, Modality::Table, Modality::Series] {
            for operator in Operator::ALL {
                assert_ne!(second_operator(modality, *operator), *operator);
                for text in usual_metrics(modality, *operator, true) {
                    let metric = exegesis_metrics::parse(&text).unwrap();
                    assert!(metric.info().modalities.contains(&modality), "{text}");
                }
            }
        }
    }
}
