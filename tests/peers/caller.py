"""A workload in another language: it calls parcel-tracking by name, and serves over HTTP what came of it.

It has never heard of the mesh. It reads PORT and, as gRPC does by itself, http_proxy.
"""

import http.server
import json
import os
import sys
import urllib.parse

import grpc
from google.protobuf import descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import proto_reflection_descriptor_database
from grpc_status import rpc_status

# Where the .proto files are; grpcio-tools makes Python of them on the fly.
sys.path.insert(0, os.environ["PROTOS"])
messages, services = grpc.protos_and_services("craterate/tracking/v1/tracking.proto")

# Seconds. It only ends what hangs.
DEADLINE = 30


def channel(way):
    """The two ways to call by name: gRPC's own (CONNECT to http_proxy), or the sidecar's address and the name as authority."""
    if way == "proxy":
        return grpc.insecure_channel("parcel-tracking:50051")
    sidecar = urllib.parse.urlsplit(os.environ["SAMSPILL_OUTBOUND"]).netloc
    return grpc.insecure_channel(sidecar, options=[
        ("grpc.default_authority", "parcel-tracking:50051"),
        ("grpc.enable_http_proxy", 0),
    ])


def story(way, id, trace):
    """One parcel from its first event to its last, by all kinds of calls that there are."""
    # All that a program must do to be part of the trace: pass this on.
    call = {"timeout": DEADLINE, "metadata": [("traceparent", trace)]}
    with channel(way) as connection:
        tracking = services.TrackingStub(connection)
        created = tracking.Create(messages.CreateRequest(id=id, **{"from": "NO"}, to="SE", grams=2500), **call)
        watched = tracking.Watch(messages.WatchRequest(id=id), **call)
        sequences = []
        for kind in (messages.EVENT_TYPE_PICKED_UP, messages.EVENT_TYPE_IN_TRANSIT, messages.EVENT_TYPE_DELIVERED):
            tracking.Append(messages.AppendRequest(id=id, type=kind, place="Ålesund"), **call)
            sequences.append(next(watched).sequence)
        has_ended = next(watched, None) is None
        got = tracking.Get(messages.GetRequest(id=id), **call)
        try:
            tracking.Append(messages.AppendRequest(id=id, type=kind, place="Oslo"), **call)
            refusal = None
        except grpc.RpcError as error:
            refusal = error.code().name
        return {
            "created": created.id,
            "watched": sequences,
            "has_ended": has_ended,
            "places": [event.place for event in got.events],
            "refusal": refusal,
        }


def mistake(method, request):
    """What a program learns from the details of an error: google.rpc's messages by their names."""
    try:
        method(request, timeout=DEADLINE)
    except grpc.RpcError as error:
        # Fails if code and message are not those that the trailers say.
        status = rpc_status.from_call(error)
        answer = {"code": error.code().name, "message": status.message}
        for detail in status.details:
            info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                answer["info"] = {"reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)}
            elif detail.Unpack(request):
                answer["fields"] = {field.field: field.description for field in request.field_violations}
        return answer


def about(way):
    """What tools learn of parcel-tracking that know nothing of it: by reflection, by health, and by its errors."""
    with channel(way) as connection:
        reflection = proto_reflection_descriptor_database.ProtoReflectionDescriptorDatabase(connection)
        service = descriptor_pool.DescriptorPool(reflection).FindServiceByName("craterate.tracking.v1.Tracking")
        health = health_pb2_grpc.HealthStub(connection)
        serving = {
            name: health_pb2.HealthCheckResponse.ServingStatus.Name(
                health.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE).status)
            for name in ("", service.full_name)
        }
        tracking = services.TrackingStub(connection)
        return {
            "services": sorted(reflection.get_services()),
            "methods": [method.name for method in service.methods],
            "health": serving,
            "unknown": mistake(tracking.Get, messages.GetRequest(id="nobody")),
            "wrong": mistake(tracking.Create, messages.CreateRequest(id="a/b", **{"from": "NO"}, to="SE")),
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /readyz, GET /WAY/about, and GET /WAY/ID for a story."""

    def do_GET(self):
        status, answer = 200, {}
        if self.path != "/readyz":
            _, way, id = self.path.split("/")
            try:
                answer = about(way) if id == "about" else story(way, id, self.headers["traceparent"])
            except grpc.RpcError as error:
                status, answer = 502, {"code": error.code().name, "details": error.details()}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
