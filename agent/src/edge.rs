//! Everything that touches the world: processes, files, the clock and the network.
#![allow(
    clippy::disallowed_methods,
    reason = "here the clock is read and processes are started"
)]

pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod files;
pub(crate) mod follow;
pub(crate) mod heartbeat;
pub(crate) mod home;
pub(crate) mod identity;
pub(crate) mod inotify;
pub(crate) mod join;
pub(crate) mod kill;
pub(crate) mod launch;
pub(crate) mod logs;
pub(crate) mod machine;
pub(crate) mod procs;
pub(crate) mod ready;
pub(crate) mod register;
pub(crate) mod report;
pub(crate) mod runner;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod supervise;
pub(crate) mod tls;
pub(crate) mod watch;
