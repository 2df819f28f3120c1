//! Scenarios: a ten-word language, a model of the server, and the core between them. After every
//! step the books are audited, and the model checks that no agent is given away twice.

mod language;
mod server;
mod sim;

mod books;
mod chaos;
mod external;
mod gangs;
mod stories;
