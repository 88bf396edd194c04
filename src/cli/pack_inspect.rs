//! `neuralsmpl pack inspect`: what each network does, how long each part takes, and its memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::bench_net::NetArgs;
use super::console::Console;
use crate::backbone::{NetworkProbe, Part, RegionMemory, Workers};
use crate::pack::Pack;

/// Options of `neuralsmpl pack inspect`.
#[derive(clap::Args)]
pub(super) struct InspectArgs {
    /// A pack's folder, or an ONNX file
    #[arg(value_name = "DIR|ONNX")]
    path: PathBuf,
    /// Print the plan of the arena as well: each tensor's place, size and lifetime
    #[arg(long)]
    memory: bool,
    /// Runs that are timed; the mean counts
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    net: NetArgs,
}

pub(super) fn run(args: &InspectArgs, console: &Console) -> anyhow::Result<()> {
    let workers = args.net.workers()?;
    let files = if args.path.is_dir() {
        let pack = Pack::load(&args.path)?;
        let files = &pack.manifest.files;
        let paths = [&files.detector.path, &files.backbone.path];
        paths.map(|path| pack.root.join(path)).to_vec()
    } else {
        vec![args.path.clone()]
    };
    let mut reports = Vec::new();
    for path in &files {
        let bytes =
            fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let mut net =
            NetworkProbe::load(&bytes, &workers).with_context(|| path.display().to_string())?;
        let parts = net.parts(args.runs)?;
        let memory = net.memory();
        if args.json {
            reports.push(json(path, &workers, &parts, &memory));
            continue;
        }
        for line in table(path, &workers, &parts) {
            console.say(&line)?;
        }
        for line in memory.iter().flat_map(|region| plan(region, args.memory)) {
            console.say(&line)?;
        }
        console.say("")?;
    }
    if args.json {
        console.say(&serde_json::to_string_pretty(&reports)?)?;
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn whole(parts: &[Part]) -> Duration {
    parts.iter().map(|p| p.time).sum()
}

fn table(path: &Path, workers: &Workers, parts: &[Part]) -> Vec<String> {
    let total = whole(parts);
    let share = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-12);
    let macs: u64 = parts.iter().map(|p| p.macs).sum();
    let threads = workers.threads();
    let mut lines = vec![format!(
        "{}: {:.2} ms, {:.0} million multiplications; {}, {threads} {}",
        path.display(),
        ms(total),
        macs as f64 / 1e6,
        workers.isa(),
        if threads == 1 { "thread" } else { "threads" },
    )];
    for (fused, who) in [(true, "our kernels"), (false, "tract")] {
        let own = parts.iter().filter(|p| p.fused == fused);
        let time = own.clone().map(|p| p.time).sum();
        let nodes: usize = own.clone().map(|p| p.nodes).sum();
        lines.push(format!(
            "  {who:<12} {:>5.1} %  {} steps for {nodes} operators",
            share(time),
            own.count(),
        ));
    }
    lines.push(format!(
        "  {:>7} {:>6} {:>8} {:>7}  {:<24} first operator",
        "ms", "share", "10⁶ MAC", "GMAC/s", "by"
    ));
    lines.extend(parts.iter().map(|part| {
        let speed = part.macs as f64 / part.time.as_secs_f64().max(1e-12) / 1e9;
        let (work, speed) = if part.macs == 0 {
            (String::new(), String::new())
        } else {
            (
                format!("{:.1}", part.macs as f64 / 1e6),
                format!("{speed:.1}"),
            )
        };
        let by = if part.fused {
            part.what.clone()
        } else {
            format!("tract: {}", part.what)
        };
        format!(
            "  {:>7.3} {:>4.1} % {work:>8} {speed:>7}  {by:<24} {}",
            ms(part.time),
            share(part.time),
            part.name
        )
    }));
    lines
}

fn plan(region: &RegionMemory, tensors: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "  memory: arena {} bytes ({} tensors of {} bytes share it), packed weights {} bytes",
        region.arena,
        region.plan.len(),
        region.apart,
        region.weights
    )];
    if tensors {
        lines.push(format!(
            "  {:>9} {:>9} {:>4}  {:<9} tensor",
            "offset", "bytes", "", "steps"
        ));
        lines.extend(region.plan.iter().map(|tensor| {
            let kind = if tensor.codes { "u8" } else { "f32" };
            let steps = format!("{}–{}", tensor.steps.start, tensor.steps.end - 1);
            format!(
                "  {:>9} {:>9} {kind:>4}  {steps:<9} {}",
                tensor.offset, tensor.bytes, tensor.name
            )
        }));
    }
    lines
}

fn json(
    path: &Path,
    workers: &Workers,
    parts: &[Part],
    memory: &[RegionMemory],
) -> serde_json::Value {
    json!({
        "file": path.display().to_string(),
        "isa": workers.isa().name(),
        "threads": workers.threads(),
        "ms": ms(whole(parts)),
        "parts": parts.iter().map(|p| json!({
            "name": p.name,
            "by": if p.fused { "kernels" } else { "tract" },
            "what": p.what,
            "operators": p.nodes,
            "macs": p.macs,
            "ms": ms(p.time),
        })).collect::<Vec<_>>(),
        "regions": memory.iter().map(|m| json!({
            "arena_bytes": m.arena,
            "unshared_bytes": m.apart,
            "weight_bytes": m.weights,
            "tensors": m.plan.iter().map(|t| json!({
                "name": t.name,
                "offset": t.offset,
                "bytes": t.bytes,
                "type": if t.codes { "u8" } else { "f32" },
                "first_step": t.steps.start,
                "last_step": t.steps.end - 1,
            })).collect::<Vec<_>>(),
            "steps": m.steps,
        })).collect::<Vec<_>>(),
    })
}
