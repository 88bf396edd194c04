//! Views: a value's axes over a tensor that lies in memory in another order.
//!
//! Reshapes and permutations move nothing; what follows either reads through the view or copies.

/// An axis of a tensor in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Channel,
    Row,
    Column,
}

/// `size` steps of `times` elements along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    pub size: usize,
    pub axis: Axis,
    pub times: usize,
}

/// For each axis of a value the atoms that it runs through, the slowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub tensor: usize,
    pub axes: Vec<Vec<Atom>>,
}

impl View {
    /// A whole tensor as a value of this shape, in the order in which tensors of it are made:
    /// channels last for `[1, C, H, W]`, else row-major along the channels.
    pub fn whole(tensor: usize, shape: &[usize]) -> Self {
        let axes = match *shape {
            [1, c, h, w] => vec![
                Vec::new(),
                atom(c, Axis::Channel, 1),
                atom(h, Axis::Row, 1),
                atom(w, Axis::Column, 1),
            ],
            _ => row_major(shape),
        };
        Self { tensor, axes }
    }

    /// A whole row-major buffer as a value of this shape.
    pub fn row_major(tensor: usize, shape: &[usize]) -> Self {
        Self {
            tensor,
            axes: row_major(shape),
        }
    }

    pub fn permuted(&self, order: &[usize]) -> Self {
        Self {
            tensor: self.tensor,
            axes: order.iter().map(|&axis| self.axes[axis].clone()).collect(),
        }
    }

    /// The same elements in the same order as another shape; `None` if an atom would have to be
    /// cut where it cannot.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let mut left = self.axes.concat().into_iter();
        let mut rest: Option<Atom> = None;
        let mut axes = Vec::with_capacity(shape.len());
        for &size in shape {
            let (mut group, mut open) = (Vec::new(), size);
            while open > 1 {
                let next = rest.take().or_else(|| left.next())?;
                if open % next.size == 0 {
                    open /= next.size;
                    group.push(next);
                } else if next.size % open == 0 {
                    let inner = next.size / open;
                    group.push(Atom {
                        size: open,
                        times: next.times * inner,
                        ..next
                    });
                    rest = Some(Atom {
                        size: inner,
                        ..next
                    });
                    open = 1;
                } else {
                    return None;
                }
            }
            axes.push(merged(group));
        }
        Some(Self {
            tensor: self.tensor,
            axes,
        })
    }
}

fn atom(size: usize, axis: Axis, times: usize) -> Vec<Atom> {
    if size == 1 {
        Vec::new()
    } else {
        vec![Atom { size, axis, times }]
    }
}

fn row_major(shape: &[usize]) -> Vec<Vec<Atom>> {
    let mut times: usize = shape.iter().product();
    shape
        .iter()
        .map(|&size| {
            times /= size.max(1);
            atom(size, Axis::Channel, times)
        })
        .collect()
}

/// Joins neighbours that run on into each other.
fn merged(atoms: Vec<Atom>) -> Vec<Atom> {
    let mut joined: Vec<Atom> = Vec::with_capacity(atoms.len());
    for next in atoms {
        match joined.last_mut() {
            Some(last) if last.axis == next.axis && last.times == next.size * next.times => {
                last.size *= next.size;
                last.times = next.times;
            }
            _ => joined.push(next),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flat index in a channels-last tensor of each element of the view, in order.
    fn read(view: &View, row: usize, pitch: usize) -> Vec<usize> {
        let mut found = vec![0];
        for a in view.axes.concat() {
            let stride = match a.axis {
                Axis::Channel => a.times,
                Axis::Row => a.times * row,
                Axis::Column => a.times * pitch,
            };
            found = found
                .iter()
                .flat_map(|base| (0..a.size).map(move |i| base + i * stride))
                .collect();
        }
        found
    }

    #[test]
    fn depth_to_space_is_a_view() {
        // ONNX DepthToSpace in mode DCR by the standard's own steps, block 2, over 8×2×3.
        let view = View::whole(0, &[1, 8, 2, 3])
            .reshaped(&[1, 2, 2, 2, 2, 3])
            .and_then(|v| v.permuted(&[0, 3, 4, 1, 5, 2]).reshaped(&[1, 2, 4, 6]))
            .unwrap_or_else(|| unreachable!("blocks divide the channels"));
        let found = read(&view, 3 * 8, 8);
        for (c, y, x) in [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 3, 5), (0, 2, 3)] {
            let block = 2 * (y % 2) + x % 2;
            let expected = (y / 2) * 24 + (x / 2) * 8 + block * 2 + c;
            assert_eq!(found[(c * 4 + y) * 6 + x], expected, "{c} {y} {x}");
        }
    }

    #[test]
    fn reshaping_back_gives_the_whole() {
        let whole = View::whole(0, &[1, 12, 4, 6]);
        let back = whole
            .reshaped(&[3, 4, 24])
            .and_then(|v| v.reshaped(&[1, 12, 4, 6]));
        assert_eq!(back, Some(whole));
    }

    #[test]
    fn an_atom_is_not_cut_across() {
        assert_eq!(View::whole(0, &[1, 6, 5, 1]).reshaped(&[4, 15]), None);
    }
}
