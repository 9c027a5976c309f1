//! Names of symbolic dimensions: text to expression and back, and symbols that no graph has used.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::expression::{Expr, Function};
use crate::{Dim, Graph};

const PREFIX: &str = "unknown_";

/// Texts of symbolic dimensions with their expressions, and the source of fresh symbols.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    expressions: FxHashMap<Arc<str>, Expr>,
    texts: FxHashMap<Expr, Arc<str>>,
    last: u64,
}

impl Symbols {
    /// A symbol that differs from all others.
    pub(crate) fn fresh(&mut self) -> Expr {
        self.last += 1;
        Expr::symbol(format!("{PREFIX}{}", self.last).into())
    }

    /// `count` fresh symbols.
    pub(crate) fn many(&mut self, count: usize) -> Vec<Expr> {
        (0..count).map(|_| self.fresh()).collect()
    }

    /// A mark: symbols made later are [`Symbols::is_newer`].
    pub(crate) fn mark(&self) -> u64 {
        self.last
    }

    /// True if the expression holds a symbol made after `mark`.
    pub(crate) fn is_newer(&self, expr: &Expr, mark: u64) -> bool {
        expr.any_symbol(&|name| {
            let number = name.strip_prefix(PREFIX).and_then(|number| number.parse::<u64>().ok());
            number.is_some_and(|number| number > mark)
        })
    }

    /// Keeps fresh symbols apart from those that the graph already holds.
    pub(crate) fn reserve(&mut self, graph: &Graph) {
        for (_, value) in graph.values() {
            for dim in value.shape.iter().flatten() {
                if let Dim::Symbol(text) = dim {
                    for part in text.split(PREFIX).skip(1) {
                        let digits =
                            part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
                        self.last = self.last.max(digits.parse().unwrap_or(0));
                    }
                }
            }
        }
        for (_, node) in graph.nodes() {
            for subgraph in node.op.subgraphs() {
                self.reserve(&subgraph.graph);
            }
        }
    }

    /// The expression that a dimension stands for.
    pub(crate) fn expression(&mut self, dim: &Dim) -> Expr {
        match dim {
            Dim::Fixed(n) => Expr::from(*n),
            Dim::Symbol(text) => match self.expressions.get(text) {
                Some(expr) => expr.clone(),
                None => {
                    // Only a text that is printed back as it stands is an expression; anything else is a name.
                    let expr = Parser::parse(text)
                        .filter(|e| e.fixed().is_none() && e.to_string() == **text)
                        .unwrap_or_else(|| Expr::symbol(text.clone()));
                    self.expressions.insert(text.clone(), expr.clone());
                    self.texts.insert(expr.clone(), text.clone());
                    expr
                }
            },
        }
    }

    /// The dimension to write for an expression that is not negative.
    pub(crate) fn dimension(&mut self, expr: &Expr) -> Dim {
        if let Some(n) = expr.fixed() {
            return Dim::Fixed(usize::try_from(n).unwrap_or(0));
        }
        if let Some(text) = self.texts.get(expr) {
            return Dim::Symbol(text.clone());
        }
        let text: Arc<str> = expr.to_string().into();
        self.expressions.insert(text.clone(), expr.clone());
        self.texts.insert(expr.clone(), text.clone());
        Dim::Symbol(text)
    }
}

/// Reads what [`Expr`] prints.
struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn parse(text: &'a str) -> Option<Expr> {
        let mut parser = Self { rest: text, depth: 0 };
        let expr = parser.sum()?;
        parser.rest.is_empty().then_some(expr)
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Option<Expr> {
        // Bounded: dimension texts come from files.
        self.depth += 1;
        if self.depth > 32 {
            return None;
        }
        let negative = self.eat("-");
        let first = self.product()?;
        let mut sum = if negative { first.neg()? } else { first };
        loop {
            if self.eat(" + ") {
                sum = sum.add(&self.product()?)?;
            } else if self.eat(" - ") {
                sum = sum.sub(&self.product()?)?;
            } else {
                self.depth -= 1;
                return Some(sum);
            }
        }
    }

    fn product(&mut self) -> Option<Expr> {
        let mut product = self.factor()?;
        while self.eat("*") {
            product = product.mul(&self.factor()?)?;
        }
        Some(product)
    }

    fn factor(&mut self) -> Option<Expr> {
        for function in Function::ALL {
            let opening = format!("{}(", function.name());
            if self.eat(&opening) {
                let mut args = vec![self.sum()?];
                while self.eat(", ") {
                    args.push(self.sum()?);
                }
                return if self.eat(")") { Expr::apply(function, &args) } else { None };
            }
        }
        let end = self.rest.find([' ', '+', '-', '*', '(', ')', ',']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        match word.chars().next()? {
            c if c.is_ascii_digit() => word.parse().ok().map(Expr::Fixed),
            _ => Some(Expr::symbol(word.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_the_round_trip() {
        for text in [
            "batch",
            "seq + 1",
            "past_sequence_length + sequence_length",
            "floordiv(h + 1, 2)*w - 3",
            "2*a*b",
        ] {
            let mut symbols = Symbols::default();
            let expr = symbols.expression(&text.into());
            assert_eq!(Symbols::default().dimension(&expr).to_string(), text);
        }
        let one_more = Symbols::default().expression(&"seq + 1".into());
        assert_eq!(one_more, Symbols::default().expression(&"seq".into()).add(&Expr::ONE).unwrap());
    }

    #[test]
    fn other_texts_are_names() {
        for text in ["seq-len", "a+b", "b + a", "floordiv(a", "", "1 + 1", "12", "s0//2", "max(1,2)"] {
            let expr = Symbols::default().expression(&text.into());
            assert_eq!(expr, Expr::symbol(text.into()), "{text}");
        }
        let deep = "max(".repeat(10_000);
        assert_eq!(Symbols::default().expression(&deep.as_str().into()), Expr::symbol(deep.into()));
    }

    #[test]
    fn fresh_symbols_avoid_those_of_the_graph() {
        let mut graph = Graph::new("g");
        graph.add_input("x", crate::DType::F32, vec!["unknown_7 + 1".into()]);
        let mut symbols = Symbols::default();
        symbols.reserve(&graph);
        assert_eq!(symbols.fresh(), Expr::symbol("unknown_8".into()));
    }
}
