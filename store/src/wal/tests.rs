//! The pure half of the log on a simulated disk: tables, and crashes drawn from seeds.

mod crash;
mod damage;
mod layout;
mod sim;
