//! Compiles `shaders/*.wgsl` to SPIR-V with naga and writes down for the host what they agree on:
//! bindings, workgroup sizes, constants and the layout of every struct.
//!
//! A shader names the files it builds on in its first line (`// uses: …`). Capacities and shared
//! constants have their home in Rust and are written in front of every shader.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use naga::back::spv;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Literal, Module, ScalarKind, TypeInner, VectorSize};

#[allow(dead_code)]
#[path = "src/constants.rs"]
mod constants;
#[allow(dead_code)]
#[path = "src/limits.rs"]
mod limits;

/// Shaders with an entry point, in the order of a step.
const STAGES: [&str; 11] = [
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
];

type Fault = Box<dyn std::error::Error>;

fn main() -> Result<(), Fault> {
    println!("cargo:rerun-if-changed=shaders");
    println!("cargo:rerun-if-changed=src/limits.rs");
    println!("cargo:rerun-if-changed=src/constants.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut host = String::new();
    let mut bindings = BTreeMap::new();
    let mut table = String::new();
    for stage in STAGES {
        let text = assembled(stage)?;
        // Loops over the components must have a length that the driver's compiler knows.
        let by_components = text.replace("MAX_COMPONENTS", "").contains("COMPONENTS");
        let last = if by_components {
            limits::MAX_COMPONENTS
        } else {
            1
        };
        for components in 1..=last {
            let source = format!("{}{text}", prelude(components));
            let (module, info) =
                checked(&source).map_err(|e| format!("shaders/{stage}.wgsl: {e}"))?;
            collect_bindings(&module, stage, &mut bindings)?;
            let name = format!("{stage}_{components}.spv");
            fs::write(out.join(&name), binary(&module, &info)?)?;
            let entry = module
                .entry_points
                .first()
                .ok_or_else(|| format!("shaders/{stage}.wgsl has no entry point"))?;
            writeln!(
                table,
                "    Shader {{ stage: \"{stage}\", entry: \"{}\", components: {}, workgroup: {}, shared_bytes: {}, words: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")) }},",
                entry.name,
                if by_components { components } else { 0 },
                entry.workgroup_size[0],
                workgroup_bytes(&module),
            )?;
        }
    }
    let (layout, _) = checked(&format!("{}{}", prelude(3), read("layout")?))
        .map_err(|e| format!("shaders/layout.wgsl: {e}"))?;
    write_constants(&layout, &mut host)?;
    write_structs(&layout, &mut host)?;
    host.push_str("/// Binding numbers of the one descriptor set.\npub mod binding {\n");
    for (name, number) in &bindings {
        writeln!(
            host,
            "    /// `{name}`.\n    pub const {}: u32 = {number};",
            name.to_uppercase()
        )?;
    }
    let count = bindings.values().max().map_or(0, |n| n + 1);
    writeln!(
        host,
        "    /// Bindings of the set.\n    pub const COUNT: u32 = {count};\n}}"
    )?;
    writeln!(
        host,
        "/// All compiled shaders.\npub const SHADERS: &[Shader] = &[\n{table}];"
    )?;
    fs::write(out.join("shaders.rs"), host)?;
    Ok(())
}

fn read(name: &str) -> Result<String, Fault> {
    let path = Path::new("shaders").join(format!("{name}.wgsl"));
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()).into())
}

/// A shader behind the files that it uses.
fn assembled(stage: &str) -> Result<String, Fault> {
    let own = read(stage)?;
    let uses = own
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("// uses: "))
        .ok_or_else(|| format!("shaders/{stage}.wgsl does not begin with `// uses: …`"))?;
    let mut text = String::new();
    for name in uses.split(", ") {
        text.push_str(&read(name)?);
    }
    text.push_str(&own);
    Ok(text)
}

/// Capacities and shared constants as WGSL.
fn prelude(components: usize) -> String {
    let mut out = String::new();
    let mut whole =
        |name: &str, value: u32| out.push_str(&format!("const {name}: u32 = {value}u;\n"));
    whole("COMPONENTS", components as u32);
    whole("MAX_JOINTS", limits::MAX_JOINTS as u32);
    whole("MAX_BETAS", limits::MAX_BETAS as u32);
    whole("MAX_KEYPOINTS", limits::MAX_KEYPOINTS as u32);
    whole("MAX_COMPONENTS", limits::MAX_COMPONENTS as u32);
    whole("MAX_PARAMS", limits::MAX_PARAMS as u32);
    whole("MAX_PERSONS", limits::MAX_PERSONS as u32);
    whole("MAX_VAE_HIDDEN", limits::MAX_VAE_HIDDEN as u32);
    whole("MAX_VAE_LATENT", limits::MAX_VAE_LATENT as u32);
    whole("ID_BITS", constants::ID_BITS);
    whole("EMPTY", constants::EMPTY);
    whole("NO_TRIANGLE", constants::NO_TRIANGLE);
    whole("CROSSING_EDGE_BITS", constants::CROSSING_EDGE_BITS);
    whole("CROSSING_LAST_EDGE", constants::CROSSING_LAST_EDGE);
    whole("ENERGY_MEMORY", constants::ENERGY_MEMORY as u32);
    whole("PATIENCE", constants::PATIENCE);
    whole("PART_LANES", constants::PART_LANES as u32);
    let mut real = |name: &str, value: f64| {
        out.push_str(&format!("const {name}: f32 = {:?}f;\n", value as f32))
    };
    real("NEAR_M", limits::NEAR_M.into());
    real("DEPTH_STEPS", constants::DEPTH_STEPS.into());
    real("GAP_M", constants::GAP_M.into());
    real("BULGE_M", constants::BULGE_M.into());
    real("CROSSING_STEPS", constants::CROSSING_STEPS.into());
    real("GATE_POLE", constants::GATE_POLE.into());
    real("GATE_EDGE", constants::GATE_EDGE.into());
    real(
        "SOFT_MAX_TEMPERATURE",
        constants::SOFT_MAX_TEMPERATURE.into(),
    );
    real("MAX_TURN", constants::MAX_TURN);
    real("MAX_SHIFT", constants::MAX_SHIFT);
    real("MIN_DAMPING", constants::MIN_DAMPING);
    real("MAX_DAMPING", constants::MAX_DAMPING);
    out
}

fn checked(source: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|e| e.emit_to_string(source))?;
    Ok((module, info))
}

fn binary(module: &Module, info: &ModuleInfo) -> Result<Vec<u8>, Fault> {
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        // Every loop ends by its own bound.
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    let words = spv::write_vec(module, info, &options, None)?;
    Ok(words.iter().flat_map(|w| w.to_le_bytes()).collect())
}

fn collect_bindings(
    module: &Module,
    stage: &str,
    all: &mut BTreeMap<String, u32>,
) -> Result<(), Fault> {
    for (_, variable) in module.global_variables.iter() {
        let (Some(at), Some(name)) = (&variable.binding, &variable.name) else {
            continue;
        };
        let known = *all.entry(name.clone()).or_insert(at.binding);
        let taken = all
            .iter()
            .any(|(other, &n)| n == at.binding && other != name);
        if known != at.binding || taken || at.group != 0 {
            return Err(format!(
                "shaders/{stage}.wgsl: `{name}` is binding {}, elsewhere this name or number means another",
                at.binding
            )
            .into());
        }
    }
    Ok(())
}

fn workgroup_bytes(module: &Module) -> u32 {
    module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == AddressSpace::WorkGroup)
        .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
        .sum()
}

fn write_constants(module: &Module, out: &mut String) -> Result<(), Fault> {
    for (_, constant) in module.constants.iter() {
        let Some(name) = &constant.name else { continue };
        if let naga::Expression::Literal(Literal::U32(value)) =
            module.global_expressions[constant.init]
        {
            writeln!(
                out,
                "/// Of `shaders/layout.wgsl` or a capacity.\n#[allow(dead_code)]\npub const {name}: u32 = {value};"
            )?;
        }
    }
    Ok(())
}

fn write_structs(module: &Module, out: &mut String) -> Result<(), Fault> {
    for (_, ty) in module.types.iter() {
        let (TypeInner::Struct { members, span }, Some(name)) = (&ty.inner, &ty.name) else {
            continue;
        };
        writeln!(
            out,
            "/// `{name}` of `shaders/layout.wgsl`.\n#[repr(C)]\n#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]\n#[allow(missing_docs)]\npub struct {name} {{"
        )?;
        let mut end = 0;
        for member in members {
            let field = member.name.as_deref().unwrap_or("unnamed");
            if member.offset != end {
                return Err(format!("struct {name}: a gap before `{field}`; pad it").into());
            }
            let (text, size) = host_type(module, member.ty)
                .ok_or_else(|| format!("struct {name}: `{field}` has a type the host lacks"))?;
            writeln!(out, "    pub {field}: {text},")?;
            end += size;
        }
        if end != *span {
            return Err(format!("struct {name}: a gap at its end; pad it").into());
        }
        writeln!(
            out,
            "}}\nconst _: () = assert!(size_of::<{name}>() == {span});"
        )?;
    }
    Ok(())
}

/// Rust's type of the same layout, and its size in bytes.
fn host_type(module: &Module, ty: naga::Handle<naga::Type>) -> Option<(String, u32)> {
    let scalar = |kind: ScalarKind| match kind {
        ScalarKind::Float => Some("f32"),
        ScalarKind::Uint => Some("u32"),
        ScalarKind::Sint => Some("i32"),
        _ => None,
    };
    let ty = &module.types[ty];
    match &ty.inner {
        TypeInner::Scalar(s) => Some((scalar(s.kind)?.to_owned(), 4)),
        TypeInner::Vector { size, scalar: s } if *size != VectorSize::Tri => {
            let n = *size as u32;
            Some((format!("[{}; {n}]", scalar(s.kind)?), 4 * n))
        }
        TypeInner::Array {
            base,
            size: ArraySize::Constant(n),
            stride,
        } => {
            let (element, size) = host_type(module, *base)?;
            (size == *stride).then(|| (format!("[{element}; {n}]"), n.get() * stride))
        }
        TypeInner::Struct { span, .. } => Some((ty.name.clone()?, *span)),
        _ => None,
    }
}
