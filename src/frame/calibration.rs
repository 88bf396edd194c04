//! Boxes and cameras as the user gives them.

use glam::Vec2;

use super::Intrinsics;

/// Fields of view that a photo can have, degrees.
pub(crate) const FOV_DEG: std::ops::RangeInclusive<f32> = 5.0..=150.0;

/// Focal lengths over the longer side of the image: 168° to 1.1° of view.
const FOCAL: std::ops::RangeInclusive<f32> = 0.05..=50.0;

/// How far undoing and doing the distortion may miss, as a part of the longer side.
const DISTORTION_MISS: f32 = 1e-3;

/// Intrinsics as typed: fx, fy, cx, cy, k1, k2, p1, p2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration([f32; 8]);

impl Calibration {
    /// From fx, fy, cx, cy, k1, k2, p1, p2; the focal lengths are above 0.
    pub(crate) fn new(values: [f32; 8]) -> Result<Self, String> {
        if values[0] <= 0.0 || values[1] <= 0.0 {
            return Err(format!(
                "found focal lengths {} and {}, expected fx and fy above 0 in pixels of the whole image",
                values[0], values[1]
            ));
        }
        Ok(Self(values))
    }
}

/// Where the camera's numbers come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Camera {
    /// The pack's field of view, degrees.
    Assumed(f32),
    /// The user's field of view, degrees.
    Fov(f32),
    /// The user's calibration.
    Given(Calibration),
}

/// Reads `--box`.
pub(crate) fn parse_box(text: &str) -> Result<[f32; 4], String> {
    let values = numbers(text)?;
    let fault = |why: String| {
        Err(format!(
            "{why}, expected x,y,width,height in pixels with width and height above 0, like 86,329,739,896"
        ))
    };
    let Ok(found) = <[f32; 4]>::try_from(values.as_slice()) else {
        return fault(format!("found {} numbers", values.len()));
    };
    if found[2] <= 0.0 || found[3] <= 0.0 {
        return fault(format!("found a box of {} x {}", found[2], found[3]));
    }
    Ok(found)
}

/// Reads `--fov`.
pub(crate) fn parse_fov(text: &str) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(fov) if FOV_DEG.contains(&fov) => Ok(fov),
        _ => Err(format!(
            "expected the field of view along the longer side, {} to {} degrees; most phones have 60 to 75",
            FOV_DEG.start(),
            FOV_DEG.end()
        )),
    }
}

/// Reads `--intrinsics`.
pub(crate) fn parse_intrinsics(text: &str) -> Result<Calibration, String> {
    let values = numbers(text)?;
    let form = "expected fx,fy,cx,cy or fx,fy,cx,cy,k1,k2,p1,p2";
    if values.len() != 4 && values.len() != 8 {
        return Err(format!(
            "found {} numbers, {form}, the first four in pixels of the whole image",
            values.len()
        ));
    }
    let mut all = [0.0; 8];
    all[..values.len()].copy_from_slice(&values);
    Calibration::new(all)
}

fn numbers(text: &str) -> Result<Vec<f32>, String> {
    let number = |part: &str| match part.trim().parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!(
            "found \"{}\", expected finite numbers with commas between them",
            part.trim()
        )),
    };
    text.split(',').map(number).collect()
}

impl Camera {
    /// Name of the source in `pose.json`.
    pub(crate) fn source(&self) -> &'static str {
        match self {
            Self::Assumed(_) => "assumed",
            Self::Fov(_) => "fov",
            Self::Given(_) => "given",
        }
    }

    /// Intrinsics of an image, or what about them cannot be.
    pub(crate) fn intrinsics(&self, width: u32, height: u32) -> Result<Intrinsics, String> {
        match *self {
            Self::Assumed(fov) | Self::Fov(fov) => Ok(Intrinsics::from_fov(fov, width, height)),
            Self::Given(Calibration([fx, fy, cx, cy, k1, k2, p1, p2])) => {
                let k = Intrinsics {
                    fx,
                    fy,
                    cx,
                    cy,
                    k1,
                    k2,
                    p1,
                    p2,
                };
                check(&k, width as f32, height as f32).map(|()| k)
            }
        }
    }
}

fn check(k: &Intrinsics, width: f32, height: f32) -> Result<(), String> {
    let long = width.max(height);
    let remedy = "give the calibration of this image's size, in pixels";
    for (name, f) in [("fx", k.fx), ("fy", k.fy)] {
        if !FOCAL.contains(&(f / long)) {
            let (low, high) = (FOCAL.start() * long, FOCAL.end() * long);
            return Err(format!(
                "{name} is {f}, expected {low} to {high} for {width} x {height} pixels; {remedy}"
            ));
        }
    }
    for (name, c, side) in [("cx", k.cx, width), ("cy", k.cy, height)] {
        if !(-side..=2.0 * side).contains(&c) {
            return Err(format!(
                "{name} is {c}, expected {} to {} for {width} x {height} pixels; {remedy}",
                -side,
                2.0 * side
            ));
        }
    }
    let (x, y) = (0.5 * width, 0.5 * height);
    for edge in [
        Vec2::new(0.0, y),
        Vec2::new(width, y),
        Vec2::new(x, 0.0),
        Vec2::new(x, height),
    ] {
        let miss = k.distort(k.undistort(edge)).distance(edge);
        if miss.is_nan() || miss > DISTORTION_MISS * long {
            return Err(format!(
                "distortion {},{},{},{} cannot be undone at pixel {},{}, expected k1,k2,p1,p2 of Brown and Conrady; check their order or leave them out",
                k.k1, k.k2, k.p1, k.p2, edge.x, edge.y
            ));
        }
    }
    Ok(())
}

/// Whether a box shows something of an image, or what is wrong.
pub(crate) fn check_box([x, y, w, h]: [f32; 4], width: u32, height: u32) -> Result<(), String> {
    if x < width as f32 && y < height as f32 && x + w > 0.0 && y + h > 0.0 {
        return Ok(());
    }
    Err(format!(
        "--box: {x},{y},{w},{h} lies outside the image, expected x,y,width,height overlapping its {width} x {height} pixels; correct the box"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes() {
        assert_eq!(parse_box("-3, 4,5.5,6"), Ok([-3.0, 4.0, 5.5, 6.0]));
        for bad in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "1,2,0,4",
            "1,2,3,-4",
            "1,2,nan,4",
            "1;2;3;4",
        ] {
            assert!(parse_box(bad).unwrap_err().contains("expected"), "{bad}");
        }
        assert_eq!(check_box([-5.0, -5.0, 6.0, 6.0], 10, 10), Ok(()));
        for bad in [
            [10.0, 0.0, 5.0, 5.0],
            [-5.0, 0.0, 5.0, 5.0],
            [0.0, 1e9, 1.0, 1.0],
        ] {
            assert!(check_box(bad, 10, 10).unwrap_err().contains("10 x 10"));
        }
    }

    #[test]
    fn cameras() {
        assert_eq!(parse_fov("60"), Ok(60.0));
        for bad in ["4.9", "151", "NaN", "wide", ""] {
            assert!(parse_fov(bad).is_err(), "{bad}");
        }
        let real = "1673.730,1673.797,534.495,963.226,-0.047847,0.136786,0.000972,0.000291";
        let camera = Camera::Given(parse_intrinsics(real).unwrap());
        assert_eq!(camera.intrinsics(1080, 1920).map(|k| k.p2), Ok(0.000_291));
        for bad in [
            "1,2,3",
            "0,500,1,1",
            "500,-1,1,1",
            "inf,500,1,1",
            "500,500,320,240,0.1",
        ] {
            assert!(parse_intrinsics(bad).is_err(), "{bad}");
        }
        for bad in [
            "1e6,500,320,240",
            "500,1,320,240",
            "500,500,5000,240",
            "500,500,320,-700",
            "500,500,320,240,-9,0,0,0",
            "500,500,320,240,1e30,0,0,0",
        ] {
            let message = Camera::Given(parse_intrinsics(bad).unwrap())
                .intrinsics(640, 480)
                .unwrap_err();
            assert!(
                message.starts_with("") && message.contains("expected"),
                "{message}"
            );
        }
    }
}
