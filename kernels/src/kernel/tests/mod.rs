//! Every instruction set of this processor against the reference, over random convolutions.

mod compare;
mod dense;
mod depthwise;
mod scene;
