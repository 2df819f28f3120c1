//! Compatibility: real clients, unmodified, against three replicas over TLS; `docs/api.md` says what
//! they may rely on. What needs a client that is not here is a test whose name says that it is
//! skipped, and why, and which counts as ignored: no runner hides that.
#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a test's unwrap is its assertion; futures of whole proofs are made once"
)]

mod client;
mod curl;
mod kubectl;
mod kuberust;
mod python;
mod session;
mod stoa;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use client::Client;

fn main() -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

/// All tests: what can be tested depends on the machine, so they are found out when it is asked.
fn trials() -> Vec<Trial> {
    let own = Client::always();
    let kubectl = Client::on_path("kubectl");
    let curl = Client::on_path("curl");
    let pypi = Client::from_pypi();
    vec![
        own.trial(
            "session::lines_have_room_for_what_varies",
            session::lines_have_room_for_what_varies,
        ),
        own.trial(
            "session::json_has_what_is_asked_for",
            session::json_has_what_is_asked_for,
        ),
        own.trial(
            "session::files_are_read_as_their_notation_says",
            session::files_are_read_as_their_notation_says,
        ),
        own.trial(
            "client::one_that_is_missing_is_named",
            client::one_that_is_missing_is_named,
        ),
        kubectl.trial(
            "kubectl::the_installed_one_works_unmodified",
            kubectl::the_installed_one_works_unmodified,
        ),
        pypi.trial(
            "kubectl::a_later_one_works_unmodified",
            kubectl::a_later_one_works_unmodified,
        ),
        curl.trial(
            "curl::sees_the_protocol_as_kubernetes_speaks_it",
            curl::sees_the_protocol_as_kubernetes_speaks_it,
        ),
        own.trial(
            "kuberust::a_controller_works_unmodified",
            kuberust::a_controller_works_unmodified,
        ),
        pypi.trial(
            "python::the_client_works_unmodified",
            python::the_client_works_unmodified,
        ),
        pypi.trial(
            "python::an_operator_of_kopf_works_unmodified",
            python::an_operator_of_kopf_works_unmodified,
        ),
        own.trial(
            "stoa::says_what_it_did_and_ends_accordingly",
            stoa::says_what_it_did_and_ends_accordingly,
        ),
    ]
}
