//! Machines that are not there: the files of a Jetson Nano, a Jetson Orin Nano and a Raspberry Pi 5,
//! as their systems write them, and what is said about each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use neuralsmpl_doctor::{Finding, Root, State, Wanted, examine, text, worst};

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, path: &str, text: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A device node of mode 660, as far as permissions go.
    fn device(&self, path: &str) -> &Self {
        self.put(path, "");
        let path = self.0.path().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// Somebody who is not the owner of the devices; in their group where `member`.
    fn user(&self, member: bool) -> &Self {
        let group = fs::metadata(self.0.path()).unwrap().gid();
        let groups = if member {
            format!("54321 {group}")
        } else {
            "54321".to_owned()
        };
        self.put(
            "proc/self/status",
            &format!("Name:\tx\nUid:\t54321\t54321\t54321\t54321\nGid:\t54321\t54321\t54321\t54321\nGroups:\t{groups} \n"),
        )
        .put("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nrobot:x:54321:54321::/home/robot:/bin/bash\n")
        .put("etc/group", &format!("robot:x:54321:\ndialout:x:{group}:\n"))
    }

    fn system(&self, kernel: &str, model: &str, cores: usize, free_mib: usize) -> &Self {
        let cpu: String = (0..cores)
            .map(|n| format!("processor\t: {n}\nCPU part\t: 0xd42\n\n"))
            .collect();
        self.put("proc/sys/kernel/osrelease", kernel)
            .put(
                "etc/os-release",
                "NAME=X\nPRETTY_NAME=\"Ubuntu 22.04.4 LTS\"\n",
            )
            .put("proc/device-tree/model", model)
            .put("proc/cpuinfo", &cpu)
            .put(
                "proc/meminfo",
                &format!(
                    "MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: {} kB\nSwapTotal: 0 kB\n",
                    free_mib * 1024
                ),
            )
            .put(
                "proc/self/limits",
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max open files            1024                 1048576              files\n\
                 Max locked memory         8388608              8388608              bytes\n",
            )
            .put("proc/self/cgroup", "0::/user.slice\n")
    }

    fn look(&self, wanted: &Wanted) -> Vec<Finding> {
        examine(&Root::new(self.0.path()), wanted)
    }
}

fn named<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings
        .iter()
        .find(|f| f.name == name)
        .unwrap_or_else(|| panic!("no finding {name} in {findings:#?}"))
}

fn camera() -> Wanted {
    Wanted {
        v4l2: true,
        ..Wanted::default()
    }
}

const ORIN_MODES: &str = "\
< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n\
< POWER_MODEL ID=1 NAME=25W >\n\
< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n\
< PM_CONFIG DEFAULT=1 FAN_CONFIG=quiet >\n";

#[test]
fn a_jetson_orin_nano_in_a_low_power_mode() {
    let m = Machine::new();
    m.user(true)
        .system(
            "5.15.148-tegra\n",
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
            6,
            5000,
        )
        .put(
            "etc/nv_tegra_release",
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: x\n",
        )
        .put("etc/nvpmodel.conf", ORIN_MODES)
        .put("var/lib/nvpmodel/status", "pmode:0000 fmode:quiet\n")
        .device("dev/video0")
        .put("sys/class/video4linux/video0/name", "vi-output, imx219 9-0010\n")
        .put("sys/class/video4linux/video0/index", "0\n")
        .device("dev/ttyTHS1")
        .link("etc/systemd/system/multi-user.target.wants/nvgetty.service", "/etc/systemd/system/nvgetty.service")
        .put("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
        .put("sys/class/thermal/thermal_zone0/temp", "51250\n");
    let findings = m.look(&camera());

    assert!(named(&findings, "board").found.contains("Orin Nano"));
    assert_eq!(named(&findings, "l4t").found, "R36.4.3 (JetPack 6)");
    let mode = named(&findings, "power-mode");
    assert_eq!(mode.state, State::Warn);
    assert!(mode.found.starts_with("15W (number 0)"), "{}", mode.found);
    assert_eq!(
        mode.fix.as_deref(),
        Some("sudo nvpmodel -m 2 && sudo jetson_clocks")
    );
    assert!(
        named(&findings, "cores")
            .found
            .contains("6 cores: Cortex-A78AE")
    );
    assert!(
        named(&findings, "cameras")
            .found
            .contains("/dev/video0 (vi-output, imx219")
    );
    let serial = named(&findings, "serial");
    assert_eq!(serial.state, State::Warn);
    assert!(
        serial
            .fix
            .as_deref()
            .unwrap()
            .contains("disable --now nvgetty")
    );
    assert_eq!(named(&findings, "temperature").value, Some(51.25));
    assert_eq!(worst(&findings), State::Warn);

    // Every problem has a remedy.
    assert!(
        findings
            .iter()
            .all(|f| (f.state >= State::Warn) == f.fix.is_some())
    );
}

#[test]
fn nvpmodel_itself_is_believed_first() {
    let m = Machine::new();
    m.user(true)
        .put("etc/nvpmodel.conf", ORIN_MODES)
        .put("var/lib/nvpmodel/status", "pmode:0000\n")
        .put(
            "usr/sbin/nvpmodel",
            "#!/bin/sh\n[ \"$1\" = -q ] && printf 'NV Power Mode: MAXN_SUPER\\n2\\n'\n",
        );
    let tool = m.0.path().join("usr/sbin/nvpmodel");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    let findings = m.look(&camera());
    let mode = named(&findings, "power-mode");
    assert_eq!(
        (mode.state, mode.found.as_str()),
        (State::Ok, "MAXN_SUPER (number 2)")
    );
}

#[test]
fn a_jetson_nano_whose_user_may_not_use_its_devices() {
    let m = Machine::new();
    m.user(false)
        .system(
            "4.9.253-tegra\n",
            "NVIDIA Jetson Nano Developer Kit\0",
            4,
            250,
        )
        .put(
            "etc/nv_tegra_release",
            "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref\n",
        )
        .device("dev/video0")
        .put("sys/class/video4linux/video0/name", "HD Webcam C525\n")
        .device("dev/ttyUSB0")
        .link(
            "dev/serial/by-id/usb-FTDI_FT232R-if00-port0",
            "../../ttyUSB0",
        );
    let wanted = Wanted {
        lock: true,
        camera: Some("/dev/video0".into()),
        serial: vec![
            PathBuf::from("/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"),
            PathBuf::from("/dev/ttyUSB7"),
        ],
        v4l2: true,
    };
    let findings = m.look(&wanted);
    assert!(named(&findings, "l4t").found.contains("JetPack 4"));
    assert_eq!(named(&findings, "memory_mib").state, State::Fail);
    let camera = named(&findings, "cameras");
    assert_eq!(camera.state, State::Fail);
    assert_eq!(
        camera.fix.as_deref(),
        Some("sudo usermod -aG dialout robot   # then log out and in again")
    );
    let serial: Vec<_> = findings.iter().filter(|f| f.name == "serial").collect();
    assert_eq!(serial[0].state, State::Fail);
    assert!(
        serial[0].found.contains("robot may not use it"),
        "{}",
        serial[0].found
    );
    assert_eq!(serial[1].state, State::Warn);
    assert!(serial[1].found.contains("/dev/ttyUSB7 is not there"));
    let lock = named(&findings, "memlock");
    assert_eq!(lock.state, State::Fail);
    assert!(
        lock.fix
            .as_deref()
            .unwrap()
            .contains("LimitMEMLOCK=infinity")
    );
    assert_eq!(worst(&findings), State::Fail);
}

#[test]
fn a_raspberry_pi_5_with_a_weak_supply_and_a_console_on_its_line() {
    let m = Machine::new();
    m.user(true)
        .system(
            "6.6.31+rpt-rpi-2712\n",
            "Raspberry Pi 5 Model B Rev 1.0\0",
            4,
            7000,
        )
        .put(
            "sys/devices/platform/soc/soc:firmware/get_throttled",
            "50000\n",
        )
        .put(
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "powersave\n",
        )
        .put(
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver",
            "cpufreq-dt\n",
        )
        .put(
            "proc/cmdline",
            "console=ttyAMA10,115200 console=tty1 root=PARTUUID=x\n",
        )
        .device("dev/ttyAMA10")
        .device("dev/ttyAMA0")
        .device("dev/ttyS0")
        .put("sys/class/tty/ttyS0/type", "0\n")
        .put("sys/fs/cgroup/user.slice/memory.max", "419430400\n")
        .put("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
    let findings = m.look(&camera());
    assert_eq!(named(&findings, "supply").state, State::Warn);
    assert!(
        named(&findings, "governor")
            .fix
            .as_deref()
            .unwrap()
            .contains("schedutil")
    );
    let group = named(&findings, "cgroup");
    assert_eq!(group.state, State::Warn);
    assert_eq!(group.found, "at most 400 MiB and 0.5 cores");
    let serial: Vec<_> = findings.iter().filter(|f| f.name == "serial").collect();
    assert_eq!(serial.len(), 2, "{serial:#?}");
    assert!(
        serial[0]
            .found
            .contains("/dev/ttyAMA10 is used by the kernel's console")
    );
    assert_eq!(serial[1].found, "/dev/ttyAMA0");
    assert!(named(&findings, "cameras").found.contains("no camera"));
    assert!(
        findings
            .iter()
            .all(|f| f.name != "l4t" && f.name != "power-mode")
    );
}

#[test]
fn a_program_without_cameras_says_how_to_read_one() {
    let m = Machine::new();
    m.user(true).device("dev/video2").device("dev/video3");
    m.put("sys/class/video4linux/video3/index", "1\n");
    let findings = m.look(&Wanted::default());
    let cameras = named(&findings, "cameras");
    assert_eq!(cameras.state, State::Warn);
    assert!(
        cameras.found.starts_with("/dev/video2 (no name); "),
        "{}",
        cameras.found
    );
    assert!(cameras.fix.as_deref().unwrap().contains("--features v4l2"));
}

#[test]
fn an_empty_root_is_no_panic_and_the_text_has_every_line() {
    let m = Machine::new();
    let findings = m.look(&Wanted::default());
    let plain = text(&findings, false);
    for finding in &findings {
        assert!(plain.contains(&finding.found), "{plain}");
        if let Some(fix) = &finding.fix {
            assert!(plain.contains(fix), "{plain}");
        }
    }
    assert!(!plain.contains('\x1b'));
    assert!(text(&findings, true).contains("\x1b[33mWARN\x1b[0m"));
    assert!(plain.lines().last().unwrap().contains("not looked at"));
}

#[test]
fn this_machine_is_looked_at_without_a_panic() {
    let findings = examine(&Root::here(), &camera());
    assert!(findings.len() > 8);
    assert_eq!(named(&findings, "kernel").state, State::Ok);
}
