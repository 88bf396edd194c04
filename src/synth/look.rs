//! How a person looks: skin, hair, face and clothes, as a function of the T-pose point.

use glam::{Vec2, Vec3};
use rand::Rng;

use super::anatomy::{Anatomy, joint};
use super::dice::{between, chance, fractal, noise, pick, smooth};
use super::fabric::{Fabric, cloth_colour, hair_colour, skin_colour};
use super::wardrobe::{Kind, Material, Outfit, Wardrobe};

/// What a surface point is made of.
#[derive(Clone, Copy, Debug)]
pub struct Surface {
    /// Linear diffuse colour.
    pub albedo: Vec3,
    /// Strength of the highlight, 0..=1.
    pub gloss: f32,
    /// Added to the unit normal, T-pose directions.
    pub bump: Vec3,
}

/// Head of hair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hair {
    /// None.
    Bald,
    /// Close to the skull.
    Short,
    /// Down to jaw or shoulders.
    Long,
    /// Under a cap.
    Cap,
}

/// A dressed person. Heights are y in the T-pose body frame, metres.
#[derive(Clone, Debug)]
pub struct Look {
    /// Skin, linear.
    pub skin: Vec3,
    /// Hair, linear.
    pub hair_colour: Vec3,
    /// Style.
    pub hair: Hair,
    /// Thickness of the hair, metres.
    pub hair_depth: f32,
    /// Lowest height of long hair.
    pub hair_end: f32,
    /// Beard.
    pub beard: bool,
    /// Cloth of the upper body; `None` is bare.
    pub top: Option<Fabric>,
    /// Sleeve end: 0 none, 1 at the wrist.
    pub sleeve: f32,
    /// Depth of the neckline below the neck, metres.
    pub neckline: f32,
    /// Looseness of the top, metres.
    pub top_depth: f32,
    /// Lower end of the top.
    pub hem: f32,
    /// Cloth of the lower body.
    pub bottom: Fabric,
    /// Where the legs' cloth ends.
    pub leg_end: f32,
    /// Looseness of the legs' cloth, metres.
    pub leg_depth: f32,
    /// Lower end of a skirt.
    pub skirt: Option<f32>,
    /// Shoes, linear; `None` is barefoot.
    pub shoe: Option<Vec3>,
    /// Sole and laces, linear.
    pub sole: Vec3,
    /// Upper end of the shoe.
    pub shoe_end: f32,
    /// Socks: colour and upper end.
    pub sock: (Vec3, f32),
    /// Noise seed.
    pub seed: u32,
    /// Clothes of the wardrobe; the body's own cloth is left out below the neck then.
    pub outfit: Option<Outfit>,
}

impl Look {
    /// Puts on clothes of the wardrobe in place of those above.
    pub fn put_on(&mut self, outfit: Outfit, wardrobe: &Wardrobe) {
        if outfit.wears(wardrobe, Kind::Hair) || outfit.wears(wardrobe, Kind::Hat) {
            // Under hair and hats the skull is only painted.
            (self.hair, self.hair_depth) = (Hair::Short, 0.0);
        }
        (self.top, self.skirt) = (None, None);
        self.outfit = Some(outfit);
    }

    /// The surface of a worn piece at a T-pose point.
    pub fn worn(&self, a: &Anatomy, number: usize, p: Vec3) -> Option<Surface> {
        let (_, material) = self.outfit.as_ref()?.worn.get(number)?;
        Some(match material {
            Material::Cloth(fabric) => cloth(fabric, p, p.y > a.waist && a.along_arm(p) > 0.0),
            Material::Leather(colour) => gloss(*colour, 0.2),
            Material::Hair => self.hair_at(p),
        })
    }

    /// Head and skin without clothes at a T-pose point.
    pub fn bare(&self, a: &Anatomy, p: Vec3) -> Surface {
        if p.y > a.joints[joint::NECK].y + 0.02 * a.scale && p.x.abs() < 0.16 * a.scale {
            return self.head(a, p);
        }
        self.skin_at(a, p)
    }

    /// A random person.
    pub fn sample(anatomy: &Anatomy, rng: &mut impl Rng) -> Self {
        let s = anatomy.scale;
        let (hip, knee, ankle) = (
            anatomy.joints[joint::LEFT_HIP].y,
            anatomy.joints[joint::LEFT_KNEE].y,
            anatomy.joints[joint::LEFT_ANKLE].y,
        );
        let neck = anatomy.joints[joint::NECK].y;
        let skirt = chance(rng, 0.16).then(|| between(rng, knee - 0.08 * s, hip - 0.22 * s));
        let leg_end = match skirt {
            Some(_) if chance(rng, 0.6) => hip - 0.1 * s,
            _ if chance(rng, 0.3) => between(rng, knee - 0.06 * s, knee + 0.25 * s),
            _ => between(rng, ankle - 0.01 * s, ankle + 0.07 * s),
        };
        let sleeve = match rng.random::<f32>() {
            x if x < 0.15 => between(rng, -0.05, 0.03),
            x if x < 0.55 => between(rng, 0.2, 0.5),
            _ => between(rng, 0.85, 0.97),
        };
        let hair = pick(
            rng,
            &[
                Hair::Bald,
                Hair::Short,
                Hair::Short,
                Hair::Short,
                Hair::Short,
                Hair::Long,
                Hair::Long,
                Hair::Long,
                Hair::Cap,
            ],
        );
        let bottom = Fabric::sample(rng);
        let mut top = chance(rng, 0.96).then(|| Fabric::sample(rng));
        if top.is_some() && chance(rng, 0.1) {
            top = Some(bottom); // Dresses and overalls.
        }
        Self {
            skin: skin_colour(rng),
            hair_colour: hair_colour(rng),
            hair,
            hair_depth: between(rng, 0.008, 0.028) * s,
            hair_end: between(rng, neck - 0.14 * s, neck + 0.07 * s),
            beard: hair != Hair::Long && chance(rng, 0.3),
            top,
            sleeve,
            neckline: if chance(rng, 0.2) {
                -0.05 * s
            } else {
                between(rng, 0.02, 0.11) * s
            },
            top_depth: between(rng, 0.003, 0.02) * s,
            hem: between(rng, hip - 0.06 * s, anatomy.waist - 0.02 * s),
            bottom,
            leg_end,
            leg_depth: between(rng, 0.002, 0.022) * s,
            skirt,
            shoe: chance(rng, 0.92).then(|| cloth_colour(rng)),
            sole: if chance(rng, 0.6) {
                Vec3::splat(between(rng, 0.5, 0.9))
            } else {
                cloth_colour(rng)
            },
            shoe_end: ankle + between(rng, -0.02, 0.1) * s,
            sock: (
                if chance(rng, 0.5) {
                    Vec3::splat(0.8)
                } else {
                    cloth_colour(rng)
                },
                ankle + between(rng, -0.02, 0.2) * s,
            ),
            seed: rng.random(),
            outfit: None,
        }
    }

    /// The surface of the body at a T-pose point.
    pub fn surface(&self, a: &Anatomy, p: Vec3) -> Surface {
        if p.y > a.joints[joint::NECK].y + 0.02 * a.scale && p.x.abs() < 0.16 * a.scale {
            return self.head(a, p);
        }
        if let Some(top) = &self.top
            && self.in_top(a, p)
        {
            return cloth(top, p, a.along_arm(p) > 0.0);
        }
        let s = a.scale;
        let sole = a.marks[29].y - 0.005 * s;
        if p.y < a.waist + 0.02 * s && p.x.abs() < a.joints[joint::LEFT_SHOULDER].x * 2.0 {
            let skirted = self.skirt.is_some_and(|end| p.y > end + 0.03 * s);
            if p.y > self.leg_end || skirted {
                return cloth(&self.bottom, p, false);
            }
            if let Some(shoe) = self.shoe {
                if p.y < self.shoe_end {
                    let laces = p.y < sole
                        || (p.z > 0.06 * s
                            && p.y > sole + 0.03 * s
                            && (p.z * 60.0 / s).sin() > 0.3);
                    let rubber = if laces { self.sole } else { shoe };
                    return Surface {
                        albedo: rubber,
                        gloss: 0.25,
                        bump: Vec3::ZERO,
                    };
                }
                if p.y < self.sock.1 {
                    return matt(self.sock.0);
                }
            }
        }
        self.skin_at(a, p)
    }

    fn in_top(&self, a: &Anatomy, p: Vec3) -> bool {
        let s = a.scale;
        let along = a.along_arm(p);
        if along > 0.0 && p.y > a.waist {
            return along < self.sleeve;
        }
        let neck = a.joints[joint::NECK].y;
        let front = smooth(-0.02 * s, 0.05 * s, p.z) * (1.0 - (p.x.abs() / (0.1 * s)).min(1.0));
        let collar = neck - 0.025 * s - self.neckline.min(0.0) - self.neckline.max(0.0) * front;
        let armhole = self.sleeve < 0.0 && along > self.sleeve - 0.02;
        p.y > self.hem && p.y < collar && !armhole
    }

    /// How far cloth or hair stands off the body at a T-pose point, metres.
    pub fn thickness(&self, a: &Anatomy, p: Vec3) -> f32 {
        let s = a.scale;
        let head = a.joints[joint::NECK].y + 0.02 * s;
        if p.y > head && p.x.abs() < 0.16 * s {
            let inside = smooth(-0.005 * s, 0.03 * s, self.above_hairline(a, p));
            return match self.hair {
                Hair::Bald => 0.0,
                Hair::Cap => inside * 0.015 * s,
                Hair::Short | Hair::Long => inside * self.hair_depth,
            };
        }
        if self.outfit.is_some() {
            return 0.0;
        }
        if self.top.is_some() && self.in_top(a, p) {
            return self.top_depth;
        }
        if a.along_arm(p) > 0.3 && p.y > a.waist {
            return 0.0;
        }
        if p.y < self.shoe_end && self.shoe.is_some() {
            return 0.007 * s;
        }
        if p.y > self.leg_end && p.y < a.waist {
            // Between the thighs there is no room for loose cloth.
            let room = smooth(0.0, 0.12 * s, p.x.abs());
            return self.leg_depth
                * room
                * smooth(a.waist, a.waist - 0.25 * s, p.y).clamp(0.3, 1.0);
        }
        0.0
    }

    /// Metres above the line where hair begins.
    fn above_hairline(&self, a: &Anatomy, p: Vec3) -> f32 {
        let (eye, ear) = (a.eyes()[0], a.ear());
        let s = a.scale;
        let nape = a.joints[joint::NECK].y + 0.045 * s;
        let line = if p.z > ear.z {
            let t = smooth(ear.z, eye.z - 0.015 * s, p.z);
            ear.y + (eye.y + 0.052 * s - ear.y) * t
        } else {
            ear.y + (nape - ear.y) * smooth(ear.z, ear.z - 0.05 * s, p.z)
        };
        p.y - line
    }

    fn head(&self, a: &Anatomy, p: Vec3) -> Surface {
        let s = a.scale;
        let above = self.above_hairline(a, p);
        if above > 0.0 {
            match self.hair {
                Hair::Cap if above > 0.012 * s => return matt(self.bottom.base),
                Hair::Bald => {}
                _ => return self.hair_at(p),
            }
        }
        for eye in a.eyes() {
            let d = Vec2::new(p.x - eye.x, p.y - eye.y) / s;
            if p.z < eye.z - 0.03 * s {
                continue;
            }
            if d.length() < 0.0075 {
                return gloss(Vec3::splat(0.012), 0.5);
            }
            if (d / Vec2::new(0.017, 0.0085)).length() < 1.0 {
                return gloss(Vec3::splat(0.62), 0.4);
            }
            if d.x.abs() < 0.021 && (d.y - 0.021 + 6.0 * d.x * d.x).abs() < 0.0055 {
                return matt(self.hair_colour.lerp(self.skin, 0.15) * 0.8);
            }
        }
        let (mouth, half) = a.mouth();
        let d = Vec2::new(p.x - mouth.x, p.y - mouth.y) / Vec2::new(1.15 * half, 0.012 * s);
        if p.z > mouth.z - 0.02 * s && d.length() < 1.0 {
            let parted = if d.y.abs() < 0.22 { 0.35 } else { 1.0 };
            return gloss(self.skin * Vec3::new(0.72, 0.42, 0.42) * parted, 0.2);
        }
        let nose = a.marks[0];
        if self.beard && p.y < nose.y - 0.014 * s && p.z > a.ear().z && p.y > mouth.y - 0.075 * s {
            return matt(self.hair_colour.lerp(self.skin, 0.25));
        }
        let mut skin = self.skin_at(a, p);
        if (p - nose).length() < 0.022 * s && p.y < nose.y - 0.006 * s {
            skin.albedo *= 0.62; // Nostrils.
        }
        skin
    }

    /// Hair with strands, for the skull and for hanging hair.
    pub fn hair_at(&self, p: Vec3) -> Surface {
        let strand = fractal(Vec3::new(p.x * 90.0, p.y * 22.0, p.z * 90.0), self.seed, 2);
        Surface {
            albedo: self.hair_colour * (0.55 + 0.9 * strand),
            gloss: 0.1,
            bump: Vec3::new(strand - 0.5, 0.0, 0.5 - strand) * 0.5,
        }
    }

    fn skin_at(&self, a: &Anatomy, p: Vec3) -> Surface {
        let blush = 0.92 + 0.16 * noise(p * (18.0 / a.scale), self.seed);
        gloss(
            self.skin * Vec3::new(blush, blush * blush, blush * blush),
            0.12,
        )
    }
}

/// Cloth at a T-pose point.
pub fn cloth(fabric: &Fabric, p: Vec3, sleeve: bool) -> Surface {
    Surface {
        albedo: fabric.albedo(p, sleeve),
        gloss: 0.04,
        bump: fabric.fold(p),
    }
}

fn matt(albedo: Vec3) -> Surface {
    gloss(albedo, 0.03)
}

fn gloss(albedo: Vec3, gloss: f32) -> Surface {
    Surface {
        albedo,
        gloss,
        bump: Vec3::ZERO,
    }
}
