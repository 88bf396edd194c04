//! What build.rs made of `shaders/*.wgsl`: SPIR-V, and the layouts that the host shares.

/// One compiled shader.
#[derive(Clone, Copy, Debug)]
pub struct Shader {
    /// The file's stem.
    pub stage: &'static str,
    /// Name of the entry point.
    pub entry: &'static str,
    /// Orientation components it is compiled for; 0 where that makes no difference.
    pub components: u32,
    /// Threads of a workgroup.
    pub workgroup: u32,
    /// Bytes of workgroup memory.
    pub shared_bytes: u32,
    /// SPIR-V, little-endian words.
    pub words: &'static [u8],
}

impl Shader {
    /// The shader of a stage for K components.
    pub fn find(stage: &str, components: usize) -> Option<&'static Self> {
        let fits = |s: &&Shader| s.components == 0 || s.components as usize == components;
        SHADERS.iter().filter(|s| s.stage == stage).find(fits)
    }
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
