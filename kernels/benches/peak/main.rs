//! Speed of the kernels on one core beside the most that the core can do: products per second of
//! typical layers, and of a bare loop of the instruction that the kernel lives on.
//!
//! `cargo bench -p neuralsmpl-kernels --bench peak [-- [ISA] [WORD OF A LAYER]]`

#[allow(dead_code, unused_imports)]
#[path = "../../src/isa.rs"]
mod isa;
#[allow(dead_code, unused_imports)]
#[path = "../../src/kernel/mod.rs"]
mod kernel;
mod layers;
mod limits;

use std::time::{Duration, Instant};

use isa::Isa;
use layers::{Kind, LAYERS};

/// Of each work the fastest of this many rounds counts. Works to be compared take turns, so that
/// they meet the same disturbances.
const ROUNDS: usize = 300;
/// A round repeats its work for this long at least.
const ROUND: Duration = Duration::from_micros(300);

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let named: Vec<Isa> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let mut words = words.iter().filter(|word| word.parse::<Isa>().is_err());
    let word = words.next();
    for isa in Isa::available() {
        if named.is_empty() || named.contains(&isa) {
            table(isa, word.map(String::as_str));
        }
    }
}

/// Prints the layers whose description contains `word`.
fn table(isa: Isa, word: Option<&str>) {
    println!("\n## {isa}\n");
    println!("| layer | f32 GMAC/s | of peak | u8 GMAC/s | of peak | u8 / f32 |");
    println!("|---|---:|---:|---:|---:|---:|");
    for layer in LAYERS {
        if word.is_some_and(|word| !layer.to_string().contains(word)) {
            continue;
        }
        let mut works = [
            layers::f32(isa, layer),
            Box::new(limits::f32(isa).run),
            layers::u8(isa, layer),
            Box::new(limits::u8(isa).run),
        ];
        let macs = layer.macs() as f64;
        let macs = [
            macs,
            limits::f32(isa).macs as f64,
            macs,
            limits::u8(isa).macs as f64,
        ];
        let seconds = seconds(&mut works);
        let [f32, most_f32, u8, most_u8] = [0, 1, 2, 3].map(|i| macs[i] / 1e9 / seconds[i]);
        // A depthwise kernel multiplies codes as it likes; f32 products are the common measure.
        let most_u8 = if layer.kind == Kind::Depthwise {
            most_f32
        } else {
            most_u8
        };
        let ratio = u8 / f32;
        println!(
            "| {layer} | {f32:.1} | {} | {u8:.1} | {} | {ratio:.2} |",
            share(f32, most_f32),
            share(u8, most_u8),
        );
    }
}

/// `speed` in percent of `most`, if that is known.
fn share(speed: f64, most: f64) -> String {
    match most > 0.0 {
        true => format!("{:.0} % of {most:.1}", 100.0 * speed / most),
        false => "?".to_owned(),
    }
}

/// Seconds that each of `works` takes.
fn seconds(works: &mut [Box<dyn FnMut() + '_>; 4]) -> [f64; 4] {
    let mut fastest = [f64::INFINITY; 4];
    let repeats = [0, 1, 2, 3].map(|i| {
        works[i]();
        let start = Instant::now();
        works[i]();
        let once = start.elapsed().max(Duration::from_nanos(100));
        (ROUND.as_nanos() / once.as_nanos()).max(1) as u32
    });
    for _ in 0..ROUNDS {
        for i in 0..4 {
            let start = Instant::now();
            for _ in 0..repeats[i] {
                works[i]();
            }
            fastest[i] = fastest[i].min(start.elapsed().as_secs_f64() / f64::from(repeats[i]));
        }
    }
    fastest
}
