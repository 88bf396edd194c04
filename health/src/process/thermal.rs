//! How hot the board is, and whether it throttles, as far as it shows it.

use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{Probe, read_line};

/// Readings outside of this are broken sensors, thousandths of a degree Celsius.
const PLAUSIBLE: std::ops::RangeInclusive<i64> = -40_000..=150_000;

/// Parts of a sensor's name which say that it sits at the processor.
const CHIP: [&str; 11] = [
    "cpu", "gpu", "soc", "core", "package", "pkg", "k10temp", "tdie", "tctl", "tj", "bigcore",
];

/// Parts of a sensor's name which say that it does not, whatever else the name says.
const ELSEWHERE: [&str; 6] = ["battery", "wifi", "nvme", "modem", "phy", "pmic"];

/// Bits 1, 2 and 3 of the Raspberry Pi's firmware: capped, throttled, at the soft limit, now.
const PI_THROTTLED: u64 = 0b1110;

/// The hottest sensor's reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heat {
    /// Thousandths of a degree Celsius.
    pub milli_c: i32,
    /// Which sensor, for [`Thermal::sensor`].
    pub sensor: usize,
}

struct Sensor {
    name: String,
    probe: Probe,
}

/// The board's sensors: those at the processor, or all where none says that it is.
pub struct Thermal {
    sensors: Vec<Sensor>,
    /// Cooling devices that slow a processor down: 0 when they do not.
    slowing: Vec<Probe>,
    /// The Raspberry Pi's firmware.
    firmware: Option<Probe>,
    /// x86: counts of throttling, with the last one seen.
    counts: Vec<(Probe, i64)>,
}

impl Thermal {
    /// Opens what `/sys` has.
    pub fn open() -> Self {
        Self::open_below(Path::new("/sys"))
    }

    /// Opens what a folder like `/sys` has.
    pub fn open_below(sys: &Path) -> Self {
        let mut sensors = zones(sys);
        sensors.extend(monitors(sys));
        if sensors.iter().any(|sensor| is_chip(&sensor.name)) {
            sensors.retain(|sensor| is_chip(&sensor.name));
        }
        let slowing = children(&sys.join("class/thermal"), "cooling_device")
            .into_iter()
            .filter(|folder| {
                read_line(&folder.join("type")).is_some_and(|kind| {
                    let kind = kind.to_ascii_lowercase();
                    kind.contains("cpufreq") || kind.contains("devfreq") || kind == "processor"
                })
            })
            .filter_map(|folder| Probe::open(&folder.join("cur_state")))
            .collect();
        let counts = children(&sys.join("devices/system/cpu"), "cpu")
            .into_iter()
            .filter_map(|cpu| Probe::open(&cpu.join("thermal_throttle/core_throttle_count")))
            .map(|probe| {
                let seen = probe.number().unwrap_or(0);
                (probe, seen)
            })
            .collect();
        Thermal {
            sensors,
            slowing,
            firmware: Probe::open(&sys.join("devices/platform/soc/soc:firmware/get_throttled")),
            counts,
        }
    }

    /// The hottest sensor now; `None` where the board shows none. No allocation.
    pub fn hottest(&self) -> Option<Heat> {
        self.sensors
            .iter()
            .enumerate()
            .filter_map(|(sensor, Sensor { probe, .. })| {
                let milli_c = probe.number().filter(|value| PLAUSIBLE.contains(value))?;
                Some(Heat {
                    milli_c: i32::try_from(milli_c).ok()?,
                    sensor,
                })
            })
            .max_by_key(|heat| heat.milli_c)
    }

    /// A sensor's name.
    pub fn sensor(&self, index: usize) -> Option<&str> {
        self.sensors.get(index).map(|sensor| sensor.name.as_str())
    }

    /// All sensors' names.
    pub fn sensors(&self) -> impl Iterator<Item = &str> {
        self.sensors.iter().map(|sensor| sensor.name.as_str())
    }

    /// Whether the processor is slowed down because of heat: now, or on x86 since the last look.
    /// `None` where the board does not say. No allocation.
    pub fn is_throttled(&mut self) -> Option<bool> {
        let firmware = self
            .firmware
            .as_ref()
            .and_then(Probe::hexadecimal)
            .map(|bits| bits & PI_THROTTLED != 0);
        let slowing = self
            .slowing
            .iter()
            .filter_map(Probe::number)
            .map(|state| state > 0)
            .reduce(|one, other| one | other);
        let counted = self
            .counts
            .iter_mut()
            .filter_map(|(probe, seen)| {
                let now = probe.number()?;
                Some(now > std::mem::replace(seen, now))
            })
            .reduce(|one, other| one | other);
        [firmware, slowing, counted]
            .into_iter()
            .flatten()
            .reduce(|one, other| one | other)
    }
}

/// `class/thermal/thermal_zone*`.
fn zones(sys: &Path) -> Vec<Sensor> {
    children(&sys.join("class/thermal"), "thermal_zone")
        .into_iter()
        .filter_map(|folder| {
            Some(Sensor {
                name: read_line(&folder.join("type"))?,
                probe: Probe::open(&folder.join("temp"))?,
            })
        })
        .collect()
}

/// `class/hwmon/hwmon*/temp*_input`.
fn monitors(sys: &Path) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    for folder in children(&sys.join("class/hwmon"), "hwmon") {
        let Some(chip) = read_line(&folder.join("name")) else {
            continue;
        };
        for input in children(&folder, "temp") {
            let Some(stem) = input
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix("_input"))
            else {
                continue;
            };
            let label = read_line(&folder.join(format!("{stem}_label")));
            if let Some(probe) = Probe::open(&input) {
                sensors.push(Sensor {
                    name: format!("{chip} {}", label.as_deref().unwrap_or(stem)),
                    probe,
                });
            }
        }
    }
    sensors
}

fn is_chip(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CHIP.iter().any(|part| name.contains(part)) && !ELSEWHERE.iter().any(|part| name.contains(part))
}

/// A folder's entries whose names begin with `prefix`, sorted.
fn children(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sys(tempfile::TempDir);

    impl Sys {
        fn new() -> Self {
            Sys(tempfile::tempdir().unwrap())
        }

        fn put(&self, path: &str, text: &str) -> &Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn open(&self) -> Thermal {
            Thermal::open_below(self.0.path())
        }
    }

    #[test]
    fn a_jetson() {
        let sys = Sys::new();
        sys.put("class/thermal/thermal_zone0/type", "cpu-thermal\n")
            .put("class/thermal/thermal_zone0/temp", "51250\n")
            .put("class/thermal/thermal_zone1/type", "gpu-thermal\n")
            .put("class/thermal/thermal_zone1/temp", "58500\n")
            .put("class/thermal/thermal_zone2/type", "battery\n")
            .put("class/thermal/thermal_zone2/temp", "99000\n")
            .put("class/thermal/cooling_device0/type", "pwm-fan\n")
            .put("class/thermal/cooling_device0/cur_state", "3\n")
            .put("class/thermal/cooling_device1/type", "cpufreq-cpu0\n")
            .put("class/thermal/cooling_device1/cur_state", "0\n");
        let mut thermal = sys.open();
        let heat = thermal.hottest().unwrap();
        assert_eq!(heat.milli_c, 58_500);
        assert_eq!(thermal.sensor(heat.sensor), Some("gpu-thermal"));
        assert_eq!(thermal.is_throttled(), Some(false));
        sys.put("class/thermal/cooling_device1/cur_state", "2\n")
            .put("class/thermal/thermal_zone1/temp", "garbage\n");
        assert_eq!(thermal.is_throttled(), Some(true));
        assert_eq!(thermal.hottest().unwrap().milli_c, 51_250);
    }

    #[test]
    fn a_pi_and_a_pc() {
        let sys = Sys::new();
        let firmware = "devices/platform/soc/soc:firmware/get_throttled";
        sys.put("class/hwmon/hwmon0/name", "cpu_thermal\n")
            .put("class/hwmon/hwmon0/temp1_input", "64000\n")
            .put(firmware, "50000\n");
        let mut pi = sys.open();
        assert_eq!(pi.hottest().unwrap().milli_c, 64_000);
        assert_eq!(pi.sensors().collect::<Vec<_>>(), ["cpu_thermal temp1"]);
        assert_eq!(pi.is_throttled(), Some(false));
        sys.put(firmware, "0x50004\n");
        assert_eq!(pi.is_throttled(), Some(true));

        let sys = Sys::new();
        let count = "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
        sys.put("class/hwmon/hwmon3/name", "coretemp\n")
            .put("class/hwmon/hwmon3/temp1_label", "Package id 0\n")
            .put("class/hwmon/hwmon3/temp1_input", "70000\n")
            .put("class/hwmon/hwmon4/name", "nvme\n")
            .put("class/hwmon/hwmon4/temp1_input", "80000\n")
            .put(count, "7\n");
        let mut pc = sys.open();
        let heat = pc.hottest().unwrap();
        assert_eq!(pc.sensor(heat.sensor), Some("coretemp Package id 0"));
        assert_eq!(pc.is_throttled(), Some(false));
        sys.put(count, "9\n");
        assert_eq!(pc.is_throttled(), Some(true));
        assert_eq!(pc.is_throttled(), Some(false));
    }

    #[test]
    fn a_board_without_names_gives_its_hottest() {
        let sys = Sys::new();
        sys.put("class/thermal/thermal_zone0/type", "acpitz\n")
            .put("class/thermal/thermal_zone0/temp", "27800\n")
            .put("class/thermal/thermal_zone1/type", "acpitz2\n")
            .put("class/thermal/thermal_zone1/temp", "-274000\n");
        let mut thermal = sys.open();
        assert_eq!(thermal.hottest().unwrap().milli_c, 27_800);
        assert_eq!(thermal.is_throttled(), None);
        let mut nothing = Sys::new().open();
        assert_eq!(nothing.hottest(), None);
        assert_eq!(nothing.is_throttled(), None);
    }
}
