//! Fair queueing: who may work now, and who comes next. One noisy user fills its own queue, and
//! waits in it, while everybody else is served in turn.
//!
//! A flow is a user. Seats are shared by all flows, but no flow may hold all of them; a freed seat
//! goes to the waiting flows one after the other (round robin), within a flow to who came first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How much there is to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Requests in work at once.
    pub seats: usize,
    /// Of one flow.
    pub flow_seats: usize,
    /// Requests that wait, in all.
    pub waiting: usize,
    /// Of one flow.
    pub flow_waiting: usize,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has a seat.
    Run,
    /// It waits until its ticket is called.
    Wait(Ticket),
    /// There is no room to wait.
    Refuse,
}

/// Seats and queues. Every `Run`, and every ticket called, is owed one `leave`.
#[derive(Debug)]
pub struct Fair {
    shape: Shape,
    working: usize,
    waiting: usize,
    flows: HashMap<Arc<str>, Flow>,
    /// Flows with somebody waiting, each once, in the order they will be looked at.
    turn: VecDeque<Arc<str>>,
    next: u64,
}

#[derive(Debug, Default)]
struct Flow {
    working: usize,
    queue: VecDeque<Ticket>,
}

impl Fair {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            working: 0,
            waiting: 0,
            flows: HashMap::new(),
            turn: VecDeque::new(),
            next: 0,
        }
    }

    /// A request of this flow arrives.
    pub fn arrive(&mut self, name: &str) -> Verdict {
        let shape = self.shape;
        let (working, queued) = self
            .flows
            .get(name)
            .map_or((0, 0), |flow| (flow.working, flow.queue.len()));
        if queued == 0 && self.working < shape.seats && working < shape.flow_seats {
            self.working += 1;
            self.flow(name).working += 1;
            return Verdict::Run;
        }
        if self.waiting >= shape.waiting || queued >= shape.flow_waiting {
            return Verdict::Refuse;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting += 1;
        self.flow(name).queue.push_back(ticket);
        if queued == 0 {
            self.turn.push_back(name.into());
        }
        Verdict::Wait(ticket)
    }

    /// A request that worked has ended; answers whose turn it is now. The called one works from here on.
    pub fn leave(&mut self, name: &str) -> Option<Ticket> {
        self.working = self.working.saturating_sub(1);
        if let Some(flow) = self.flows.get_mut(name) {
            flow.working = flow.working.saturating_sub(1);
        }
        self.forget(name);
        self.call()
    }

    /// A request that waited has gone away. False: its ticket was called meanwhile, so that it has
    /// a seat to leave.
    pub fn abandon(&mut self, name: &str, ticket: Ticket) -> bool {
        let Some(flow) = self.flows.get_mut(name) else {
            return false;
        };
        let Some(place) = flow.queue.iter().position(|own| *own == ticket) else {
            return false;
        };
        flow.queue.remove(place);
        self.waiting -= 1;
        if flow.queue.is_empty() {
            self.turn.retain(|own| **own != *name);
        }
        self.forget(name);
        true
    }

    /// Requests in work, and waiting.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.working, self.waiting)
    }

    fn flow(&mut self, name: &str) -> &mut Flow {
        self.flows.entry(name.into()).or_default()
    }

    fn call(&mut self) -> Option<Ticket> {
        if self.working >= self.shape.seats {
            return None;
        }
        for _ in 0..self.turn.len() {
            let name = self.turn.pop_front()?;
            let flow = self.flows.get_mut(&name)?;
            if flow.working >= self.shape.flow_seats {
                self.turn.push_back(name);
                continue;
            }
            let ticket = flow.queue.pop_front()?;
            flow.working += 1;
            self.working += 1;
            self.waiting -= 1;
            if !flow.queue.is_empty() {
                self.turn.push_back(name);
            }
            return Some(ticket);
        }
        None
    }

    fn forget(&mut self, name: &str) {
        let idle = |flow: &Flow| flow.working == 0 && flow.queue.is_empty();
        if self.flows.get(name).is_some_and(idle) {
            self.flows.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+a` arrives, `-a` leaves, `!a3` goes away with ticket 3; what each answers.
    fn play(shape: [usize; 4], script: &str) -> String {
        let [seats, flow_seats, waiting, flow_waiting] = shape;
        let mut fair = Fair::new(Shape {
            seats,
            flow_seats,
            waiting,
            flow_waiting,
        });
        let mut said = Vec::new();
        for step in script.split_whitespace() {
            let (what, name) = step.split_at(1);
            said.push(match what {
                "+" => match fair.arrive(name) {
                    Verdict::Run => "run".to_owned(),
                    Verdict::Wait(Ticket(n)) => n.to_string(),
                    Verdict::Refuse => "no".to_owned(),
                },
                "-" => fair
                    .leave(name)
                    .map_or("-".to_owned(), |Ticket(n)| format!(">{n}")),
                _ => {
                    let (name, ticket) = name.split_at(1);
                    let gone = fair.abandon(name, Ticket(ticket.parse().unwrap()));
                    if gone { "gone" } else { "late" }.to_owned()
                }
            });
        }
        assert!(fair.turn.len() <= fair.flows.len());
        said.join(" ")
    }

    #[test]
    fn turns() {
        for (shape, script, expected) in [
            // There is room.
            ([2, 2, 9, 9], "+a +b -a -b", "run run - -"),
            // The noisy one does not get every seat that becomes free.
            (
                [1, 1, 9, 9],
                "+a +a +a +b +c -a -b -c -a",
                "run 0 1 2 3 >0 >2 >3 >1",
            ),
            // Nor may it hold all seats, so that another is served at once.
            ([3, 2, 9, 9], "+a +a +a +b -a -b", "run run 0 run >0 -"),
            // Its own seats are full: its turn is left out, and comes again.
            ([2, 1, 9, 9], "+a +a +b +b -b -a", "run 0 run 1 >1 >0"),
            // Queues have bounds.
            ([1, 1, 2, 1], "+a +a +a +b +c", "run 0 no 1 no"),
            // Who goes away leaves no hole.
            ([1, 1, 9, 9], "+a +b +c !b0 -a", "run 0 1 gone >1"),
            ([1, 1, 9, 9], "+a +b -a !b0 -b", "run 0 >0 late -"),
        ] {
            assert_eq!(play(shape, script), expected, "{script}");
        }
    }

    #[test]
    fn nothing_is_kept_of_who_has_left() {
        let mut fair = Fair::new(Shape {
            seats: 1,
            flow_seats: 1,
            waiting: 9,
            flow_waiting: 9,
        });
        fair.arrive("a");
        fair.arrive("b");
        fair.leave("a");
        fair.leave("b");
        assert_eq!(fair.load(), (0, 0));
        assert!(fair.flows.is_empty() && fair.turn.is_empty());
    }
}
