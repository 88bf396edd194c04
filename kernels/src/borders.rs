//! Borders and pitches: what the readers of a tensor need of its layout.

use crate::fuse::Fused;
use crate::graph::{Graph, Window};
use crate::layout::{Layout, Place, Work, task_conv};

/// Gives each tensor the border that its readers need, and images of few channels that only
/// dense convolutions read a narrow pitch, so that a window's row is one run.
pub(crate) fn borders(graph: &Graph, fused: &[Fused], layout: &mut Layout, lanes: usize) {
    let mut narrow: Vec<bool> = layout
        .tensors
        .iter()
        .map(|t| matches!(t.place, Place::Arena(_)) && t.channels < lanes && t.height > 1)
        .collect();
    for task in &layout.tasks {
        if !matches!(task.work, Work::Copy { .. }) {
            narrow[task.output] = false;
        }
        let conv = task_conv(graph, fused, task);
        for (i, &input) in task.inputs.iter().enumerate() {
            match conv {
                Some((conv, window)) if i == 0 => {
                    narrow[input] &= conv.groups == 1 && window.size[1] > 1;
                    let output = [
                        layout.tensors[task.output].height,
                        layout.tensors[task.output].width,
                    ];
                    let tensor = &mut layout.tensors[input];
                    let needed = reach(&window, [tensor.height, tensor.width], output);
                    for (have, need) in tensor.border.iter_mut().zip(needed) {
                        *have = need.max(*have);
                    }
                }
                _ => narrow[input] = false,
            }
        }
    }
    for (tensor, narrow) in layout.tensors.iter_mut().zip(narrow) {
        if narrow {
            let groups = if tensor.codes { 4 } else { 1 };
            tensor.pitch = tensor.channels.next_multiple_of(groups);
        }
    }
}

/// Border that a window needs: above, left, below, right.
fn reach(window: &Window, picture: [usize; 2], output: [usize; 2]) -> [usize; 4] {
    let beyond = |axis: usize| {
        let last = (output[axis] - 1) * window.stride[axis]
            + (window.size[axis] - 1) * window.dilation[axis]
            + 1;
        last.saturating_sub(window.before[axis] + picture[axis])
    };
    [window.before[0], window.before[1], beyond(0), beyond(1)]
}
