"""The client that offers load to a service."""

import gc
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from coldstart_utils.ground import ColdstartError
from coldstart_utils.serving import load


class Answering(BaseHTTPRequestHandler):
    """Answers each GET with its path; notes whether the client, in this process, collects garbage meanwhile."""

    protocol_version, collecting = "HTTP/1.1", []

    def do_GET(self):
        self.collecting.append(gc.isenabled())
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_every_request_is_answered_once_and_no_pause_of_the_client_is_measured(address):
    Answering.collecting.clear()
    rows = load.offered(address, [("GET", "/some?user=1", None), ("GET", "/none", None)] * 10, 500)
    assert rows.groupby(["path", "status"]).size().to_dict() == {("/none", 404): 10, ("/some", 200): 10}
    assert Answering.collecting == [False] * 20
    assert gc.isenabled()


def test_a_service_that_is_away_is_said_and_the_collector_left_as_it_was():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ColdstartError, match=f"{nobody}: the connection broke"):
            load.offered(nobody, [("GET", "/", None)], 500)
    assert gc.isenabled()
