//! Numbers that belong together.

/// Sets of the numbers below a bound; at first each is alone.
#[derive(Debug)]
pub(super) struct Sets {
    /// A member of the same set that stands for more of it; itself where it stands for all.
    above: Vec<usize>,
}

impl Sets {
    pub(super) fn new(count: usize) -> Sets {
        Sets {
            above: (0..count).collect(),
        }
    }

    pub(super) fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.above[one.max(other)] = one.min(other);
    }

    fn first(&mut self, mut at: usize) -> usize {
        while self.above[at] != at {
            self.above[at] = self.above[self.above[at]];
            at = self.above[at];
        }
        at
    }

    /// The sets, each with its members in order.
    pub(super) fn all(mut self) -> Vec<Vec<usize>> {
        let mut sets = vec![Vec::new(); self.above.len()];
        for at in 0..self.above.len() {
            let first = self.first(at);
            sets[first].push(at);
        }
        sets.retain(|set| !set.is_empty());
        sets
    }
}
