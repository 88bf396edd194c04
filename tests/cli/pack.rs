//! A table of faulty packs: one line each with file, field, found, expected and remedy.

use std::fs;
use std::path::Path;

use crate::support::{Room, nobody, pack_copy, replace, repository, stderr};
use neuralsmpl::pack::seal;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

/// A tensor to be damaged.
struct Raw {
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// Rewrites one tensor of a file.
fn edit_tensor(path: &Path, name: &str, edit: impl Fn(&mut Raw)) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let whole = file.tensor(name).unwrap();
    let mut raw = Raw {
        shape: whole.shape().to_vec(),
        data: whole.data().to_vec(),
    };
    edit(&mut raw);
    let edited = TensorView::new(whole.dtype(), raw.shape, &raw.data).unwrap();
    let tensors = file.tensors().into_iter().map(|(key, view)| {
        let view = if key == name { edited.clone() } else { view };
        (key, view)
    });
    replace(path, &safetensors::serialize(tensors, None).unwrap());
}

/// Takes the first entry along the first axis away.
fn shorten(raw: &mut Raw) {
    raw.data.drain(..raw.data.len() / raw.shape[0]);
    raw.shape[0] -= 1;
}

fn poison(raw: &mut Raw) {
    raw.data[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
}

/// The prior without its VAE.
fn without_vae(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut kept = file.tensors();
    kept.retain(|(key, _)| !key.starts_with("vae_"));
    replace(path, &safetensors::serialize(kept, None).unwrap());
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    replace(path, &bytes[..bytes.len() / 2]);
}

#[test]
fn the_shipped_pack_is_sound() {
    let room = Room::new();
    let pack = repository("models/person");
    let said = room.succeed(&["pack", "check", pack.to_str().unwrap()]);
    for word in [
        "all files are sound",
        "24 joints",
        "10 shape components",
        "D = 64",
        "body.safetensors",
        "CC0-1.0",
        "Anny",
    ] {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

#[test]
fn missing_files() {
    let room = Room::new();
    for file in [
        "pack.toml",
        "body.safetensors",
        "texture.safetensors",
        "prior.safetensors",
        "backbone.onnx",
        "detector.onnx",
        "poses_cc0.safetensors",
    ] {
        let name = format!("no-{file}");
        fs::remove_file(pack_copy(&room, &name).join(file)).unwrap();
        room.refuse(
            1,
            &["pack", "check", &name],
            &[&format!("{name}/{file}"), "cannot read", "check the path"],
        );
    }
    room.refuse(
        1,
        &["pack", "check", "nowhere"],
        &["nowhere/pack.toml", "cannot read", "check the path"],
    );
}

#[test]
fn files_that_do_not_match_their_hash() {
    let room = Room::new();
    for file in [
        "body.safetensors",
        "texture.safetensors",
        "prior.safetensors",
        "backbone.onnx",
        "detector.onnx",
        "poses_cc0.safetensors",
    ] {
        let name = format!("cut-{file}");
        cut(&pack_copy(&room, &name).join(file));
        room.refuse(
            1,
            &["pack", "check", &name],
            &[
                &format!("{name}/{file}"),
                "sha256 is",
                "pack.toml says",
                "restore the file",
            ],
        );
    }
}

#[test]
fn sealed_files_with_wrong_contents() {
    let room = Room::new();
    type Edit = fn(&Path);
    let table: [(&str, &str, Edit, &[&str]); 12] = [
        (
            "cut",
            "body.safetensors",
            cut,
            &["not a whole safetensors file", "restore"],
        ),
        (
            "shape",
            "body.safetensors",
            |p| edit_tensor(p, "shapedirs", shorten),
            &[
                "`shapedirs`",
                "[1228, 3, 10]",
                "expected [1229, 3, ",
                "re-make",
            ],
        ),
        (
            "nan",
            "body.safetensors",
            |p| edit_tensor(p, "v_template", poison),
            &[
                "`v_template`",
                "NaN at flat index 5",
                "expected finite",
                "re-make",
            ],
        ),
        (
            "shape",
            "texture.safetensors",
            |p| edit_tensor(p, "phi", shorten),
            &[
                "`phi`",
                "[1228, 3, 64]",
                "expected [1229, 3, 64]",
                "re-make",
            ],
        ),
        (
            "nan",
            "texture.safetensors",
            |p| edit_tensor(p, "phi", poison),
            &["`phi`", "NaN at flat index 5", "expected finite"],
        ),
        (
            "shape",
            "prior.safetensors",
            |p| edit_tensor(p, "pose_mean", shorten),
            &["`pose_mean`", "[68]", "expected [69]", "re-make"],
        ),
        (
            "nan",
            "prior.safetensors",
            |p| edit_tensor(p, "pose_factor", poison),
            &["`pose_factor`", "NaN at flat index 5", "expected finite"],
        ),
        (
            "vae-shape",
            "prior.safetensors",
            |p| edit_tensor(p, "vae_dec1_w", shorten),
            &[
                "`vae_dec1_w`",
                "[127, 128]",
                "expected [128, 128]",
                "re-make",
            ],
        ),
        (
            "vae-nan",
            "prior.safetensors",
            |p| edit_tensor(p, "vae_enc0_b", poison),
            &["`vae_enc0_b`", "NaN at flat index 5", "expected finite"],
        ),
        (
            "vae-sigma",
            "prior.safetensors",
            |p| edit_tensor(p, "vae_sigma", |raw| raw.data[4..8].fill(0)),
            &[
                "`vae_sigma`",
                "0 for joint 2",
                "at least 0.001",
                "train_prior.py",
            ],
        ),
        (
            "cut",
            "detector.onnx",
            cut,
            &["cannot be loaded", "restore the ONNX file"],
        ),
        (
            "cut",
            "backbone.onnx",
            cut,
            &["cannot be loaded", "restore the ONNX file"],
        ),
    ];
    for (fault, file, edit, words) in table {
        let name = format!("{fault}-{file}");
        let pack = pack_copy(&room, &name);
        edit(&pack.join(file));
        seal(&pack).unwrap();
        let line = room.refuse(1, &["pack", "check", &name], words);
        assert!(
            line.starts_with(&format!("error: {name}/{file}: ")),
            "{line}"
        );
    }
}

#[test]
fn manifests() {
    let room = Room::new();
    let pack = pack_copy(&room, "pack");
    let manifest = pack.join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let table: [(&str, &str, &[&str]); 5] = [
        ("format = 1", "format = 2", &["`format` is 2", "expected 1"]),
        ("[camera]", "[camera", &["line ", "correct it"]),
        (
            "[camera]",
            "[camera]\nzoom = 2",
            &["line ", "zoom", "correct it"],
        ),
        (
            "stride = 4",
            "stride = 0",
            &["`backbone.stride` is 0", "expected 1 to 64", "correct it"],
        ),
        (
            "\"body.safetensors\"",
            "\"../body.safetensors\"",
            &["`files.body.path`", "plain file name", "correct it"],
        ),
    ];
    for (from, to, words) in table {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(&manifest, changed).unwrap();
        let line = room.refuse(1, &["pack", "check", "pack"], words);
        assert!(line.starts_with("error: pack/pack.toml: "), "{line}");
    }
    fs::write(&manifest, b"\xff\xfe").unwrap();
    room.refuse(
        1,
        &["pack", "check", "pack"],
        &["pack/pack.toml", "not UTF-8", "restore"],
    );
}

/// A pack may lack the VAE, but then nothing may ask for it.
#[test]
fn a_pack_without_a_pose_vae() {
    let room = Room::new();
    let pack = pack_copy(&room, "pack");
    without_vae(&pack.join("prior.safetensors"));
    let manifest = pack.join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let weight = |value: &str| {
        let lines = text.lines().filter(|l| !l.starts_with("vae = "));
        let text = lines.collect::<Vec<_>>().join("\n");
        let with = format!("[energy.weights]\nvae = {value}\n");
        fs::write(&manifest, text.replace("[energy.weights]\n", &with)).unwrap();
        seal(&pack).unwrap();
    };
    weight("0");
    room.succeed(&["pack", "check", "pack"]);
    room.refuse(
        1,
        &["pack", "poses", "pack", "--out", "sheet.png"],
        &["pack/prior.safetensors", "no VAE", "train_prior.py"],
    );
    weight("0.1");
    room.refuse(
        1,
        &["pack", "check", "pack"],
        &[
            "pack/pack.toml",
            "`energy.weights.vae` is 0.1",
            "set it to 0",
        ],
    );
    weight("-1");
    room.refuse(
        1,
        &["pack", "check", "pack"],
        &["`energy.weights.vae` is -1", "expected 0 to"],
    );
}

#[test]
fn poses_are_drawn_and_the_same_for_a_seed() {
    let room = Room::new();
    let pack = repository("models/person");
    let draw = |file: &str, seed: &str| {
        room.succeed(&[
            "pack",
            "poses",
            pack.to_str().unwrap(),
            "--out",
            file,
            "--count",
            "4",
            "--size",
            "64",
            "--seed",
            seed,
        ]);
        fs::read(room.path(file)).unwrap()
    };
    let first = draw("a.png", "1");
    assert!(first == draw("b.png", "1"));
    assert!(first != draw("c.png", "2"));
}

#[test]
fn a_faulty_pack_stops_a_fit_before_it_leaves_anything() {
    let room = Room::new();
    room.put_image("a.png", &nobody());
    let pack = pack_copy(&room, "pack");
    let fit = ["fit", "a.png", "--pack", "pack", "--out", "out"];
    edit_tensor(&pack.join("body.safetensors"), "v_template", poison);
    room.refuse(1, &fit, &["pack/body.safetensors", "sha256"]);
    seal(&pack).unwrap();
    room.refuse(1, &fit, &["pack/body.safetensors", "`v_template`", "NaN"]);
    fs::copy(
        repository("models/person/body.safetensors"),
        pack.join("body.safetensors"),
    )
    .unwrap();
    cut(&pack.join("backbone.onnx"));
    seal(&pack).unwrap();
    room.refuse(1, &fit, &["pack/backbone.onnx", "cannot be loaded"]);
    let nowhere = room
        .command()
        .env_remove("NEURALSMPL_PACK")
        .args(["fit", "a.png", "--out", "out"])
        .output()
        .unwrap();
    let line = stderr(&nowhere);
    assert!(
        nowhere.status.code() == Some(1)
            && line.contains("no model pack found")
            && line.contains("--pack DIR"),
        "{line}"
    );
    assert!(!room.path("out").exists());
}

#[test]
fn sealing_makes_a_changed_pack_sound_again() {
    let room = Room::new();
    let pack = pack_copy(&room, "pack");
    edit_tensor(&pack.join("prior.safetensors"), "pose_mean", |raw| {
        raw.data[..4].copy_from_slice(&0.1f32.to_le_bytes())
    });
    room.refuse(
        1,
        &["pack", "check", "pack"],
        &["pack/prior.safetensors", "pack seal"],
    );
    assert!(
        room.succeed(&["pack", "seal", "pack"])
            .contains("prior.safetensors")
    );
    assert!(room.succeed(&["pack", "check", "pack"]).contains("sound"));
    assert!(
        room.succeed(&["pack", "seal", "pack"])
            .contains("nothing to change")
    );
    room.refuse(
        1,
        &["pack", "seal", "nowhere"],
        &["nowhere/pack.toml", "cannot read"],
    );
}
