"""What gRPC's tools learn of the port without a file of ours: its services, their methods and messages, and its health."""
import importlib.machinery
import importlib.util

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from server import REPOSITORY

FLIGHT = "arrow.flight.protocol.FlightService"
SERVICES = [FLIGHT, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.flight) as opened:
        yield opened


def reflected(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    return database, descriptor_pool.DescriptorPool(database)


def tool():
    """tools/flight-descriptors as a module."""
    loader = importlib.machinery.SourceFileLoader("flight_descriptors", str(REPOSITORY / "tools" / "flight-descriptors"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_the_services_are_listed(channel):
    database, _ = reflected(channel)
    assert sorted(database.get_services()) == SERVICES


def test_each_service_is_described_and_answers(channel):
    """A method that is described and not there would be UNIMPLEMENTED without a word."""
    _, pool = reflected(channel)
    for name in SERVICES:
        service = pool.FindServiceByName(name)
        assert service.methods
        for method in service.methods:
            assert method.input_type.full_name and method.output_type.full_name
            call = channel.stream_stream(f"/{name}/{method.name}")
            answer = call(iter([b""] if not method.client_streaming else []), timeout=0.5)
            try:
                list(answer)
            except grpc.RpcError:
                pass
            assert answer.code() != grpc.StatusCode.UNIMPLEMENTED or answer.details(), f"{name}/{method.name}"


def test_flights_methods_are_those_of_pyarrow(channel):
    _, pool = reflected(channel)
    described = descriptor_pb2.FileDescriptorProto()
    pool.FindFileContainingSymbol(FLIGHT).CopyToProto(described)
    assert described == descriptor_pb2.FileDescriptorProto.FromString(tool().flight())
    message = pool.FindMessageTypeByName("arrow.flight.protocol.FlightData")
    assert {field.name: field.number for field in message.fields}["data_body"] == 1000
    assert pool.FindMessageTypeByName("google.protobuf.Timestamp").fields_by_name["seconds"]


def test_the_file_is_what_the_tool_writes():
    written = (REPOSITORY / "src" / "flight" / "reflection" / "flight.binpb").read_bytes()
    assert descriptor_pb2.FileDescriptorSet.FromString(written) == tool().descriptors()


def test_what_is_not_there_is_not_found(channel):
    database, pool = reflected(channel)
    for find, name in [(pool.FindServiceByName, "arrow.flight.protocol.Nonsense"), (database.FindFileByName, "../etc/passwd")]:
        with pytest.raises(grpc.RpcError, match="not found") as missing:
            find(name)
        assert missing.value.code() == grpc.StatusCode.NOT_FOUND


def test_both_versions_answer(channel):
    """grpcurl asks the newer one first; the messages are the same in both."""
    for version in ["v1", "v1alpha"]:
        call = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                     reflection_pb2.ServerReflectionRequest.SerializeToString,
                                     reflection_pb2.ServerReflectionResponse.FromString)
        answers = list(call(iter([reflection_pb2.ServerReflectionRequest(list_services="")] * 3), timeout=30))
        assert len(answers) == 3
        assert sorted(service.name for service in answers[2].list_services_response.service) == SERVICES


def test_health_needs_no_token_and_reflection_does(serve):
    running = serve("--api-token", "secret")
    with grpc.insecure_channel(running.flight) as channel:
        probe = health_pb2_grpc.HealthStub(channel)
        for service in ["", FLIGHT]:
            request = health_pb2.HealthCheckRequest(service=service)
            assert probe.Check(request, timeout=30).status == health_pb2.HealthCheckResponse.SERVING
            watch = probe.Watch(request, timeout=30)
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
        with pytest.raises(grpc.RpcError) as refused:
            probe.Check(health_pb2.HealthCheckRequest(service="nonsense"), timeout=30)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND and FLIGHT in refused.value.details()

        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as refused:
            list(asked(iter([request]), timeout=30))
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        token = [("authorization", "Bearer secret")]
        assert len(list(asked(iter([request]), timeout=30, metadata=token))) == 1
