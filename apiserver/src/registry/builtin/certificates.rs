//! Requests for certificates.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::{age, base, column, parse, path, schema_of};
use crate::registry::{Descriptor, Source, Special, Subresources};
use crate::special::csr::{GROUP, PLURAL};

pub(super) fn descriptors() -> Vec<Descriptor> {
    let schema = schema_of::<CertificateSigningRequest>();
    vec![Descriptor {
        short_names: vec!["csr".into()],
        namespaced: false,
        subresources: Subresources {
            status: true,
            scale: None,
            extra: vec!["approval"],
        },
        columns: vec![
            age(),
            path("SignerName", "string", ".spec.signerName"),
            path("Requestor", "string", ".spec.username"),
            column(
                "RequestedDuration",
                "string",
                Source::Span(parse(".spec.expirationSeconds")),
            ),
            column("Condition", "string", Source::Signing),
        ],
        selectable: vec!["spec.signerName".into()],
        returns_deleted: false,
        special: Special::Csr,
        ..base(GROUP, "CertificateSigningRequest", PLURAL, schema)
    }]
}
