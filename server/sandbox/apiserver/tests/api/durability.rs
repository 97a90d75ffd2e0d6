//! Acknowledged means stored: processes of this very test that are killed, or run out of disk, while they write.
//!
//! ```text
//! the test ──starts itself──► a process: two journals, writers on the API of both, a line for each attempt and each acknowledgement
//!     └── after some lines: SIGKILL, read what it said, open its journals, compare; and again
//! ```

use crate::kit::{Kit, options, start};
use apiserver::{Body, Options, Server, Snapshot, UserInfo};
use http_body_util::BodyExt;
use machinery::clock::ManualClock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const QUOTA: &str = "/api/v1/namespaces/default/resourcequotas/count";
/// Names the folder for a process that this test has started.
const FOLDER: &str = "CORDON_TEST_DURABILITY";
const KILLS: u64 = 200;
/// Kills after which a new cluster takes the old one's place: what is opened four times for each of them stays small.
const ROUND: u64 = 20;
const WRITERS: u64 = 4;
/// Objects that only a rewind changes, all of them at once.
const REWOUND: usize = 6;

/// Numbers that look random, the same again for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn open(journal: PathBuf) -> Kit {
    let clock = Arc::new(ManualClock::at(start()));
    let server = Server::open(Options { journal: Some(journal), ..options(&clock) }).unwrap();
    Kit { server, clock, user: UserInfo::admin() }
}

/// A configuration map whose parts say the same number.
fn map(name: &str, number: u64, size: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"number": number.to_string()}},
           "data": {"a": number.to_string(), "filler": "x".repeat(size), "z": number.to_string()}})
}

/// The number that all parts of an object say.
#[track_caller]
fn number(map: &Value) -> u64 {
    let parts = [&map["metadata"]["labels"]["number"], &map["data"]["a"], &map["data"]["z"]];
    assert!(parts.iter().all(|part| *part == parts[0]), "half a write: {map}");
    parts[0].as_str().unwrap().parse().unwrap()
}

/// Starts this test again, as the process that writes.
fn again(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder).stdout(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_200_kills() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_until_killed(Path::new(&folder)).await;
    }
    let seed = u64::from(std::process::id()) << 20 | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let mut expected = Expected::default();
    for kill in 0..KILLS {
        if kill % ROUND == 0 {
            folder = tempfile::tempdir().unwrap();
            // The first ones write so much that journals are compacted on the way.
            prepare(folder.path(), if kill == 0 { 60_000 } else { 2_000 }).await;
            expected = Expected { writes: expected.writes, rewinds: expected.rewinds, ..Expected::default() };
        }
        let mut process = again("durability::what_was_acknowledged_survives_200_kills", folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut wanted = 1 + random.below(25);
        while wanted > 0 {
            let line = lines.next().expect("the process writes until it is killed").unwrap();
            wanted -= u64::from(line.starts_with("done "));
            expected.hear(&line);
        }
        for _ in 0..random.below(3_000) {
            std::thread::yield_now();
        }
        process.kill().unwrap();
        let signal = process.wait().unwrap().signal();
        assert_eq!(signal, Some(9), "the process had ended by itself");
        lines.map_while(Result::ok).for_each(|line| expected.hear(&line));
        expected.compare(folder.path(), kill).await;
    }
    assert!(expected.writes > 1_000 && expected.rewinds > 100, "{} writes, {} rewinds", expected.writes, expected.rewinds);
    println!("{KILLS} kills, {} acknowledged writes, {} rewinds", expected.writes, expected.rewinds);
}

/// What every process of the test finds: a counted namespace, and two states to rewind to.
async fn prepare(folder: &Path, large: usize) {
    std::fs::write(folder.join("large"), large.to_string()).unwrap();
    let kit = open(folder.join("written"));
    kit.namespace("default");
    let quota = json!({"metadata": {"name": "count"}, "spec": {"hard": {"count/configmaps": "1000"}}});
    kit.post("/api/v1/namespaces/default/resourcequotas", quota).await.expect(201);
    let kit = open(folder.join("rewound"));
    kit.namespace("default");
    for state in 0..2 {
        for n in 0..REWOUND {
            let (name, size) = (format!("r{n}"), large / 10);
            match state {
                0 => kit.post(MAPS, map(&name, state, size)).await.expect(201),
                _ => kit.put(&format!("{MAPS}/{name}"), map(&name, state, size)).await.expect(200),
            };
        }
        kit.server.snapshot().write_to(&folder.join(format!("state-{state}"))).unwrap();
    }
}

/// `wants` before an attempt, `done` after its acknowledgement.
async fn write_until_killed(folder: &Path) {
    let Kit { server, clock, .. } = open(folder.join("written"));
    let first = server.snapshot().resource_version;
    let large = std::fs::read_to_string(folder.join("large")).unwrap().parse().unwrap();
    let mut workers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let kit = Kit { server: server.clone(), clock: clock.clone(), user: UserInfo::admin() };
        workers.spawn(async move { write(&kit, writer, first, large).await });
    }
    let rewound = open(folder.join("rewound"));
    let states = [0, 1].map(|state| Snapshot::read_from(&folder.join(format!("state-{state}"))).unwrap());
    let folder = folder.to_owned();
    let mut written = server.committed();
    workers.spawn(async move {
        for state in (0..2).cycle() {
            println!("wants rewind {state}");
            rewound.server.restore(&states[state]).unwrap();
            println!("done rewind {state} {}", rewound.server.snapshot().resource_version);
            rewound.server.snapshot_to(&folder.join("snapshot")).unwrap();
            for _ in 0..5 {
                written.changed().await.unwrap();
            }
        }
    });
    // They end only by a panic, which has said why.
    workers.join_next().await;
    std::process::exit(1);
}

/// Creates, replaces, patches and deletes; the numbers rise from one process to the next because resource versions do.
async fn write(kit: &Kit, writer: u64, first: u64, large: usize) {
    let mut random = Random(first << 8 | writer << 1 | 1);
    for count in 0.. {
        let name = format!("w{writer}-{}", random.below(6));
        let number = (first << 20) + count;
        let size = if random.below(4) == 0 { large } else { 100 };
        let path = format!("{MAPS}/{name}");
        let exists = kit.get(&path).await.code == 200;
        let choice = random.below(4);
        println!("wants {name} {}", if exists && choice == 0 { 0 } else { number });
        let answer = match (exists, choice) {
            (false, _) => kit.post(MAPS, map(&name, number, size)).await.expect(201),
            (true, 0) => kit.delete(&path).await.expect(200),
            (true, 1) => kit.put(&path, map(&name, number, size)).await.expect(200),
            (true, 2) => kit.patch(&path, "merge", map(&name, number, size)).await.expect(200),
            (true, _) => kit.patch(&format!("{path}?fieldManager=t&force=true"), "apply", map(&name, number, size)).await.expect(200),
        };
        let version = answer.json()["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        println!("done {name} {} {version}", if exists && choice == 0 { 0 } else { number });
        // Nothing here ever waits: without it two writers would have both threads for themselves.
        tokio::task::yield_now().await;
    }
}

/// What the processes said so far. 0 stands for an object that is not there.
#[derive(Default)]
struct Expected {
    done: BTreeMap<String, u64>,
    /// Begun and not acknowledged: may be there or not.
    open: BTreeMap<String, u64>,
    highest: u64,
    rewound: u64,
    writes: usize,
    rewinds: usize,
}

impl Expected {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["wants", name, number] => drop(self.open.insert(name.to_owned(), number.parse().unwrap())),
            ["done", name, number, version] => {
                self.open.remove(name);
                self.done.insert(name.to_owned(), number.parse().unwrap());
                let version = version.parse().unwrap();
                if name == "rewind" {
                    self.rewound = version;
                    self.rewinds += 1;
                } else {
                    self.highest = self.highest.max(version);
                    self.writes += 1;
                }
            }
            _ => {}
        }
    }

    /// Opens what the process left, compares, and takes what is there as the new truth.
    async fn compare(&mut self, folder: &Path, kill: u64) {
        let kit = open(folder.join("written"));
        let list = kit.get(MAPS).await.expect(200).json();
        let items = list["items"].as_array().unwrap();
        let found: BTreeMap<&str, u64> = items.iter().map(|map| (map["metadata"]["name"].as_str().unwrap(), number(map))).collect();
        let names: Vec<_> = self.done.keys().chain(self.open.keys()).filter(|name| *name != "rewind").cloned().collect();
        for name in names {
            let there = found.get(name.as_str()).copied().unwrap_or(0);
            let done = self.done.get(&name).copied().unwrap_or(0);
            let open = self.open.remove(&name);
            assert!(there == done || Some(there) == open, "kill {kill}, {name}: {there} is there, {done} was acknowledged, {open:?} begun");
            self.done.insert(name, there);
        }
        // A quota is written in the same step as what it counts.
        let used = &kit.get(QUOTA).await.expect(200).json()["status"]["used"]["count/configmaps"];
        assert_eq!(*used, items.len().to_string(), "kill {kill}");
        self.resume(&kit, list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()).await;

        let kit = open(folder.join("rewound"));
        let version = kit.server.snapshot().resource_version;
        assert!(version >= self.rewound, "kill {kill}: {version}, but {} was acknowledged", self.rewound);
        let state = agreed(&kit.get(MAPS).await.expect(200).json());
        let done = self.done.get("rewind").copied().unwrap_or(1);
        let open = self.open.remove("rewind");
        assert!(state == done || Some(state) == open, "kill {kill}: state {state}, {done} was acknowledged, {open:?} begun");
        self.done.insert("rewind".to_owned(), state);
        if folder.join("snapshot").exists() {
            let whole = Snapshot::read_from(&folder.join("snapshot")).unwrap();
            let kit = Kit::new();
            kit.server.restore(&whole).unwrap();
            agreed(&kit.get(MAPS).await.expect(200).json());
        }
    }

    /// A watch from what was last acknowledged goes on, or is told to list anew; one from the list goes on.
    async fn resume(&mut self, kit: &Kit, listed: u64) {
        assert!(listed >= self.highest, "resource version {listed}, but {} was acknowledged", self.highest);
        let mut seen = watch(kit, self.highest).await;
        let mut current = watch(kit, listed).await;
        let written = kit.post(MAPS, map("probe", 1, 0)).await.expect(201).json();
        let version: u64 = written["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(version > listed, "resource versions rise");
        let added = ("ADDED".to_owned(), json!("probe"));
        assert_eq!(current.next().await, added);
        let first = seen.next().await;
        let expected = if self.highest == listed { added } else { ("ERROR".to_owned(), json!(410)) };
        assert_eq!(first, expected, "watched from {}, listed {listed}", self.highest);
        kit.delete(&format!("{MAPS}/probe")).await.expect(200);
        assert_eq!(current.next().await.0, "DELETED");
        self.highest = kit.server.snapshot().resource_version;
    }
}

/// The state that all of the rewound objects are in.
#[track_caller]
fn agreed(list: &Value) -> u64 {
    let numbers: Vec<_> = list["items"].as_array().unwrap().iter().map(number).collect();
    assert!(numbers.len() == REWOUND && numbers.iter().all(|number| *number == numbers[0]), "half a rewind: {numbers:?}");
    numbers[0]
}

struct Events {
    body: Body,
    read: Vec<u8>,
}

async fn watch(kit: &Kit, version: u64) -> Events {
    let request = http::Request::get(format!("{MAPS}?watch=true&resourceVersion={version}")).body(Body::empty()).unwrap();
    let answer = kit.send(request).await;
    assert_eq!(answer.status(), 200);
    Events { body: answer.into_body(), read: Vec::new() }
}

impl Events {
    /// Type, and the object's name or the error's code.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let event: Value = serde_json::from_slice(&self.read[..end]).unwrap();
                self.read.drain(..=end);
                let object = &event["object"];
                let what = if object["kind"] == "Status" { &object["code"] } else { &object["metadata"]["name"] };
                return (event["type"].as_str().unwrap().to_owned(), what.clone());
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await.expect("an event comes");
            self.read.extend(frame.expect("the watch goes on").unwrap().into_data().unwrap());
        }
    }
}

/// A disk that is full, as a limit on the size of a file (the write ends in its middle, as it does where space ends): the write is refused and
/// leaves nothing, what is there is served, and with room again the cluster goes on.
#[tokio::test]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_until_full(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let itself = again("durability::a_full_disk_refuses_writes_and_nothing_else", folder.path());
    let mut shell = Command::new("sh");
    // 300 blocks of 512 bytes; the signal that comes with the error is not wanted.
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 300; exec \"$@\"", "sh"]).arg(itself.get_program()).args(itself.get_args());
    let output = shell.env(FOLDER, folder.path()).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));

    let kit = open(folder.path().join("written"));
    let list = kit.get(MAPS).await.expect(200).json();
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|map| map["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["after", "m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
}

async fn write_until_full(folder: &Path) {
    let kit = open(folder.join("written"));
    kit.namespace("default");
    for n in 0..7 {
        kit.post(MAPS, map(&format!("m{n}"), n, 20_000)).await.expect(201);
    }
    let snapshot = folder.join("snapshot");
    kit.server.snapshot_to(&snapshot).unwrap();
    let before = kit.server.snapshot().resource_version;
    let large = map("m7", 7, 40_000);
    let refused = kit.post(MAPS, large.clone()).await.expect(500).json();
    assert_eq!((&refused["kind"], &refused["status"], &refused["reason"]), (&json!("Status"), &json!("Failure"), &json!("InternalError")));
    assert!(refused["message"].as_str().unwrap().contains("the journal could not be written"), "{refused}");
    assert_eq!(kit.server.snapshot().resource_version, before);
    kit.get(&format!("{MAPS}/m7")).await.expect(404);
    kit.get(&format!("{MAPS}/m6")).await.expect(200);
    // A write in the middle of nothing, a snapshot, a rewind: all of them or none of it.
    kit.put(&format!("{MAPS}/m6"), map("m6", 66, 40_000)).await.expect(500);
    assert_eq!(number(&kit.get(&format!("{MAPS}/m6")).await.json()), 6);
    assert_eq!(Snapshot::read_from(&snapshot).unwrap().resource_version, before);
    let empty = Kit::new().server.snapshot();
    let (full, most) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    assert!(full < most);
    setrlimit(Resource::RLIMIT_FSIZE, 100, most).unwrap();
    assert!(kit.server.snapshot_to(&snapshot).is_err());
    assert!(kit.server.restore(&empty).is_err());
    assert_eq!(Snapshot::read_from(&snapshot).unwrap().resource_version, before, "the old snapshot stays");
    assert_eq!(kit.server.snapshot().resource_version, before, "nothing was rewound");

    setrlimit(Resource::RLIMIT_FSIZE, most, most).unwrap();
    let after = kit.post(MAPS, map("after", 8, 40_000)).await.expect(201).json();
    assert_eq!(after["metadata"]["resourceVersion"], (before + 1).to_string());
}
