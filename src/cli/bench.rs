//! `neuralsmpl bench`: one page about the fit on this machine, to be pasted into an issue.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, anyhow};

use super::End;
use super::backend::BackendArgs;
use super::bench_net::{self, NetBenchArgs};
use super::console::Console;
use super::pack::find;
use crate::body::Pose;
use crate::cpu::{Want, Workspace};
use crate::energy::{EnergyModel, Observation};
use crate::engine::{BackendChoice, BackendKind, Engine, Setting};
use crate::eval::people::{People, observe_person};
use crate::fit::{Batch, Job, Outcome, Schedule, Solver};
use crate::init::Initializer;
use crate::limits::MAX_PERSONS;
use crate::pack::Pack;
use crate::synth::open_studio;
use crate::texture::EnergyKind;
use crate::vulkan::traffic;

/// Seed of the synthetic people.
const SEED: u64 = 77;

/// Options of `neuralsmpl bench`.
#[derive(clap::Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub(super) backend: BackendArgs,
    #[command(flatten)]
    net: NetBenchArgs,
    /// Model pack [default: NEURALSMPL_PACK, else models/person, else the installed one]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// People in the frame
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MAX_PERSONS as i64))]
    persons: u8,
    /// Steps of a fit; none stops early
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// How the energy is descended
    #[arg(long, value_enum, default_value_t)]
    solver: Solver,
    /// Frames that are timed; the median counts
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    frames: u32,
}

/// Medians over the frames, milliseconds.
struct Times {
    wall: f64,
    /// Processor time of the process.
    cpu: f64,
}

pub(super) fn run(args: &BenchArgs, console: &Console) -> anyhow::Result<End> {
    if let Some(path) = &args.net.net {
        bench_net::run(path, &args.net, args.frames, console)?;
        return Ok(End::Done);
    }
    let pack = Pack::load(&find(args.pack.as_deref())?)?;
    let texture = pack.texture.as_ref().ok_or_else(|| {
        anyhow!(
            "{}: no neural mesh in this pack, expected one to time; run `neuralsmpl learn`",
            pack.root.display()
        )
    })?;
    let crowd = Crowd::new(&pack, args.persons.into())?;
    let schedule = Schedule {
        tolerance: 0.0,
        ..Schedule::new(args.solver, args.steps)
    };
    let setting = Setting {
        body: &pack.body,
        texture: Some(texture),
        model: &crowd.model,
        grid: crowd.grid,
        fit: &pack.manifest.fit,
    };
    let cpu_alone = BackendChoice {
        kind: BackendKind::Cpu,
        ..BackendChoice::default()
    };

    let mut cpu = Engine::new(cpu_alone.open()?, &setting);
    let mut device = Engine::new(args.backend.choice().open()?, &setting);
    let starts = crowd.starts(&pack, &mut cpu);
    let jobs = crowd.jobs(&starts);
    let batch = Batch {
        body: &pack.body,
        texture: Some(texture),
        model: &crowd.model,
        jobs: &jobs,
        schedule: &schedule,
        hypotheses: false,
        until: None,
    };
    let console = console.with_progress(args.frames as usize);
    let mut series = [(&mut cpu, Vec::new()), (&mut device, Vec::new())];
    let mut outcomes = [Vec::new(), Vec::new()];
    // Interleaved, so that whatever else runs disturbs both alike; the first frame warms up.
    for frame in 0..=args.frames {
        for ((engine, times), outcomes) in series.iter_mut().zip(&mut outcomes) {
            outcomes.clear();
            let (wall, busy) = (Instant::now(), processor_ms());
            engine.fit_batch(&batch, &mut |_, outcome: &Outcome, _| {
                outcomes.push(outcome.clone())
            });
            if frame > 0 {
                times.push((wall.elapsed().as_secs_f64() * 1e3, processor_ms() - busy));
            }
        }
        console.advance();
    }
    let [(_, cpu_times), (_, device_times)] = series;
    let (cpu_times, device_times) = (medians(cpu_times), medians(device_times));

    let evaluations = f64::from(args.steps + 2);
    console.say(&format!("neuralsmpl {} bench", env!("CARGO_PKG_VERSION")))?;
    console.say(&format!("machine    {}", machine()))?;
    console.say(&format!("device     {}", describe(&mut device)))?;
    console.say(&format!(
        "pack       {} · {} vertices · {} triangles · {} x {} cells · D = {} · K = {}",
        pack.manifest.name,
        pack.body.vertices.len(),
        pack.body.faces.len(),
        crowd.grid,
        crowd.grid,
        texture.channels,
        texture.components
    ))?;
    console.say(&format!(
        "fit        {} person(s), {:?}, {} steps, {} evaluations each, median of {} frames",
        args.persons, args.solver, args.steps, evaluations, args.frames
    ))?;
    console.say("")?;
    console.say("                    CPU, 1 thread        device   device / CPU")?;
    for (name, of, share) in [
        ("frame, wall", |t: &Times| t.wall, 1.0),
        ("frame, processor", |t: &Times| t.cpu, 1.0),
        ("evaluation, wall", |t: &Times| t.wall, evaluations),
        ("evaluation, proc.", |t: &Times| t.cpu, evaluations),
    ] as [(&str, fn(&Times) -> f64, f64); 4]
    {
        let (a, b) = (of(&cpu_times) / share, of(&device_times) / share);
        console.say(&format!(
            "{name:18} {a:11.3} ms {b:11.3} ms {:11.2} x",
            b / a
        ))?;
    }
    for (i, (a, b)) in outcomes[0].iter().zip(&outcomes[1]).enumerate() {
        console.say(&format!(
            "energy, person {i}   {:.4} → {:.4}   {:.4} → {:.4}",
            a.before.total(),
            a.after.total(),
            b.before.total(),
            b.after.total()
        ))?;
    }
    stages(&batch, &pack, &mut device, &console)?;
    let report = device.report();
    console.say(&format!(
        "\ncounters   {} frames on the device · {} switches to the CPU · {} fixed-point overflows",
        report.device_frames, report.switches, report.overflows
    ))?;
    Ok(End::Done)
}

/// Device times and the budget by stage.
fn stages(
    batch: &Batch<'_>,
    pack: &Pack,
    device: &mut Engine,
    console: &Console,
) -> anyhow::Result<()> {
    let (Some(texture), Some(job)) = (batch.texture, batch.jobs.first()) else {
        return Ok(());
    };
    let grid = job.observation.grid;
    let mut workspace = Workspace::new(&pack.body, grid);
    workspace.evaluate(&batch.problem(job), job.start, Want::Hessian);
    let budget = traffic(&pack.body, texture, &workspace, grid);
    let times = match device.vulkan() {
        Some(fitter) => fitter.stage_times(batch).context("timing the stages")?,
        None => None,
    };
    let persons = batch.jobs.len() as f64;
    console.say("\none evaluation of one person, counted at the start pose")?;
    console.say(
        "stage          device µs   compulsory kB    moved kB   moved / compulsory    MFLOP",
    )?;
    let mut total = (0.0, 0.0, 0.0, 0.0);
    for row in &budget {
        let time = times
            .iter()
            .flatten()
            .find(|(name, _)| *name == row.stage)
            .map(|(_, us)| us / persons);
        total.0 += time.unwrap_or(0.0);
        total.1 += row.compulsory;
        total.2 += row.moved;
        total.3 += row.flops;
        let shown = time.map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
        console.say(&format!(
            "{:12} {shown:>11} {:15.1} {:11.1} {:20.2} {:8.3}",
            row.stage,
            row.compulsory / 1e3,
            row.moved / 1e3,
            row.moved / row.compulsory,
            row.flops / 1e6
        ))?;
    }
    console.say(&format!(
        "{:12} {:11.1} {:15.1} {:11.1} {:20.2} {:8.3}",
        "all",
        total.0,
        total.1 / 1e3,
        total.2 / 1e3,
        total.2 / total.1,
        total.3 / 1e6
    ))?;
    if let Some(fitter) = device.vulkan() {
        let bytes: u64 = fitter.memory().iter().map(|(_, bytes)| bytes).sum();
        console.say(&format!(
            "\nmemory     {:.1} MB on the device",
            bytes as f64 / 1e6
        ))?;
    }
    Ok(())
}

/// Synthetic people, as the shipped backbone sees them.
pub(super) struct Crowd {
    pub(super) model: EnergyModel,
    pub(super) grid: usize,
    observations: Vec<Observation>,
}

impl Crowd {
    pub(super) fn new(pack: &Pack, persons: usize) -> anyhow::Result<Self> {
        let backbone = &pack.manifest.backbone;
        let grid = backbone.input / backbone.stride;
        let model = EnergyModel::new(&pack.manifest, &pack.prior, EnergyKind::Paper);
        let studio = open_studio(pack, None, None, None)?;
        let mut people = People::new(pack, &studio, SEED)?;
        let mut observations = Vec::new();
        for index in 0..persons as u64 {
            let made = people.person(index);
            let sighting = people.sighting(&made, index, 0)?;
            let mut seen = Observation::new(grid, backbone.channels, pack.body.keypoints.len());
            observe_person(pack, &model, &made.truth, &sighting, &mut seen);
            observations.push(seen);
        }
        Ok(Self {
            model,
            grid,
            observations,
        })
    }

    /// Start poses from the landmarks.
    pub(super) fn starts(&self, pack: &Pack, engine: &mut Engine) -> Vec<Pose> {
        let initializer = Initializer::new(&self.model);
        let pose = |seen| initializer.pose(&pack.body, engine.cpu(), seen);
        self.observations.iter().map(pose).collect()
    }

    pub(super) fn jobs<'a>(&'a self, starts: &'a [Pose]) -> Vec<Job<'a>> {
        let both = self.observations.iter().zip(starts);
        both.map(|(observation, start)| Job { observation, start })
            .collect()
    }
}

fn medians(mut times: Vec<(f64, f64)>) -> Times {
    let middle = times.len() / 2;
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wall = times[middle].0;
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    Times {
        wall,
        cpu: times[middle].1,
    }
}

/// Processor time of all threads of this process, milliseconds; 0 where the system does not tell.
fn processor_ms() -> f64 {
    let threads = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .sum::<f64>()
        / 1e6
}

fn describe(engine: &mut Engine) -> String {
    match engine.vulkan() {
        Some(fitter) => {
            let info = fitter.context().info();
            format!(
                "{} · {} · Vulkan {} · {} · {} dispatches an evaluation",
                info.name,
                info.kind,
                info.version,
                info.driver,
                fitter.dispatches().len()
            )
        }
        None => "none; the CPU runs in its place".to_owned(),
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let board = read("/proc/device-tree/model");
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map(|l| l.trim_start_matches([' ', '\t', ':']).to_owned())
        .unwrap_or_default();
    let load = read("/proc/loadavg");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let name = [board.trim_end_matches('\0'), cpu.as_str()]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "{} {} · {name} · {threads} threads · load {}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        load.split_whitespace().next().unwrap_or("unknown")
    )
}
