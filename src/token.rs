//! The token that clients prove themselves with, on every transport.

/// Whether an `Authorization` header carries the token, as `Bearer TOKEN` or, from older clients of Replicate, `Token TOKEN`.
pub fn is_bearer(header: &[u8], expected: &str) -> bool {
    let mut parts = header.splitn(2, |byte| *byte == b' ');
    let scheme = parts.next().unwrap_or_default();
    let is_known = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"token");
    is_known && parts.next().is_some_and(|token| are_equal(token, expected.as_bytes()))
}

/// Compares in a time that does not tell where the two differ.
fn are_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_counts_whole() {
        for good in ["Bearer secret", "bearer secret", "Token secret"] {
            assert!(is_bearer(good.as_bytes(), "secret"), "{good}");
        }
        for bad in
            ["", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secret2", "Bearer  secret", "Basic secret"]
        {
            assert!(!is_bearer(bad.as_bytes(), "secret"), "{bad}");
        }
    }
}
