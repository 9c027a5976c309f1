//! How well two lists of scores agree.

/// Ranks from 0, ties sharing the mean of theirs.
pub fn average_ranks(scores: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut ranks = vec![0.0; scores.len()];
    let mut from = 0;
    for run in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let mean = from as f64 + (run.len() - 1) as f64 / 2.0;
        run.iter().for_each(|i| ranks[*i] = mean);
        from += run.len();
    }
    ranks
}

/// Spearman's rank correlation with average ranks; `None` for lists of unequal or too small length, or without variation.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let (p, q) = (average_ranks(a), average_ranks(b));
    let mean = (a.len() - 1) as f64 / 2.0;
    let product =
        |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum() };
    let size = (product(&p, &p) * product(&q, &q)).sqrt();
    (size > 0.0).then(|| product(&p, &q) / size)
}

/// Area under the receiver operating curve of scores for telling the marked from the others, ties counting half; `None` if all or
/// none are marked.
pub fn roc_area(scores: &[f64], is_marked: &[bool]) -> Option<f64> {
    if scores.len() != is_marked.len() {
        return None;
    }
    let ranks = average_ranks(scores);
    let marked = is_marked.iter().filter(|m| **m).count() as f64;
    let others = scores.len() as f64 - marked;
    let sum: f64 = ranks.iter().zip(is_marked).filter(|(_, m)| **m).map(|(r, _)| r).sum();
    (marked > 0.0 && others > 0.0).then(|| (sum - marked * (marked - 1.0) / 2.0) / (marked * others))
}

/// Weights of a naive Bayes classifier, `ln((c+ + 20) / (c- + 20))` from the counts of each token in texts of either class: a
/// linear model that a good explanation of a text classifier correlates with.
pub fn naive_bayes(positive: &[f64], negative: &[f64]) -> Vec<f64> {
    positive.iter().zip(negative).map(|(p, n)| ((p + 20.0) / (n + 20.0)).ln()).collect()
}
