//! Every viewer ends with the truth: the real hub and the real sending half of a socket,
//! against a network, processes and a database that fail by chance.
//!
//! It never looks at a clock, and a seed repeats a run. The rows are a list of numbers,
//! a process is a hub with its outlets, a line is a list of bytes that may be cut. What
//! a viewer does with a frame is what the protocol says, no more.

use std::collections::HashMap;

use bytestring::ByteString;
use slipway_core::{ByteCount, Position, Progress, Topic, UploadId, UploadProgress, UploadState};

use crate::frame::Since;
use crate::hub::Hub;
use crate::outlet::Outlet;
use crate::samples::{at, upload};
use crate::subscriptions::Subscriptions;

const RUNS: u64 = 10_000;
const STEPS: u64 = 120;
const TOPICS: usize = 3;
const PROCESSES: usize = 2;
const VIEWERS: usize = 4;

/// Bytes that may wait for a viewer, however long they do not read: one window, one
/// frame, and a ping.
const WAITING_BYTES_MAX: usize = 17 * 1024;

/// A source of numbers (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// What a row says. The epoch rises when the database is put back to what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    epoch: i32,
    seq: i64,
    done: u32,
    ended: bool,
}

impl Row {
    fn publish(self, hub: &Hub, topic: Topic) {
        let state = if self.ended {
            UploadState::Stored
        } else {
            UploadState::Receiving
        };
        let progress = UploadProgress {
            state,
            stored: ByteCount::from_u32(self.done),
            ..upload()
        };
        hub.publish(topic, self.position(), Progress::Upload(progress));
    }

    fn position(self) -> Position {
        at(self.epoch, self.seq)
    }
}

/// What a viewer has of one topic, by the rules for clients.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    e: Option<String>,
    s: i64,
    done: u64,
    status: String,
}

/// A viewer, their line, and the process at its other end.
struct Viewer {
    known: HashMap<Topic, Known>,
    line: Option<Line>,
}

struct Line {
    process: usize,
    outlet: Outlet,
    bytes: Vec<u8>,
}

struct World {
    chance: Chance,
    seed: u64,
    rows: Vec<(Topic, Row)>,
    hubs: Vec<Hub>,
    viewers: Vec<Viewer>,
    numbers: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let row = Row {
            epoch: 1,
            seq: 1,
            done: 0,
            ended: false,
        };
        let topics = (0..TOPICS).map(|_| (Topic::Upload(UploadId::new()), row));
        let viewer = |_| Viewer {
            known: HashMap::new(),
            line: None,
        };
        Self {
            chance: Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            seed,
            rows: topics.collect(),
            hubs: (0..PROCESSES).map(|_| Hub::default()).collect(),
            viewers: (0..VIEWERS).map(viewer).collect(),
            numbers: 0,
        }
    }

    fn step(&mut self) {
        let viewer = self.chance.index(VIEWERS);
        let (topic, process) = (self.chance.index(TOPICS), self.chance.index(PROCESSES));
        match self.chance.below(100) {
            0..30 => self.change(topic),
            // A hint reached a process, or its safety poll: it reads the row.
            30..50 => self.read(process, topic),
            // An answer of the database that was long on its way.
            50..55 => self.publish_old(process, topic),
            55..62 => self.connect(viewer, process),
            62..65 => self.cut(viewer),
            65..75 => self.fill(viewer),
            75..98 => self.drain(viewer),
            98 => self.restart(process),
            _ => self.restore(),
        }
    }

    fn change(&mut self, topic: usize) {
        let step = u32::try_from(self.chance.below(1000)).unwrap();
        let ends = self.chance.below(50) == 0;
        let (_, row) = &mut self.rows[topic];
        if !row.ended {
            row.seq += 1;
            row.done += step;
            row.ended = ends;
        }
    }

    fn read(&self, process: usize, topic: usize) {
        let (topic, row) = self.rows[topic];
        row.publish(&self.hubs[process], topic);
    }

    fn publish_old(&mut self, process: usize, topic: usize) {
        let (topic, mut row) = self.rows[topic];
        let back = i64::try_from(self.chance.below(5)).unwrap();
        if row.seq > back + 1 && !row.ended {
            row.seq -= back + 1;
            // Only a hub that knows better may see it: that is what is tried.
            if self.hubs[process].latest(topic).is_some() {
                row.done = 0;
                row.publish(&self.hubs[process], topic);
            }
        }
    }

    /// A viewer comes, to any process, and asks from where they are.
    fn connect(&mut self, viewer: usize, process: usize) {
        self.numbers += 1;
        let hub = self.hubs[process].clone();
        let outlet = Outlet::new(Subscriptions::new(hub, self.numbers));
        for (number, (topic, _)) in self.rows.iter().enumerate() {
            let known = self.viewers[viewer].known.get(topic);
            let since = known.and_then(|known| {
                let e = known.e.clone()?;
                Some(Since { e, s: known.s })
            });
            let mut subscriptions = outlet.subscriptions.borrow_mut();
            subscriptions.follow(*topic, number as u64, since);
        }
        outlet.open();
        self.viewers[viewer].line = Some(Line {
            process,
            outlet,
            bytes: Vec::new(),
        });
        // What somebody has begun to follow is read, before or after what comes next.
        for topic in 0..TOPICS {
            if self.chance.below(2) == 0 {
                self.read(process, topic);
            }
        }
    }

    /// Whatever is on the way is lost, in the middle of a frame or not.
    fn cut(&mut self, viewer: usize) {
        self.viewers[viewer].line = None;
    }

    /// The connection has room and asks for news.
    fn fill(&mut self, viewer: usize) {
        let seed = self.seed;
        if let Some(line) = &mut self.viewers[viewer].line {
            while let Some(bytes) = line.outlet.next() {
                line.bytes.extend_from_slice(&bytes);
            }
            assert!(line.bytes.len() <= WAITING_BYTES_MAX, "seed {seed}");
        }
    }

    /// The viewer reads some of what has arrived.
    fn drain(&mut self, viewer: usize) {
        let seed = self.seed;
        let Viewer { known, line } = &mut self.viewers[viewer];
        let Some(line) = line else { return };
        let mut at = 0;
        while self.chance.below(8) != 0
            && let Some((first, payload, end)) = frame(&line.bytes[at..])
        {
            match first {
                0x89 => line.outlet.answer(payload),
                _ => hear(std::str::from_utf8(payload).unwrap(), known, seed),
            }
            at += end;
        }
        line.bytes.drain(..at);
    }

    /// A process dies: its hub and all its lines with it.
    fn restart(&mut self, process: usize) {
        self.hubs[process] = Hub::default();
        for viewer in &mut self.viewers {
            if viewer
                .line
                .as_ref()
                .is_some_and(|line| line.process == process)
            {
                viewer.line = None;
            }
        }
    }

    /// The database is put back to an earlier day, and its history is another one.
    fn restore(&mut self) {
        for (_, row) in &mut self.rows {
            row.epoch += 1;
            row.seq = 1 + row.seq / 2;
            row.done /= 2;
            row.ended = false;
        }
    }

    /// Everything ends, everybody is there, and the network is well.
    fn settle(&mut self) {
        for (_, row) in &mut self.rows {
            row.seq += i64::from(!row.ended);
            row.ended = true;
        }
        for viewer in 0..VIEWERS {
            if self.viewers[viewer].line.is_none() {
                self.connect(viewer, viewer % PROCESSES);
            }
        }
        for process in 0..PROCESSES {
            (0..TOPICS).for_each(|topic| self.read(process, topic));
        }
        for viewer in 0..VIEWERS {
            for _ in 0..1000 {
                self.fill(viewer);
                if self.viewers[viewer].line.as_ref().unwrap().bytes.is_empty() {
                    break;
                }
                self.drain(viewer);
            }
        }
    }

    fn check(&self) {
        for (number, viewer) in self.viewers.iter().enumerate() {
            for (topic, row) in &self.rows {
                let truth = Known {
                    e: Some(row.position().epoch.to_string()),
                    s: row.seq,
                    done: u64::from(row.done),
                    status: "stored".to_owned(),
                };
                let known = viewer.known.get(topic);
                assert_eq!(known, Some(&truth), "viewer {number}, seed {}", self.seed);
            }
        }
    }
}

/// First byte, payload and length of the frame at the start, once it is whole.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        ),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(head..head + length)?;
    Some((bytes[0], payload, head + length))
}

/// The rules for clients: a snapshot is taken over, a change only where it fits, and
/// nothing goes back within an epoch.
fn hear(text: &str, known: &mut HashMap<Topic, Known>, seed: u64) {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let frames = json.as_array().cloned().unwrap_or_else(|| vec![json]);
    for frame in frames {
        let topic: Topic = frame["topic"].as_str().unwrap().parse().unwrap();
        let known = known.entry(topic).or_default();
        let s = frame["s"].as_i64().unwrap();
        let e = frame["e"].as_str().map(ToOwned::to_owned);
        match frame["t"].as_str().unwrap() {
            "snap" => {
                let same = known.e == e;
                assert!(
                    !same || s >= known.s,
                    "seed {seed}: {frame} after {known:?}"
                );
                known.e = e;
            }
            "up" => {
                let fits = frame["p"].as_i64().unwrap() <= known.s && known.e.is_some();
                assert!(fits && s > known.s, "seed {seed}: {frame} after {known:?}");
            }
            _ => continue,
        }
        let done = frame["d"]["done"].as_u64().unwrap();
        known.s = s;
        known.done = done;
        known.status = frame["d"]["status"].as_str().unwrap().to_owned();
    }
}

#[test]
fn every_viewer_ends_with_the_truth_whatever_fails() {
    for seed in 1..=RUNS {
        let mut world = World::new(seed);

        for _ in 0..STEPS {
            world.step();
        }
        world.settle();

        world.check();
    }
}

#[test]
fn a_frame_is_whole_or_none() {
    let text = ByteString::from("abc");
    let bytes = [&[0x81, 3][..], text.as_bytes()].concat();

    assert_eq!(frame(&bytes), Some((0x81, &b"abc"[..], 5)));
    assert_eq!(frame(&bytes[..4]), None);
}
