//! The section `[kind]`: real clusters through Docker.

use provision::gpu::GpuChoice;
use provision::kind::{KindSettings, LabImages, PoolSettings};
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    docker: Option<String>,
    instance: Option<String>,
    image: Option<String>,
    pull: Option<bool>,
    subnets: Option<String>,
    subnet_prefix: Option<u8>,
    ports: Option<String>,
    memory_mib: Option<u64>,
    cpus: Option<f64>,
    pids: Option<u32>,
    egress: Option<bool>,
    trusted_learners: Option<bool>,
    allow_strangers: Option<bool>,
    gpus: Option<Gpus>,
    nvml: Option<PathBuf>,
    #[serde(default)]
    pool: Pool,
    #[serde(default)]
    images: Images,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Images {
    archive: Option<PathBuf>,
    #[serde(default)]
    real: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Gpus {
    Word(String),
    Listed(Vec<String>),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    capacity: Option<u16>,
    reserved: Option<u16>,
    initial: Option<u16>,
}

impl Section {
    /// Whether people whom nobody knows may work on real clusters.
    pub fn allows_strangers(&self) -> bool {
        self.allow_strangers.unwrap_or(false)
    }

    /// `docker` is what the environment says; it wins. `Err`: the key that cannot be used, and why.
    pub fn read(self, docker: Option<String>, data: &Path) -> Result<KindSettings, (&'static str, String)> {
        let mut settings = KindSettings { data: data.join("kind"), ..KindSettings::default() };
        if let Some(docker) = docker.or(self.docker) {
            settings.docker = docker;
        }
        if let Some(instance) = self.instance {
            settings.instance = instance;
        }
        if let Some(image) = self.image {
            settings.image = image;
        }
        if let Some(subnets) = self.subnets {
            settings.subnets = subnets.parse().map_err(|_| ("kind.subnets", format!("{subnets:?} is no range such as 10.201.0.0/16")))?;
        }
        settings.subnet_prefix = self.subnet_prefix.unwrap_or(settings.subnet_prefix);
        if !(settings.subnets.prefix_len()..=29).contains(&settings.subnet_prefix) {
            let why = format!("must be between the prefix of kind.subnets ({}) and 29", settings.subnets.prefix_len());
            return Err(("kind.subnet_prefix", why));
        }
        if let Some(ports) = self.ports {
            settings.ports = range(&ports).ok_or_else(|| ("kind.ports", format!("{ports:?} is no range such as 21000-29999")))?;
        }
        if let Some(memory) = self.memory_mib {
            if memory < 1024 {
                return Err(("kind.memory_mib", "a node needs 1024 or more".to_owned()));
            }
            settings.limits.memory = memory.saturating_mul(1 << 20);
        }
        if let Some(cpus) = self.cpus {
            if !(0.5..=1024.0).contains(&cpus) {
                return Err(("kind.cpus", "must be from 0.5 to 1024".to_owned()));
            }
            settings.limits.cpus = cpus;
        }
        if let Some(pids) = self.pids {
            if pids < 512 {
                return Err(("kind.pids", "a node needs 512 or more".to_owned()));
            }
            settings.limits.pids = pids;
        }
        settings.pull = self.pull.unwrap_or(settings.pull);
        settings.egress = self.egress.unwrap_or(settings.egress);
        settings.trusted_learners = self.trusted_learners.unwrap_or(settings.trusted_learners);
        if let Some(gpus) = self.gpus {
            settings.gpus = choice(gpus).map_err(|why| ("kind.gpus", why))?;
        }
        settings.nvml = self.nvml.unwrap_or(settings.nvml);
        let count = |given: Option<u16>| usize::from(given.unwrap_or(0));
        let pool =
            PoolSettings { capacity: count(self.pool.capacity), reserved: count(self.pool.reserved), initial: count(self.pool.initial) };
        if pool.capacity > 0 && pool.reserved.max(pool.initial) > pool.capacity {
            return Err(("kind.pool.reserved", format!("more than kind.pool.capacity ({})", pool.capacity)));
        }
        settings.pool = pool;
        let archive = self.images.archive.unwrap_or_else(|| settings.data.join("lab-images.tar"));
        let mut real = Vec::new();
        for name in &self.images.real {
            let read = images::catalogue::Reference::parse(name).ok().filter(|name| name.tag.is_none() && name.digest.is_none());
            let why = || ("kind.images.real", format!("{name:?} is no repository such as docker.io/tensorflow/serving"));
            real.push(read.ok_or_else(why)?.repository());
        }
        settings.lab_images = LabImages { archive: Some(archive), real };
        Ok(settings)
    }
}

fn choice(gpus: Gpus) -> Result<GpuChoice, String> {
    match gpus {
        Gpus::Word(word) => match word.as_str() {
            "auto" => Ok(GpuChoice::Auto),
            "none" => Ok(GpuChoice::None),
            "simulated" => Ok(GpuChoice::Simulated),
            _ => Err(format!("{word:?} is none of \"auto\", \"none\", \"simulated\" and no list of UUIDs")),
        },
        Gpus::Listed(uuids) => match uuids.iter().find(|uuid| !uuid.starts_with("GPU-") && !uuid.starts_with("MIG-")) {
            Some(other) => Err(format!("{other:?} is no UUID of a GPU; nvidia-smi -L lists them")),
            None if uuids.is_empty() => Err("the list is empty; say \"none\"".to_owned()),
            None => Ok(GpuChoice::Listed(uuids)),
        },
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}
