//! `neuralsmpl bench --net`: one network alone, timed, or served to a peer that times both sides.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::console::Console;
use crate::backbone::{Isa, NetworkProbe, Workers};
use crate::limits::MAX_THREADS;

/// Options of a network's run.
#[derive(clap::Args)]
pub(super) struct NetArgs {
    /// Threads for the network
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MAX_THREADS as i64))]
    threads: u8,
    /// Instruction set of the kernels [default: the best that this processor has]
    #[arg(long, value_name = "NAME")]
    isa: Option<Isa>,
    /// Leave everything to tract, for comparison
    #[arg(long)]
    tract_only: bool,
}

impl NetArgs {
    pub(super) fn workers(&self) -> anyhow::Result<Workers> {
        let isa = self.isa.unwrap_or_else(Isa::best);
        Ok(Workers::with(self.threads.into(), isa, !self.tract_only)?)
    }
}

/// Options of `neuralsmpl bench --net`.
#[derive(clap::Args)]
pub(super) struct NetBenchArgs {
    /// Time this ONNX network instead of the fit
    #[arg(long, value_name = "ONNX")]
    pub(super) net: Option<PathBuf>,
    /// Answer each line `run K` on the standard input with the milliseconds of K runs
    #[arg(long, requires = "net")]
    serve: bool,
    /// Take the network's inputs from this file (safetensors, f32, by name) [default: noise]
    #[arg(long, value_name = "FILE", requires = "net")]
    inputs: Option<PathBuf>,
    /// Write the network's outputs to this file (safetensors)
    #[arg(long, value_name = "FILE", requires = "net")]
    outputs: Option<PathBuf>,
    #[command(flatten)]
    pub(super) args: NetArgs,
}

/// Times or serves a network.
pub(super) fn run(
    path: &Path,
    bench: &NetBenchArgs,
    runs: u32,
    console: &Console,
) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let workers = bench.args.workers()?;
    let mut net =
        NetworkProbe::load(&bytes, &workers).with_context(|| path.display().to_string())?;
    if let Some(inputs) = &bench.inputs {
        read_inputs(&mut net, inputs)?;
    }
    if let Some(outputs) = &bench.outputs {
        write_outputs(&mut net, outputs)?;
    }
    if bench.serve {
        return serve(&mut net);
    }
    net.time()?;
    let mut times = Vec::with_capacity(runs as usize);
    for _ in 0..runs {
        times.push(net.time()?);
    }
    times.sort_unstable();
    let ms = |t: Duration| t.as_secs_f64() * 1e3;
    console.say(&format!(
        "{}: {:.2} ms median of {runs} runs, {:.2} to {:.2} ms; {}, {} {}",
        path.display(),
        ms(times[times.len() / 2]),
        ms(times[0]),
        ms(times[times.len() - 1]),
        workers.isa(),
        workers.threads(),
        if workers.threads() == 1 {
            "thread"
        } else {
            "threads"
        },
    ))
}

fn serve(net: &mut NetworkProbe) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let count: usize = line
            .strip_prefix("run ")
            .and_then(|n| n.trim().parse().ok())
            .ok_or_else(|| anyhow!("`{line}`: expected `run K`"))?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            times.push(format!("{:.4}", net.time()?.as_secs_f64() * 1e3));
        }
        writeln!(out, "{}", times.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

fn read_inputs(net: &mut NetworkProbe, path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let named = SafeTensors::deserialize(&bytes).with_context(|| path.display().to_string())?;
    for (index, (name, shape)) in net.inputs().into_iter().enumerate() {
        let tensor = named.tensor(&name).map_err(|_| {
            anyhow!(
                "{}: tensor `{name}` is missing, expected f32 {shape:?}",
                path.display()
            )
        })?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            bail!(
                "{}: tensor `{name}` is {:?} {:?}, expected F32 {shape:?}",
                path.display(),
                tensor.dtype(),
                tensor.shape()
            );
        }
        let values: Vec<f32> = tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|x| f32::from_le_bytes(*x))
            .collect();
        net.set_input(index, &values)?;
    }
    Ok(())
}

fn write_outputs(net: &mut NetworkProbe, path: &Path) -> anyhow::Result<()> {
    let arrays = net.run()?;
    let bytes: Vec<Vec<u8>> = arrays
        .iter()
        .map(|a| a.values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let mut views = Vec::new();
    for (array, bytes) in arrays.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes)?;
        views.push((array.name.clone(), view));
    }
    let file = safetensors::serialize(views, None)?;
    fs::write(path, file).with_context(|| format!("{}: cannot be written", path.display()))
}
