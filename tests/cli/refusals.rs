//! A table of bad images, options and folders: one line each, and nothing left behind.

use std::fs;

use crate::support::{Room, man, nobody, pack_copy, replace, repository};
use image::{DynamicImage, GrayImage, RgbImage};
use neuralsmpl::pack::seal;

#[test]
fn images_that_cannot_be_used() {
    let room = Room::new();
    let photo = fs::read(repository("samples/walk.jpg")).unwrap();
    room.put_image("whole.png", &nobody());
    let png = fs::read(room.path("whole.png")).unwrap();
    room.put("empty.jpg", b"")
        .put("half.jpg", &photo[..photo.len() / 2])
        .put("half.png", &png[..png.len() / 2]);
    room.put("letter.jpg", b"Dear reader,\nthis is no photograph.\n")
        .put("noise.png", &[0x8f; 300]);
    room.put(
        "head.png",
        &[b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 80]].concat(),
    );
    room.put_image("dot.png", &RgbImage::new(1, 1).into());
    room.put_image("strip.png", &GrayImage::new(20_000, 16).into());
    fs::create_dir(room.path("folder.png")).unwrap();
    let table: [(&str, &[&str]); 10] = [
        ("missing.jpg", &["no such file", "check the path"]),
        ("empty.jpg", &["0 bytes", "expected", "copy it again"]),
        ("half.jpg", &["JPEG", "stops after", "again"]),
        ("half.png", &["PNG", "stops after", "again"]),
        ("head.png", &["PNG", "expected", "export it again"]),
        ("letter.jpg", &["text", "expected", "convert it"]),
        ("noise.png", &["8f 8f 8f 8f", "expected", "convert it"]),
        (
            "dot.png",
            &["1 x 1 pixels", "expected at least 16", "larger"],
        ),
        (
            "strip.png",
            &[
                "20000 x 16 pixels",
                "expected at most 16384",
                "scale it down",
            ],
        ),
        ("folder.png", &["is a folder", "expected", "name the files"]),
    ];
    for (name, words) in table {
        let line = room.refuse(1, &["fit", name, "--out", "out"], words);
        assert!(line.starts_with(&format!("error: {name}: ")), "{line}");
    }
}

#[test]
fn unusual_images_work() {
    let room = Room::new();
    let man = man();
    room.put_image("deep.png", &DynamicImage::ImageRgb16(man.to_rgb16()));
    room.put_image("grey.png", &DynamicImage::ImageLuma8(man.to_luma8()));
    room.put_image("clear.png", &DynamicImage::ImageRgba8(man.to_rgba8()));
    let said = room.succeed(&[
        "fit",
        "deep.png",
        "grey.png",
        "clear.png",
        "--out",
        "out",
        "--steps",
        "1",
    ]);
    assert_eq!(said.matches(": person 1 of ").count(), 3, "{said}");
    room.put(
        "ink.jpg",
        &fs::read(repository("sources/src/load/cmyk.jpg")).unwrap(),
    );
    let said = room.succeed(&["fit", "ink.jpg", "--out", "cmyk"]);
    assert!(said.starts_with("ink.jpg: nobody found"), "{said}");
}

#[test]
fn a_network_must_name_parts_or_give_a_mask() {
    let room = Room::new();
    room.put_image("a.png", &nobody());
    let pack = pack_copy(&room, "pack");
    let path = pack.join("backbone.onnx");
    let mut onnx = fs::read(&path).unwrap();
    // Other names of the same length: what the network sees of bodies is not looked for under them.
    for (name, other) in [
        ("parts", "partx"),
        ("pose", "posx"),
        ("betas", "betax"),
        ("camera", "camerx"),
    ] {
        let name = name.as_bytes();
        for at in 0..onnx.len() - name.len() {
            if onnx[at..].starts_with(name) {
                onnx[at..at + name.len()].copy_from_slice(other.as_bytes());
            }
        }
    }
    replace(&path, &onnx);
    seal(&pack).unwrap();
    let words = [
        "pack/backbone.onnx",
        "output `mask` is missing",
        "`features`",
    ];
    room.refuse(1, &["fit", "a.png", "--pack", "pack"], &words);
}

#[test]
fn options_that_cannot_be() {
    let room = Room::new();
    room.put_image("a.png", &nobody());
    let usage: [(&str, &str, &[&str]); 15] = [
        (
            "--box",
            "1,2,3",
            &["found 3 numbers", "expected x,y,width,height"],
        ),
        ("--box", "1,2,0,5", &["found a box of 0 x 5", "above 0"]),
        (
            "--box",
            "1,2,x,5",
            &["found \"x\"", "expected finite numbers"],
        ),
        (
            "--box",
            "1,2,inf,5",
            &["found \"inf\"", "expected finite numbers"],
        ),
        (
            "--intrinsics",
            "500,500,48",
            &["found 3 numbers", "expected fx,fy,cx,cy"],
        ),
        (
            "--intrinsics",
            "0,500,48,32",
            &["found focal lengths 0 and 500", "above 0"],
        ),
        (
            "--intrinsics",
            "-500,500,48,32",
            &["found focal lengths -500 and 500", "above 0"],
        ),
        (
            "--intrinsics",
            "nan,500,48,32",
            &["found \"nan\"", "expected finite numbers"],
        ),
        ("--fov", "4", &["'4'", "5 to 150 degrees"]),
        ("--fov", "151", &["'151'", "5 to 150 degrees"]),
        ("--fov", "nan", &["'nan'", "5 to 150 degrees"]),
        ("--steps", "1001", &["1001 is not in 0..=1000"]),
        ("--max-persons", "0", &["0 is not in 1..=4"]),
        ("--solver", "newton", &["gauss-newton"]),
        ("--energy", "free", &["released"]),
    ];
    for (option, value, words) in usage {
        let line = room.refuse(2, &["fit", "a.png", "--out", "out", option, value], words);
        assert!(line.contains(option), "{line}");
    }
    let impossible: [(&str, &str, &[&str]); 7] = [
        (
            "--box",
            "96,0,10,10",
            &["outside", "expected x,y,width,height", "96 x 64", "correct"],
        ),
        (
            "--box",
            "-20,5,20,10",
            &["outside", "expected x,y,width,height", "96 x 64", "correct"],
        ),
        (
            "--intrinsics",
            "100,100,193,32",
            &[
                "cx is 193",
                "expected -96 to 192",
                "calibration of this image",
            ],
        ),
        (
            "--intrinsics",
            "100,100,48,-65",
            &[
                "cy is -65",
                "expected -64 to 128",
                "calibration of this image",
            ],
        ),
        (
            "--intrinsics",
            "1,100,48,32",
            &["fx is 1,", "expected", "calibration of this image"],
        ),
        (
            "--intrinsics",
            "100,1e7,48,32",
            &["fy is 10000000", "expected", "calibration of this image"],
        ),
        (
            "--intrinsics",
            "100,100,48,32,-9,0,0,0",
            &["distortion -9,0,0,0", "expected", "leave them out"],
        ),
    ];
    for (option, value, words) in impossible {
        let line = room.refuse(1, &["fit", "a.png", "--out", "out", option, value], words);
        assert!(
            line.starts_with(&format!("error: a.png: {option}: ")),
            "{line}"
        );
    }
}

#[test]
fn backends_that_cannot_be() {
    let room = Room::new();
    room.put_image("a.png", &nobody());
    let table: [(&[&str], &[&str]); 6] = [
        (
            &["--backend", "cpu", "--device", "0"],
            &["--device 0", "--backend cpu", "expected", "leave one"],
        ),
        (
            &["--until", "raster"],
            &["--until", "expected", "--backend vulkan"],
        ),
        (
            &["--backend", "cpu", "--until", "raster"],
            &["--until", "expected", "--backend vulkan"],
        ),
        (&["--backend", "cuda"], &["cuda", "auto", "cpu", "vulkan"]),
        (
            &["--backend", "vulkan", "--until", "end"],
            &["end", "raster", "priors"],
        ),
        (&["--device", ""], &["--device"]),
    ];
    for (options, words) in table {
        let line = [&["fit", "a.png", "--out", "out"], options].concat();
        room.refuse(2, &line, words);
    }
}

#[test]
fn folders_that_take_no_results() {
    let room = Room::new();
    room.put_image("a.png", &nobody()).put("file", b"");
    let fit = |out| ["fit", "a.png", "--out", out];
    room.refuse(
        1,
        &fit("file"),
        &["file: is a file", "expected a folder", "--out"],
    );
    room.refuse(
        1,
        &fit("file/inner"),
        &["file/inner: ", "expected a folder", "--out"],
    );
    if cfg!(target_os = "linux") {
        room.refuse(
            1,
            &fit("/proc/results/inner"),
            &["/proc/results/inner: cannot write", "--out"],
        );
    }
    fs::create_dir(room.path("shut")).unwrap();
    let mut permissions = fs::metadata(room.path("shut")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(room.path("shut"), permissions).unwrap();
    if fs::write(room.path("shut/probe"), b"").is_ok() {
        eprintln!("SKIPPED the read-only folder: this user may write anywhere");
    } else {
        room.refuse(
            1,
            &fit("shut"),
            &["shut: cannot write", "check its permissions", "--out"],
        );
        room.refuse(
            1,
            &fit("shut/inner"),
            &["shut/inner: cannot write", "check its permissions", "--out"],
        );
    }
    fs::create_dir_all(room.path("taken/a.pose.bin")).unwrap();
    room.refuse(1, &fit("taken"), &["a.pose.bin: is a folder", "remove it"]);
    assert_eq!(room.list("taken"), ["a.pose.bin"]);
}

#[test]
fn results_that_would_overwrite_something() {
    let room = Room::new();
    fs::create_dir(room.path("b")).unwrap();
    room.put_image("a.png", &nobody())
        .put_image("b/a.jpg", &nobody())
        .put_image("a.overlay.png", &nobody());
    room.refuse(
        1,
        &["fit", "a.png", "b/a.jpg", "--out", "out"],
        &["b/a.jpg: ", "overwrite", "a.png", "--out"],
    );
    room.refuse(
        1,
        &["fit", "a.png", "a.overlay.png"],
        &["a.overlay.png: ", "overwrite", "--out"],
    );
}
