//! Certificates and keys out of files in PEM. What is wrong with one is said without any of it: each line may be a key's.

use rustls::pki_types::pem::{Error as Fault, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Result;
use crate::reload::Content;

/// Names that keys have when a password is needed to read them.
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// What some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The certificates of a file, of which there is one at least.
///
/// # Errors
/// [`crate::Error::Invalid`] for a file without one, and one of which a part cannot be read.
pub fn certificates(file: &Content) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text(file)).collect();
    let chain = chain.map_err(|fault| file.wrong(words(&fault)))?;
    if chain.is_empty() {
        return Err(file.wrong("no certificate is in it; PEM is expected, with BEGIN CERTIFICATE"));
    }
    Ok(chain)
}

/// The first private key of a file.
///
/// # Errors
/// [`crate::Error::Invalid`] for a file without one, and for a key that is encrypted.
pub fn private_key(file: &Content) -> Result<PrivateKeyDer<'static>> {
    if ENCRYPTED.iter().any(|name| file.bytes.windows(name.len()).any(|window| window == *name)) {
        return Err(file.wrong("the key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)"));
    }
    PrivateKeyDer::from_pem_slice(text(file)).map_err(|fault| {
        let words = words(&fault);
        file.wrong(&format!("no private key is in it: {words}; PEM is expected, with BEGIN PRIVATE KEY"))
    })
}

fn text(file: &Content) -> &[u8] {
    file.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&file.bytes)
}

fn words(fault: &Fault) -> &'static str {
    match fault {
        Fault::MissingSectionEnd { .. } | Fault::IllegalSectionStart { .. } => {
            "it is cut off, or has lost its line breaks"
        }
        Fault::Base64Decode(_) => "a part is not base64",
        Fault::NoItemsFound => "nothing of the kind is in it",
        _ => "it is no PEM",
    }
}
