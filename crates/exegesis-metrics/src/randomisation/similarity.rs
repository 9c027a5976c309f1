//! How alike two maps are.

use exegesis_catalogue::{ParameterInfo, choices};

use crate::Features;

choices! {
    /// How two maps are compared.
    Similarity {
        /// Rank correlation.
        #[default]
        Spearman = "spearman",
        /// Structural similarity of pictures.
        Ssim = "ssim",
    }
}

impl Similarity {
    /// Option `similarity`.
    pub(super) const PARAMETER: ParameterInfo = ParameterInfo {
        name: "similarity",
        default: "spearman",
        values: "spearman, ssim",
        doc: "how maps are compared; ssim: structural similarity, of pictures only",
    };

    /// The similarity of two maps; `None` where one of them is the same everywhere, or is no picture for `ssim`.
    pub(super) fn of(self, a: &[f64], b: &[f64], features: &Features) -> Option<f64> {
        match self {
            Self::Spearman => spearman(a, b),
            Self::Ssim => ssim(a, b, features.grid()?),
        }
    }
}

/// Spearman's rank correlation with mid-ranks; `None` where one side is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        let (a, b) = (a - middle, b - middle);
        both += a * b;
        first += a * a;
        second += b * b;
    }
    (first > 0.0 && second > 0.0).then(|| (both / (first * second).sqrt()).clamp(-1.0, 1.0))
}

/// Ranks from 0; ties share the middle of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|x, y| values[*x].total_cmp(&values[*y]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|x, y| values[*x] == values[*y]) {
        let shared = start as f64 + (tied.len() as f64 - 1.0) / 2.0;
        tied.iter().for_each(|i| ranks[*i] = shared);
        start += tied.len();
    }
    ranks
}

/// Side of the windows of [`ssim`].
const WINDOW: usize = 7;

/// Structural similarity (Wang et al. 2004) of two pictures, each put to `[0, 1]` first: the mean over all windows of 7 x 7 of
/// `(2 m_a m_b + c1)(2 s_ab + c2) / ((m_a^2 + m_b^2 + c1)(s_a^2 + s_b^2 + c2))`, `c1 = .01^2`, `c2 = .03^2`. `None` where one
/// picture is constant.
pub fn ssim(a: &[f64], b: &[f64], [rows, columns]: [usize; 2]) -> Option<f64> {
    if a.len() != rows * columns || b.len() != a.len() {
        return None;
    }
    let (a, b) = (unit(a)?, unit(b)?);
    let (height, width) = (WINDOW.min(rows), WINDOW.min(columns));
    let area = (height * width) as f64;
    let table = |f: &dyn Fn(usize) -> f64| sums(f, rows, columns);
    let tables = [
        table(&|i| a[i]),
        table(&|i| b[i]),
        table(&|i| a[i] * a[i]),
        table(&|i| b[i] * b[i]),
        table(&|i| a[i] * b[i]),
    ];
    let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
    let mut total = 0.0;
    for row in 0..=rows - height {
        for column in 0..=columns - width {
            let mean = |table: &Vec<f64>| {
                let at = |r: usize, c: usize| table[r * (columns + 1) + c];
                (at(row + height, column + width) - at(row, column + width) - at(row + height, column)
                    + at(row, column))
                    / area
            };
            let [ma, mb, aa, bb, ab] = tables.each_ref().map(mean);
            let (va, vb, shared) = (aa - ma * ma, bb - mb * mb, ab - ma * mb);
            total += (2.0 * ma * mb + c1) * (2.0 * shared + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
        }
    }
    Some(total / ((rows - height + 1) * (columns - width + 1)) as f64)
}

/// Values put to `[0, 1]`.
fn unit(values: &[f64]) -> Option<Vec<f64>> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (high > low).then(|| values.iter().map(|v| (v - low) / (high - low)).collect())
}

/// Sums over all rectangles that start in the first corner.
fn sums(value: &dyn Fn(usize) -> f64, rows: usize, columns: usize) -> Vec<f64> {
    let mut table = vec![0.0; (rows + 1) * (columns + 1)];
    for row in 0..rows {
        let mut line = 0.0;
        for column in 0..columns {
            line += value(row * columns + column);
            table[(row + 1) * (columns + 1) + column + 1] = table[row * (columns + 1) + column + 1] + line;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches ranks of ties by position.
    #[test]
    fn rank_correlation_of_known_orders() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5).
        let tied = spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((tied - 4.5 / 22.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    /// The sums over rectangles against one window by hand: a picture of 2 x 2 has one window.
    #[test]
    fn structural_similarity() {
        let (a, b) = ([0.0, 1.0, 0.5, 0.25], [1.0, 0.0, 0.5, 0.0]);
        let mean = |v: &[f64]| v.iter().sum::<f64>() / 4.0;
        let product: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
        let square = |v: &[f64]| mean(&v.iter().map(|v| v * v).collect::<Vec<_>>());
        let (ma, mb) = (mean(&a), mean(&b));
        let (va, vb, shared) = (square(&a) - ma * ma, square(&b) - mb * mb, mean(&product) - ma * mb);
        let expected =
            (2.0 * ma * mb + 1e-4) * (2.0 * shared + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
        assert!((ssim(&a, &b, [2, 2]).unwrap() - expected).abs() < 1e-12);
        let picture: Vec<f64> = (0..120).map(|i| f64::from(i * 37 % 100)).collect();
        let scaled: Vec<f64> = picture.iter().map(|v| 3.0 * v - 7.0).collect();
        assert!((ssim(&picture, &scaled, [10, 12]).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(ssim(&picture, &[1.0; 120], [10, 12]), None);
    }
}
