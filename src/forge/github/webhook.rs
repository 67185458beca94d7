//! Whether a delivery is GitHub's: its signature, over the body as it came, before anybody looks into it.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::domain::Secret;

/// The header that carries the signature.
pub const SIGNATURE: &str = "x-hub-signature-256";
/// The header that says what happened.
pub const EVENT: &str = "x-github-event";
/// The header that numbers a delivery; GitHub repeats it when a delivery is repeated.
pub const DELIVERY: &str = "x-github-delivery";

/// GitHub caps payloads at 25 MB (docs.github.com, "Webhook events and payloads").
pub const LARGEST: usize = 25 << 20;

/// Whether one of the secrets signed the body. `signature`: the header, `sha256=` and 64 hexadecimal digits.
pub fn is_signed(secrets: &[Secret], body: &[u8], signature: &str) -> bool {
    let Some(given) = signature.strip_prefix("sha256=") else { return false };
    let Ok(given) = data_encoding::HEXLOWER_PERMISSIVE.decode(given.as_bytes()) else { return false };
    // each is tried, so that the time tells nothing of which it was; comparing takes the same time wherever they differ
    secrets.iter().fold(false, |signed, secret| signed | of(secret, body).verify_slice(&given).is_ok())
}

fn of(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    let mut mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length (RFC 2104)"));
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs.github.com, "Validating webhook deliveries".
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn either_secret_signs_and_nothing_else_does() {
        let (now, before, other) = (Secret::new("another"), Secret::new(SECRET), Secret::new("third"));
        assert!(is_signed(std::slice::from_ref(&before), BODY, SIGNED));
        assert!(is_signed(&[now.clone(), before.clone()], BODY, SIGNED));
        assert!(is_signed(&[before.clone(), now.clone()], BODY, SIGNED));
        assert!(!is_signed(&[now, other], BODY, SIGNED));
        assert!(!is_signed(&[], BODY, SIGNED));
        let secrets = [before];
        for forged in ["", "sha256=", "sha1=757107ea", &SIGNED[..SIGNED.len() - 2], &SIGNED.replace("75", "76"), &SIGNED[7..]] {
            assert!(!is_signed(&secrets, BODY, forged), "{forged}");
        }
        assert!(!is_signed(&secrets, b"Hello, World?", SIGNED));
    }
}
