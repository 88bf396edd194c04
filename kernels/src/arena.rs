//! One arena for all tensors: offsets by lifetime, decided once.

/// Alignment of a tensor in bytes: a cache line, which is also the widest vector.
const ALIGN: usize = 64;
/// Bytes after each tensor that a kernel may read beyond its end.
const SLACK: usize = 64;

/// Bytes needed from the first to the last step that touches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub bytes: usize,
    pub first: usize,
    pub last: usize,
}

/// Bytes that a tensor occupies.
pub(crate) fn occupied(bytes: usize) -> usize {
    (bytes + SLACK).next_multiple_of(ALIGN)
}

/// Offsets of tensors such that none overlaps another that lives at the same time, and the bytes
/// of the whole. The largest is placed first, each at the lowest gap that holds it.
pub(crate) fn place(lives: &[Life]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(lives[i].bytes), i));
    let mut offsets = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(lives.len());
    let mut whole = 0;
    for index in order {
        let life = lives[index];
        let need = occupied(life.bytes);
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| lives[other].first <= life.last && life.first <= lives[other].last)
            .map(|&other| {
                (
                    offsets[other],
                    offsets[other] + occupied(lives[other].bytes),
                )
            })
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (start, end) in taken {
            if at + need <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[index] = at;
        whole = whole.max(at + need);
        placed.push(index);
    }
    (offsets, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_living_never_overlap(
            lives in prop::collection::vec((1usize..5000, 0usize..20, 0usize..6), 1..40)
        ) {
            let lives: Vec<Life> = lives
                .into_iter()
                .map(|(bytes, first, more)| Life { bytes, first, last: first + more })
                .collect();
            let (offsets, whole) = place(&lives);
            for (i, a) in lives.iter().enumerate() {
                prop_assert_eq!(offsets[i] % ALIGN, 0);
                prop_assert!(offsets[i] + occupied(a.bytes) <= whole);
                for (j, b) in lives.iter().enumerate().skip(i + 1) {
                    let together = a.first <= b.last && b.first <= a.last;
                    let apart = offsets[i] + a.bytes + SLACK <= offsets[j]
                        || offsets[j] + b.bytes + SLACK <= offsets[i];
                    prop_assert!(!together || apart);
                }
            }
        }
    }

    #[test]
    fn a_chain_needs_its_two_largest_neighbours() {
        let chain: Vec<Life> = [1000, 4000, 3000, 500]
            .iter()
            .enumerate()
            .map(|(i, &bytes)| Life {
                bytes,
                first: i,
                last: i + 1,
            })
            .collect();
        assert_eq!(place(&chain).1, occupied(4000) + occupied(3000));
    }
}
