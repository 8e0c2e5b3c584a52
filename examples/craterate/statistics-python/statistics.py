#!/usr/bin/env python3
"""statistics once more: the contract of the Rust service beside it, kept in Python's standard library alone.

It joins the mesh by its sidecar and knows four things of it: it listens on PORT, answers /livez and /readyz, finishes what
is begun after SIGTERM, and says SAMSPILL_INSTANCE in its answers for the page to show. It calls nobody; a program that does
sends its requests to `http_proxy` and passes on the `traceparent` that it was called with.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import sys
import threading
import time
import traceback
from http import HTTPStatus

EVENT_TYPES = ["order-attempt"]
VERSIONS = [1]
# Method and handler of each path, which is the same in every version.
OPERATIONS = {"/events": ("POST", "record"), "/counts": ("GET", "counts")}
# The promise itself, for whoever asks: the document that both implementations are held to.
DOCUMENT = pathlib.Path(__file__).parent.parent / "statistics/api/openapi/v1.json"

BODY_LIMIT_BYTES = 2 * 1024 * 1024
PART_BYTES = 64 * 1024
# From a request's first line to the end of its answer, whoever is the slow one.
REQUEST_SECONDS = 30
# Longer than the 4 s for which a sidecar keeps an unused connection, so that none is closed under a request.
IDLE_SECONDS = 60
# For what is begun when we are asked to end; below the 30 s after which SIGKILL comes.
DRAIN_SECONDS = 25
STOP = {signal.SIGTERM, signal.SIGINT}


class Problem(Exception):
    """An error that the caller is told of, as application/problem+json (RFC 9457)."""

    def __init__(self, status, title=None, headers=None, **members):
        self.status, self.headers = HTTPStatus(status), headers or {}
        self.members = {"title": title or self.status.phrase, "status": self.status, **members}


def wrong_field(field, detail):
    return Problem(422, "The body is not as expected", errors=[{"field": field, "detail": detail}])


def is_busy(error):
    """Whether another connection has held the database's lock for too long. The last byte is SQLite's primary code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


class Store:
    """The counts, in the SQLite file that all copies share, whichever language they are written in."""

    SCHEMA = "CREATE TABLE counts (type TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID"

    def __init__(self, url):
        path = url.removeprefix("sqlite://")
        if path == url or not path:
            sys.exit("error: DATABASE_URL must be sqlite:// and a path: this implementation knows no other database")
        path = os.path.abspath(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.lock = threading.Lock()
        # Without an isolation level Python begins no transactions of its own.
        self.database = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self.use_wal()
        self.migrate(path)

    def use_wal(self):
        """Readers shall not wait for writers. This change alone does not wait for a lock, so it is tried again."""
        deadline = time.monotonic() + 10
        while True:
            try:
                self.database.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.database.execute("PRAGMA synchronous = FULL")

    def migrate(self, path):
        """Makes the table unless another copy has; `user_version` counts the steps."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            (step,) = self.database.execute("PRAGMA user_version").fetchone()
            if step > 1:
                sys.exit(f"error: a newer version has written to {path}; nothing was changed")
            if step == 0:
                self.database.execute(self.SCHEMA)
                self.database.execute("PRAGMA user_version = 1")

    def count(self, kind):
        with self.lock:
            # One statement is one transaction: no count of another process is lost.
            self.database.execute(
                "INSERT INTO counts (type, count) VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET count = count + 1", [kind])

    def counts(self):
        with self.lock:
            rows = dict(self.database.execute("SELECT type, count FROM counts"))
        return {kind: rows.get(kind, 0) for kind in EVENT_TYPES}

    def close(self):
        with self.lock:
            self.database.close()


def read_event(headers, body):
    """The type in an EventRequest, {"type":"order-attempt"}."""
    if not re.fullmatch(r"application/(json|.+\+json)", headers.get_content_type()):
        raise Problem(415, detail="Send it with `content-type: application/json`.")
    if body is None:
        raise Problem(413)

    def members(pairs):
        event = {}
        for name, value in pairs:
            if name in event:
                raise wrong_field(name, "is there twice")
            event[name] = value
        return event

    def no_number(text):
        raise ValueError(f"{text} is no JSON")

    try:
        event = json.loads(body.decode(), object_pairs_hook=members, parse_constant=no_number)
    except ValueError as error:
        raise Problem(400, "The body is not JSON", detail=str(error)) from None
    except RecursionError:
        raise Problem(400, "The body is not JSON", detail="It is nested too deeply.") from None
    if not isinstance(event, dict):
        raise wrong_field(".", "must be an object")
    if unknown := [name for name in event if name != "type"]:
        raise wrong_field(unknown[0], "is not known")
    if "type" not in event:
        raise wrong_field("type", "is missing")
    if event["type"] not in EVENT_TYPES:
        raise wrong_field("type", f"must be one of {', '.join(EVENT_TYPES)}")
    return event["type"]


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection, with a thread of its own."""

    protocol_version = default_request_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    is_idle, deadline = True, float("inf")

    # The operations.

    def record(self, body):
        self.server.store.count(read_event(self.headers, body))
        return 202, b""

    def counts(self, _body):
        return 200, self.server.store.counts()

    # What every operation has in common.

    def answer(self):
        """Answers one request: whatever goes wrong, the caller hears of it in a problem, and the log hears why."""
        path = self.path.partition("?")[0]
        trace = re.match(r"[0-9a-f]{2}-([0-9a-f]{32})-", self.headers.get("traceparent", ""))
        # Says in errors which version a header has chosen, too.
        self.chosen = {}
        try:
            # First of all, because the connection's next request comes after it.
            body = self.read_body()
            if path in ("/livez", "/readyz"):
                status, content = (503 if self.server.is_stopping and path == "/readyz" else 200), b""
            elif path == "/openapi/v1.json":
                status, content = 200, self.server.document
            else:
                operation = self.find_operation(path)
                status, content = operation(body)
            self.send(status, content, "application/json", self.chosen)
        except Problem as problem:
            self.send_problem(problem, trace and trace[1])
        except OSError:
            raise  # the caller is gone
        except Exception as error:
            traceback.print_exc()
            # A busy database is worth another try.
            self.send_problem(Problem(503 if is_busy(error) else 500), trace and trace[1])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def find_operation(self, path):
        """The version is in the path, /v1/counts, or in a header, `api-version: 1`."""
        versioned = re.fullmatch(r"/v([0-9]+)(/.*)?", path)
        path = versioned[2] or "/" if versioned else path
        if path not in OPERATIONS:
            raise Problem(404)
        unsupported = {
            "title": "There is no such version of this",
            "type": "urn:samspill:unsupported-version",
            "supported": VERSIONS,
        }
        supported = [str(version) for version in VERSIONS]
        if versioned:
            if versioned[1] not in supported:
                raise Problem(404, **unsupported)
        else:
            # Or a cache would give one version to who wants another.
            self.chosen["vary"] = "api-version"
            said = self.headers.get_all("api-version", [])
            if not said:
                raise Problem(400, "Say which version you mean", type="urn:samspill:version-missing", supported=VERSIONS)
            if len(said) > 1:
                twice = [{"field": "api-version", "detail": "is there more than once"}]
                raise Problem(400, "Say one version", errors=twice, supported=VERSIONS)
            if said[0].strip() not in supported:
                raise Problem(406, **unsupported)
            self.chosen["api-version"] = said[0].strip()
        method, name = OPERATIONS[path]
        if self.command != method and (self.command, method) != ("HEAD", "GET"):
            raise Problem(405, headers={"allow": "GET,HEAD" if method == "GET" else method})
        return getattr(self, name)

    def read_body(self):
        """The whole body. None if it is longer than the limit; the rest is thrown away: who still sends hears no answer."""
        body, length = bytearray(), 0
        try:
            for part in self.parts():
                length += len(part)
                if length <= BODY_LIMIT_BYTES:
                    body += part
        except ValueError:
            self.close_connection = True
            raise Problem(400, detail="The length of the body is not clear.") from None
        return bytes(body) if length <= BODY_LIMIT_BYTES else None

    def parts(self):
        """The body in parts; its length is said in front, or in front of each chunk."""
        if "transfer-encoding" not in self.headers:
            yield from self.exactly(int(self.headers.get("content-length", 0)))
            return
        while size := int(self.rfile.readline(PART_BYTES).partition(b";")[0], 16):
            yield from self.exactly(size)
            self.rfile.readline(PART_BYTES)
        while self.rfile.readline(PART_BYTES).strip():
            pass

    def exactly(self, size):
        while size > 0:
            part = self.rfile.read(min(size, PART_BYTES))
            if not part:
                raise ConnectionError("the body ended early")
            size -= len(part)
            yield part

    def send_problem(self, problem, trace_id=None):
        members = problem.members | ({"trace_id": trace_id} if trace_id else {})
        self.send(problem.status, members, "application/problem+json", self.chosen | problem.headers)

    def send(self, status, content, media_type, headers):
        body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
        self.send_response_only(status)
        self.send_header("date", self.date_time_string())
        for name, value in headers.items():
            self.send_header(name, value)
        if instance := os.environ.get("SAMSPILL_INSTANCE"):
            self.send_header("x-craterate-instance", instance)
        if body:
            self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        if self.close_connection or self.server.is_stopping:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # What http.server itself says and does, our way.

    def send_error(self, code, message=None, explain=None):
        self.close_connection, self.chosen = True, {}
        self.send_problem(Problem(code))

    def setup(self):
        super().setup()
        with self.server.changed:
            self.server.handlers.add(self)

    def finish(self):
        try:
            super().finish()
        finally:
            with self.server.changed:
                self.server.handlers.discard(self)
                self.server.changed.notify()

    def handle_one_request(self):
        self.is_idle, self.deadline = True, time.monotonic() + IDLE_SECONDS
        if self.server.is_stopping:
            self.hang_up(socket.SHUT_RD)
        super().handle_one_request()

    def parse_request(self):
        self.is_idle, self.deadline = False, time.monotonic() + REQUEST_SECONDS
        return super().parse_request()

    def hang_up(self, how):
        """Ends the thread's waiting for the other end. After SHUT_RD, what has arrived is still answered."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(how)


class Server(http.server.ThreadingHTTPServer):
    """A thread for each connection, and none that waits for ever."""

    request_queue_size = 128

    def __init__(self, port, store):
        self.store, self.document = store, DOCUMENT.read_bytes()
        self.handlers, self.changed, self.is_stopping = set(), threading.Condition(), False
        # The sidecar comes over loopback, and nobody else shall.
        super().__init__(("127.0.0.1", port), Handler)

    def open_handlers(self):
        with self.changed:
            return list(self.handlers)

    def service_actions(self):
        """Called by `serve_forever` twice a second."""
        for handler in self.open_handlers():
            if time.monotonic() > handler.deadline:
                handler.hang_up(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        print("a connection has ended early:", sys.exc_info()[1], file=sys.stderr)

    def drain(self):
        """Finishes what is begun, and begins nothing."""
        self.is_stopping = True
        self.shutdown()
        self.server_close()
        for handler in self.open_handlers():
            if handler.is_idle:
                handler.hang_up(socket.SHUT_RD)
        with self.changed:
            self.changed.wait_for(lambda: not self.handlers, DRAIN_SECONDS)


def main():
    # Blocked before there is a thread: the signals wait for `sigwait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    store = Store(os.environ.get("DATABASE_URL", ""))
    server = Server(int(os.environ.get("PORT", "8080")), store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait(STOP)
    # Whoever asks twice does not want to wait.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
    server.drain()
    store.close()


if __name__ == "__main__":
    main()
