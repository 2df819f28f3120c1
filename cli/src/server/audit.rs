//! Flags of the audit log, named as kube-apiserver's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use apiserver::AuditOptions;
use apiserver::audit::Policy;

use crate::exit::{Failure, Outcome};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Flags of `server` about its audit log.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// File of the audit log, or "off" [default: DATA_DIR/audit.log]
    #[arg(long, env = "STOA_AUDIT_LOG_PATH", value_name = "FILE")]
    audit_log_path: Option<PathBuf>,
    /// Policy (audit.k8s.io/v1) that says what is noted [default: who changed what, and who read Secrets]
    #[arg(long, env = "STOA_AUDIT_POLICY_FILE", value_name = "FILE")]
    audit_policy_file: Option<PathBuf>,
    /// Megabytes after which an audit log is set aside
    #[arg(
        long,
        env = "STOA_AUDIT_LOG_MAXSIZE",
        default_value_t = 100,
        value_name = "MB"
    )]
    audit_log_maxsize: u64,
    /// Older audit logs kept; 0: all
    #[arg(
        long,
        env = "STOA_AUDIT_LOG_MAXBACKUP",
        default_value_t = 5,
        value_name = "N"
    )]
    audit_log_maxbackup: usize,
    /// Days older audit logs are kept; 0: for ever
    #[arg(
        long,
        env = "STOA_AUDIT_LOG_MAXAGE",
        default_value_t = 0,
        value_name = "DAYS"
    )]
    audit_log_maxage: u32,
}

impl Args {
    /// What the server is told; none: no audit log.
    pub(super) fn options(&self, data_dir: &Path) -> Outcome<Option<AuditOptions>> {
        let path = self.audit_log_path.clone();
        let path = path.unwrap_or_else(|| data_dir.join("audit.log"));
        let policy = self.policy()?;
        if path.as_os_str() == "off" {
            return Ok(None);
        }
        Ok(Some(AuditOptions {
            path,
            policy,
            file_bytes: self.audit_log_maxsize.max(1).saturating_mul(1 << 20),
            backups: self.audit_log_maxbackup,
            age: DAY.saturating_mul(self.audit_log_maxage),
        }))
    }

    fn policy(&self) -> Outcome<Policy> {
        let Some(path) = &self.audit_policy_file else {
            return Ok(Policy::usual());
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("--audit-policy-file {shown} cannot be read")).because(error)
        })?;
        Policy::parse(&text)
            .map_err(|why| Failure::usage(format!("--audit-policy-file {shown}: {why}")))
    }
}
