//! `stoa token create`: a join token, made beside the cluster CA.

use std::path::PathBuf;

use apiserver::pki::Authority;
use clap::{Subcommand, ValueEnum};
use manifests::duration::Span;
use manifests::token::JoinRole;

use crate::exit::{Failure, Outcome};
use crate::{ambient, output};

/// What to do with tokens.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token with which an agent or a server may join
    Create {
        /// Who may join with it
        #[arg(long, default_value = "agent", value_name = "ROLE")]
        role: Role,
        /// Folder of the cluster CA (ca.crt, ca.key)
        #[arg(long, default_value = "stoa-data/pki", value_name = "DIR")]
        pki_dir: PathBuf,
        /// How long it is good for
        #[arg(long, default_value = "24h", value_name = "TIME")]
        ttl: Span,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Agent,
    Server,
}

/// Runs `token`.
pub(crate) fn run(args: &Args) -> Outcome {
    let Action::Create { role, pki_dir, ttl } = &args.action;
    let unusable = || Failure::new(format!("{} holds no usable CA", pki_dir.display()));
    let authority = Authority::load(pki_dir)
        .map_err(|e| unusable().because(e))?
        .ok_or_else(|| unusable().hint("name the folder of ca.crt and ca.key with --pki-dir"))?;
    let role = match role {
        Role::Agent => JoinRole::Agent,
        Role::Server => JoinRole::Server,
    };
    let now_s = ambient::now_s();
    let expires_s = now_s.saturating_add(ttl.ms() / 1_000);
    // A part of the dice: what makes each token different.
    let dice = u32::try_from(ambient::random() & u128::from(u32::MAX)).unwrap_or(0);
    output::line(&authority.mint(role, (now_s, expires_s), dice))
}
