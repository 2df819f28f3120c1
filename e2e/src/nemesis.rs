//! What is done to store nodes besides killing them: the network between them is cut, and the power
//! of their disks fails. Both need root; where that is missing they say so and do nothing.

pub mod net;

pub use net::Net;
