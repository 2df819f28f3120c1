//! Who asks: the user behind a request's credentials.

use manifests::token::JoinRole;

use crate::pki::Authority;
use crate::status::Failure;
use crate::user::User;

/// Group of those who hold a join token and nothing else yet.
pub const JOINERS: &str = "stoa:joiners";

/// The user of a request; none for a stranger, who may ask for health and version only.
///
/// A bearer token outranks the certificate: whoever sends one means it. The certificate was
/// verified by TLS against the authority; tokens are verified here.
///
/// # Errors
/// 401 for a token that is malformed, forged or expired.
pub fn authenticate(
    certificate: Option<&User>,
    authorization: Option<&str>,
    authority: &Authority,
    now_s: u64,
) -> Result<Option<User>, Failure> {
    let Some(header) = authorization else {
        return Ok(certificate.cloned());
    };
    let token = bearer(header).ok_or_else(Failure::unauthorized)?;
    let role = authority
        .verify_token(token, now_s)
        .ok_or_else(Failure::unauthorized)?;
    Ok(Some(User::new(
        &format!("stoa:joiner:{}", role.as_str()),
        JOINERS,
    )))
}

/// The role a joiner's token grants.
#[must_use]
pub fn joiner_role(user: &User) -> Option<JoinRole> {
    let word = user
        .name
        .strip_prefix("stoa:joiner:")
        .filter(|_| user.is_in(JOINERS))?;
    JoinRole::parse(word)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::MASTERS;

    #[test]
    fn credentials() {
        let authority = Authority::create(1_000).unwrap();
        let admin = User::new("admin", MASTERS);
        let token = authority.mint(JoinRole::Agent, 2_000, 1);
        let joiner = || Ok(Some(User::new("stoa:joiner:agent", JOINERS)));
        let refused = || Err(Failure::unauthorized());
        for (certificate, header, now_s, expected) in [
            (None, None, 1_000, Ok(None)),
            (Some(&admin), None, 1_000, Ok(Some(admin.clone()))),
            (None, Some(format!("Bearer {token}")), 1_000, joiner()),
            (
                Some(&admin),
                Some(format!("bearer  {token}")),
                1_000,
                joiner(),
            ),
            (None, Some(format!("Bearer {token}")), 2_000, refused()),
            (
                Some(&admin),
                Some("Bearer nonsense".into()),
                1_000,
                refused(),
            ),
            (None, Some("Basic YTpi".into()), 1_000, refused()),
            (None, Some("Bearer".into()), 1_000, refused()),
        ] {
            let found = authenticate(certificate, header.as_deref(), &authority, now_s);
            assert_eq!(found, expected, "{header:?}");
        }
        assert_eq!(
            joiner_role(&User::new("stoa:joiner:agent", JOINERS)),
            Some(JoinRole::Agent)
        );
        assert_eq!(joiner_role(&User::new("stoa:joiner:agent", MASTERS)), None);
    }
}
