//! `stoa auth revoke`: credentials that are not to be heard any more.

use std::io::Read;
use std::path::{Path, PathBuf};

use apiserver::authn::revoked::serial_of;
use apiserver::pki::serial_of_pem;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::ValueEnum;
use kube::config::Kubeconfig;
use manifests::kinds::{API_VERSION, RevocationSpec};
use manifests::token::JoinToken;
use serde_json::{Value, json};

use crate::cluster::Ask;
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::output;

const PATH: &str = "/apis/stoa.dev/v1/revocations";

/// Flags of `auth revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Why, for whoever reads the list
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// With a user, an agent or joiners: what was issued later stays good [default: now]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["certificate", "serial", "token_file"])]
    issued_before: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The certificate in this file: PEM, or a kubeconfig that holds it
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The certificate with this serial number, as `openssl x509 -noout -serial` shows it
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// The join token or service account's token in this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// All that this user was given until now
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All certificates this agent was given until now
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// All join tokens of this role that were made until now
    #[arg(long, value_name = "ROLE")]
    joiners: Option<Role>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Agent,
    Server,
}

/// Runs `auth revoke`.
pub(super) async fn run(args: Args, outer: &Connect) -> Outcome {
    let mut spec = spec(&args.what)?;
    let mut said = serde_json::to_value(&spec).unwrap_or_default();
    if let Some(time) = &args.issued_before {
        said["issuedBefore"] = time.as_str().into();
    }
    if let Some(reason) = args.reason {
        said["reason"] = reason.into();
    }
    let metadata = match (spec.serial.take(), spec.token.take()) {
        (Some(serial), _) => json!({"name": format!("certificate-{serial}")}),
        (_, Some(token)) => json!({"name": format!("token-{}", token.to_lowercase())}),
        (None, None) => json!({"generateName": "user-"}),
    };
    let object = json!({
        "apiVersion": API_VERSION, "kind": "Revocation", "metadata": metadata, "spec": said,
    });
    let cluster = args.connect.or(outer).cluster().await?;
    let made = cluster.fetch(Ask::post(PATH, &object)).await?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    output::line(&format!("revocation/{name} created"))
}

fn spec(what: &What) -> Outcome<RevocationSpec> {
    let mut spec = RevocationSpec::default();
    if let Some(path) = &what.certificate {
        spec.serial = Some(certificate(&read(path)?, path)?);
    } else if let Some(serial) = &what.serial {
        spec.serial = Some(serial_of(serial));
    } else if let Some(path) = &what.token_file {
        spec.token = Some(token(read(path)?.trim())?);
    } else if let Some(agent) = &what.agent {
        spec.user = Some(format!("stoa:agent:{agent}"));
    } else if let Some(role) = what.joiners {
        let role = match role {
            Role::Agent => "agent",
            Role::Server => "server",
        };
        spec.user = Some(format!("stoa:joiner:{role}"));
    } else {
        spec.user.clone_from(&what.user);
    }
    Ok(spec)
}

fn read(path: &Path) -> Outcome<String> {
    let mut text = String::new();
    let done = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| text),
        _ => std::fs::read_to_string(path),
    };
    done.map_err(|e| Failure::new(format!("cannot read {}", path.display())).because(e))
}

fn certificate(text: &str, path: &Path) -> Outcome<String> {
    let wrong = || {
        Failure::new(format!("{} holds no certificate", path.display()))
            .hint("give a file in PEM, or a kubeconfig with client-certificate-data")
    };
    if let Ok(serial) = serial_of_pem(text) {
        return Ok(serial);
    }
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|e| wrong().because(e))?;
    let users = kubeconfig.auth_infos.into_iter();
    let data = users.filter_map(|user| user.auth_info?.client_certificate_data);
    let pem = data.filter_map(|data| String::from_utf8(STANDARD.decode(data.trim()).ok()?).ok());
    let serials: Vec<String> = pem.filter_map(|pem| serial_of_pem(&pem).ok()).collect();
    match serials.as_slice() {
        [] => Err(wrong()),
        [one, others @ ..] if others.iter().all(|other| other == one) => Ok(one.clone()),
        _ => Err(
            Failure::new(format!("{} holds several certificates", path.display()))
                .hint("name one of them by --serial"),
        ),
    }
}

/// What tells a token from others; it is no secret.
fn token(text: &str) -> Outcome<String> {
    if let Ok(join) = JoinToken::parse(text) {
        return Ok(join.nonce);
    }
    let claims = text.split('.').nth(1);
    let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims: Value = claims
        .and_then(|claims| serde_json::from_slice(&claims).ok())
        .unwrap_or_default();
    claims["jti"].as_str().map(str::to_owned).ok_or_else(|| {
        Failure::new("this is neither a join token nor a service account's token").hint(
            "a static token ends with its line in the file, a bootstrap token with its Secret",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_by_what_tells_them_apart() {
        let hex = "ab".repeat(32);
        let join = format!("stoa.agent.1700000000.0123456789abcdef.{hex}.{hex}");
        assert_eq!(token(&join).unwrap(), "0123456789abcdef");
        let claims = URL_SAFE_NO_PAD.encode(r#"{"jti":"j-1"}"#);
        assert_eq!(token(&format!("h.{claims}.s")).unwrap(), "j-1");
        for odd in ["", "a.b.c", "abcdef.0123456789abcdef", "h.e30.s"] {
            assert!(token(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn certificates_alone_and_in_a_kubeconfig() {
        let now_s = 1_800_000_000;
        let authority = apiserver::pki::Authority::create(now_s).unwrap();
        let subject = apiserver::pki::Subject::Admin;
        let pair = authority.issue(&subject, &[], now_s).unwrap();
        let alone = certificate(&pair.certificate, Path::new("f")).unwrap();
        assert_eq!(alone.len(), 32);
        let text = apiserver::pki::kubeconfig(&authority, &pair, "https://h:1");
        assert_eq!(certificate(&text, Path::new("f")).unwrap(), alone);
        assert!(certificate("nonsense", Path::new("f")).is_err());
    }
}
