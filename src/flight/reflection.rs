//! What gRPC's tools ask to learn the services of the port, `grpcurl list` for one: in the protocol's two versions, since many
//! speak only the older one.

use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::v1alpha::{
    ServerReflection as OldServerReflection, ServerReflectionServer as OldServerReflectionServer,
};

/// The descriptors of Flight and of what it imports, which the crate arrow-flight has not: `tools/flight-descriptors` writes them.
const FLIGHT: &[u8] = include_bytes!("reflection/flight.binpb");

/// Bytes of a request: a name.
const REQUEST: usize = 4 * 1024;

/// The service in both versions of its protocol.
#[expect(
    clippy::expect_used,
    reason = "the descriptors are part of the binary, and each test of the service reads them"
)]
pub fn services() -> (ServerReflectionServer<impl ServerReflection>, OldServerReflectionServer<impl OldServerReflection>)
{
    let new = described().build_v1().expect("descriptors");
    let old = described().build_v1alpha().expect("descriptors");
    let (new, old) = (new.max_decoding_message_size(REQUEST), old.max_decoding_message_size(REQUEST));
    (new.accept_compressed(Gzip).accept_compressed(Zstd), old.accept_compressed(Gzip).accept_compressed(Zstd))
}

fn described() -> Builder<'static> {
    Builder::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(FLIGHT)
        .register_encoded_file_descriptor_set(HEALTH)
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
}
