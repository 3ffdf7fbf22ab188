//! What clients learn of data sets before they fetch rows: names, schemas, and endpoints with tickets.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult};
use tokio::task::spawn_blocking;

use super::datasets::{DataSet, Datasets};
use super::endpoints::share_out;
use super::location::{Location, SAME_CONNECTION};
use super::selection::Selection;
use super::survey::{Found, Survey};
use super::ticket::{Claim, Span, TicketKey, expiry};
use crate::{Error, Result};

/// The data sets, and how they are offered. Cheap to clone, and all clones are the same one.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// What there is.
    pub datasets: Datasets,
    /// What signs tickets.
    pub key: TicketKey,
    /// How long tickets are good.
    pub lifetime: Duration,
    /// Endpoints of a flight, unless the client says how many.
    pub partitions: NonZeroUsize,
    /// Where rows can be fetched; none stands for the connection that the client has.
    pub locations: Arc<[Location]>,
}

impl Catalog {
    /// GetFlightInfo: all about a selection, for a model with these class names.
    ///
    /// # Errors
    /// Those of [`Selection::read`], [`Datasets::get`] and [`Survey`].
    pub async fn info(&self, descriptor: FlightDescriptor, classes: Vec<String>) -> Result<FlightInfo> {
        let catalog = self.clone();
        blocking(move || {
            let selection = Selection::read(&descriptor)?;
            let set = catalog.datasets.get(&selection.data)?;
            let (survey, found) = Survey::begin(set, selection, &classes)?.finish()?;
            Ok(catalog.flight(&survey, &found)?.with_descriptor(descriptor))
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

    /// What a survey has found, with its endpoints.
    fn flight(&self, survey: &Survey, found: &Found) -> Result<FlightInfo> {
        let lots = share_out(&found.pieces, survey.selection().partitions.unwrap_or(self.partitions));
        let mut info = FlightInfo::new()
            .with_total_records(i64::try_from(found.rows).unwrap_or(-1))
            .with_total_bytes(found.bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1))
            // They follow one another as the rows do.
            .with_ordered(true);
        for spans in lots {
            info = info.with_endpoint(self.endpoint(survey, spans)?);
        }
        with_schema(info, &survey.shape.plan.schema())
    }

    fn endpoint(&self, survey: &Survey, spans: Vec<Span>) -> Result<FlightEndpoint> {
        self.signed(&Claim {
            data: survey.data().to_owned(),
            model: survey.model.clone(),
            hive: survey.hive.clone(),
            spans,
            options: survey.selection().options.clone(),
            expires: expiry(self.lifetime),
        })
    }

    /// An endpoint with a ticket.
    fn signed(&self, claim: &Claim) -> Result<FlightEndpoint> {
        let ticket = arrow_flight::Ticket::new(self.key.sign(claim)?);
        let mut endpoint = FlightEndpoint::new().with_ticket(ticket);
        if self.locations.is_empty() {
            endpoint = endpoint.with_location(SAME_CONNECTION);
        }
        for location in self.locations.iter() {
            endpoint = endpoint.with_location(location.to_string());
        }
        let time = endpoint.expiration_time.get_or_insert_default();
        time.seconds = i64::try_from(claim.expires / 1000).unwrap_or(i64::MAX);
        time.nanos = (claim.expires % 1000) as i32 * 1_000_000;
        Ok(endpoint)
    }
}

fn with_schema(info: FlightInfo, schema: &Schema) -> Result<FlightInfo> {
    info.try_with_schema(schema).map_err(unwritable)
}

fn unwritable(cause: arrow::error::ArrowError) -> Error {
    Error::Failed(format!("a schema cannot be written: {cause}"))
}

/// Runs what waits for files.
///
/// # Errors
/// Those of `work`, and [`Error::Failed`] if it broke off.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|died| Err(Error::Failed(format!("the call failed: {died}"))))
}
