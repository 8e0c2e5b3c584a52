"""A workload in another language: it calls parcel-tracking by name, and serves over HTTP what came of it.

It has never heard of the mesh. It reads PORT and, as gRPC does by itself, http_proxy.
"""

import http.server
import json
import os
import sys
import urllib.parse

import grpc

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


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /readyz, and GET /WAY/ID for a story."""

    def do_GET(self):
        status, answer = 200, {}
        if self.path != "/readyz":
            _, way, id = self.path.split("/")
            try:
                answer = story(way, id, self.headers["traceparent"])
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
