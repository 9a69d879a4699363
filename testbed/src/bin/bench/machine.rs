//! What it was measured on, without names.

use serde_json::{Value, json};

/// The machine, shortly.
#[derive(Debug)]
pub struct Machine {
    cores: usize,
    memory: u64,
    processor: String,
    kernel: String,
    load: String,
}

impl Machine {
    pub fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: field(&read("/proc/meminfo"), "MemTotal")
                .trim_end_matches(" kB")
                .parse()
                .map_or(0, |kilobytes: u64| kilobytes * 1024),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            kernel: read("/proc/sys/kernel/osrelease")
                .split('-')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    pub fn words(&self) -> String {
        let Self {
            cores,
            memory,
            processor,
            kernel,
            load,
        } = self;
        let memory = memory.div_ceil(1 << 30);
        format!(
            "{cores} cores ({processor}), {memory} GiB, Linux {kernel}; load at the start {load}"
        )
    }

    pub fn to_json(&self) -> Value {
        json!({
            "cores": self.cores,
            "memory_bytes": self.memory,
            "processor": self.processor,
            "kernel": self.kernel,
            "load_at_start": self.load,
        })
    }
}

/// The value of the first line that begins with the name.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or("", |(_, value)| value.trim()).to_owned()
}
