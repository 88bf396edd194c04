//! Lanes: pictures rendered and observed on several threads with a result that does not depend
//! on how many. Picture i belongs to lane i mod [`LANES`]; a lane takes its pictures in order,
//! on one thread, into sums of its own.

use indicatif::{ProgressBar, ProgressStyle};

use super::LearnError;
use crate::backbone::{Backbone, Observations, Workers};
use crate::frame::{Intrinsics, Region};
use crate::pack::Pack;
use crate::synth::{Rendered, Studio, picture};

/// Lanes, and so the most threads that work at a time.
pub const LANES: usize = 16;

/// A series of pictures.
#[derive(Clone, Copy)]
pub struct Series<'a> {
    /// The pack.
    pub pack: &'a Pack,
    /// Its studio.
    pub studio: &'a Studio<'a>,
    /// Seed of the pictures.
    pub seed: u64,
    /// Number of pictures.
    pub count: u64,
    /// Threads.
    pub threads: usize,
}

impl Series<'_> {
    /// Renders and observes every picture; `visit` adds it to the sums of its lane.
    ///
    /// # Errors
    /// When the network cannot be loaded or fails.
    pub fn visit<L: Send>(
        &self,
        what: &'static str,
        lane: impl Fn(usize) -> L + Sync,
        visit: impl Fn(&mut L, &Rendered, &Observations) + Sync,
    ) -> Result<Vec<L>, LearnError> {
        let settings = &self.pack.manifest.backbone;
        let side = settings.input;
        // The picture is the crop: pixels are taken as they are.
        let camera = Intrinsics::from_fov(60.0, side as u32, side as u32);
        let region = Region {
            center: glam::Vec2::splat(0.5 * side as f32),
            side: side as f32,
            angle: 0.0,
        };
        let bar = progress(self.count, what);
        let lanes = in_lanes(
            self.count,
            self.threads,
            || {
                let backbone = Backbone::load(&self.pack.backbone, settings, &Workers::new(1)?)?;
                let seen = backbone.observations();
                Ok((backbone, seen))
            },
            lane,
            |(backbone, seen), sums, index| {
                let made = picture(self.studio, self.seed, index, side);
                backbone.observe(&made.image, &camera, &region, seen)?;
                visit(sums, &made, seen);
                bar.inc(1);
                Ok::<(), LearnError>(())
            },
        );
        bar.finish_and_clear();
        lanes
    }
}

/// Runs `work` for every index below `count` in its lane; the lanes come back in order.
///
/// Each thread has a tool of its own, which must not carry anything from one index to the next.
fn in_lanes<T, L: Send, E: Send>(
    count: u64,
    threads: usize,
    tool: impl Fn() -> Result<T, E> + Sync,
    lane: impl Fn(usize) -> L + Sync,
    work: impl Fn(&mut T, &mut L, u64) -> Result<(), E> + Sync,
) -> Result<Vec<L>, E> {
    let threads = threads.clamp(1, LANES);
    let run = |thread: usize| -> Result<Vec<(usize, L)>, E> {
        let mut tool = tool()?;
        let mut done = Vec::new();
        for number in (thread..LANES).step_by(threads) {
            let mut sums = lane(number);
            for index in (number as u64..count).step_by(LANES) {
                work(&mut tool, &mut sums, index)?;
            }
            done.push((number, sums));
        }
        Ok(done)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect()
    });
    let mut lanes = Vec::with_capacity(LANES);
    for result in results {
        lanes.extend(result?);
    }
    lanes.sort_by_key(|(number, _)| *number);
    Ok(lanes.into_iter().map(|(_, sums)| sums).collect())
}

fn progress(count: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(count);
    let template = "{msg} {bar:32} {pos}/{len} pictures, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn sums(threads: usize) -> Vec<f64> {
        let lanes = in_lanes(
            103,
            threads,
            || Ok::<(), ()>(()),
            |_| 0.0f64,
            |(), sum, index| {
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                rng.set_stream(index);
                *sum += rng.random::<f64>() * 10f64.powi((index % 13) as i32 - 6);
                Ok(())
            },
        );
        lanes.unwrap()
    }

    #[test]
    fn sums_are_equal_to_the_bit_whatever_the_threads() {
        let one = sums(1);
        assert_eq!(one.len(), LANES);
        for threads in [2, 3, 7, 16, 40] {
            assert_eq!(sums(threads), one, "{threads} threads");
        }
    }

    #[test]
    fn every_index_is_visited_once_and_faults_come_back() {
        let lanes = in_lanes(
            50,
            3,
            || Ok::<(), ()>(()),
            |_| Vec::new(),
            |(), seen, i| {
                seen.push(i);
                Ok(())
            },
        );
        let mut all: Vec<u64> = lanes.unwrap().concat();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        let fault = in_lanes(
            50,
            2,
            || Ok(()),
            |_| (),
            |(), (), i| if i == 31 { Err("31") } else { Ok(()) },
        );
        assert_eq!(fault, Err("31"));
    }
}
