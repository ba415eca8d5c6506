//! What leaktrace itself takes: processor time under a storm, memory, and the time to begin and to end.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::options::Options;
use super::process::{Process, processor_seconds};
use super::{load, tracer};

/// Turns of open + close a second.
pub(super) const STORM: f64 = 300_000.0;
/// Descriptors that are open before leaktrace starts.
pub(super) const PREEXISTING: usize = 100_000;
/// Descriptors that one process holds at most; the limit leaves it a few for itself.
const HELD_EACH: usize = 18_000;

/// Processes and descriptors of the host whose periodic looks are measured, and for how long.
pub(super) const LOOKED_AT: (usize, usize) = (200, 20_000);
const LOOKS: Duration = Duration::from_secs(30);

/// One figure for each round.
#[derive(Default)]
pub(super) struct Own {
    /// Turns a second that the storm reached.
    pub(super) storm: Vec<f64>,
    /// Processor seconds of leaktrace per second of storm.
    pub(super) storm_cpu: Vec<f64>,
    /// Events that leaktrace says it lost in the storm.
    pub(super) storm_lost: Vec<f64>,
    /// Processor seconds per second that periodic looks take: counts of descriptors, and last uses.
    pub(super) counts_cpu: Vec<f64>,
    pub(super) last_uses_cpu: Vec<f64>,
    /// All that leaktrace takes meanwhile.
    pub(super) watching_cpu: Vec<f64>,
    pub(super) quiet: Ends,
    pub(super) crowded: Ends,
}

/// Start, size and end of leaktrace.
#[derive(Default)]
pub(super) struct Ends {
    /// Seconds from start to attached.
    pub(super) start: Vec<f64>,
    /// Resident memory of its own once attached, in MiB.
    pub(super) resident: Vec<f64>,
    /// What it maps then of the programs' tables, in MiB.
    pub(super) mapped: Vec<f64>,
    /// Seconds from SIGINT to exit.
    pub(super) end: Vec<f64>,
}

/// Takes all of them, round by round.
pub(super) fn measure(options: &Options) -> Result<Own> {
    let mut own = Own::default();
    for round in 0..options.rounds() {
        eprintln!(
            "xtask: own costs, round {} of {}",
            round + 1,
            options.rounds()
        );
        own.quiet.add(options)?;
        own.add_storm(options)?;
        own.add_looks(options)?;
        let holders = hold(options, PREEXISTING, HELD_EACH)?;
        own.crowded.add(options)?;
        drop(holders);
    }
    Ok(own)
}

impl Own {
    fn add_storm(&mut self, options: &Options) -> Result<()> {
        let attached = tracer::leaktrace(options, &[])?;
        attached.settle()?;
        let (before, start) = (processor_seconds(attached.id())?, Instant::now());
        let reached = load::paced(options, "open", STORM, options.loop_seconds() * 5.0)?;
        let used = processor_seconds(attached.id())? - before;
        self.storm_cpu.push(used / start.elapsed().as_secs_f64());
        self.storm.push(reached);
        self.storm_lost.push(attached.stop()?.lost as f64);
        Ok(())
    }
}

impl Own {
    /// All descriptors are opened during the trace: so all are followed, as what leaks is.
    fn add_looks(&mut self, options: &Options) -> Result<()> {
        let attached = tracer::leaktrace(options, &[])?;
        attached.settle()?;
        let (processes, descriptors) = LOOKED_AT;
        let holders = hold(options, descriptors, descriptors / processes)?;
        attached.settle()?;
        attached.said();
        let (before, start) = (processor_seconds(attached.id())?, Instant::now());
        std::thread::sleep(LOOKS);
        let used = processor_seconds(attached.id())? - before;
        let seconds = start.elapsed().as_secs_f64();
        let said = attached.said();
        let share = |what| busy_seconds(&said, what) / seconds;
        self.counts_cpu.push(share("counted descriptors"));
        self.last_uses_cpu.push(share("looked at last uses"));
        self.watching_cpu.push(used / seconds);
        attached.stop()?;
        drop(holders);
        Ok(())
    }
}

/// The processor time that lines of the log tell of one sort of look.
fn busy_seconds(lines: &[String], what: &str) -> f64 {
    let of = |line: &String| {
        let (_, rest) = line.split_once(what)?.1.split_once("busy_ns=")?;
        let number = rest.split_whitespace().next()?;
        number.parse::<f64>().ok()
    };
    lines.iter().filter_map(of).sum::<f64>() / 1e9
}

impl Ends {
    fn add(&mut self, options: &Options) -> Result<()> {
        let attached = tracer::leaktrace(options, &[])?;
        self.start.push(attached.started_in.as_secs_f64());
        // Long enough for a first look at /proc to be over.
        std::thread::sleep(Duration::from_secs(2));
        let [resident, mapped] = resident_mib(attached.id())?;
        self.resident.push(resident);
        self.mapped.push(mapped);
        self.end.push(attached.stop()?.took.as_secs_f64());
        Ok(())
    }
}

/// Processes that hold so many descriptors between them, at most `each`.
fn hold(options: &Options, mut left: usize, each: usize) -> Result<Vec<Process>> {
    let mut holders = Vec::new();
    let each = each.min(descriptor_limit().saturating_sub(64)).max(1);
    while left > 0 {
        let count = left.min(each);
        left -= count;
        let mut holder = Process::start(
            Command::new(&options.bench_loop)
                .args(["hold", &count.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        holder.wait_for_stdout("ready")?;
        holders.push(holder);
    }
    Ok(holders)
}

/// The soft limit of open descriptors, raised to the hard one first.
fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls get the address of a limit that outlives them.
    let failed = unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            true
        } else {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0
        }
    };
    if failed {
        return 1024;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Resident memory of its own in MiB, and what it maps of the programs' tables: the ring
/// and the unwind tables belong to the kernel.
fn resident_mib(id: u32) -> Result<[f64; 2]> {
    let path = format!("/proc/{id}/smaps");
    let mappings = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    resident(&mappings).with_context(|| format!("{path} does not tell what is resident"))
}

fn resident(mappings: &str) -> Option<[f64; 2]> {
    let mut kib = [0.0; 2];
    let mut shared = 0;
    for line in mappings.lines() {
        if let Some(value) = line.strip_prefix("Rss:") {
            let value: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
            kib[shared] += value;
        } else if line.starts_with(|first: char| first.is_ascii_hexdigit() && !first.is_uppercase())
        {
            shared = usize::from(line.ends_with("anon_inode:bpf-map"));
        }
    }
    (kib[0] > 0.0).then(|| kib.map(|kib| kib / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_what_it_took() {
        let lines = [
            "2026-01-01T00:00:00Z DEBUG leak_user::trace::intake::counts: counted descriptors busy_ns=1500000000",
            "2026-01-01T00:00:00Z DEBUG leak_user::trace::intake::counts: counted descriptors busy_ns=500000000",
            "2026-01-01T00:00:00Z DEBUG leak_user::trace::observers::last_uses: looked at last uses busy_ns=7",
        ]
        .map(str::to_owned);
        assert_eq!(busy_seconds(&lines, "counted descriptors"), 2.0);
        assert_eq!(busy_seconds(&lines[2..], "counted descriptors"), 0.0);
    }

    #[test]
    fn the_kernels_tables_are_told_apart() {
        let mappings = "55ef-55f0 r-xp 00000000 fe:00 17   /bin/a b\nSize:  9 kB\nRss:    2048 kB\n\
            Anonymous: 7 kB\n7f00-7f01 rw-s 00000000 00:0f 9   anon_inode:bpf-map\nRss:  1024 kB\n\
            7f02-7f03 rw-p 00000000 00:00 0 \nRss:   1024 kB\n";
        assert_eq!(resident(mappings), Some([3.0, 1.0]));
        assert_eq!(resident(""), None);
    }
}
