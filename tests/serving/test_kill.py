"""kill -9 in the middle of load: nothing that was acknowledged is missing, and every vector is the batch posterior."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import httpx
import numpy as np
from conftest import batch

from coldstart_utils.serving.store import Store

# COLDSTART_KILLS=20 is the proof in full.
KILLS = int(os.environ.get("COLDSTART_KILLS", "2"))
CALLERS, USERS = 4, 6


@contextlib.contextmanager
def process(folder):
    """Yield a service in a process of its own and its address."""
    command = [sys.executable, str(Path(__file__).with_name("process.py")), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield child, f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def call(address, name, first, acknowledged, enough, most):
    """Send events until the service is gone: keep those that it acknowledged, and say when they are enough."""
    with httpx.Client(base_url=address) as http:
        for n in range(first, first + 10_000):
            event = {"user": f"k{n % USERS}", "item": f"i{n % 30}", "value": (n % 3) / 2, "time": float(n * 10 + name)}
            try:
                answer = http.post("/events", json=event)
                http.get("/recommend", params={"user": event["user"]})
            except httpx.TransportError:
                return
            assert answer.status_code == 201
            acknowledged.append((event["user"], event["item"], event["time"], event["value"]))
            if len(acknowledged) >= most:
                enough.set()


def load_and_kill(folder, first, most):
    """Return what was acknowledged before a kill -9 that comes once `most` events were."""
    acknowledged, enough = [], Event()
    with process(folder) as (child, address):
        callers = [
            Thread(target=call, args=(address, name, first, acknowledged, enough, most)) for name in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        assert enough.wait(60)
        os.kill(child.pid, signal.SIGKILL)
        for caller in callers:
            caller.join()
    return acknowledged


def test_nothing_acknowledged_is_lost_by_kill_9_in_the_middle_of_load(folder):
    rng, said = np.random.default_rng(0), []
    for kill in range(KILLS):
        said += load_and_kill(folder, kill * 10_000, int(rng.integers(20, 60)))
        store = Store(folder)
        query = "SELECT user, items.item, time, value FROM events JOIN items ON number = events.item"
        stored = set(store.db.execute(query))
        store.close()
        assert set(said) <= stored and len(set(said)) == len(said)
    with process(folder) as (_, address), httpx.Client(base_url=address) as http:
        for user in (f"k{n}" for n in range(USERS)):
            vector = http.get(f"/users/{user}").json()["vector"]
            assert np.abs(np.array(vector) - batch(folder, user)).max() < 1e-8
