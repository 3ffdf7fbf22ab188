//! What a run says of itself in a file: complete under its name, or absent. The file that it may replace is never an input or
//! output of the run.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::inputs::Pairs;
use crate::sink::{WORK, is_same_file, sync_folder_of};
use crate::{Error, Result};

/// A file that is written beside its name, and gets it once it is whole. Dropped without [`WholeFile::finish`] it leaves nothing,
/// and a file that was there as it was.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    unfinished: TempPath,
    out: BufWriter<File>,
}

impl WholeFile {
    /// Begins the file that `option` names.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be written.
    pub fn create(option: &str, path: &Path) -> Result<Self> {
        let refused = |cause: String| Error::Invalid(format!("{option} {}: {cause}", path.display()));
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(refused("neither a file nor a new name".to_owned()));
        }
        let unfinished = unfinished(path);
        // Another run's is not cut.
        let file = File::options().write(true).create(true).truncate(false).open(&unfinished);
        let file = file.map_err(|cause| refused(cause.to_string()))?;
        match file.try_lock().and_then(|()| file.set_len(0).map_err(TryLockError::Error)) {
            Err(TryLockError::WouldBlock) => return Err(refused("another run is writing it".to_owned())),
            Err(TryLockError::Error(cause)) => return Err(refused(cause.to_string())),
            Ok(()) => {}
        }
        let unfinished = TempPath::try_from_path(unfinished).map_err(|cause| refused(cause.to_string()))?;
        Ok(Self { path: path.to_owned(), unfinished, out: BufWriter::new(file) })
    }

    /// Writes more of it.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<()> {
        self.out.write_fmt(text).map_err(|cause| Error::file(&self.path, cause))
    }

    /// Gives it its name, once it is on the disk.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn finish(self) -> Result<()> {
        let Self { path, unfinished, mut out } = self;
        let synced = out.flush().and_then(|()| out.get_ref().sync_all());
        let named = synced.and_then(|()| unfinished.persist(&path).map_err(|failed| failed.error));
        named.and_then(|()| sync_folder_of(&path)).map_err(|cause| Error::file(&path, cause))
    }
}

/// What a file is called until it is whole.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(WORK);
    name.into()
}

/// Fails if one of these files, each with the option that names it, is an input or output, or one is the other.
///
/// # Errors
/// [`Error::Invalid`] that names both.
pub fn check_apart(files: &[(&str, &Path)], pairs: &Pairs) -> Result<()> {
    for (number, &(option, path)) in files.iter().enumerate() {
        let refuse = |what: String| Error::Invalid(format!("{option} {}: {what}", path.display()));
        let own = Own { names: [path.to_owned(), unfinished(path)], is_there: path.exists() };
        if let Some((other, _)) = files[..number].iter().find(|(_, other)| own.is(other)) {
            return Err(refuse(format!("is the file of {other}, too: name another one")));
        }
        let inputs = pairs.inputs().map(|input| (input, "an input"));
        for (file, what) in inputs.chain(pairs.iter().map(|pair| (pair.output, "an output"))) {
            if file.path().is_some_and(|path| own.is(path)) {
                return Err(refuse(format!("is {what} of this run, {file}: name another file")));
            }
        }
    }
    Ok(())
}

/// A file, and the one that it is until it is whole.
struct Own {
    names: [PathBuf; 2],
    is_there: bool,
}

impl Own {
    /// Whether another path is one of them. Names are compared first: a run may have a hundred thousand.
    fn is(&self, other: &Path) -> bool {
        let is_named = self.names.iter().any(|own| own.file_name() == other.file_name() && is_same_folder(own, other));
        is_named || self.is_there && is_same_file(&self.names[0], other)
    }
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| path.parent().filter(|folder| folder.as_os_str() != OsStr::new("")).map(Path::to_owned);
    let [one, other] = [one, other].map(|path| folder(path).unwrap_or_else(|| PathBuf::from(".")));
    one == other || is_same_file(&one, &other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::{Pair, Share};
    use crate::store::FileLocation;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_there_whole_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(folder.path().join("report.json.part"), "somebody's").unwrap();
        let mut file = WholeFile::create("--report", &path).unwrap();
        file.write(format_args!("first")).unwrap();
        assert_eq!(names(folder.path()), ["report.json.part", "report.json.textflight"]);
        file.finish().unwrap();
        WholeFile::create("--report", &path).unwrap().write(format_args!("second")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(names(folder.path()), ["report.json", "report.json.part"]);

        let file = WholeFile::create("--report", &path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(file.finish(), Err(Error::File { .. })), "a folder took its name");
        assert_eq!(names(folder.path()), ["report.json", "report.json.part"]);
    }

    #[test]
    fn another_run_s_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let mut file = WholeFile::create("--report", &path).unwrap();
        let error = WholeFile::create("--report", &path).unwrap_err().to_string();
        assert_eq!(error, format!("--report {}: another run is writing it", path.display()));
        file.write(format_args!("first")).unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn what_cannot_be_written_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for (name, cause) in
            [("", "neither a file nor a new name"), ("nowhere/a", "No such file or directory (os error 2)")]
        {
            let path = folder.path().join(name);
            let error = WholeFile::create("--report", &path).unwrap_err();
            assert_eq!(error.to_string(), format!("--report {}: {cause}", path.display()));
            assert!(matches!(error, Error::Invalid(_)));
        }
    }

    #[test]
    fn what_is_read_or_written_is_no_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for input in ["a.parquet", "b.textflight", "data"] {
            fs::write(path(input), input).unwrap();
        }
        let mut wrong = vec![
            ("a.parquet", "is an input of this run, a.parquet: name another file"),
            ("./a.parquet", "is an input of this run, a.parquet: name another file"),
            ("b", "is an input of this run, b.textflight: name another file"),
            ("out.parquet", "is an output of this run, out.parquet: name another file"),
            ("page", "is the file of --html, too: name another one"),
        ];
        let mut inputs = vec!["a.parquet", "b.textflight"];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("data", path("link")).unwrap();
            inputs.push("link");
            wrong.push(("data", "is an input of this run, link: name another file"));
        }
        let pair = |input: &&str| Pair {
            input: FileLocation::Path(path(input)),
            output: FileLocation::Path(path("out.parquet")),
            bytes: None,
            share: Share::WHOLE,
            merged: None,
        };
        let pairs: Pairs = inputs.iter().map(pair).collect();
        let (page, plain) = (path("page"), format!("{}/", folder.path().display()));
        for (name, what) in wrong {
            let error = check_apart(&[("--html", &page), ("--report", &path(name))], &pairs).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
            assert_eq!(error.to_string().replace(&plain, ""), format!("--report {name}: {what}"));
        }
        check_apart(&[("--html", &page), ("--report", &path("report"))], &pairs).unwrap();
    }
}
