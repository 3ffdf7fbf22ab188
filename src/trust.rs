//! Whom TLS trusts: the certificates that are named, or the environment names, or the system's with Mozilla's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Files and folders of certificates, as OpenSSL, Python and curl name them.
const VARIABLES: [&str; 4] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// What clients of TLS use, without a protocol agreed upon inside of it.
///
/// # Errors
/// A sentence that names the variable whose file cannot be used.
pub fn client_config() -> Result<ClientConfig, String> {
    trusting(roots(&|name| std::env::var_os(name).map(PathBuf::from))?)
}

/// The same for clients that trust whom this file or folder names, and nobody else.
///
/// # Errors
/// A sentence that says why it cannot be used.
pub fn client_config_of(path: &Path) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, path)?;
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| format!("no version of TLS: {e}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Those of all variables that are set, and no other; without any, the system's and Mozilla's.
fn roots(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let named = VARIABLES.iter().filter_map(|name| Some((name, variable(name).filter(|p| !p.as_os_str().is_empty())?)));
    for (name, path) in named {
        add(&mut roots, &path).map_err(|e| format!("{name} is {e}"))?;
    }
    if roots.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let found = certificates(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if roots.add_parsable_certificates(found).0 == 0 {
        return Err(format!("{}: no certificate is in it", path.display()));
    }
    Ok(())
}

fn certificates(path: &Path) -> std::io::Result<Vec<CertificateDer<'static>>> {
    let files = if path.is_dir() {
        std::fs::read_dir(path)?.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<_>>>()?
    } else {
        vec![path.to_owned()]
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.is_dir()) {
        let text = std::fs::read(file)?;
        // A folder may hold other things, too.
        found.extend(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca/ca.pem");

    fn with(variables: &[(&str, &Path)]) -> Result<RootCertStore, String> {
        roots(&|name| variables.iter().find(|(set, _)| *set == name).map(|(_, path)| (*path).to_owned()))
    }

    #[test]
    fn each_variable_names_a_file_or_a_folder() {
        let file = Path::new(CERTIFICATE);
        for name in VARIABLES {
            for path in [file, file.parent().unwrap()] {
                assert_eq!(with(&[(name, path)]).unwrap().len(), 1, "{name}: {}", path.display());
            }
        }
        let other = file.with_file_name("../certificate.pem");
        assert_eq!(with(&[(VARIABLES[0], file), (VARIABLES[2], &other)]).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_is_named_has_to_have_certificates() {
        assert!(client_config_of(Path::new(CERTIFICATE)).is_ok());
        let error = client_config_of(Path::new("/no/such/file")).unwrap_err();
        assert!(error.starts_with("/no/such/file: "), "{error}");
        assert_eq!(client_config_of(Path::new("/dev/null")).unwrap_err(), "/dev/null: no certificate is in it");
    }

    #[test]
    fn without_variables_mozillas_are_there() {
        assert!(with(&[]).unwrap().len() > 100);
        assert!(with(&[("SSL_CERT_FILE", Path::new(""))]).unwrap().len() > 100);
    }

    #[test]
    fn a_variable_that_names_nothing_is_named() {
        let error = with(&[("SSL_CERT_FILE", Path::new("/no/such/file"))]).unwrap_err();
        assert!(error.contains("SSL_CERT_FILE is /no/such/file"), "{error}");
        let error = with(&[("CURL_CA_BUNDLE", Path::new("/dev/null"))]).unwrap_err();
        assert!(error.contains("CURL_CA_BUNDLE") && error.contains("no certificate"), "{error}");
    }
}
