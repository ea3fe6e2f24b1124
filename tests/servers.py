"""Servers on loopback: files over HTTP with faults, and an object store that insists on credentials."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = "S3CR3TS3CR3T"
"""Of the object store."""


def free_port() -> int:
    """Of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served_by(handler: type[BaseHTTPRequestHandler]):
    """An HTTP server on loopback, a thread for each request; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Files:
    """Files of a folder, with ranges; ``fault(number of the request)`` says what goes wrong."""

    def __init__(self, folder: Path, fault=lambda number: None):
        self.folder, self.fault, self.requests = folder, fault, []
        self._lock, self._over = threading.Lock(), threading.Event()

    @contextmanager
    def serve(self):
        files = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                with files._lock:
                    files.requests.append((self.command, self.path))
                    fault = files.fault(len(files.requests))
                if fault == "error":
                    return self.refuse(503)
                if fault == "reset":
                    self.close_connection = True
                    return self.connection.close()
                if fault == "hang":
                    files._over.wait()
                    self.close_connection = True
                    return self.connection.close()
                if fault == "stall":
                    time.sleep(3)
                    self.close_connection = True
                    return self.connection.close()
                path = files.folder / self.path.split("?")[0].lstrip("/")
                if not path.is_file():
                    return self.refuse(404)
                content, status, first = path.read_bytes(), 200, 0
                size = len(content)
                if wanted := self.headers.get("Range"):
                    start, _, stop = wanted.removeprefix("bytes=").partition("-")
                    first, last = int(start), min(int(stop or size - 1), size - 1)
                    content, status = content[first : last + 1], 206
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Accept-Ranges", "bytes")
                if status == 206:
                    self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{size}")
                self.end_headers()
                if fault == "truncated":
                    self.close_connection = True
                    content = content[: len(content) // 2]
                if body:
                    self.wfile.write(content)
                return None

            def refuse(self, status):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

            def handle(self):
                with suppress(OSError):
                    super().handle()

        with served_by(Handler) as url:
            try:
                yield url
            finally:
                self._over.set()


@contextmanager
def object_store(key: str, *, requester_pays: bool):
    """A moto S3 that refuses requests without this key, or without the offer to pay; yields its URL and its log."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    log = []

    def guarded(environ, start_response):
        signed = environ.get("HTTP_AUTHORIZATION", "")
        payer = environ.get("HTTP_X_AMZ_REQUEST_PAYER")
        log.append((environ["PATH_INFO"], key in signed, payer))
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and (
            key not in signed or (requester_pays and payer != "requester")
        ):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, guarded, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", log
    finally:
        server.shutdown()


@contextmanager
def stac_api(items: Path):
    """A STAC API (rustac) that serves an items file; yields its URL."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("rustac")), "serve", str(items), "--create-collections", "-a"]
    with subprocess.Popen(
        [*command, f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            for _ in range(100):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def bucket(name: str, *, conditions: bool = True, seen=lambda method, path, query: None):
    """A moto S3 with an empty bucket, one write at a time, as S3 itself decides; yields its URL.

    Without ``conditions`` it ignores If-Match and If-None-Match, as old servers do. ``seen`` is told of each request
    and may give a status with which it is refused.
    """
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    moto, writing = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def ordered(environ, start_response):
        if not conditions:
            environ = {k: v for k, v in environ.items() if k not in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")}
        refused = seen(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
        if refused is not None:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{refused} Refused", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        if environ["REQUEST_METHOD"] in ("PUT", "DELETE", "POST"):
            with writing:
                return list(moto(environ, start_response))
        return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, ordered, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="KEY",
                     aws_secret_access_key="word").create_bucket(Bucket=name)  # fmt: skip
        yield url
    finally:
        server.shutdown()


@contextmanager
def empty_place(endpoint: str, name: str, monkeypatch, bucket: str = "glaciers"):
    """An address in a bucket where nothing is, with credentials in the environment."""
    import pytest

    s3fs = pytest.importorskip("s3fs")
    for variable, value in {
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield f"s3://{bucket}/{os.urandom(4).hex()}/{name}"
    s3fs.S3FileSystem.clear_instance_cache()
