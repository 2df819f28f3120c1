//! The promises, each proven on a cluster of real processes of its own. They run one at a time:
//! clusters side by side would measure one another.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's unwrap is its assertion, and a skipped test says so"
)]

mod bad_input;
mod bench;
mod campaign;
mod external;
mod kubectl;
mod logs;
mod lost_agent;
mod quickstart;
mod reservation;
mod retry;
mod shares;
