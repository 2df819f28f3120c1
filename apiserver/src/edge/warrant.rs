//! What a long answer stands on: a credential, perhaps the right to act as somebody else, and the right
//! to what is told. Looked at when it begins, and again when any of that may have changed.

use std::sync::Arc;

use store::View;

use super::context::Context;
use super::{identity, join};
use crate::authorize::Authorizer;
use crate::impersonation::Wanted;
use crate::pki::Certified;
use crate::status::Failure;
use crate::user::{Attributes, User};

/// What was shown.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// Nothing.
    Nothing,
    /// Nothing: a caller inside this process.
    Own,
    /// A client certificate that TLS has verified.
    Certificate(Arc<Certified>),
    /// A bearer token, and the second at which it ends.
    Token(Arc<str>, Option<u64>),
}

/// Who asks, and how that is known.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    credential: Credential,
    /// Somebody else as whom he acts.
    acting: Option<Arc<Wanted>>,
}

impl Standing {
    /// He acts as himself.
    pub(crate) fn plain(credential: Credential) -> Self {
        Self {
            credential,
            acting: None,
        }
    }

    /// He acts as somebody else.
    pub(crate) fn acting(credential: Credential, wanted: Wanted) -> Self {
        Self {
            credential,
            acting: Some(Arc::new(wanted)),
        }
    }
}

/// What has changed, as far as it may end somebody's right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Roles and bindings.
    pub(crate) rights: bool,
    /// Revocations.
    pub(crate) revoked: bool,
    /// To whom agents' names belong.
    pub(crate) names: bool,
    /// What tokens stand on.
    pub(crate) tokens: bool,
}

impl News {
    /// Anything may have changed.
    pub(crate) const ALL: Self = Self {
        rights: true,
        revoked: true,
        names: true,
        tokens: true,
    };

    /// Nothing has.
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The state by which warrants are judged.
pub(crate) struct Law<'a> {
    pub(crate) context: &'a Context,
    pub(crate) view: View,
    pub(crate) authorizer: Authorizer,
    pub(crate) now_s: u64,
}

/// What an answer stands on.
#[derive(Debug)]
pub(crate) struct Warrant {
    standing: Standing,
    attributes: Attributes,
}

impl Warrant {
    pub(crate) fn new(standing: Standing, attributes: Attributes) -> Self {
        Self {
            standing,
            attributes,
        }
    }

    /// The second at which it ends whatever happens.
    pub(crate) fn expires_s(&self) -> Option<u64> {
        match &self.standing.credential {
            Credential::Nothing | Credential::Own => None,
            Credential::Certificate(certificate) => Some(certificate.expires_s),
            Credential::Token(_, expires_s) => *expires_s,
        }
    }

    /// False if what has changed cannot concern it.
    pub(crate) fn is_touched_by(&self, news: News) -> bool {
        let by_credential = match &self.standing.credential {
            Credential::Nothing | Credential::Own => false,
            Credential::Certificate(_) => news.names,
            Credential::Token(..) => news.tokens,
        };
        by_credential || news.rights || news.revoked
    }

    /// Does it still hold?
    ///
    /// # Errors
    /// 401 without the credential, 403 without the right.
    pub(crate) fn check(&self, law: &Law<'_>) -> Result<(), Failure> {
        let user = self.user(law)?;
        let Some(acting) = &self.standing.acting else {
            return law.authorizer.authorize(&user, &self.attributes);
        };
        for need in &acting.needs {
            law.authorizer.authorize(&user, need)?;
        }
        law.authorizer.authorize(&acting.user, &self.attributes)
    }

    fn user(&self, law: &Law<'_>) -> Result<User, Failure> {
        match &self.standing.credential {
            Credential::Nothing => Err(Failure::unauthorized()),
            Credential::Own => Ok(User::controllers()),
            Credential::Certificate(certificate) => {
                check_certificate(law.context, certificate, law.now_s)?;
                join::still_named(&law.view, certificate)?;
                Ok(certificate.user.clone())
            }
            Credential::Token(token, _) => {
                let verified = identity::still(law.context, token)?;
                Ok(verified.user.authenticated())
            }
        }
    }
}

/// TLS looks at a certificate when a connection begins; connections last.
///
/// # Errors
/// 401 for one that has ended or was revoked.
pub(crate) fn check_certificate(
    context: &Context,
    shown: &Certified,
    now_s: u64,
) -> Result<(), Failure> {
    if now_s >= shown.expires_s {
        return Err(Failure::unauthorized_text("the certificate has expired"));
    }
    let revoked = context.engine.revoked();
    match revoked.certificate(&shown.serial, &shown.user.name, shown.issued_s) {
        true => Err(identity::revoked()),
        false => Ok(()),
    }
}
