//! Integer expressions over dimension symbols, in a canonical form: sums of products with checked 64-bit coefficients.
//!
//! Two expressions that are equal as polynomials are equal as objects, so `(seq + 1) * 12 / 12` *is* `seq + 1`. Every
//! operation returns `None` where a number would overflow or the expression would grow beyond [`MAX_WEIGHT`]; the caller
//! then makes a fresh symbol, which says less but never something wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Number of atoms (symbols, calls and terms, counted through calls) that an expression may hold.
pub(crate) const MAX_WEIGHT: usize = 48;

/// Functions that can't be written as sums of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Function {
    /// Quotient of two expressions, rounded down.
    FloorDiv,
    /// Quotient of two expressions, rounded up.
    CeilDiv,
    /// Largest of the arguments.
    Max,
    /// Smallest of the arguments.
    Min,
    /// Common size of axes that are broadcast together: each is this or 1.
    Broadcast,
}

impl Function {
    pub(super) const ALL: [Self; 5] = [Self::FloorDiv, Self::CeilDiv, Self::Max, Self::Min, Self::Broadcast];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FloorDiv => "floordiv",
            Self::CeilDiv => "ceildiv",
            Self::Max => "max",
            Self::Min => "min",
            Self::Broadcast => "broadcast",
        }
    }
}

/// A factor of a product.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Atom {
    /// A size known only when the model runs; never negative.
    Symbol(Arc<str>),
    /// A function of expressions.
    Call(Function, Arc<[Expr]>),
}

/// A coefficient times a product of atoms (sorted, repeated for powers).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Term {
    factors: Vec<Atom>,
    coefficient: i64,
}

/// An integer expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Expr {
    /// A known number.
    Fixed(i64),
    /// Terms in canonical order; at least one of them has factors.
    Sum(Arc<[Term]>),
}

impl From<usize> for Expr {
    fn from(n: usize) -> Self {
        Self::Fixed(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl Expr {
    pub(crate) const ONE: Self = Self::Fixed(1);

    /// The symbol `name`.
    pub(crate) fn symbol(name: Arc<str>) -> Self {
        Self::atom(Atom::Symbol(name))
    }

    fn atom(atom: Atom) -> Self {
        Self::Sum(Arc::new([Term { factors: vec![atom], coefficient: 1 }]))
    }

    /// The number, if it is one.
    pub(crate) fn fixed(&self) -> Option<i64> {
        match self {
            Self::Fixed(n) => Some(*n),
            Self::Sum(_) => None,
        }
    }

    fn single_atom(&self) -> Option<&Atom> {
        match self {
            Self::Sum(terms) => match &**terms {
                [Term { factors, coefficient: 1 }] if factors.len() == 1 => factors.first(),
                _ => None,
            },
            Self::Fixed(_) => None,
        }
    }

    fn terms(&self) -> Vec<Term> {
        match self {
            Self::Fixed(0) => vec![],
            Self::Fixed(n) => vec![Term { factors: vec![], coefficient: *n }],
            Self::Sum(terms) => terms.to_vec(),
        }
    }

    fn from_terms(terms: impl IntoIterator<Item = Term>) -> Option<Self> {
        let mut sum: BTreeMap<Vec<Atom>, i64> = BTreeMap::new();
        for term in terms {
            let coefficient = sum.entry(term.factors).or_insert(0);
            *coefficient = coefficient.checked_add(term.coefficient)?;
        }
        let terms: Vec<Term> = sum
            .into_iter()
            .filter(|(_, c)| *c != 0)
            .map(|(factors, coefficient)| Term { factors, coefficient })
            .collect();
        match terms.as_slice() {
            [] => Some(Self::Fixed(0)),
            [Term { factors, coefficient }] if factors.is_empty() => Some(Self::Fixed(*coefficient)),
            _ => {
                let expr = Self::Sum(terms.into());
                (expr.weight() <= MAX_WEIGHT).then_some(expr)
            }
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Sum(terms) => terms
                .iter()
                .map(|t| {
                    1 + t
                        .factors
                        .iter()
                        .map(|a| match a {
                            Atom::Symbol(_) => 1,
                            Atom::Call(_, args) => 1 + args.iter().map(Self::weight).sum::<usize>(),
                        })
                        .sum::<usize>()
                })
                .sum(),
        }
    }

    /// Sum.
    pub(crate) fn add(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => a.checked_add(*b).map(Self::Fixed),
            (Self::Fixed(0), e) | (e, Self::Fixed(0)) => Some(e.clone()),
            _ => Self::from_terms(self.terms().into_iter().chain(other.terms())),
        }
    }

    /// Negation.
    pub(crate) fn neg(&self) -> Option<Self> {
        self.mul(&Self::Fixed(-1))
    }

    /// Difference.
    pub(crate) fn sub(&self, other: &Self) -> Option<Self> {
        if self == other { Some(Self::Fixed(0)) } else { self.add(&other.neg()?) }
    }

    /// Product.
    pub(crate) fn mul(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => a.checked_mul(*b).map(Self::Fixed),
            (Self::Fixed(1), e) | (e, Self::Fixed(1)) => Some(e.clone()),
            _ => {
                let (left, right) = (self.terms(), other.terms());
                if left.len().saturating_mul(right.len()) > 2 * MAX_WEIGHT {
                    return None;
                }
                let mut product = Vec::with_capacity(left.len() * right.len());
                for a in &left {
                    for b in &right {
                        let mut factors = [a.factors.as_slice(), b.factors.as_slice()].concat();
                        factors.sort();
                        product
                            .push(Term { factors, coefficient: a.coefficient.checked_mul(b.coefficient)? });
                    }
                }
                Self::from_terms(product)
            }
        }
    }

    /// Product of many.
    pub(crate) fn product<'a>(factors: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        factors.into_iter().try_fold(Self::ONE, |product, f| product.mul(f))
    }

    /// Quotient if the division leaves no remainder whatever the symbols are (a divisor that is a symbol is taken to be
    /// not zero).
    pub(crate) fn exact_div(&self, divisor: &Self) -> Option<Self> {
        if self == divisor && *self != Self::Fixed(0) {
            return Some(Self::ONE);
        }
        let divisor = divisor.terms();
        let lead = divisor.iter().max_by_key(|t| (t.factors.len(), *t))?;
        let (mut rest, mut quotient) = (self.clone(), vec![]);
        for _ in 0..MAX_WEIGHT {
            let terms = rest.terms();
            let Some(top) = terms.iter().max_by_key(|t| (t.factors.len(), *t)) else {
                return Self::from_terms(quotient);
            };
            let factors = remove_factors(&top.factors, &lead.factors)?;
            if top.coefficient.checked_rem(lead.coefficient)? != 0 {
                return None;
            }
            let part = Term { factors, coefficient: top.coefficient.checked_div(lead.coefficient)? };
            let taken = Self::from_terms([part.clone()])?.mul(&Self::from_terms(divisor.iter().cloned())?)?;
            rest = rest.sub(&taken)?;
            quotient.push(part);
        }
        None
    }

    /// Quotient rounded down.
    pub(crate) fn floor_div(&self, divisor: &Self) -> Option<Self> {
        if let (Self::Fixed(a), Self::Fixed(b)) = (self, divisor) {
            let (quotient, rest) = (a.checked_div(*b)?, a.checked_rem(*b)?);
            return Some(Self::Fixed(quotient - i64::from(rest != 0 && (rest < 0) != (*b < 0))));
        }
        if let Some(quotient) = self.exact_div(divisor) {
            return Some(quotient);
        }
        match divisor {
            Self::Fixed(n) if *n > 0 => self.floor_div_by(*n),
            Self::Fixed(_) => None,
            Self::Sum(_) => Self::call(Function::FloorDiv, vec![self.clone(), divisor.clone()]),
        }
    }

    /// `floor(self / n)`: whole multiples leave the brackets, common factors are cancelled and nested divisions merged,
    /// so that stacks of strided layers stay one division deep.
    fn floor_div_by(&self, n: i64) -> Option<Self> {
        let (mut whole, mut rest) = (vec![], vec![]);
        for term in self.terms() {
            let (quotient, remainder) = if term.factors.is_empty() {
                (term.coefficient.div_euclid(n), term.coefficient.rem_euclid(n))
            } else if term.coefficient % n == 0 {
                (term.coefficient / n, 0)
            } else {
                (0, term.coefficient)
            };
            whole.push(Term { factors: term.factors.clone(), coefficient: quotient });
            rest.push(Term { factors: term.factors, coefficient: remainder });
        }
        let whole = Self::from_terms(whole)?;
        let common = rest.iter().filter(|t| !t.factors.is_empty()).fold(n, |g, t| gcd(g, t.coefficient));
        for term in &mut rest {
            term.coefficient = term.coefficient.div_euclid(common);
        }
        let (rest, n) = (Self::from_terms(rest)?, n / common);
        if n == 1 {
            return whole.add(&rest);
        }
        let quotient = match rest.as_shifted_floor() {
            Some((inner, by, shift)) => {
                let numerator = inner.add(&Self::Fixed(shift.checked_mul(by)?))?;
                numerator.floor_div(&Self::Fixed(by.checked_mul(n)?))?
            }
            None => match rest {
                Self::Fixed(r) => Self::Fixed(r.div_euclid(n)),
                rest => Self::call(Function::FloorDiv, vec![rest, Self::Fixed(n)])?,
            },
        };
        whole.add(&quotient)
    }

    /// `(x, n, c)` if this is `floor(x / n) + c`.
    fn as_shifted_floor(&self) -> Option<(Self, i64, i64)> {
        let (mut found, mut shift) = (None, 0);
        for term in self.terms() {
            match (term.factors.as_slice(), term.coefficient) {
                ([], c) => shift = c,
                ([Atom::Call(Function::FloorDiv, args)], 1) if found.is_none() => match &**args {
                    [inner, Self::Fixed(n)] => found = Some((inner.clone(), *n)),
                    _ => return None,
                },
                _ => return None,
            }
        }
        found.map(|(inner, n)| (inner, n, shift))
    }

    /// Quotient rounded up.
    pub(crate) fn ceil_div(&self, divisor: &Self) -> Option<Self> {
        match divisor {
            Self::Fixed(n) if *n > 0 => self.add(&Self::Fixed(n - 1))?.floor_div(divisor),
            Self::Fixed(_) => None,
            Self::Sum(_) => match self.exact_div(divisor) {
                Some(quotient) => Some(quotient),
                None => Self::call(Function::CeilDiv, vec![self.clone(), divisor.clone()]),
            },
        }
    }

    /// Larger of two.
    pub(crate) fn larger(&self, other: &Self) -> Option<Self> {
        if self.at_least(other) {
            Some(self.clone())
        } else if other.at_least(self) {
            Some(other.clone())
        } else {
            Self::associative(Function::Max, [self, other])
        }
    }

    /// Smaller of two.
    pub(crate) fn smaller(&self, other: &Self) -> Option<Self> {
        if self.at_least(other) {
            Some(other.clone())
        } else if other.at_least(self) {
            Some(self.clone())
        } else {
            Self::associative(Function::Min, [self, other])
        }
    }

    /// Size of an axis broadcast from two, or `None` if they are known to be incompatible. (Too complex expressions are
    /// never the reason: the inner `None` stands for them.)
    pub(crate) fn broadcast(&self, other: &Self) -> Option<Option<Self>> {
        match (self, other) {
            (a, b) if a == b => Some(Some(a.clone())),
            (Self::Fixed(1), e) | (e, Self::Fixed(1)) => Some(Some(e.clone())),
            (Self::Fixed(_), Self::Fixed(_)) => None,
            (Self::Fixed(n), _) | (_, Self::Fixed(n)) => Some(Some(Self::Fixed(*n))),
            // `min(x, seq)` can be broadcast with `seq` only if the result is `seq`.
            (a, b) if a.is_min_with(b) => Some(Some(b.clone())),
            (a, b) if b.is_min_with(a) => Some(Some(a.clone())),
            _ => Some(Self::associative(Function::Broadcast, [self, other])),
        }
    }

    fn is_min_with(&self, other: &Self) -> bool {
        matches!(self.single_atom(), Some(Atom::Call(Function::Min, args)) if args.contains(other))
    }

    fn associative(function: Function, operands: [&Self; 2]) -> Option<Self> {
        let mut args = vec![];
        for operand in operands {
            match operand.single_atom() {
                Some(Atom::Call(f, inner)) if *f == function => args.extend(inner.iter().cloned()),
                _ => args.push(operand.clone()),
            }
        }
        args.sort();
        args.dedup();
        Self::call(function, args)
    }

    fn call(function: Function, args: Vec<Self>) -> Option<Self> {
        let expr = Self::atom(Atom::Call(function, args.into()));
        (expr.weight() <= MAX_WEIGHT).then_some(expr)
    }

    /// The function of these arguments, simplified.
    pub(super) fn apply(function: Function, args: &[Self]) -> Option<Self> {
        let (first, rest) = args.split_first()?;
        match (function, rest) {
            (Function::FloorDiv, [divisor]) => first.floor_div(divisor),
            (Function::CeilDiv, [divisor]) => first.ceil_div(divisor),
            (Function::FloorDiv | Function::CeilDiv, _) => None,
            (Function::Max, _) => rest.iter().try_fold(first.clone(), |a, b| a.larger(b)),
            (Function::Min, _) => rest.iter().try_fold(first.clone(), |a, b| a.smaller(b)),
            (Function::Broadcast, _) => rest.iter().try_fold(first.clone(), |a, b| a.broadcast(b).flatten()),
        }
    }

    /// True if it is certainly not negative.
    pub(crate) fn is_nonnegative(&self) -> bool {
        match self {
            Self::Fixed(n) => *n >= 0,
            Self::Sum(terms) => {
                terms.iter().all(|t| t.coefficient >= 0 && t.factors.iter().all(Atom::is_nonnegative))
            }
        }
    }

    /// True if it is certainly not less than `other`.
    pub(crate) fn at_least(&self, other: &Self) -> bool {
        self.sub(other).is_some_and(|d| d.is_nonnegative())
    }

    /// True if the two certainly differ.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => a != b,
            _ => matches!(self.sub(other), Some(Self::Fixed(d)) if d != 0),
        }
    }

    /// True if `test` holds for a symbol in it.
    pub(crate) fn any_symbol(&self, test: &dyn Fn(&str) -> bool) -> bool {
        let Self::Sum(terms) = self else { return false };
        terms.iter().flat_map(|t| &t.factors).any(|atom| match atom {
            Atom::Symbol(name) => test(name),
            Atom::Call(_, args) => args.iter().any(|a| a.any_symbol(test)),
        })
    }

    /// The expression with numbers for some symbols.
    pub(crate) fn substitute(&self, numbers: &FxHashMap<Arc<str>, i64>) -> Option<Self> {
        let Self::Sum(terms) = self else { return Some(self.clone()) };
        let mut sum = Self::Fixed(0);
        for term in terms.iter() {
            let mut product = Self::Fixed(term.coefficient);
            for factor in &term.factors {
                let factor = match factor {
                    Atom::Symbol(name) => {
                        numbers.get(name).map_or_else(|| Self::symbol(name.clone()), |n| Self::Fixed(*n))
                    }
                    Atom::Call(function, args) => {
                        let args: Option<Vec<Self>> = args.iter().map(|a| a.substitute(numbers)).collect();
                        Self::apply(*function, &args?)?
                    }
                };
                product = product.mul(&factor)?;
            }
            sum = sum.add(&product)?;
        }
        Some(sum)
    }
}

impl Atom {
    fn is_nonnegative(&self) -> bool {
        match self {
            Self::Symbol(_) => true,
            Self::Call(Function::FloorDiv | Function::CeilDiv | Function::Min, args) => {
                args.iter().all(Expr::is_nonnegative)
            }
            Self::Call(Function::Max, args) => args.iter().any(Expr::is_nonnegative),
            Self::Call(Function::Broadcast, _) => true,
        }
    }
}

/// `from` without one occurrence of each of `factors`, if it has them all.
fn remove_factors(from: &[Atom], factors: &[Atom]) -> Option<Vec<Atom>> {
    let mut rest = from.to_vec();
    for factor in factors {
        let at = rest.iter().position(|f| f == factor)?;
        rest.remove(at);
    }
    Some(rest)
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).unwrap_or(1).max(1)
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Sum(terms) = self else {
            let Self::Fixed(n) = self else { return Ok(()) };
            return write!(f, "{n}");
        };
        // The constant term, first in canonical order, reads better last.
        let (constant, products): (Vec<&Term>, Vec<&Term>) = terms.iter().partition(|t| t.factors.is_empty());
        for (i, term) in products.into_iter().chain(constant).enumerate() {
            let sign = match (i, term.coefficient < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            f.write_str(sign)?;
            let size = term.coefficient.unsigned_abs();
            let mut separator = "";
            if size != 1 || term.factors.is_empty() {
                write!(f, "{size}")?;
                separator = "*";
            }
            for factor in &term.factors {
                f.write_str(separator)?;
                separator = "*";
                match factor {
                    Atom::Symbol(name) => f.write_str(name)?,
                    Atom::Call(function, args) => {
                        write!(f, "{}(", function.name())?;
                        for (i, arg) in args.iter().enumerate() {
                            write!(f, "{}{arg}", if i == 0 { "" } else { ", " })?;
                        }
                        f.write_str(")")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(name: &str) -> Expr {
        Expr::symbol(name.into())
    }

    fn n(n: i64) -> Expr {
        Expr::Fixed(n)
    }

    #[test]
    fn equal_polynomials_are_equal_objects() {
        let seq = s("seq");
        let left = seq.add(&n(1)).and_then(|e| e.mul(&s("batch"))).unwrap();
        let right = s("batch").mul(&seq).and_then(|e| e.add(&s("batch"))).unwrap();
        assert_eq!(left, right);
        let product = left.mul(&n(768)).unwrap();
        let heads = seq.add(&n(1)).and_then(|e| e.mul(&s("batch"))).and_then(|e| e.mul(&n(12))).unwrap();
        assert_eq!(product.exact_div(&heads), Some(n(64)));
        assert_eq!(product.exact_div(&n(5)), None);
    }

    #[test]
    fn strided_layers_stay_one_division_deep() {
        // Two 3x3 convolutions of stride 2 and padding 1: floor((floor((x - 1)/2) + 1 - 1)/2) + 1.
        let conv = |x: &Expr| x.sub(&n(1)).unwrap().floor_div(&n(2)).unwrap().add(&n(1)).unwrap();
        let twice = conv(&conv(&s("x")));
        assert_eq!(twice, s("x").sub(&n(1)).unwrap().floor_div(&n(4)).unwrap().add(&n(1)).unwrap());
        assert_eq!(twice.to_string(), "floordiv(x + 3, 4)");
        for x in 1..40 {
            let numbers: FxHashMap<Arc<str>, i64> = [("x".into(), x)].into_iter().collect();
            let expected = ((x - 1).div_euclid(2) + 1 - 1).div_euclid(2) + 1;
            assert_eq!(twice.substitute(&numbers), Some(n(expected)));
        }
    }

    #[test]
    fn overflow_and_growth_are_refused() {
        assert_eq!(n(i64::MAX).add(&n(1)), None);
        assert_eq!(n(i64::MIN).floor_div(&n(-1)), None);
        assert_eq!(n(1).floor_div(&n(0)), None);
        let big = s("a").mul(&n(i64::MAX)).unwrap();
        assert_eq!(big.add(&big), None);
        let mut sum = Some(s("a"));
        for i in 0..100 {
            sum = sum.and_then(|e| e.add(&s(&format!("b{i}"))));
        }
        assert_eq!(sum, None);
    }

    #[test]
    fn broadcast_and_bounds() {
        assert_eq!(n(3).broadcast(&n(4)), None);
        assert_eq!(n(3).broadcast(&s("a")), Some(Some(n(3))));
        let table = s("seq").smaller(&n(512)).unwrap();
        assert_eq!(table.broadcast(&s("seq")), Some(Some(s("seq"))));
        assert_eq!(s("a").add(&n(1)).unwrap().larger(&n(1)), Some(s("a").add(&n(1)).unwrap()));
        assert!(s("a").differs(&s("a").add(&n(1)).unwrap()));
        assert!(!s("a").differs(&s("b")));
    }
}
