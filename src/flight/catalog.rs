//! What clients learn of data sets before they fetch rows: names, schemas, and endpoints with tickets.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult};
use prost::Message;

use super::answer::AnswerMemory;
use super::datasets::{DataSet, Datasets};
use super::endpoints::share_out;
use super::location::{Location, SAME_CONNECTION};
use super::queries::Flights;
use super::selection::Selection;
use super::survey::Survey;
use super::ticket::{FlightNumber, Span, TicketClaim, TicketKey, as_time, expiry};
use super::uploads::{StagedUploads, UploadLimits};
use crate::memory::Reservation;
use crate::panics::{blocking, blocking_while_awaited};
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

    /// GetFlightInfo: all about a selection, for a model with these class names, and what holds its memory. Nobody looks on when
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// Those of `Selection::read`, `Datasets::get`, `Survey` and `AnswerMemory::take`.
    pub async fn info(
        &self,
        descriptor: FlightDescriptor,
        classes: Vec<String>,
        mut answer: AnswerMemory,
    ) -> Result<(FlightInfo, Reservation)> {
        let catalog = self.clone();
        blocking_while_awaited(move |is_awaited| {
            let selection = Selection::read(&descriptor)?;
            let set = catalog.datasets.get(&selection.data)?;
            let mut survey = Survey::begin(set, selection, &classes)?;
            while survey.step()? {
                if !is_awaited() {
                    return Err(Error::Cancelled("the client is gone".to_owned()));
                }
            }
            let FlightNumber { flight } = FlightNumber::random()?;
            let info = catalog.flight(&survey, flight, descriptor, &mut answer)?;
            let info = info.with_endpoints(catalog.endpoints(&mut survey, flight, &mut answer)?);
            Ok((info, answer.close()))
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

    /// One flight of ListFlights, and what holds its memory. A data set that cannot be offered as it is (it has two columns of
    /// text, its file is damaged) is listed all the same, without endpoints, and says why in its `app_metadata`.
    ///
    /// # Errors
    /// What is not the data set's: [`Error::Busy`] when others hold too much memory, [`Error::Stopped`], [`Error::Cancelled`], and
    /// [`Error::Failed`] for a bug of ours.
    pub async fn listed(
        &self,
        set: Arc<DataSet>,
        classes: Vec<String>,
        answer: AnswerMemory,
    ) -> Result<(FlightInfo, Option<Reservation>)> {
        let descriptor = FlightDescriptor::new_path(vec![set.name().to_owned()]);
        match self.info(descriptor.clone(), classes, answer).await {
            Ok((info, memory)) => Ok((info, Some(memory))),
            Err(error @ (Error::Busy(_) | Error::Stopped(_) | Error::Cancelled(_) | Error::Failed(_))) => Err(error),
            Err(error) => {
                let schema = blocking(move || Ok(set.schema().unwrap_or_else(|_| Arc::new(Schema::empty())))).await?;
                let why = serde_json::json!({ "error": error.to_string() }).to_string();
                let info = FlightInfo::new().with_descriptor(descriptor).with_app_metadata(why);
                Ok((with_schema(info.with_total_records(-1).with_total_bytes(-1), &schema)?, None))
            }
        }
    }

    /// A flight without its endpoints.
    ///
    /// # Errors
    /// Those of `AnswerMemory::take`, and [`Error::Failed`] for a bug of ours.
    pub fn flight(
        &self,
        survey: &Survey,
        flight: u64,
        descriptor: FlightDescriptor,
        answer: &mut AnswerMemory,
    ) -> Result<FlightInfo> {
        let (rows, bytes) = survey.totals();
        let info = FlightInfo::new().with_descriptor(descriptor).with_total_records(rows).with_total_bytes(bytes);
        // Endpoints follow one another as the rows do.
        let info = info.with_ordered(true).with_app_metadata(self.key.sign(&FlightNumber { flight })?);
        let info = with_schema(info, &survey.shape.plan.schema())?;
        answer.take(info.encoded_len())?;
        Ok(info)
    }

    /// Endpoints of all that a survey has found.
    fn endpoints(&self, survey: &mut Survey, flight: u64, answer: &mut AnswerMemory) -> Result<Vec<FlightEndpoint>> {
        let lots = survey.selection().partitions.unwrap_or(self.partitions);
        self.shared_out(survey, flight, lots, answer)
    }

    /// Endpoints of what a survey has found in the last file: one for it, unless it is the only one. Where the client says how
    /// many there are, they come at the end.
    ///
    /// # Errors
    /// Those of `AnswerMemory::take`, and [`Error::Failed`] for a bug of ours.
    pub fn new_endpoints(
        &self,
        survey: &mut Survey,
        flight: u64,
        is_end: bool,
        answer: &mut AnswerMemory,
    ) -> Result<Vec<FlightEndpoint>> {
        if survey.selection().partitions.is_some() || survey.files() == 1 {
            return if is_end { self.endpoints(survey, flight, answer) } else { Ok(Vec::new()) };
        }
        // A flight without rows has an endpoint all the same.
        if survey.has_new_pieces() || is_end && survey.totals().0 == 0 {
            return self.shared_out(survey, flight, NonZeroUsize::MIN, answer);
        }
        Ok(Vec::new())
    }

    fn shared_out(
        &self,
        survey: &mut Survey,
        flight: u64,
        lots: NonZeroUsize,
        answer: &mut AnswerMemory,
    ) -> Result<Vec<FlightEndpoint>> {
        let lots = share_out(&survey.new_pieces(), lots).into_iter();
        lots.map(|spans| {
            let endpoint = self.endpoint(survey, flight, spans)?;
            answer.take(endpoint.encoded_len())?;
            Ok(endpoint)
        })
        .collect()
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
