//! Sets of players.

/// The players that are present, of a fixed number of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coalition {
    words: Box<[u64]>,
    players: usize,
}

impl Coalition {
    /// Nobody of `players`.
    pub fn empty(players: usize) -> Self {
        Self { words: vec![0; players.div_ceil(64)].into_boxed_slice(), players }
    }

    /// All of `players`.
    pub fn full(players: usize) -> Self {
        let mut all = Self::empty(players);
        all.words.fill(u64::MAX);
        all.trim();
        all
    }

    /// Those of `players` for whom `is_present`.
    pub fn of(players: usize, is_present: impl Fn(usize) -> bool) -> Self {
        let mut some = Self::empty(players);
        (0..players).filter(|p| is_present(*p)).for_each(|p| some.insert(p));
        some
    }

    /// Number of players, present or not.
    pub fn players(&self) -> usize {
        self.players
    }

    /// Number of players that are present.
    pub fn size(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// True if `player` is present.
    pub fn contains(&self, player: usize) -> bool {
        self.words.get(player / 64).is_some_and(|w| w >> (player % 64) & 1 == 1)
    }

    /// Adds `player`, if there is such a one.
    pub fn insert(&mut self, player: usize) {
        if player < self.players {
            self.words[player / 64] |= 1 << (player % 64);
        }
    }

    /// Takes `player` out.
    pub fn remove(&mut self, player: usize) {
        if player < self.players {
            self.words[player / 64] &= !(1 << (player % 64));
        }
    }

    /// Those who are not present.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut other = self.clone();
        other.words.iter_mut().for_each(|w| *w = !*w);
        other.trim();
        other
    }

    /// The players that are present, ascending.
    pub fn members(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                if rest == 0 {
                    return None;
                }
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }

    fn trim(&mut self) {
        let over = self.words.len() * 64 - self.players;
        if over > 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= u64::MAX >> over;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_coalition_is_a_set(present in prop::collection::vec(any::<bool>(), 0..200)) {
            let some = Coalition::of(present.len(), |p| present[p]);
            let members: Vec<usize> = some.members().collect();
            let expected: Vec<usize> = (0..present.len()).filter(|p| present[*p]).collect();
            prop_assert_eq!(&members, &expected);
            prop_assert_eq!(some.size(), expected.len());
            prop_assert_eq!(some.complement().size(), present.len() - expected.len());
            prop_assert_eq!(some.complement().complement(), some.clone());
            prop_assert!((0..present.len()).all(|p| some.contains(p) == present[p]));
            prop_assert_eq!(Coalition::full(present.len()), Coalition::empty(present.len()).complement());
        }
    }
}
