//! Flights over time: polled, cancelled, renewed, expired, and files that change under them.

use std::time::Duration;

use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo,
    RenewFlightEndpointRequest, Ticket,
};
use futures::TryStreamExt;
use prost::Message;
use textflight::flight::catalog::Catalog;
use textflight::memory::Memory;
use tonic::{Code, Status};

use super::client::{Client, LIMITS, catalog, connect_to};
use super::datasets::{get, ids, info, rows, tickets, write};
use crate::engines::Fake;

/// Files of ten rows each, `0.parquet` and on.
fn folder(files: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..files {
        write(&folder.path().join(format!("{file}.parquet")), &rows(file * 10, file * 10 + 10), 5);
    }
    folder
}

async fn serve(folder: &tempfile::TempDir, catalog: Catalog) -> Client {
    catalog.datasets.add_path("data", folder.path()).unwrap();
    connect_to(Fake::engine(100_000), LIMITS, Memory::default(), catalog).await
}

/// The results of an action.
pub async fn act(client: &mut Client, name: &str, body: Vec<u8>) -> Result<Vec<bytes::Bytes>, Status> {
    let results = client.do_action(Action::new(name, body)).await?.into_inner();
    results.map_ok(|result| result.body).try_collect().await
}

pub async fn cancel(client: &mut Client, info: &FlightInfo) -> Result<CancelFlightInfoResult, Status> {
    let request = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let results = act(client, "CancelFlightInfo", request).await?;
    Ok(CancelFlightInfoResult::decode(results[0].clone()).unwrap())
}

/// Polls to the end.
pub async fn poll(client: &mut Client, command: &str) -> Result<PollInfo, Status> {
    let mut next = Some(FlightDescriptor::new_cmd(command.to_owned()));
    let (mut endpoints, mut last, mut progress): (Vec<FlightEndpoint>, _, _) = (Vec::new(), PollInfo::default(), 0.0);
    while let Some(descriptor) = next {
        last = client.poll_flight_info(descriptor).await?.into_inner();
        next = last.flight_descriptor.take();
        let now = last.info.clone().map(|info| info.endpoint).unwrap_or_default();
        assert!(now.starts_with(&endpoints), "endpoints are appended, and stay");
        assert!(last.progress.unwrap() >= progress && last.expiration_time.is_some());
        (endpoints, progress) = (now, last.progress.unwrap());
    }
    assert_eq!(last.progress, Some(1.0));
    Ok(last)
}

#[tokio::test]
async fn a_folder_is_polled_to_its_end() {
    let folder = folder(12);
    let mut client = serve(&folder, catalog()).await;
    for (command, endpoints, rows) in [
        (r#"{"data": "data"}"#, 12, 120),
        (r#"{"data": "data", "limit": 35}"#, 4, 35),
        (r#"{"data": "data", "limit": 0}"#, 1, 0),
        (r#"{"data": "data", "partitions": 5}"#, 5, 120),
        (r#"{"data": "data", "path": "3.parquet"}"#, 2, 10),
    ] {
        let polled = poll(&mut client, command).await.unwrap().info.unwrap();
        let at_once = info(&mut client, command).await.unwrap();
        assert_eq!((polled.endpoint.len(), polled.total_records), (endpoints, rows), "{command}");
        assert_eq!((polled.total_bytes, &polled.schema), (at_once.total_bytes, &at_once.schema), "{command}");
        let all = ids(&mut client, &polled).await.concat();
        assert_eq!(all, ids(&mut client, &at_once).await.concat(), "{command}");
        assert_eq!(all.len() as i64, rows, "{command}");
    }
    let status = poll(&mut client, r#"{"data": "none"}"#).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = client.poll_flight_info(FlightDescriptor::new_cmd(vec![1; 60])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_polled_by_an_action_is_the_same() {
    let folder = folder(3);
    let mut client = serve(&folder, catalog()).await;
    let mut next = FlightDescriptor::new_cmd(r#"{"data": "data"}"#).encode_to_vec();
    loop {
        let results = act(&mut client, "PollFlightInfo", next).await.unwrap();
        let found = PollInfo::decode(results[0].clone()).unwrap();
        assert_eq!(found.info.unwrap_or_default(), FlightInfo::decode(results[1].clone()).unwrap());
        match results.get(2) {
            Some(descriptor) => next = descriptor.to_vec(),
            None => break assert_eq!(FlightInfo::decode(results[1].clone()).unwrap().total_records, 30),
        }
    }
    for name in ["PollFlightInfo", "CancelFlightInfo", "RenewFlightEndpoint"] {
        let status = act(&mut client, name, vec![0xff; 9]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
        let status = act(&mut client, name, Vec::new()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
    }
}

#[tokio::test]
async fn a_cancelled_flight_is_over() {
    let folder = folder(2);
    let mut client = serve(&folder, catalog()).await;
    let found = info(&mut client, r#"{"data": "data"}"#).await.unwrap();
    let other = info(&mut client, r#"{"data": "data"}"#).await.unwrap();
    assert_eq!(cancel(&mut client, &found).await.unwrap().status, 1);
    let status = get(&mut client, tickets(&found).remove(0)).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
    let renewed = renew(&mut client, &found.endpoint[0]).await.unwrap_err();
    assert_eq!(renewed.code(), Code::Cancelled);
    assert_eq!(cancel(&mut client, &found).await.unwrap().status, 1, "cancelled it is, as before");
    assert_eq!(get(&mut client, tickets(&other).remove(0)).await.unwrap().num_rows(), 5, "another flight goes on");
    for unknown in
        [FlightInfo::new(), FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new("x")))]
    {
        assert_eq!(cancel(&mut client, &unknown).await.unwrap_err().code(), Code::NotFound);
    }
}

pub async fn renew(client: &mut Client, endpoint: &FlightEndpoint) -> Result<FlightEndpoint, Status> {
    let request = RenewFlightEndpointRequest::new(endpoint.clone()).encode_to_vec();
    Ok(FlightEndpoint::decode(act(client, "RenewFlightEndpoint", request).await?[0].clone()).unwrap())
}

#[tokio::test]
async fn an_endpoint_is_renewed_and_one_that_expired_is_not() {
    let folder = folder(1);
    let mut client = serve(&folder, catalog()).await;
    let endpoint = info(&mut client, r#"{"data": "data"}"#).await.unwrap().endpoint.remove(0);
    let seconds =
        |endpoint: &FlightEndpoint| endpoint.expiration_time.as_ref().map(|time| (time.seconds, time.nanos)).unwrap();
    let renewed = renew(&mut client, &endpoint).await.unwrap();
    assert!(seconds(&renewed) >= seconds(&endpoint));
    assert_eq!(get(&mut client, renewed.ticket.unwrap()).await.unwrap().num_rows(), 5);

    let mut client = serve(&folder, Catalog { lifetime: Duration::ZERO, ..catalog() }).await;
    let endpoint = info(&mut client, r#"{"data": "data"}"#).await.unwrap().endpoint.remove(0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let renewed = renew(&mut client, &endpoint).await.unwrap_err();
    let fetched = get(&mut client, endpoint.ticket.unwrap()).await.unwrap_err();
    for status in [renewed, fetched] {
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("expired"), "{status:?}");
    }
}

#[tokio::test]
async fn a_file_that_changed_is_said_to_have_changed() {
    let folder = folder(2);
    let mut client = serve(&folder, catalog()).await;
    let found = info(&mut client, r#"{"data": "data", "partitions": 4}"#).await.unwrap();
    write(&folder.path().join("1.parquet"), &rows(0, 11), 5);
    for (ticket, is_there) in tickets(&found).into_iter().zip([true, true, false, false]) {
        match get(&mut client, ticket).await {
            Ok(batch) => assert!(is_there && batch.num_rows() == 5),
            Err(status) => {
                assert!(!is_there && status.code() == Code::NotFound, "{status:?}");
                assert!(status.message().contains("get a new FlightInfo"), "{status:?}");
            }
        }
    }
    assert_eq!(
        info(&mut client, r#"{"data": "data"}"#).await.unwrap().total_records,
        21,
        "a new one has what is there now"
    );
    write(&folder.path().join("9.parquet"), &rows(0, 4), 5);
    assert_eq!(info(&mut client, r#"{"data": "data"}"#).await.unwrap().total_records, 25, "and what came since");
}

/// The key is what makes a ticket good, not the server.
#[tokio::test]
async fn servers_with_one_key_take_one_anothers_tickets() {
    let folder = folder(1);
    let first = catalog();
    let second = Catalog { datasets: textflight::flight::datasets::Datasets::default(), ..first.clone() };
    let (mut first, mut second) = (serve(&folder, first).await, serve(&folder, second).await);
    let mut stranger = serve(&folder, catalog()).await;
    let ticket = tickets(&info(&mut first, r#"{"data": "data"}"#).await.unwrap()).remove(0);
    assert_eq!(get(&mut second, ticket.clone()).await.unwrap().num_rows(), 5);
    assert_eq!(get(&mut stranger, ticket).await.unwrap_err().code(), Code::Unauthenticated);
}
