"""`coldstart serve`: from a folder, empty or not, to a service that listens."""

from __future__ import annotations

import gc
import importlib.util
import ipaddress
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from ..catalogue.sources import load_dataset
from ..ground import ColdstartError
from ..language.encoders import TextEncoder, quick
from .catalogue import bring
from .learning import learn
from .state import State
from .store import Store
from .versions import Model, load, versions

if TYPE_CHECKING:  # what the command imports first must not need the extra
    from fastapi import FastAPI

Array = np.ndarray
Encode = Callable[[Sequence[str]], Array]
Tell = Callable[[str], None]

TOKEN = "COLDSTART_TOKEN"
NEEDED = ("fastapi", "fastapi_offline", "uvicorn", "prometheus_client")


def serve(
    folder: Path, *, port: int, host: str = "127.0.0.1", data: str = "ml-100k", retrain_after: int, tell: Tell
) -> None:
    """Serve the store in `folder` at `host`:`port` until interrupted; what is done first is told in sentences.

    An empty folder is filled with the data set `data` ('none': with nothing). Raises ColdstartError without the extra,
    without a token where others could reach it, for a port or a store in use, and for a store that is damaged.
    """
    if missing := lacking():
        raise ColdstartError(f"{missing[0]} is not installed; pip install 'coldstart-utils[serve]' brings the service")
    import uvicorn

    token = allowed(host)
    if taken(host, port):
        raise ColdstartError(f"port {port}: in use already; name another, such as --port {port + 1}")
    with only_writer(folder):
        app = prepared(folder, data, token, retrain_after, tell)
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        tell(f"{address}/ answers, {address}/docs shows how to ask; Ctrl-C ends it.")
        # All that was made so far stays: walking through it again, 100 ms at a time, would hold up whoever asks.
        gc.collect()
        gc.freeze()
        # Addresses hold users and questions: no log of them.
        uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning", timeout_graceful_shutdown=10)


def taken(host: str, port: int) -> bool:
    """Return whether something listens at `host`:`port` already, IPv4 or IPv6."""
    try:
        socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else host, port), timeout=1).close()
    except OSError:
        return False
    return True


def lacking() -> list[str]:
    """Return the libraries of the extra `[serve]` that are not installed."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def allowed(host: str) -> str:
    """Return the token from the environment, '' for none. Raises ColdstartError where others reach `host` without."""
    token = os.environ.get(TOKEN, "")
    try:
        alone = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = False
    if not alone and len(token) < 16:
        raise ColdstartError(f"{host}: others could reach it; set {TOKEN} to a token of 16 characters or more")
    return token


def only_writer(folder: Path) -> FileLock:
    """Return a lock on a store, held; it falls with the process. Raises ColdstartError if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "serving.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ColdstartError(
            f"{folder}: another service writes to this store; end it, or name another folder"
        ) from None
    return lock


def prepared(folder: Path, data: str, token: str, retrain_after: int, tell: Tell) -> FastAPI:
    """Return the application for a store, which is filled if it was empty, with a model, learnt if there was none."""
    from .live import Service
    from .service import application

    begun, store, encoder = time.perf_counter(), Store(folder), TextEncoder()
    filled(store, data, encoder.encode, tell)
    state = State(newest(folder, tell), store.reader())
    service = Service(store, state, quick(encoder).encode, retrain_after=retrain_after)
    events, seconds = state.reader.count(), time.perf_counter() - begun
    tell(f"{len(state.ids)} items, {events} events, model {state.model.name}: ready after {seconds:.1f} s.")
    return application(service, token=token)


def filled(store: Store, data: str, encode: Encode, tell: Tell) -> None:
    """Bring a data set into a store that has no items yet; 'none' brings nothing."""
    reader = store.reader()
    empty = not reader.items()
    reader.close()
    if empty and data != "none":
        tell(f"{store.folder} is empty: reading {data}, its texts by a language model (once, up to a minute).")
        bring(load_dataset(data), store, encode)


def newest(folder: Path, tell: Tell) -> Model:
    """Return the newest sound model of a store; one that is damaged is told and passed over, for none one is learnt.

    Raises ColdstartError if that one cannot be read back.
    """
    damaged: list[str] = []
    model = load(folder, damaged)
    for sentence in damaged:
        tell(sentence)
    if model is None:
        tell("Learning a model from the store." if not versions(folder) else "No model is sound: learning one again.")
        learn(folder)
        model = load(folder)
    if model is None:
        raise ColdstartError(f"{folder}: the model that was just written cannot be read back")
    return model
