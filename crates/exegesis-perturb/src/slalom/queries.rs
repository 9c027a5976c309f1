//! What was asked and answered: counts of types per query, as sparse rows, with scores and weights.

/// Distinct queries with their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Queries {
    types: usize,
    has_background: bool,
    starts: Vec<usize>,
    /// Types that are present, ascending within a row; the background comes last.
    of: Vec<u32>,
    counts: Vec<f64>,
    scores: Vec<f64>,
    weights: Vec<f64>,
}

impl Queries {
    /// None yet, of `types` types. With a background there is a further column, [`Queries::types`], with count 1 in every row.
    pub fn new(types: usize, has_background: bool) -> Self {
        Self {
            types,
            has_background,
            starts: vec![0],
            of: vec![],
            counts: vec![],
            scores: vec![],
            weights: vec![],
        }
    }

    /// Adds a query of these types, in any order and perhaps repeated. One without types is left out unless there is a
    /// background: a mean over nothing is undefined.
    pub fn push(&mut self, sequence: &[usize], score: f64, weight: f64) {
        let mut sorted: Vec<usize> = sequence.iter().copied().filter(|t| *t < self.types).collect();
        sorted.sort_unstable();
        if sorted.is_empty() && !self.has_background {
            return;
        }
        for run in sorted.chunk_by(|a, b| a == b) {
            self.of.push(run[0] as u32);
            self.counts.push(run.len() as f64);
        }
        if self.has_background {
            self.of.push(self.types as u32);
            self.counts.push(1.0);
        }
        self.starts.push(self.of.len());
        self.scores.push(score);
        self.weights.push(weight);
    }

    /// Number of types.
    pub fn types(&self) -> usize {
        self.types
    }

    /// True if there is a background column.
    pub fn has_background(&self) -> bool {
        self.has_background
    }

    /// Number of values: types, and the background.
    pub fn columns(&self) -> usize {
        self.types + usize::from(self.has_background)
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// True if nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The score of each query.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// The weight of each query.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Columns and counts of a query.
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.of[range.clone()], &self.counts[range])
    }

    /// Places of a query's numbers in an array along all of them.
    pub(crate) fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// Number of counts above 0.
    pub(crate) fn filled(&self) -> usize {
        self.of.len()
    }

    /// The queries at `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut part = Self::new(self.types, self.has_background);
        for row in rows {
            let (of, counts) = self.row(*row);
            part.of.extend(of);
            part.counts.extend(counts);
            part.starts.push(part.of.len());
            part.scores.push(self.scores[*row]);
            part.weights.push(self.weights[*row]);
        }
        part
    }

    /// Scales weights to mean 1.
    pub fn normalise(&mut self) {
        let mean = self.weights.iter().sum::<f64>() / self.len().max(1) as f64;
        if mean > 0.0 {
            self.weights.iter_mut().for_each(|w| *w /= mean);
        }
    }

    /// The same queries with other scores.
    pub fn with_scores(mut self, scores: Vec<f64>) -> Self {
        if scores.len() == self.scores.len() {
            self.scores = scores;
        }
        self
    }

    /// Weighted mean and variance of the scores.
    pub fn moments(&self) -> (f64, f64) {
        let total = self.weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let weighted = |f: &dyn Fn(f64) -> f64| {
            self.weights.iter().zip(&self.scores).map(|(w, s)| w * f(*s)).sum::<f64>() / total
        };
        let mean = weighted(&|s| s);
        (mean, weighted(&|s| (s - mean) * (s - mean)))
    }

    /// Attention shares `a = n e^s / sum n e^s` of each query, along [`Queries::row`] after row; `s` has a number per column.
    pub fn shares(&self, importances: &[f64]) -> Vec<f64> {
        let mut shares = Vec::with_capacity(self.filled());
        for row in 0..self.len() {
            let (of, counts) = self.row(row);
            let from = shares.len();
            shares.extend(of.iter().zip(counts).map(|(t, n)| importances[*t as usize] + n.ln()));
            softmax(&mut shares[from..]);
        }
        shares
    }

    /// The surrogate's score of each query, from its shares.
    pub fn predict(&self, shares: &[f64], values: &[f64]) -> Vec<f64> {
        (0..self.len())
            .map(|row| {
                let range = self.range(row);
                self.of[range.clone()].iter().zip(&shares[range]).map(|(t, a)| a * values[*t as usize]).sum()
            })
            .collect()
    }
}

/// `e^z / sum e^z` in place.
pub(crate) fn softmax(z: &mut [f64]) {
    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in z.iter_mut() {
        *value = (*value - most).exp();
        sum += *value;
    }
    z.iter_mut().for_each(|value| *value /= sum);
}
