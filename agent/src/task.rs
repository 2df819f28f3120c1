//! What the agent decides: which runs there are, what each does next, and what the servers are
//! told of it. Plain functions of events and `now`; the edge performs the effects.

mod end;
mod entry;
mod id;
mod limits;
mod machine;
mod recover;
mod run;
mod seen;
mod spec;
mod status;

#[cfg(test)]
mod tests;

pub use end::{Cause, End, Verdict};
pub use entry::{Answer, Report};
pub use id::RunId;
pub use limits::{Ceilings, Controller, Hierarchy, Setting, settings};
pub use machine::{Effect, Event, Machine, Settings};
pub use recover::{Evidence, lost, recover};
pub use run::{Action, Happening, Run, Started};
pub use seen::Seen;
pub use spec::RunSpec;
