//! The shaders that are built in, in the eyes of others: `spirv-val` (Debian package spirv-tools), and
//! the limits that Vulkan guarantees.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use neuralsmpl::vulkan::shaders::{SHADERS, Shader, binding};

#[test]
fn spirv_val_accepts_every_shader() {
    if Command::new("spirv-val").arg("--version").output().is_err() {
        eprintln!("SKIPPED, spirv-val: not installed (Debian package spirv-tools)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for shader in SHADERS {
        let path = folder
            .path()
            .join(format!("{}_{}.spv", shader.stage, shader.components));
        fs::write(&path, shader.words).unwrap();
        let out = Command::new("spirv-val")
            .args(["--target-env", "vulkan1.1"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{}: {said}", path.display());
    }
    println!("{} shaders", SHADERS.len());
}

#[test]
fn shaders_keep_to_what_every_device_has() {
    for shader in SHADERS {
        // Minima of the Vulkan specification, "Required Limits".
        assert!(
            shader.workgroup <= 128,
            "{}: {} threads",
            shader.stage,
            shader.workgroup
        );
        assert!(
            shader.shared_bytes <= 16_384,
            "{}: {} bytes",
            shader.stage,
            shader.shared_bytes
        );
        assert_eq!(
            &shader.words[..4],
            &0x0723_0203u32.to_le_bytes(),
            "{}",
            shader.stage
        );
        let version = u32::from_le_bytes(shader.words[4..8].try_into().unwrap());
        assert_eq!(version, 0x0001_0300, "{}: SPIR-V 1.3", shader.stage);
    }
    const { assert!(binding::COUNT <= 32) };
}

#[test]
fn every_number_of_components_has_its_shaders() {
    for stage in [
        "pose",
        "skin",
        "raster",
        "score",
        "silhouette",
        "normal",
        "pose_vae",
        "vae_system",
        "adjoint",
        "step",
        "select",
    ] {
        for components in 1..=neuralsmpl::limits::MAX_COMPONENTS {
            assert!(
                Shader::find(stage, components).is_some(),
                "{stage}, K = {components}"
            );
        }
        assert!(Shader::find(stage, 6).is_none_or(|s| s.components == 0));
    }
}

/// Each stage of the CPU that has a twin names it, and the file is there.
#[test]
fn twins_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for entry in fs::read_dir(root.join("src/cpu")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for word in text
            .split_whitespace()
            .filter(|w| w.starts_with("shaders/"))
        {
            let file = word.trim_end_matches([',', '.', ';']);
            assert!(root.join(file).exists(), "{file}");
            named += 1;
        }
    }
    assert!(named >= 10, "{named} twins are named");
}
