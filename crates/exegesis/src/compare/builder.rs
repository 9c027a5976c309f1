//! From what a user asks for to a comparison that is ready for data: names become methods, metrics and controls, and what is not
//! said becomes what suits the data.

use exegesis_metrics::{Modality, Operator, parse};
use exegesis_perturb as perturb;
use exegesis_perturb::PlayerKind;

use super::contestant::Control;
use super::data::DataSet;
use super::run::{CompareOptions, Comparer, situation};
use super::saved::Saved;
use super::usual::usual_metrics;
use crate::{Error, Explainer, ExplainerBuilder, Method, Result};

/// What is to be compared, in the user's words.
#[derive(Clone, Debug, Default)]
pub struct ComparerBuilder {
    /// `NAME[:key=value,...]` each.
    pub methods: Vec<String>,
    /// Likewise; `None`: those that suit the data.
    pub metrics: Option<Vec<String>>,
    /// What stands in for what is taken out; `None`: what suits the data.
    pub operator: Option<String>,
    /// Maps that have to be beaten, or `none`; `None`: those that suit the data.
    pub controls: Option<Vec<String>>,
    /// True for texts that are known by words.
    pub has_words: bool,
    /// Maps of other tools.
    pub saved: Vec<Saved>,
    /// What is explained, as the user says it.
    pub target: String,
    /// How it is done; operator and controls are filled in.
    pub options: CompareOptions,
}

impl ComparerBuilder {
    /// The comparison of `data`; `explainer` starts an explainer by a method with all other choices of the user.
    ///
    /// # Errors
    /// A method, metric, operator or control that does not exist; data that does not fit the model.
    pub fn build(
        self,
        data: &DataSet,
        explainer: &dyn Fn(Method) -> Result<ExplainerBuilder>,
    ) -> Result<Comparer> {
        let mut methods: Vec<(String, Explainer)> = vec![];
        for text in &self.methods {
            let method = Method::parse(text)?;
            let key = unique(method.name(), methods.iter().map(|(key, _)| key.as_str()));
            methods.push((key, explainer(method)?.build()?));
        }
        let operator = self.operator.as_ref().map(|text| {
            Operator::parse("operator", text)
                .map_err(|_| unknown("operator", text, Operator::ALL.iter().map(|o| o.name())))
        });
        let operator = operator.transpose()?;
        let judge = perturb::Method::Occlusion(perturb::Occlusion::default());
        let players = if self.has_words { PlayerKind::Word } else { PlayerKind::Auto };
        let judge = explainer(Method::from(judge))?.players(players).build()?;
        let (modality, usual) = situation(&judge, data)?;
        let mut metrics = vec![];
        let usual = || usual_metrics(modality, operator.unwrap_or(usual), data.truths.is_some());
        for text in self.metrics.unwrap_or_else(usual) {
            let metric = parse(&text).map_err(|e| Error::usage(format!("{e}.")))?;
            let key = unique(metric.info().name, metrics.iter().map(|(key, _): &(String, _)| key.as_str()));
            metrics.push((key, metric));
        }
        let mut controls = vec![];
        let names = self.controls.unwrap_or_else(|| {
            let edges = (modality == Modality::Image).then(|| "edges".to_string());
            Control::usual(modality).iter().map(|c| c.name().to_string()).chain(edges).collect()
        });
        for text in &names {
            match text.as_str() {
                "none" => {}
                // A method that knows nothing of the model.
                "edges" if methods.iter().all(|(key, _)| key != "edges") => {
                    methods.push(("edges".to_string(), explainer(Method::parse("edges")?)?.build()?));
                }
                "edges" => {}
                // Asked for as a method already.
                "random" if methods.iter().any(|(key, _)| key == "random") => {}
                text => controls.push(Control::parse("controls", text).map_err(|_| {
                    let known = Control::ALL.iter().map(|c| c.name());
                    unknown("control", text, known.chain(["edges", "none"]))
                })?),
            }
        }
        let options = CompareOptions { operator, controls, ..self.options };
        Ok(Comparer { judge, methods, saved: self.saved, metrics, options, target: self.target })
    }
}

fn unknown<'a>(what: &str, text: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    Error::usage(format!("there is no {what} \"{text}\". Choose {}.", known.join(", ")))
}

/// `a,b:k=v,l=w,c` as `a`, `b:k=v,l=w`, `c`.
pub fn list(text: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        match all.last_mut() {
            Some(last) if piece.contains('=') && !piece.contains(':') => {
                last.push(',');
                last.push_str(piece);
            }
            _ => all.push(piece.to_string()),
        }
    }
    all
}

/// The name, with `#2` for a second use.
pub fn unique<'a>(name: &str, used: impl Iterator<Item = &'a str>) -> String {
    let before = used.filter(|key| *key == name || key.starts_with(&format!("{name}#"))).count();
    if before == 0 { name.to_string() } else { format!("{name}#{}", before + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stay_with_their_method() {
        assert_eq!(list("a, b:k=1,l=2,c"), ["a", "b:k=1,l=2", "c"]);
        assert_eq!(unique("a", ["a", "b", "a#2"].into_iter()), "a#3");
    }
}
