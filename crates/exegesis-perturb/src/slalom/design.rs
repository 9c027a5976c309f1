//! Which texts the model is asked about: sequences of players.

use crate::random::{RowKey, Stream};

/// Sequences of types, `length` each, dealt from a shuffled deck of all types that is shuffled anew when it is empty: all types
/// occur equally often, up to one.
pub fn dealt(types: usize, count: usize, length: usize, key: RowKey) -> Vec<Vec<usize>> {
    let mut deck: Vec<usize> = vec![];
    let mut shuffles = 0;
    let mut next = || {
        if deck.is_empty() {
            deck.extend(0..types);
            Stream::new(key, "slalom deck", shuffles).shuffle(&mut deck);
            shuffles += 1;
        }
        deck.pop().unwrap_or(0)
    };
    (0..count).map(|_| (0..length).map(|_| next()).collect()).collect()
}

/// Sequences of `length` independent uniform types.
pub fn independent(types: usize, count: usize, length: usize, key: RowKey) -> Vec<Vec<usize>> {
    (0..count as u64)
        .map(|sample| {
            let mut random = Stream::new(key, "slalom short_iid", sample);
            (0..length).map(|_| random.below(types)).collect()
        })
        .collect()
}

/// The text of `players` without `d` random players each, `d` uniform from 0 to `most`; at least one player stays unless the text
/// `may_be_empty`.
pub fn deletions(
    players: usize,
    count: usize,
    most: usize,
    may_be_empty: bool,
    key: RowKey,
) -> Vec<Vec<usize>> {
    let most = most.min(if may_be_empty { players } else { players.saturating_sub(1) });
    (0..count as u64)
        .map(|sample| {
            let mut random = Stream::new(key, "slalom deletion", sample);
            let removed = random.below(most + 1);
            // The first places of a Fisher-Yates shuffle.
            let mut order: Vec<usize> = (0..players).collect();
            for at in 0..removed {
                let other = at + random.below(players - at);
                order.swap(at, other);
            }
            let mut kept = order.split_off(removed);
            kept.sort_unstable();
            kept
        })
        .collect()
}
