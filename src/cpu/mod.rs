//! The stages on the CPU, one file each, and the workspace that runs them in order:
//! pose → skin → project → raster → score (with parts) → silhouette → keypoints → adjoint → normal →
//! priors (with the pose VAE).

pub mod adjoint;
pub mod keypoints;
pub mod likelihood;
pub mod normal;
pub mod parts;
pub mod pose;
pub mod pose_vae;
pub mod priors;
pub mod project;
pub mod raster;
pub mod score;
pub mod silhouette;
pub mod skin;

mod evaluate;
mod stages;
mod workspace;

pub use stages::{CpuStages, Stage, Stages};
pub use workspace::{Want, Workspace};
