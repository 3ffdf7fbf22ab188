//! The calls that have no place in older clients, as actions with the same messages.

use arrow_flight::{CancelFlightInfoRequest, FlightDescriptor, RenewFlightEndpointRequest};
use bytes::Bytes;
use prost::Message;

use crate::flight::serving::Flight;
use crate::memory::Reservation;
use crate::{Error, Result};

/// `CancelFlightInfo`
pub fn cancel(flight: &Flight, body: &[u8]) -> Result<Vec<Bytes>> {
    let request = decode::<CancelFlightInfoRequest>(body, "CancelFlightInfoRequest")?;
    Ok(vec![flight.catalog.cancel(request)?.encode_to_vec().into()])
}

/// `RenewFlightEndpoint`
pub fn renew(flight: &Flight, body: &[u8]) -> Result<Vec<Bytes>> {
    let request = decode::<RenewFlightEndpointRequest>(body, "RenewFlightEndpointRequest")?;
    Ok(vec![flight.catalog.renew(request)?.encode_to_vec().into()])
}

/// `PollFlightInfo`
pub async fn poll(flight: &Flight, body: Bytes, memory: Reservation) -> Result<Vec<Bytes>> {
    let poll = flight.poll(decode::<FlightDescriptor>(&body, "FlightDescriptor")?, &memory).await?;
    let mut results = vec![poll.encode_to_vec().into(), poll.info.unwrap_or_default().encode_to_vec().into()];
    results.extend(poll.flight_descriptor.map(|next| next.encode_to_vec().into()));
    Ok(results)
}

fn decode<M: Message + Default>(body: &[u8], expected: &str) -> Result<M> {
    M::decode(body).map_err(|cause| Error::Invalid(format!("the body is no {expected} of Flight's protocol: {cause}")))
}
