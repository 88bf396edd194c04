//! Work that threads share out: each has its own tools, and nothing else that changes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// `work` on every item, in the order of the items; thread `i` uses `tools[i]`.
pub fn share<B: Send, T: Sync, R: Send>(
    tools: &mut [B],
    items: &[T],
    work: impl Fn(&mut B, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let loop_over = |tool: &mut B| {
        let mut made = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            match items.get(i) {
                Some(item) => made.push((i, work(tool, item))),
                None => return made,
            }
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = tools
            .iter_mut()
            .map(|tool| scope.spawn(|| loop_over(tool)))
            .collect();
        let joined = threads.into_iter().map(|t| {
            t.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_every_thread_has_its_tool() {
        let mut tools = [0usize; 3];
        let items: Vec<usize> = (0..100).collect();
        let out = share(&mut tools, &items, |tool, i| {
            *tool += 1;
            i * i
        });
        assert_eq!(out, (0..100).map(|i| i * i).collect::<Vec<_>>());
        assert_eq!(tools.iter().sum::<usize>(), 100);
    }
}
