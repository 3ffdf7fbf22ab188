//! Calls of one message: descriptors, tickets, actions and their bodies, filters, handshakes.

use std::path::Path;
use std::time::Duration;

use arrow_flight::{Action, Criteria, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use tempfile::TempDir;
use textflight::flight::catalog::Catalog;
use tonic::Code;

use super::damage::{Damage, damage, damaged};
use super::wire::{Outcome, Wire, framed};
use super::{files, fuzz};
use crate::flight::client::catalog;

/// What a client may be told about what it sent.
const FAIR: [Code; 5] =
    [Code::InvalidArgument, Code::NotFound, Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented];

const COMMANDS: [&str; 7] = [
    r#"{"data": "reviews", "text": "text"}"#,
    r#"{"data": "folder", "text": "text", "partitions": 4, "limit": 10, "columns": ["id"]}"#,
    r#"{"data": "folder", "path": "below/b.parquet", "text": "text", "on_error": "null"}"#,
    r#"{"data": "folder", "path": "../a.parquet", "text": "text"}"#,
    r#"{"data": "folder", "path": "/etc/passwd", "text": "text"}"#,
    r#"{"data": "reviews", "text": "text", "partitions": 0, "limit": 18446744073709551615}"#,
    r#"{"data": "nobody"}"#,
];

const PATHS: [&[&str]; 7] = [
    &["textflight_label"],
    &["textflight_score", "b"],
    &["reviews"],
    &["folder", "below/b.parquet"],
    &["folder", "..", "a.parquet"],
    &[""],
    &[],
];

const ACTIONS: [&str; 10] = [
    "protocol_version",
    "model_info",
    "stats",
    "health",
    "commit",
    "drop",
    "CancelFlightInfo",
    "RenewFlightEndpoint",
    "PollFlightInfo",
    "CreateSession",
];

const BODIES: [&str; 4] = ["", "{}", r#"{"name": "uploaded", "rows": 3}"#, r#"{"name": "../x", "rows": -1}"#];

/// A server of a file and of a folder.
fn serve() -> (TempDir, Wire) {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, &files::SEEDS[0]).unwrap();
    };
    for path in ["a.parquet", "folder/a.parquet", "folder/below/b.parquet"] {
        put(path);
    }
    let catalog = catalog();
    catalog.datasets.add_path("reviews", &folder.path().join("a.parquet")).unwrap();
    catalog.datasets.add_path("folder", &folder.path().join("folder")).unwrap();
    (folder, Wire::of(catalog))
}

fn commands() -> Vec<FlightDescriptor> {
    COMMANDS.iter().map(|command| FlightDescriptor::new_cmd((*command).to_owned())).collect()
}

fn paths() -> Vec<FlightDescriptor> {
    let path = |path: &&[&str]| FlightDescriptor::new_path(path.iter().map(|part| (*part).to_owned()).collect());
    PATHS.iter().map(path).collect()
}

/// A message whose field was damaged, and then the message as it goes over the wire.
fn sent(message: &impl Message, damages: &[Damage]) -> Vec<Bytes> {
    vec![framed(&damaged(&message.encode_to_vec(), damages))]
}

/// Damages what a descriptor carries.
pub fn damage_descriptor(descriptor: &mut FlightDescriptor, damages: &[Damage]) {
    descriptor.cmd = damaged(&descriptor.cmd, damages).into();
    if let Some(part) = descriptor.path.last_mut() {
        *part = String::from_utf8_lossy(&damaged(part.as_bytes(), damages)).into_owned();
    }
}

/// The tickets of a flight.
fn tickets(wire: &Wire, descriptor: &FlightDescriptor) -> Vec<Bytes> {
    let Outcome { status, answer } = wire.call("GetFlightInfo", sent(descriptor, &[])).unwrap();
    assert_eq!(status.code(), Code::Ok, "{status:?}");
    let info = FlightInfo::decode(&answer[5..]).unwrap();
    info.endpoint.iter().map(|endpoint| endpoint.ticket.clone().unwrap().ticket).collect()
}

#[test]
fn descriptors() {
    let (_folder, wire) = serve();
    let descriptors = [commands(), paths()].concat();
    let methods = select(&["GetFlightInfo", "GetSchema", "PollFlightInfo"][..]);
    let inputs = (methods, select(descriptors), vec(damage(), 0..3), vec(damage(), 0..2));
    fuzz(400, inputs, |(method, mut descriptor, inner, outer)| {
        damage_descriptor(&mut descriptor, &inner);
        wire.check(method, sent(&descriptor, &outer), &FAIR).map(drop)
    });
}

/// A ticket that is not one of the server's, byte for byte, gives no rows.
#[test]
fn tickets_of_others() {
    let (_folder, wire) = serve();
    let good = commands()[..3].iter().flat_map(|command| tickets(&wire, command)).collect::<Vec<_>>();
    for ticket in &good {
        wire.check("DoGet", sent(&Ticket::new(ticket.clone()), &[]), &[]).unwrap();
    }
    let one = select(good.clone());
    fuzz(400, (one.clone(), one, vec(damage(), 0..4), any::<bool>()), |(ticket, other, damages, is_spliced)| {
        let mut forged = damaged(&ticket, &damages);
        if is_spliced {
            let half = forged.len().min(other.len()) / 2;
            forged = [&forged[..half], &other[half..]].concat();
        }
        let is_ours = good.iter().any(|ticket| *ticket == forged);
        let outcome = wire.check("DoGet", sent(&Ticket::new(forged), &[]), &FAIR)?;
        prop_assert_eq!(outcome.status.code() == Code::Ok, is_ours, "{:?}", outcome.status);
        Ok(())
    });
    fuzz(200, vec(any::<u8>(), 0..300), |bytes| {
        let outcome = wire.check("DoGet", sent(&Ticket::new(bytes), &[]), &FAIR)?;
        prop_assert!(outcome.status.code() != Code::Ok);
        Ok(())
    });
}

#[test]
fn tickets_of_yesterday() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    std::fs::write(&path, &files::SEEDS[0]).unwrap();
    let serve = |lifetime| {
        let catalog = Catalog { lifetime, ..catalog() };
        catalog.datasets.add_path("reviews", &path).unwrap();
        Wire::of(catalog)
    };
    let get = |wire: &Wire, ticket: Bytes| {
        let outcome = wire.check("DoGet", sent(&Ticket::new(ticket), &[]), &FAIR).unwrap();
        (outcome.status.code(), outcome.status.message().to_owned())
    };
    let (wire, other) = (serve(Duration::from_mins(1)), serve(Duration::from_mins(1)));
    let ticket = tickets(&wire, &commands()[0]).remove(0);
    assert_eq!(get(&wire, ticket.clone()).0, Code::Ok);
    assert_eq!(get(&wire, ticket.clone()).0, Code::Ok, "it may be used again");
    assert_ne!(get(&other, ticket.clone()).0, Code::Ok, "another server has another key");
    let brief = serve(Duration::ZERO);
    let late = tickets(&brief, &commands()[0]).remove(0);
    std::thread::sleep(Duration::from_millis(20));
    let (code, text) = get(&brief, late);
    assert!(code != Code::Ok && text.contains("expired"), "{code:?}: {text}");
    std::fs::write(&path, &files::SEEDS[1]).unwrap();
    let (code, text) = get(&wire, ticket);
    assert!(code != Code::Ok && text.contains("changed"), "{code:?}: {text}");
}

#[test]
fn actions() {
    let (_folder, wire) = serve();
    let descriptor = commands().remove(0).encode_to_vec();
    let mut bodies: Vec<Vec<u8>> = BODIES.iter().map(|body| body.as_bytes().to_vec()).collect();
    bodies.push(descriptor);
    let inputs = (select(&ACTIONS[..]), select(bodies), vec(damage(), 0..3), vec(damage(), 0..2));
    fuzz(400, inputs, |(action, body, inner, outer)| {
        let action = Action::new(action, damaged(&body, &inner));
        wire.check("DoAction", sent(&action, &outer), &FAIR).map(drop)
    });
}

#[test]
fn filters_and_handshakes() {
    let (_folder, wire) = serve();
    fuzz(200, (vec(any::<u8>(), 0..60), vec(damage(), 0..2)), |(bytes, outer)| {
        let criteria = Criteria { expression: bytes.clone().into() };
        wire.check("ListFlights", sent(&criteria, &outer), &FAIR)?;
        wire.check("ListActions", vec![framed(&bytes)], &FAIR)?;
        let handshake = HandshakeRequest { protocol_version: 0, payload: bytes.into() };
        wire.check("Handshake", sent(&handshake, &outer), &FAIR).map(drop)
    });
}

#[test]
fn requests_that_are_no_messages() {
    let wire = Wire::new();
    let bodies = [&[][..], &[0, 0, 0], &[0, 0, 0, 0, 9, 1], &[1, 0, 0, 0, 0], &[2, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 0]];
    for method in ["GetFlightInfo", "GetSchema", "DoGet", "DoAction", "ListFlights", "ListActions"] {
        for body in bodies {
            let outcome = wire.check(method, vec![Bytes::copy_from_slice(body)], &FAIR).unwrap();
            assert_eq!(outcome.status.code(), Code::InvalidArgument, "{method} {body:?}: {:?}", outcome.status);
        }
    }
}
