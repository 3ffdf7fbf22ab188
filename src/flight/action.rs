//! `DoAction`: one table of what can be asked for, which `ListActions` shows as it is.

mod long;
mod report;
mod upload;

use arrow_flight::ActionType;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::Value;

use super::serving::Flight;
use crate::memory::Reservation;
use crate::{Error, Result};

/// What a client can ask for by its name.
pub struct Offer {
    name: &'static str,
    description: &'static str,
    run: Run,
}

/// Answers the body of an action, whose memory is held, with the bodies of its results.
type Run = for<'a> fn(&'a Flight, Bytes, Reservation) -> BoxFuture<'a, Result<Vec<Bytes>>>;

/// That of arrow-udf since its types are Arrow's own.
const PROTOCOL_VERSION: u8 = 2;

/// All of them, in the order in which they are listed.
static OFFERS: &[Offer] = &[
    Offer {
        name: "model_info",
        description: "What serves, and within which limits. No body; one result, a JSON object: name, revision, version, \
                      device, kernels, dtype, labels, max_length, columns, limits, textflight",
        run: |flight, body, _| json(report::model(flight), &body),
    },
    Offer {
        name: "stats",
        description: "What the server is doing. No body; one result, a JSON object of numbers",
        run: |flight, body, _| json(report::stats(flight), &body),
    },
    Offer {
        name: "health",
        description: "Whether calls are taken. No body; one result, a JSON object: status, which is SERVING or NOT_SERVING, \
                      and of the latter the cause",
        run: |flight, body, _| json(Ok(report::health(flight)), &body),
    },
    Offer {
        name: "protocol_version",
        description: "Which version of arrow-udf's protocol databases call functions by. No body; one result, the byte 2",
        run: |_, body, _| ready(no_body(body.as_ref()).map(|()| vec![Bytes::from_static(&[PROTOCOL_VERSION])])).boxed(),
    },
    Offer {
        name: "CancelFlightInfo",
        description: "Ends a flight: its tickets and streams. The body is a CancelFlightInfoRequest, the result a \
                      CancelFlightInfoResult of Flight's protocol",
        run: |flight, body, _| ready(long::cancel(flight, &body)).boxed(),
    },
    Offer {
        name: "RenewFlightEndpoint",
        description: "An endpoint with a ticket that is good for longer. The body is a RenewFlightEndpointRequest, the result a \
                      FlightEndpoint of Flight's protocol",
        run: |flight, body, _| ready(long::renew(flight, &body)).boxed(),
    },
    Offer {
        name: "PollFlightInfo",
        description: "PollFlightInfo for clients that have not the call. The body is a FlightDescriptor, the results are a \
                      PollInfo of Flight's protocol, then the FlightInfo in it, then, unless that is all, the FlightDescriptor \
                      to ask with next",
        run: |flight, body, memory| long::poll(flight, body, memory).boxed(),
    },
    Offer {
        name: "commit",
        description: "Makes what DoPut has staged a data set. Body {\"name\": NAME, \"rows\": N}, where N is how many rows were sent: \
                      with another number the upload is dropped; \"replace\": true takes the place of an upload of this name. One \
                      result, a JSON object: name, rows, bytes",
        run: |flight, body, _| ready(upload::commit(&flight.catalog.uploads, &body)).boxed(),
    },
    Offer {
        name: "drop",
        description: "Drops what was uploaded, committed or not. Body {\"name\": NAME}; no result",
        run: |flight, body, _| ready(upload::drop_upload(&flight.catalog.uploads, &body)).boxed(),
    },
];

/// What can be asked for, as `ListActions` has it.
pub fn list() -> impl Iterator<Item = ActionType> {
    OFFERS.iter().map(|Offer { name, description, .. }| ActionType {
        r#type: (*name).to_owned(),
        description: (*description).to_owned(),
    })
}

/// What is called so, if anything is.
pub fn find(name: &str) -> Option<&'static Offer> {
    OFFERS.iter().find(|offer| offer.name == name)
}

/// The names, for an error.
pub fn names() -> String {
    OFFERS.iter().map(|offer| offer.name).collect::<Vec<_>>().join(", ")
}

impl Offer {
    /// Does it, and gives the bodies of the results. What they take is held by `memory`, as what the body takes is.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a body that it does not take, and whatever went wrong then.
    pub async fn run(&self, flight: &Flight, body: Bytes, memory: Reservation) -> Result<Vec<Bytes>> {
        (self.run)(flight, body, memory).await
    }
}

/// The answer of an action that takes no body, or an empty object.
fn json<'a>(answer: Result<Value>, body: &[u8]) -> BoxFuture<'a, Result<Vec<Bytes>>> {
    let answer = no_body(body).and(answer).map(|answer| vec![Bytes::from(answer.to_string())]);
    ready(answer).boxed()
}

fn no_body(body: &[u8]) -> Result<()> {
    if matches!(body.trim_ascii(), b"" | b"{}") {
        Ok(())
    } else {
        Err(Error::Invalid("this action takes no body".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_described() {
        for offer in OFFERS {
            assert!(std::ptr::eq(find(offer.name).unwrap(), offer), "{} is there twice", offer.name);
            assert!(!offer.description.is_empty());
        }
        assert!(find("").is_none() && find("Health").is_none());
        assert_eq!(list().count(), OFFERS.len());
        assert_eq!(names().split(", ").count(), OFFERS.len());
    }
}
