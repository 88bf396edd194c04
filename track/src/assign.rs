//! Which candidate is which person: the assignment of least cost, exactly, in fixed memory.

use crate::limits::{MAX_CANDIDATES, MAX_PERSONS};

const SETS: usize = 1 << MAX_PERSONS;

/// Cost of each candidate with each person; a pair that must not be has an infinite cost.
pub(crate) type Costs = [[f32; MAX_PERSONS]; MAX_CANDIDATES];

/// For each candidate its person, so that the sum of `cost − gate` over the pairs is least: pairs
/// dearer than `gate` are not made.
///
/// Dynamic programming over the sets of persons already taken: 2⁴ sets × 8 candidates × 5 choices.
pub(crate) fn assign(
    costs: &Costs,
    candidates: usize,
    persons: usize,
    gate: f32,
) -> [Option<usize>; MAX_CANDIDATES] {
    let mut best = [f32::INFINITY; SETS];
    let mut choice = [[0u8; SETS]; MAX_CANDIDATES]; // 0 = none, k + 1 = person k
    best[0] = 0.0;
    for (c, row) in costs.iter().enumerate().take(candidates) {
        let mut next = best;
        for taken in 0..SETS {
            for (p, &cost) in row.iter().enumerate().take(persons) {
                let bit = 1 << p;
                let sum = best[taken] + cost - gate;
                if taken & bit == 0 && cost <= gate && sum < next[taken | bit] {
                    next[taken | bit] = sum;
                    choice[c][taken | bit] = p as u8 + 1;
                }
            }
        }
        best = next;
    }
    let mut set = 0;
    for (k, &sum) in best.iter().enumerate() {
        if sum < best[set] {
            set = k;
        }
    }
    let mut out = [None; MAX_CANDIDATES];
    for c in (0..candidates.min(MAX_CANDIDATES)).rev() {
        if let Some(p) = choice[c][set].checked_sub(1) {
            out[c] = Some(p as usize);
            set &= !(1 << p);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brute(costs: &Costs, c: usize, n: usize, m: usize, taken: usize, gate: f32) -> f32 {
        if c == n {
            return 0.0;
        }
        let mut best = brute(costs, c + 1, n, m, taken, gate);
        for p in 0..m {
            if taken & (1 << p) == 0 && costs[c][p] <= gate {
                let rest = brute(costs, c + 1, n, m, taken | (1 << p), gate);
                best = best.min(costs[c][p] - gate + rest);
            }
        }
        best
    }

    #[test]
    fn matches_exhaustive_search() {
        let mut state = 1u64;
        for round in 0..500 {
            let mut costs = [[f32::INFINITY; MAX_PERSONS]; MAX_CANDIDATES];
            let (n, m) = (round % (MAX_CANDIDATES + 1), round % (MAX_PERSONS + 1));
            for row in costs.iter_mut().take(n) {
                for cost in row.iter_mut().take(m) {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                    *cost = (state >> 40) as f32 / (1u64 << 23) as f32; // 0 to 2
                }
            }
            let out = assign(&costs, n, m, 1.0);
            let mut taken = 0;
            let mut sum = 0.0;
            for (c, p) in out.iter().enumerate() {
                if let Some(p) = p {
                    assert!(c < n && *p < m && taken & (1 << p) == 0);
                    taken |= 1 << p;
                    sum += costs[c][*p] - 1.0;
                }
            }
            let truth = brute(&costs, 0, n, m, 0, 1.0);
            assert!((sum - truth).abs() < 1e-5, "{sum} {truth}");
        }
    }

    #[test]
    fn the_sum_counts_and_not_the_nearest_pair() {
        let mut costs = [[f32::INFINITY; MAX_PERSONS]; MAX_CANDIDATES];
        costs[0][..2].copy_from_slice(&[0.1, 0.2]);
        costs[1][..2].copy_from_slice(&[0.2, 0.9]);
        assert_eq!(assign(&costs, 2, 2, 1.0)[..2], [Some(1), Some(0)]);
    }
}
