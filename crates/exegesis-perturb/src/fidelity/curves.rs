//! Insertion and deletion: the probability of a class as tokens come in, or go, in the order of their scores.

/// Which tokens are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// The `k` most supportive: a good explanation keeps the probability high.
    Insertion,
    /// The `k` least supportive: a good explanation makes it fall.
    Deletion,
}

/// Rank of each token, 0 for the one that supports the class most: scores speak for class 1, or against class 0. Ties keep the
/// order of the text.
pub fn ranks(scores: &[f64], is_class_one: bool) -> Vec<usize> {
    let sign = if is_class_one { 1.0 } else { -1.0 };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| (-sign * scores[*a]).total_cmp(&(-sign * scores[*b])));
    let mut ranks = vec![0; scores.len()];
    order.iter().enumerate().for_each(|(rank, token)| ranks[*token] = rank);
    ranks
}

/// Tokens that are kept at `k`, in the order of the text.
pub fn kept(ranks: &[usize], k: usize, curve: Curve) -> Vec<usize> {
    let is_kept = |rank: usize| match curve {
        Curve::Insertion => rank < k,
        Curve::Deletion => rank + k >= ranks.len(),
    };
    (0..ranks.len()).filter(|token| is_kept(ranks[*token])).collect()
}

/// The published numbers of kept tokens: 5, 10, ... up to the length, below 512.
pub fn steps(length: usize) -> Vec<usize> {
    (5..=length.min(511)).step_by(5).collect()
}

/// Area under a curve: the plain mean of the probabilities. Tables print 1 less it.
pub fn area(probabilities: &[f64]) -> Option<f64> {
    (!probabilities.is_empty()).then(|| probabilities.iter().sum::<f64>() / probabilities.len() as f64)
}
