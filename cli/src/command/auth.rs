//! `stoa auth`: what somebody may do, who one is, tokens for programs, and what is heard no more.

mod revoke;

use clap::Subcommand;
use manifests::duration::Span;
use serde_json::{Value, json};

use crate::cluster::{Ask, Cluster};
use crate::connect::Connect;
use crate::exit::{Code, Failure, Outcome};
use crate::kinds::Kinds;
use crate::output::{self, Grid};

/// Flags of `auth`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether something may be done: VERB KIND[/NAME], or VERB /path (exit code 1: no)
    CanI(CanI),
    /// Say who one is
    Whoami(Whoami),
    /// Make a token for a service account
    Token(Token),
    /// Refuse credentials from now on: a certificate, a token, or all a user was given
    Revoke(revoke::Args),
}

#[derive(Debug, clap::Args)]
struct CanI {
    /// get, list, watch, create, update, patch, delete, ... or *
    #[arg(required_unless_present = "list", value_name = "VERB")]
    verb: Option<String>,
    /// KIND, KIND/NAME or /path
    #[arg(required_unless_present = "list", value_name = "KIND[/NAME]")]
    what: Option<String>,
    /// A part of the object, e.g. status
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Show all that may be done in the namespace
    #[arg(long, conflicts_with = "verb")]
    list: bool,
    /// Say nothing; the exit code tells
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, clap::Args)]
struct Whoami {
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, clap::Args)]
struct Token {
    /// The service account
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// How long it is good for
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,
    /// Whom it is for [default: the API]
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `auth`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    match args.what {
        What::CanI(args) => can_i(args, outer).await,
        What::Whoami(args) => whoami(&args.connect.or(outer).cluster().await?).await,
        What::Token(args) => token(args, outer).await,
        What::Revoke(args) => Box::pin(revoke::run(args, outer)).await,
    }
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1";

async fn can_i(args: CanI, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    if args.list {
        return rules(&cluster).await;
    }
    let spec = question(&cluster, &args).await?;
    let path = format!("{REVIEWS}/selfsubjectaccessreviews");
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec,
    });
    let answer = cluster.fetch(Ask::post(path, &review)).await?;
    let status = &answer["status"];
    let allowed = status["allowed"] == true;
    if !args.quiet {
        let reason = status["reason"].as_str().filter(|text| !text.is_empty());
        let word = if allowed { "yes" } else { "no" };
        let reason = reason.map_or(String::new(), |text| format!(" - {text}"));
        output::line(&format!("{word}{reason}"))?;
    }
    if allowed {
        Ok(())
    } else {
        Err(Failure::silent(Code::Failure))
    }
}

async fn question(cluster: &Cluster, args: &CanI) -> Outcome<Value> {
    let verb = args.verb.clone().unwrap_or_default();
    let what = args.what.clone().unwrap_or_default();
    if what.starts_with('/') {
        return Ok(json!({"nonResourceAttributes": {"verb": verb, "path": what}}));
    }
    let (word, name) = what.split_once('/').unwrap_or((&what, ""));
    let (group, resource) = if word == "*" {
        ("*".to_owned(), "*".to_owned())
    } else {
        let kinds = Kinds::of(cluster).await?;
        let kind = kinds.resolve(word)?;
        (kind.group.clone(), kind.plural.clone())
    };
    let namespace = if args.all_namespaces {
        ""
    } else {
        &cluster.namespace
    };
    Ok(json!({"resourceAttributes": {
        "verb": verb, "group": group, "resource": resource, "name": name, "namespace": namespace,
        "subresource": args.subresource.clone().unwrap_or_default(),
    }}))
}

async fn rules(cluster: &Cluster) -> Outcome {
    let path = format!("{REVIEWS}/selfsubjectrulesreviews");
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": cluster.namespace},
    });
    let answer = cluster.fetch(Ask::post(path, &review)).await?;
    let heads = ["RESOURCES", "GROUPS", "URLS", "NAMES", "VERBS"];
    let mut grid = Grid::new(&heads);
    let words = |rule: &Value, field: &str| {
        let words = rule[field].as_array().into_iter().flatten();
        words
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(",")
    };
    let status = &answer["status"];
    for field in ["resourceRules", "nonResourceRules"] {
        for rule in status[field].as_array().into_iter().flatten() {
            let cells = [
                "resources",
                "apiGroups",
                "nonResourceURLs",
                "resourceNames",
                "verbs",
            ];
            grid.row(cells.map(|field| words(rule, field)).to_vec());
        }
    }
    output::line(&grid.text())?;
    if status["incomplete"] == true {
        eprintln!("warning: there may be more than the server can list");
    }
    Ok(())
}

async fn whoami(cluster: &Cluster) -> Outcome {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = cluster.fetch(Ask::post(path, &review)).await?;
    let user = &answer["status"]["userInfo"];
    let mut grid = Grid::new(&["ATTRIBUTE", "VALUE"]);
    let text = |field: &str| user[field].as_str().unwrap_or_default().to_owned();
    grid.row(vec!["Username".to_owned(), text("username")]);
    if !text("uid").is_empty() {
        grid.row(vec!["UID".to_owned(), text("uid")]);
    }
    let groups = user["groups"].as_array().into_iter().flatten();
    let groups: Vec<_> = groups.filter_map(Value::as_str).collect();
    grid.row(vec!["Groups".to_owned(), groups.join(", ")]);
    output::line(&grid.text())
}

async fn token(args: Token, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{}/token",
        cluster.namespace, args.account
    );
    let mut spec = json!({"audiences": args.audience});
    if let Some(span) = args.duration {
        spec["expirationSeconds"] = span.as_duration().as_secs().into();
    }
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
    });
    let answer = cluster.fetch(Ask::post(path, &request)).await?;
    match answer["status"]["token"].as_str() {
        Some(token) => output::line(token),
        None => Err(Failure::new("the server answered without a token")),
    }
}
