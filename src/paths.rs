//! Paths that clients name: they lead to what lies below a root, and nowhere else.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::{Error, Result};

/// Where `relative` is below `root`, symbolic links followed. Nothing is decoded: `%2e` is three characters of a name. Blocks.
///
/// # Errors
/// [`Error::Invalid`] for what is no path, [`Error::Denied`] for one that leaves the root (by `..`, from `/`, over a link), and
/// [`Error::NotFound`] where there is nothing.
pub fn resolve_below(root: &Path, relative: &str) -> Result<PathBuf> {
    if relative.is_empty() || relative.contains('\0') {
        return Err(Error::Invalid(format!(
            "{relative:?} is no path: name a file by its path, such as \"sub/a.parquet\""
        )));
    }
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A backslash separates on some systems, and is no part of a name that two systems could share.
    if relative.contains('\\') || !Path::new(relative).components().all(is_name) {
        return Err(leaves(relative));
    }
    let root = canonical(root, relative)?;
    let found = canonical(&root.join(relative), relative)?;
    if found.starts_with(&root) { Ok(found) } else { Err(leaves(relative)) }
}

fn canonical(path: &Path, relative: &str) -> Result<PathBuf> {
    path.canonicalize().map_err(|cause| unreadable(relative, &cause))
}

/// Why what lies at a path that a client named cannot be read, without the path of its root.
pub fn unreadable(relative: &str, cause: &std::io::Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NotFound(format!("there is no {relative:?}")),
        ErrorKind::PermissionDenied => Error::Denied(format!("{relative:?} may not be read: {cause}")),
        // A name that is too long, a link to itself.
        _ => Error::Invalid(format!("{relative:?} cannot be read: {cause}")),
    }
}

fn leaves(relative: &str) -> Error {
    Error::Denied(format!("{relative:?} leads elsewhere: a path goes down from its root, such as \"sub/a.parquet\""))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("root/sub")).unwrap();
        fs::write(folder.path().join("root/sub/a"), "inside").unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        folder
    }

    #[test]
    fn what_is_below_is_found() {
        let folder = root();
        let root = folder.path().join("root");
        for path in ["sub/a", "./sub/a", "sub/./a", "sub//a"] {
            assert_eq!(fs::read(resolve_below(&root, path).unwrap()).unwrap(), b"inside", "{path}");
        }
    }

    #[test]
    fn nothing_leads_out() {
        let folder = root();
        let root = folder.path().join("root");
        let outside = folder.path().join("secret");
        for path in
            ["..", "../secret", "sub/../../secret", "sub/..", "/etc/passwd", outside.to_str().unwrap(), "..\\secret"]
        {
            assert!(matches!(resolve_below(&root, path), Err(Error::Denied(_))), "{path}");
        }
        for path in ["", "sub/a\0", "\0"] {
            assert!(matches!(resolve_below(&root, path), Err(Error::Invalid(_))), "{path:?}");
        }
        for path in ["none", "sub/a/b", "%2e%2e/secret", "%2e%2e%2fsecret", "sub%2Fa", "...", "~"] {
            assert!(matches!(resolve_below(&root, path), Err(Error::NotFound(_))), "{path}");
        }
        assert!(matches!(resolve_below(&root, &"a".repeat(5000)), Err(Error::Invalid(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_no_further_than_their_root() {
        use std::os::unix::fs::symlink;
        let folder = root();
        let root = folder.path().join("root");
        symlink(folder.path().join("secret"), root.join("file")).unwrap();
        symlink(folder.path(), root.join("folder")).unwrap();
        symlink("sub/a", root.join("inside")).unwrap();
        symlink("round", root.join("round")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        assert!(matches!(resolve_below(&root, "file"), Err(Error::Denied(_))));
        assert!(matches!(resolve_below(&root, "folder/secret"), Err(Error::Denied(_))));
        assert!(matches!(resolve_below(&root, "round"), Err(Error::Invalid(_))));
        assert!(matches!(resolve_below(&root, "dangling"), Err(Error::NotFound(_))));
        assert_eq!(resolve_below(&root, "inside").unwrap(), root.canonicalize().unwrap().join("sub/a"));
    }
}
