"""What several test files need: the real data once a session, and catalogues made by hand."""

import contextlib
import http.server
import os
import threading
from pathlib import Path

import pytest

# Before anything imports the hub's client: a test that reaches for the network fails at once.
os.environ["HF_HUB_OFFLINE"] = "1"

from coldstart_utils.catalogue.sources import load_dataset, sources


@pytest.fixture(scope="session")
def ml100k():
    """MovieLens-100K as installed."""
    assert sources()[0]["path"], "MovieLens-100K is not installed; run the tests by `make test`"
    return load_dataset("ml-100k")


@pytest.fixture
def write_atomic(tmp_path):
    """Return write(inter=…, item=…, …) → folder: one atomic file a keyword, in which `|` stands for the tab."""

    def write(name="shop", **files) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for kind, text in files.items():
            content = text if isinstance(text, bytes) else text.replace("|", "\t").encode()
            (folder / f"{name}.{kind}").write_bytes(content)
        return folder

    return write


@pytest.fixture
def serve(monkeypatch):
    """Return serve(bytes) → the address of a loopback server that answers every request with them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with contextlib.ExitStack() as stack:

        def start(content: bytes) -> str:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

                def log_message(self, *_):
                    pass

            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/ml-100k.zip"

        yield start


def pytest_collection_modifyitems(items):
    """Browser tests come last: Playwright's event loop runs on beside them, and other tests have loops of their own."""
    items.sort(key=lambda item: "browser" in item.path.parts)
