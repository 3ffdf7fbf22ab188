//! The data sets that are served, and how they are offered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use textflight::flight::Location;
use textflight::flight::catalog::Catalog;
use textflight::flight::datasets::Datasets;
use textflight::flight::queries::Flights;
use textflight::flight::ticket::TicketKey;
use textflight::flight::{StagedUploads, UploadLimits};
use textflight::reload::Watched;
use textflight::spool::Spool;
use textflight::{Error, Result};

use super::access::warn_of_readers;
use super::defaults::PARTITIONS;
use crate::cli::ServeArgs;

impl ServeArgs {
    /// The data sets, and how they are offered. Reads their footers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a data set that cannot be, a key that cannot be read or is too short, and an address that is none.
    pub fn catalog(&self, uploads: UploadLimits, spool: &Spool) -> Result<Catalog> {
        let datasets = Datasets::default();
        for (name, path) in &self.data {
            datasets.add_path(name, path).map_err(|error| Error::Invalid(format!("--data: {error}")))?;
        }
        let key = self.ticket_key_file.as_deref().map_or_else(TicketKey::random, ticket_key)?;
        Ok(Catalog {
            uploads: StagedUploads::new(uploads, spool.clone(), datasets.clone()),
            datasets,
            key,
            lifetime: Duration::from_secs_f64(self.ticket_lifetime),
            partitions: PARTITIONS,
            locations: self.locations()?,
            flights: Flights::default(),
        })
    }

    fn locations(&self) -> Result<Arc<[Location]>> {
        let location =
            |url: &String| url.parse().map_err(|cause| Error::Invalid(format!("--advertise {url:?}: {cause}")));
        self.advertise.iter().map(location).collect()
    }
}

fn ticket_key(path: &Path) -> Result<TicketKey> {
    let file = Watched::new("--ticket-key-file", path).read()?;
    warn_of_readers("--ticket-key-file", path);
    TicketKey::new(&file.bytes).map_err(|error| file.wrong(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn catalog(arguments: &[&str]) -> Result<Catalog> {
        let cli = Cli::try_parse_from(["textflight", "serve"].iter().chain(arguments)).unwrap();
        let Command::Serve(args) = cli.command else { panic!("another command") };
        args.catalog(UploadLimits::default(), &Spool::default())
    }

    #[track_caller]
    fn check_wrong(arguments: &[&str], expected: &str) {
        let error = catalog(arguments).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(expected)), "{error}");
    }

    #[test]
    fn data_sets_have_names_and_places() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let made = catalog(&["--data", &format!("a={place},b=x={place}/none/.."), "--data", &format!("c={place}")]);
        assert!(matches!(made, Err(Error::Invalid(text)) if text.contains("data set \"b\": x=")));
        let made = catalog(&["--data", &format!("a={place},b={place}"), "--data", &format!("c={place}")]).unwrap();
        assert_eq!(made.datasets.beginning("").iter().map(|set| set.name()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((made.lifetime, made.partitions.get()), (Duration::from_hours(1), 8));
        check_wrong(&["--data", &format!("a={place},a={place}")], "already");
        check_wrong(&["--data", "a=/nowhere"], "--data: data set \"a\": /nowhere: No such file");
        check_wrong(&["--data", &format!("textflight_x={place}")], "functions of SQL");
        check_wrong(&["--data", "a=s3://bucket/x.parquet"], "is a URL");
        for wrong in ["a", "=x", "a=", ""] {
            let error = Cli::try_parse_from(["textflight", "serve", "--data", wrong]).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("NAME=PATH"), "{error}");
        }
    }

    #[test]
    fn a_key_is_a_file_of_enough_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = path.to_str().unwrap();
        check_wrong(&["--ticket-key-file", file], "No such file");
        check_wrong(&["--ticket-key-file", "/dev/zero"], "/dev/zero: it is larger than");
        fs::write(&path, [7; 31]).unwrap();
        check_wrong(&["--ticket-key-file", file], "31 bytes is too short");
        fs::write(&path, [7; 32]).unwrap();
        let (one, other) =
            (catalog(&["--ticket-key-file", file]).unwrap(), catalog(&["--ticket-key-file", file]).unwrap());
        assert_eq!(other.key.read::<u8>(&one.key.sign(&7).unwrap()).unwrap(), 7);
        let own = catalog(&["--ticket-lifetime", "1.5"]).unwrap();
        assert!(own.key.read::<u8>(&one.key.sign(&7).unwrap()).is_err());
        assert_eq!(own.lifetime, Duration::from_millis(1500));
    }

    #[test]
    fn addresses_are_looked_at() {
        let made = catalog(&["--advertise", "grpc://a:1,grpc+tls://b:2", "--advertise", "grpc+tcp://c:3"]).unwrap();
        let locations: Vec<String> = made.locations.iter().map(ToString::to_string).collect();
        assert_eq!(locations, ["grpc://a:1", "grpc+tls://b:2", "grpc+tcp://c:3"]);
        check_wrong(&["--advertise", "http://a:1"], "--advertise \"http://a:1\": the scheme is \"http\"");
    }
}
