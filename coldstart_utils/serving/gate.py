"""What every request passes: its host and token, the size of its body, room for it, and the meters."""

from __future__ import annotations

import hmac
import json
import logging
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .contract import BODY

log = logging.getLogger("coldstart")

AT_ONCE = 64  # requests in work
OPEN = ("/healthz", "/readyz")  # need no token
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1)


@dataclass
class Meters:
    """What Prometheus reads. No label holds a user, an item or a word of a question."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        here: Mapping[str, Any] = {"registry": self.registry}
        self.requests = Counter("coldstart_requests", "Requests by route and status.", ["route", "status"], **here)
        self.seconds = Histogram("coldstart_seconds", "Seconds of a request.", ["route"], buckets=SECONDS, **here)
        self.answers = Counter("coldstart_answers", "Rankings by what is known of the user.", ["user"], **here)
        self.scores = Histogram("coldstart_best_score", "Best score of a ranking: drifts with taste and model.",
                                buckets=[n / 10 for n in range(21)], **here)  # fmt: skip
        self.new_items = Counter("coldstart_new_items_shown", "Places of rankings with an item newer than the model.",
                                 **here)  # fmt: skip
        self.places = Counter("coldstart_items_shown", "Places of rankings.", **here)
        self.gauges = {
            name: Gauge(f"coldstart_{name}", what, **here)
            for name, what in {
                "items": "Items in answers.",
                "writes_waiting": "Writes that wait for the disk.",
                "events_since_model": "Events that the model has not learnt from.",
                "retrained": "Models learnt and swapped in since the start.",
                "in_work": "Requests in work.",
            }.items()
        }


class Gate:
    """An ASGI application before another. `token` '' asks for none, and then for a loopback host in its place."""

    def __init__(self, app: Any, *, meters: Meters, token: str = "", at_once: int = AT_ONCE) -> None:
        self.app, self.meters, self.token, self.at_once, self.in_work = app, meters, token, at_once, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it in one sentence."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._stranger(scope["path"], headers)
        body = b"" if refused else await _body(receive, headers)
        if body is None:
            refused = 413, f"the body is longer than {BODY} bytes"
        elif self.in_work >= self.at_once and scope["path"] not in OPEN:
            refused = 503, f"{self.at_once} requests are in work already; try again in a second"
        if refused:
            self.meters.requests.labels("refused", refused[0]).inc()
            await reply(send, *refused)
            return
        await self._passed(scope, _replayed(body, receive), send)

    def _stranger(self, path: str, headers: Mapping[bytes, str]) -> tuple[int, str] | None:
        if path in OPEN:
            return None
        if self.token:
            given = headers.get(b"authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return 401, "expected the header Authorization: Bearer and the token of this service"
        # A page elsewhere may lead a browser here under a name of its own.
        elif headers.get(b"host", "").rpartition(":")[0].strip() not in LOOPBACK and not _plain(headers):
            return 421, "without a token this service answers at 127.0.0.1 and localhost only"
        return None

    async def _passed(self, scope: Any, receive: Any, send: Any) -> None:
        begun, status = time.perf_counter(), [500]

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        self.in_work += 1
        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            # Where it failed is told, not with what: a message may hold what somebody sent.
            places = [f"{at.filename}:{at.lineno}" for at in traceback.extract_tb(error.__traceback__)[-3:]]
            log.error("%s %s: %s at %s", scope["method"], _route(scope), type(error).__name__, " < ".join(places))
            await reply(noted, 500, "the service failed; its log says where")
        finally:
            self.in_work -= 1
            route = _route(scope)
            self.meters.requests.labels(route, status[0]).inc()
            self.meters.seconds.labels(route).observe(time.perf_counter() - begun)


def _plain(headers: Mapping[bytes, str]) -> bool:
    return headers.get(b"host", "") in LOOPBACK


def _route(scope: Any) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", "unknown"))


async def _body(receive: Any, headers: Mapping[bytes, str]) -> bytes | None:
    """Return the whole body, None if it is too long."""
    length = headers.get(b"content-length", "0")
    if not length.isdigit() or int(length) > BODY:
        return None
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes | None, receive: Any) -> Any:
    told = [False]

    async def again() -> Any:
        if told[0]:
            return await receive()
        told[0] = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def reply(send: Any, status: int, sentence: str) -> None:
    """Answer with one sentence."""
    headers = [(b"content-type", b"application/json")] + ([(b"retry-after", b"1")] if status == 503 else [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence}).encode()})
