//! Shapes, checked.

use crate::graph::{Conv, MAX_ELEMENTS, Weights};

/// Elements of a shape, if they are not too many.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    let product = shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))?;
    (product <= MAX_ELEMENTS).then_some(product)
}

/// Channels, height and width of `[1, C, H, W]`.
pub(crate) fn picture(shape: &[usize]) -> Result<[usize; 3], String> {
    match *shape {
        [1, c, h, w] if c * h * w > 0 => Ok([c, h, w]),
        _ => Err(format!("input {shape:?}, expected [1, C, H, W]")),
    }
}

/// Shape of a convolution's output.
pub(crate) fn conv_shape(conv: &Conv, shape: &[usize]) -> Result<Vec<usize>, String> {
    let [c, h, w] = picture(shape)?;
    let out = conv.bias.len();
    if out == 0 || !(conv.groups == 1 || conv.groups == c && out == c) {
        let groups = conv.groups;
        return Err(format!("{groups} groups over {c} channels to {out}"));
    }
    let expected = out * (c / conv.groups) * conv.window.size.iter().product::<usize>();
    if conv.weights.len() != expected {
        let found = conv.weights.len();
        return Err(format!("{found} weights, expected {expected}"));
    }
    let finite = |x: &[f32]| x.iter().all(|v| v.is_finite());
    let sound = match &conv.weights {
        Weights::Real(real) => finite(real),
        Weights::Codes { scales, .. } => {
            if scales.len() != out {
                return Err(format!("{} scales, expected {out}", scales.len()));
            }
            finite(scales)
        }
    };
    if !(sound && finite(&conv.bias)) {
        return Err("weights that are no finite numbers".to_owned());
    }
    let [h, w] = conv
        .window
        .output([h, w])
        .ok_or("window beyond the picture")?;
    Ok(vec![1, out, h, w])
}
