"""What several test files need: the real data once a session, and catalogues made by hand."""

import os
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


def pytest_collection_modifyitems(items):
    """Browser tests come last: Playwright's event loop runs on beside them, and other tests have loops of their own."""
    items.sort(key=lambda item: "browser" in item.path.parts)
