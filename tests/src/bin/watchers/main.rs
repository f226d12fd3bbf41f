//! Many viewers in one process and one thread, for `cargo xtask bench live`: they follow
//! topics, come back when they are cut off, and count what they get.
//!
//! It never judges. It is told what to do on standard input, a word a line (`reset`,
//! `stall`, `report DONE`), and answers a report with one line of JSON.

#![expect(clippy::print_stdout, reason = "its answers are what it is run for")]

mod tally;
mod viewer;

use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};
use slipway_tests::Chance;

use crate::tally::Tally;
use crate::viewer::{After, Viewer};

/// Handshakes under way at once while nobody is in a hurry; fewer than the server lets
/// wait for its database.
const COMING_AT_ONCE: usize = 100;

/// How long to sleep where there is nothing to do; orders are obeyed as late as this.
const NAP: Duration = Duration::from_millis(5);

/// First and highest ceiling of the random wait before coming back, as the server's
/// greeting names them.
const BACK_FIRST: Duration = Duration::from_millis(500);
const BACK_LONGEST: Duration = Duration::from_secs(30);

/// What the process is told when it starts.
pub(crate) struct Plan {
    address: SocketAddr,
    token: String,
    topics: Vec<String>,
}

struct Fleet {
    plan: Plan,
    poll: Poll,
    viewers: Vec<Viewer>,
    tally: Tally,
    chance: Chance,
    /// Nobody reads any more.
    stalled: bool,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let address: SocketAddr = next("which address?")?.parse()?;
    let token = next("which token?")?;
    let viewers: usize = next("how many viewers?")?.parse()?;
    let base_micros: u128 = next("since when is time counted?")?.parse()?;
    let unit_micros: u128 = next("in units of how much?")?.parse()?;
    let topics = std::fs::read_to_string(next("which file of topics?")?)?;
    let plan = Plan {
        address,
        token,
        topics: topics.lines().map(str::to_owned).collect(),
    };
    let mut fleet = Fleet {
        poll: Poll::new()?,
        viewers: (0..viewers).map(|_| Viewer::default()).collect(),
        tally: Tally::new(base_micros, unit_micros),
        chance: Chance::new(1),
        plan,
        stalled: false,
    };
    let (order, orders) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if order.send(line).is_err() {
                return;
            }
        }
        // Whoever gave orders is gone.
        std::process::exit(0);
    });
    let mut events = Events::with_capacity(1024);
    loop {
        fleet.come()?;
        fleet.poll.poll(&mut events, Some(NAP))?;
        for event in &events {
            fleet.serve(event.token().0)?;
        }
        while let Ok(order) = orders.try_recv() {
            fleet.obey(&order)?;
        }
    }
}

impl Fleet {
    /// Lets some of those come who are not there and whose wait is over.
    fn come(&mut self) -> Result<()> {
        let now = Instant::now();
        let under_way = self.viewers.iter().filter(|viewer| viewer.is_coming());
        let mut room = COMING_AT_ONCE.saturating_sub(under_way.count());
        for (number, viewer) in self.viewers.iter_mut().enumerate() {
            // After the first time everybody comes when they want to.
            if !viewer.may_come(now) || (room == 0 && !viewer.was_here()) {
                continue;
            }
            room = room.saturating_sub(1);
            viewer.come(&self.plan, number)?;
            if let Some(stream) = viewer.stream() {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .register(stream, Token(number), interest)?;
            }
        }
        Ok(())
    }

    fn serve(&mut self, number: usize) -> Result<()> {
        if self.stalled {
            return Ok(());
        }
        let viewer = self.viewers.get_mut(number).context("no such viewer")?;
        if viewer.serve(&self.plan, number, &mut self.tally) == After::CutOff {
            let attempt = viewer.cut_off();
            let ceiling = (BACK_FIRST * 2_u32.pow(attempt.min(10))).min(BACK_LONGEST);
            let ceiling = u64::try_from(ceiling.as_millis())?;
            let wait = Duration::from_millis(self.chance.within(0..ceiling));
            viewer.come_back_at(Instant::now() + wait);
        }
        Ok(())
    }

    fn obey(&mut self, order: &str) -> Result<()> {
        match order.split_once(' ').unwrap_or((order, "")) {
            ("reset", _) => self.tally.reset(),
            ("stall", _) => self.stalled = true,
            ("report", done) => {
                let done: u64 = done.parse().context("report what?")?;
                println!("{}", self.tally.report(&self.viewers, done));
            }
            _ => bail!("there is no order {order:?}"),
        }
        Ok(())
    }
}
