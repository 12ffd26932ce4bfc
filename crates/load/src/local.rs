//! A crew of this program's own threads: one part on each core.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::beat::Beat;
use crate::crew::{Crew, Heard, Order};
use crate::engine;
use crate::plan::{Part, Plan, Server};

/// How long parts have to get ready before the run begins.
const GET_READY: Duration = Duration::from_millis(300);

/// What does a part's work.
pub type Work = dyn Fn(Part, Instant, Receiver<Order>, Sender<Beat>) -> Result<(), String> + Send + Sync;

/// Threads that each do a part.
#[derive(Debug)]
pub struct Local {
    orders: Vec<Sender<Order>>,
    beats: Receiver<Beat>,
    ended: Receiver<(u32, Result<(), String>)>,
    /// Parts that have ended and are not told of yet, with why; one that has said so itself is told of in vain.
    gone: VecDeque<(u32, String)>,
    threads: Vec<JoinHandle<()>>,
}

impl Local {
    /// Starts `parts` threads that load `server`.
    pub fn start(plan: &Arc<Plan>, server: &Server, parts: u32) -> Local {
        let (plan, server) = (plan.clone(), server.clone());
        Local::with(
            parts,
            Arc::new(move |part, start, orders, beats| {
                engine::run(&plan, &server, part, start, orders, beats).map_err(|why| why.to_string())
            }),
        )
    }

    /// Starts `parts` threads that do some other work.
    pub fn with(parts: u32, work: Arc<Work>) -> Local {
        let start = Instant::now() + GET_READY;
        let ((tell, beats), (tell_end, ended)) = (channel(), channel());
        let (mut orders, mut threads) = (Vec::new(), Vec::new());
        for index in 0..parts {
            let (order, hears) = channel();
            orders.push(order);
            let (work, tell, tell_end) = (work.clone(), tell.clone(), tell_end.clone());
            threads.push(std::thread::spawn(move || {
                let part = Part { index, of: parts };
                let result = catch_unwind(AssertUnwindSafe(|| work(part, start, hears, tell)));
                let result =
                    result.unwrap_or_else(|_| Err("it broke down; this is a mistake in the program".into()));
                let _ = tell_end.send((index, result));
            }));
        }
        Local { orders, beats, ended, gone: VecDeque::new(), threads }
    }
}

impl Crew for Local {
    fn parts(&self) -> u32 {
        self.orders.len() as u32
    }

    fn tell(&mut self, order: &Order) {
        for part in &self.orders {
            // One that is gone is told of as lost.
            let _ = part.send(order.clone());
        }
    }

    fn hear(&mut self, within: Duration) -> Heard {
        while let Ok((part, result)) = self.ended.try_recv() {
            let why = result.err().unwrap_or_else(|| "it ended before its time".to_owned());
            self.gone.push_back((part, why));
        }
        // A part tells its end after its last beat, so that whoever knows of the end finds all its beats here.
        let within = if self.gone.is_empty() { within } else { Duration::ZERO };
        match self.beats.recv_timeout(within) {
            Ok(beat) => Heard::Beat(Box::new(beat)),
            Err(_) => self.gone.pop_front().map_or(Heard::Nothing, |(part, why)| Heard::Lost { part, why }),
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
