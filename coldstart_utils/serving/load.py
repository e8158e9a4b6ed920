"""Load on a service, offered at a steady rate whether or not it keeps up, and a service in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..ground import ColdstartError

CONNECTIONS = 64
Ask = tuple[str, str, Any]  # method, path, what is sent as JSON or None


@contextlib.contextmanager
def running(folder: Path, *options: str, seconds: float = 120, core: int | None = None) -> Iterator[str]:
    """Yield the address of `coldstart serve` on a free port, on one `core` if asked for; it ends with the block.

    Raises ColdstartError, with what it said, if it is not ready after so many seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from coldstart_utils.book.cli import app; app()"
    command = [sys.executable, "-c", code, "serve", "--store", str(folder), "--port", str(port), *options]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    child = subprocess.Popen(
        command, env=os.environ | threads, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        if core is not None:
            os.sched_setaffinity(child.pid, {core})
        _await_ready(child, address, time.monotonic() + seconds)
        yield address
    finally:
        child.terminate()
        child.wait()
        assert child.stdout
        child.stdout.close()


def _await_ready(child: subprocess.Popen[str], address: str, deadline: float) -> None:
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=1):
            return
        time.sleep(0.05)
    child.kill()
    said = (child.stdout.read() if child.stdout else "").strip().splitlines()
    raise ColdstartError(f"the service did not become ready: {said[-1] if said else 'it said nothing'}")


def ask(address: str, path: str, sent: Any = None) -> Any:
    """Return what a service answers to one request, as JSON: GET, or POST of what is `sent`.

    Raises ColdstartError with its sentence if it refuses.
    """
    body = None if sent is None else json.dumps(sent).encode()
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise ColdstartError(f"{path}: {error.code}, {json.load(error)['detail']}") from None


def meters(address: str) -> dict[str, float]:
    """Return the numbers of /metrics by their names, labels included."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def offered(address: str, asks: Sequence[Ask], rate: float) -> pd.DataFrame:
    """Return what became of requests sent at a steady `rate` a second: columns path, status, ms.

    Each is due at its moment, whether or not the ones before were answered; its time counts from then, so that a
    service that falls behind cannot hide it (coordinated omission, Tene 2013). Raises ColdstartError if nobody answers
    there, or a connection breaks.
    """
    # In a thread of its own: a notebook has an event loop already.
    with _uncollected(), ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _offered(address, asks, rate)).result()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Leave Python's garbage uncollected in the block: a pause here would be counted as the service's."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def climbed(
    address: str, asks: Iterable[Ask], rates: Sequence[int], *, seconds: int, late: float
) -> dict[int, pd.DataFrame]:
    """Return what became of `asks` at ever higher `rates`, each for so many seconds, as `offered` says it.

    The first rate at which half of a path takes longer than `late` ms, or one is refused, is the last: p99 alone may
    be above it for what else the machine does.
    """
    waiting, loads = iter(asks), {}
    for rate in rates:
        rows = loads[rate] = offered(address, [*islice(waiting, rate * seconds)], rate)
        reached = percentiles(rows)
        if (reached["p50"] > late).any() or (reached["refused"] > 0).any():
            break
    return loads


def last_core() -> int | None:
    """Return the last core that this process may use, for `running`; None where the system pins no process."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


async def _offered(address: str, asks: Sequence[Ask], rate: float) -> pd.DataFrame:
    host, port = address.removeprefix("http://").split(":")
    lines: asyncio.Queue[tuple[float, Ask]] = asyncio.Queue()
    rows: list[tuple[str, int, float]] = []
    callers = [asyncio.create_task(_caller(host, int(port), lines, rows)) for _ in range(CONNECTIONS)]
    begun = time.perf_counter() + 0.05
    for n, one in enumerate(asks):
        due = begun + n / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        lines.put_nowait((due, one))
    # A caller ends only when its connection breaks, and then the request it held is never done.
    answered = asyncio.create_task(lines.join())
    await asyncio.wait([answered, *callers], return_when=asyncio.FIRST_COMPLETED)
    for task in (answered, *callers):
        task.cancel()
    ended = await asyncio.gather(*callers, return_exceptions=True)
    faults = [x for x in ended if isinstance(x, Exception)]
    if faults:
        raise ColdstartError(f"{address}: the connection broke ({faults[0]})") from faults[0]
    return pd.DataFrame(rows, columns=["path", "status", "ms"])


async def _caller(host: str, port: int, lines: asyncio.Queue[Any], rows: list[tuple[str, int, float]]) -> None:
    """Send what waits over one connection that is kept open, and note when the answer was there."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while True:
            due, (method, path, sent) = await lines.get()
            body = b"" if sent is None else json.dumps(sent).encode()
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            rows.append((path.split("?")[0], int(answer.split()[1]), 1000 * (time.perf_counter() - due)))
            lines.task_done()
    finally:
        writer.close()


def percentiles(rows: pd.DataFrame, at: Sequence[float] = (50, 95, 99)) -> pd.DataFrame:
    """Return the percentiles of `ms` of what `offered` returned, one row a path, columns p50, p95, p99, and `refused`,
    the share of answers that were none.
    """
    return pd.DataFrame(
        {
            path: {f"p{q:g}": np.percentile(part["ms"], q) for q in at} | {"refused": np.mean(part["status"] >= 400)}
            for path, part in rows.groupby("path")
        }
    ).T
