//! What can be done with a flight after it was made: cancelling it, and renewing its endpoints.

use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
};

use super::catalog::Catalog;
use super::ticket::{FlightNumber, TicketClaim};
use crate::{Error, Result};

impl Catalog {
    /// Cancels a flight: its tickets are refused from now on, its streams end, and nobody looks for more endpoints. Servers that
    /// share a key do not tell one another.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a flight that was not made here, or has expired.
    pub fn cancel(&self, request: CancelFlightInfoRequest) -> Result<CancelFlightInfoResult> {
        let info = request.info.ok_or_else(|| Error::Invalid("there is no FlightInfo to cancel".to_owned()))?;
        let FlightNumber { flight } = self.number_of(&info)?;
        self.flights.cancelled.cancel(flight, self.expiry())?;
        self.flights.queries.remove(flight);
        Ok(CancelFlightInfoResult { status: CancelStatus::Cancelled.into() })
    }

    /// Which flight it is: its own metadata say, or its first ticket does.
    fn number_of(&self, info: &FlightInfo) -> Result<FlightNumber> {
        let unknown = |_| Error::NotFound("this flight was not made here: cancel a FlightInfo as it came".to_owned());
        if let Some(ticket) = info.endpoint.first().and_then(|endpoint| endpoint.ticket.as_ref()) {
            let claim: TicketClaim = self.key.read(&ticket.ticket).map_err(unknown)?;
            claim.check_time()?;
            return Ok(FlightNumber { flight: claim.flight });
        }
        self.key.read(&info.app_metadata).map_err(unknown)
    }

    /// The endpoint with a ticket that is good for longer.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it has expired, [`Error::Cancelled`] if its flight was cancelled, and those of a ticket that is not
    /// ours.
    pub fn renew(&self, request: RenewFlightEndpointRequest) -> Result<FlightEndpoint> {
        let endpoint = request.endpoint.ok_or_else(|| Error::Invalid("there is no endpoint to renew".to_owned()))?;
        let ticket = endpoint.ticket.ok_or_else(|| Error::Invalid("the endpoint has no ticket to renew".to_owned()))?;
        let claim: TicketClaim = self.key.read(&ticket.ticket)?;
        claim.check_time()?;
        self.flights.cancelled.check(claim.flight)?;
        let renewed = self.signed(&TicketClaim { expires: self.expiry(), ..claim })?;
        Ok(FlightEndpoint { app_metadata: endpoint.app_metadata, ..renewed })
    }
}
