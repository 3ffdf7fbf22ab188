//! What clients learn of data sets before they fetch rows: names, schemas, and endpoints with tickets.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult};

use super::datasets::{DataSet, Datasets};
use super::endpoints::share_out;
use super::location::{Location, SAME_CONNECTION};
use super::long::Flights;
use super::selection::Selection;
use super::survey::Survey;
use super::ticket::{FlightNumber, Span, TicketClaim, TicketKey, as_time, expiry};
use super::uploads::{StagedUploads, UploadLimits};
use crate::panics::blocking;
use crate::spool::Spool;
use crate::{Error, Result};

/// The data sets, and how they are offered. Cheap to clone, and all clones are the same one.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// What there is.
    pub datasets: Datasets,
    /// What clients bring, which become data sets.
    pub uploads: StagedUploads,
    /// What signs tickets.
    pub key: TicketKey,
    /// How long tickets are good.
    pub lifetime: Duration,
    /// Endpoints of a flight, unless the client says how many.
    pub partitions: NonZeroUsize,
    /// Where rows can be fetched; none stands for the connection that the client has.
    pub locations: Arc<[Location]>,
    /// The flights that were made.
    pub flights: Flights,
}

/// How long tickets of [`Catalog::empty`] are good.
const LIFETIME: Duration = Duration::from_mins(1);

impl Catalog {
    /// Of nothing yet, with one endpoint a flight.
    pub fn empty(key: TicketKey) -> Self {
        let datasets = Datasets::default();
        Self {
            uploads: StagedUploads::new(UploadLimits::default(), Spool::default(), datasets.clone()),
            datasets,
            key,
            lifetime: LIFETIME,
            partitions: NonZeroUsize::MIN,
            locations: [].into(),
            flights: Flights::default(),
        }
    }

    /// GetFlightInfo: all about a selection, for a model with these class names.
    ///
    /// # Errors
    /// Those of `Selection::read`, `Datasets::get` and `Survey`.
    pub async fn info(&self, descriptor: FlightDescriptor, classes: Vec<String>) -> Result<FlightInfo> {
        let catalog = self.clone();
        blocking(move || {
            let selection = Selection::read(&descriptor)?;
            let set = catalog.datasets.get(&selection.data)?;
            let mut survey = Survey::begin(set, selection, &classes)?;
            survey.finish()?;
            let FlightNumber { flight } = FlightNumber::random()?;
            let info = catalog.flight(&survey, flight)?.with_descriptor(descriptor);
            Ok(info.with_endpoints(catalog.endpoints(&mut survey, flight)?))
        })
        .await
    }

    /// GetSchema: that of the stream.
    ///
    /// # Errors
    /// As [`Catalog::info`].
    pub async fn schema(&self, descriptor: FlightDescriptor, classes: Vec<String>) -> Result<SchemaResult> {
        let datasets = self.datasets.clone();
        blocking(move || {
            let selection = Selection::read(&descriptor)?;
            let survey = Survey::begin(datasets.get(&selection.data)?, selection, &classes)?;
            let (schema, options) = (survey.shape.plan.schema(), IpcWriteOptions::default());
            SchemaAsIpc::new(&schema, &options).try_into().map_err(unwritable)
        })
        .await
    }

    /// One flight of ListFlights. A data set that cannot be offered as it is (it has two columns of text, its file is damaged) is
    /// listed all the same, without endpoints, and says why in its `app_metadata`.
    ///
    /// # Errors
    /// [`Error::Failed`] for a bug of ours.
    pub async fn listed(&self, set: Arc<DataSet>, classes: Vec<String>) -> Result<FlightInfo> {
        let descriptor = FlightDescriptor::new_path(vec![set.name().to_owned()]);
        match self.info(descriptor.clone(), classes).await {
            Ok(info) => Ok(info),
            Err(error) => {
                let schema = blocking(move || Ok(set.schema().unwrap_or_else(|_| Arc::new(Schema::empty())))).await?;
                let why = serde_json::json!({ "error": error.to_string() }).to_string();
                let info = FlightInfo::new().with_descriptor(descriptor).with_app_metadata(why);
                with_schema(info.with_total_records(-1).with_total_bytes(-1), &schema)
            }
        }
    }

    /// A flight without its endpoints.
    ///
    /// # Errors
    /// [`Error::Failed`] for a bug of ours.
    pub fn flight(&self, survey: &Survey, flight: u64) -> Result<FlightInfo> {
        let (rows, bytes) = survey.totals();
        let info = FlightInfo::new().with_total_records(rows).with_total_bytes(bytes);
        // Endpoints follow one another as the rows do.
        let info = info.with_ordered(true).with_app_metadata(self.key.sign(&FlightNumber { flight })?);
        with_schema(info, &survey.shape.plan.schema())
    }

    /// Endpoints of all that a survey has found.
    fn endpoints(&self, survey: &mut Survey, flight: u64) -> Result<Vec<FlightEndpoint>> {
        let lots = survey.selection().partitions.unwrap_or(self.partitions);
        let lots = share_out(&survey.new_pieces(), lots);
        lots.into_iter().map(|spans| self.endpoint(survey, flight, spans)).collect()
    }

    /// Endpoints of what a survey has found in the last file: one for it, unless it is the only one. Where the client says how
    /// many there are, they come at the end.
    ///
    /// # Errors
    /// [`Error::Failed`] for a bug of ours.
    pub fn new_endpoints(&self, survey: &mut Survey, flight: u64, is_end: bool) -> Result<Vec<FlightEndpoint>> {
        if survey.selection().partitions.is_some() || survey.files() == 1 {
            return if is_end { self.endpoints(survey, flight) } else { Ok(Vec::new()) };
        }
        let found = survey.new_pieces();
        if found.is_empty() && !(is_end && survey.totals().0 == 0) {
            return Ok(Vec::new());
        }
        let lots = share_out(&found, NonZeroUsize::MIN);
        lots.into_iter().map(|spans| self.endpoint(survey, flight, spans)).collect()
    }

    fn endpoint(&self, survey: &Survey, flight: u64, spans: Vec<Span>) -> Result<FlightEndpoint> {
        self.signed(&TicketClaim {
            flight,
            data: survey.data().to_owned(),
            model: survey.model.clone(),
            hive: survey.hive.clone(),
            spans,
            options: survey.selection().options.clone(),
            expires: self.expiry(),
        })
    }

    /// When what is signed now expires.
    pub fn expiry(&self) -> u64 {
        expiry(self.lifetime)
    }

    /// An endpoint with a ticket.
    ///
    /// # Errors
    /// [`Error::Failed`] for a bug of ours.
    pub fn signed(&self, claim: &TicketClaim) -> Result<FlightEndpoint> {
        let ticket = arrow_flight::Ticket::new(self.key.sign(claim)?);
        let mut endpoint =
            FlightEndpoint::new().with_ticket(ticket).with_expiration_time(as_time(claim.expires).into());
        if self.locations.is_empty() {
            endpoint = endpoint.with_location(SAME_CONNECTION);
        }
        for location in self.locations.iter() {
            endpoint = endpoint.with_location(location.to_string());
        }
        Ok(endpoint)
    }
}

fn with_schema(info: FlightInfo, schema: &Schema) -> Result<FlightInfo> {
    info.try_with_schema(schema).map_err(unwritable)
}

fn unwritable(cause: arrow::error::ArrowError) -> Error {
    Error::Failed(format!("a schema cannot be written: {cause}"))
}
