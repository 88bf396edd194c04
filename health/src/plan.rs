//! The memory plan: who holds how much, as `neuralsmpl run --report-memory` prints it.

use std::fmt;

use serde::Serialize;

/// One owner's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Who holds it: crate or module, and the thing.
    pub owner: String,
    /// Bytes, from the start to the end.
    pub bytes: u64,
    /// How it comes about: capacities, the key that sizes it.
    pub note: String,
}

/// What is allocated at start, by owner.
///
/// ```
/// use neuralsmpl_health::plan::MemoryPlan;
///
/// let mut plan = MemoryPlan::new();
/// plan.add("sources: frames", 3 * 640 * 480 * 3, "3 frames of 640 × 480 × 3 B");
/// plan.add("pool", 64 << 20, "memory.pool_mib = 64");
/// assert_eq!(plan.total(), 69_873_664);
/// assert!(plan.to_string().contains("69,873,664"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    shares: Vec<Share>,
}

impl MemoryPlan {
    /// An empty plan.
    pub const fn new() -> Self {
        MemoryPlan { shares: Vec::new() }
    }

    /// Adds a share.
    pub fn add(&mut self, owner: impl Into<String>, bytes: u64, note: impl Into<String>) {
        self.shares.push(Share {
            owner: owner.into(),
            bytes,
            note: note.into(),
        });
    }

    /// Adds another part's shares.
    pub fn extend(&mut self, other: MemoryPlan) {
        self.shares.extend(other.shares);
    }

    /// The shares in the order they were added.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// All bytes.
    pub fn total(&self) -> u64 {
        self.shares.iter().map(|share| share.bytes).sum()
    }

    /// The plan as JSON: `{"total_bytes": …, "shares": [{"owner", "bytes", "note"}, …]}`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "total_bytes": self.total(), "shares": self.shares })
    }
}

/// A table with the largest first, and the total.
impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shares: Vec<&Share> = self.shares.iter().collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        let total = grouped(self.total());
        let width = shares
            .iter()
            .map(|share| share.owner.chars().count())
            .chain([5])
            .max()
            .unwrap_or_default();
        let digits = total.len().max(5);
        writeln!(f, "{:width$}  {:>digits$}  note", "owner", "bytes")?;
        for Share { owner, bytes, note } in shares {
            let bytes = grouped(*bytes);
            writeln!(f, "{owner:width$}  {bytes:>digits$}  {note}")?;
        }
        write!(f, "{:width$}  {total:>digits$}", "total")
    }
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_json() {
        let mut sources = MemoryPlan::new();
        sources.add("sources: frames", 2_764_800, "3 frames of 640 × 480 × 3 B");
        let mut plan = MemoryPlan::new();
        plan.add("track", 999, "4 persons");
        plan.extend(sources);
        let expected = "\
owner                bytes  note
sources: frames  2,764,800  3 frames of 640 × 480 × 3 B
track                  999  4 persons
total            2,765,799";
        assert_eq!(plan.to_string(), expected);
        let json = plan.to_json();
        assert_eq!(json["total_bytes"], 2_765_799);
        assert_eq!(json["shares"][0]["owner"], "track");
        assert_eq!(
            MemoryPlan::new().to_string(),
            "owner  bytes  note\ntotal      0"
        );
    }

    #[test]
    fn grouping() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
