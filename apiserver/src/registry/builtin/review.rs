//! Kinds that are asked and answered, and never stored. `edge/reviews.rs` answers them.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenReview};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};
use serde_json::Value;

use super::{base, schema_of};
use crate::registry::{Descriptor, Special};

/// Group of the questions about rights.
pub const AUTHORIZATION_GROUP: &str = "authorization.k8s.io";

/// Group of the questions about who somebody is.
pub const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";

pub(super) fn descriptors() -> Vec<Descriptor> {
    let authorization = |kind, plural, schema| review(AUTHORIZATION_GROUP, kind, plural, schema);
    vec![
        Descriptor {
            namespaced: true,
            ..authorization(
                "LocalSubjectAccessReview",
                "localsubjectaccessreviews",
                schema_of::<LocalSubjectAccessReview>(),
            )
        },
        authorization(
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            schema_of::<SelfSubjectAccessReview>(),
        ),
        authorization(
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            schema_of::<SelfSubjectRulesReview>(),
        ),
        authorization(
            "SubjectAccessReview",
            "subjectaccessreviews",
            schema_of::<SubjectAccessReview>(),
        ),
        review(
            AUTHENTICATION_GROUP,
            "SelfSubjectReview",
            "selfsubjectreviews",
            schema_of::<SelfSubjectReview>(),
        ),
        review(
            AUTHENTICATION_GROUP,
            "TokenReview",
            "tokenreviews",
            schema_of::<TokenReview>(),
        ),
    ]
}

/// A kind with one verb, whose objects are never stored.
pub(super) fn review(group: &str, kind: &str, plural: &str, schema: Value) -> Descriptor {
    Descriptor {
        namespaced: false,
        verbs: vec!["create".into()],
        strategic_merge: false,
        unconditional_update: false,
        special: Special::Review,
        ..base(group, kind, plural, schema)
    }
}
