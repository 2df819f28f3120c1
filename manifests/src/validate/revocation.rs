//! What a revocation must mean: exactly one thing that is revoked.

use super::{At, Check};
use crate::schema::FieldError;

/// Digits of a certificate's serial number, colons included.
const SERIAL_MAX: usize = 128;

/// Characters of a token's or user's name.
const NAME_MAX: usize = 1024;

impl Check {
    pub(super) fn revocation(&mut self, spec: &At<'_>) {
        let kinds = ["serial", "token", "user"].map(|name| spec.field(name));
        let said: Vec<_> = kinds.iter().filter(|at| !at.value.is_null()).collect();
        if said.len() != 1 {
            let why = "name one of serial, token and user, and only one";
            self.errors
                .push(FieldError::required(spec.path.clone(), why));
        }
        for at in said {
            self.named(at);
        }
        let before = spec.field("issuedBefore");
        if !before.value.is_null() && spec.field("user").value.is_null() {
            let why = "goes with user: a single credential is revoked for good";
            self.errors.push(FieldError::forbidden(before.path, why));
        }
    }

    fn named(&mut self, at: &At<'_>) {
        let Some(text) = at.text() else { return };
        if text.is_empty() || text.len() > NAME_MAX || text.chars().any(char::is_control) {
            self.invalid(at, "must be 1 to 1024 printable characters");
        } else if at.path.ends_with("serial") && !is_serial(text) {
            let why = "a serial number is hexadecimal, as `openssl x509 -noout -serial` shows it";
            self.invalid(at, why);
        }
    }
}

fn is_serial(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let colons = text.bytes().filter(|&byte| byte == b':').count();
    digits > 0 && digits + colons == text.len() && text.len() <= SERIAL_MAX
}
