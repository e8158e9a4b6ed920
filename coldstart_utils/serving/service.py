"""The service over HTTP: routes, and what they answer when something is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import generate_latest
from pydantic import Discriminator, Field, Tag

from ..catalogue.tokens import entries
from ..ground import ColdstartError
from . import contract
from .contract import Answer, Detail, Guest, Id, Known, NewEvent, NewItem, Sentence, Stored, Withdrawal
from .gate import AT_ONCE, Gate, Meters
from .live import Service
from .state import Unknown, User
from .store import Event, Refused, Unwritable
from .writer import Full

K = Annotated[int, Query(ge=1, le=contract.MOST, description="How many items.")]
OneId = Annotated[str, Query(max_length=200)]
Events = Annotated[list[NewEvent], Field(min_length=1, max_length=contract.EVENTS)]
Said = Annotated[
    Annotated[NewEvent, Tag("one")] | Annotated[Events, Tag("list")],
    Discriminator(lambda sent: "list" if isinstance(sent, list) else "one"),
    Body(),
]
REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Detail, "description": "What was sent does not fit the contract."},
    503: {"model": Detail, "description": "Too much at once, or the disk is full; see Retry-After."},
}
UNKNOWN = REFUSALS | {404: {"model": Detail, "description": "An item is unknown."}}


def application(service: Service, *, token: str = "", at_once: int = AT_ONCE) -> FastAPI:
    """Return the ASGI application that serves a `Service`; it enters and leaves it with its own life."""
    meters = Meters()

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPIOffline(
        title="Cold start, in real time", lifespan=life, redoc_url=None,
        description="Items and events in, rankings out. What is acknowledged is on disk and counts from the next "
        "request on. An error is `{\"detail\": \"one sentence\"}`.",
    )  # fmt: skip
    app.state.service = service
    app.add_middleware(Gate, meters=meters, token=token, at_once=at_once)
    _faults(app)
    _writing(app, service)
    _ranking(app, service, meters)
    _asking(app, service)
    _watching(app, service, meters)
    return app


def _reply(service: Service, content: Any, status: int = 200) -> Response:
    return JSONResponse(content, status, {"X-Model": service.state.model.name})


def _faults(app: FastAPI) -> None:
    def told(status: int) -> Any:
        async def handler(_: Request, error: Exception) -> Response:
            code = getattr(error, "status", status)
            return JSONResponse({"detail": str(error)}, code, {"Retry-After": "1"} if code == 503 else None)

        return handler

    for kind, status in {Unknown: 404, Refused: 409, Full: 503, Unwritable: 503, ColdstartError: 422}.items():
        app.add_exception_handler(kind, told(status))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first, *others = error.errors()
        if first["type"] == "json_invalid":
            return JSONResponse({"detail": "the body: expected JSON, found something else"}, 422)
        parts = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "one", "list")]
        more = f" (and {len(others)} more)" if others else ""
        return JSONResponse({"detail": f"{'.'.join(parts) or 'the body'}: {first['msg']}{more}"}, 422)

    app.add_exception_handler(RequestValidationError, invalid)


def _writing(app: FastAPI, service: Service) -> None:
    @app.post("/items", status_code=201, responses=REFUSALS | {409: {"model": Detail}})
    async def add_item(item: NewItem) -> Response:
        """Add an item: it is in every ranking from the next request on. The same again changes nothing; another text
        under a known id is refused.
        """
        attributes = {name: _entries(value) for name, value in item.attributes.items()}
        new = await service.add_item(item.item, item.title, item.text, attributes)
        return _reply(service, {"item": item.item, "new": new}, 201)

    @app.post("/items/{item:path}", responses=UNKNOWN)
    async def withdraw(item: Id, withdrawal: Withdrawal) -> Response:
        """Withdraw an item: it is in no answer from the next request on. `{"withdrawn": false}` brings it back."""
        await service.withdraw(item, withdrawal.withdrawn)
        return _reply(service, {"item": item, "withdrawn": withdrawal.withdrawn})

    @app.post("/events", status_code=201, response_model=Stored, responses=UNKNOWN | {409: {"model": Detail}})
    async def add_events(events: Said) -> Response:
        """Store one event or a list of them, all or none. The same event again changes nothing."""
        said = events if isinstance(events, list) else [events]
        new = await service.add_events([Event(e.user, e.item, e.value, e.time) for e in said])
        return _reply(service, {"new": new, "known": len(said) - new}, 201)

    @app.post("/retrain", status_code=202)
    async def retrain() -> Response:
        """Begin to learn a new model from all that is stored; the present one serves until it is there."""
        service.retrain()
        return _reply(service, {"model": service.state.model.name, "learning": True}, 202)


def _entries(value: str | int | list[str]) -> list[str]:
    return value if isinstance(value, list) else entries([str(value)])[0]


def _ranking(app: FastAPI, service: Service, meters: Meters) -> None:
    def answered(model: str, items: list[dict[str, Any]], user: User) -> Response:
        meters.answers.labels("known" if user.answers else "cold").inc()
        state = service.state
        new = sum(state.place[entry["item"]] >= len(state.model.numbers) for entry in items)
        meters.places.inc(len(items))
        meters.new_items.inc(new)
        if items:
            meters.scores.observe(items[0]["score"])
        return _reply(service, {"model": model, "items": items})

    @app.get("/recommend", response_model=Answer, responses=REFUSALS)
    async def recommend(user: OneId = "", k: K = 20, reasons: bool = False) -> Response:
        """Rank what a user has not spoken of. A user nobody knows is served from the prior."""
        return answered(*await service.recommend(user, k, reasons))

    @app.post("/recommend", response_model=Answer, responses=UNKNOWN)
    async def recommend_guest(guest: Guest) -> Response:
        """Rank for somebody without an account, by likes, dislikes, a sentence, or nothing. None of it is kept."""
        return answered(*await service.recommend_guest(guest))


def _asking(app: FastAPI, service: Service) -> None:
    @app.get("/search", response_model=Answer, responses=REFUSALS)
    async def search(q: Annotated[Sentence, Query(min_length=1)], user: OneId = "", k: K = 20) -> Response:
        """Find items by words and by meaning, and with a user, a little by taste."""
        model, items = await service.search(q, user, k)
        return _reply(service, {"model": model, "items": items})

    @app.get("/similar", response_model=Answer, responses=UNKNOWN)
    async def similar(item: Id, k: K = 20) -> Response:
        """Find the items that the same people would choose: largest cosine of factors."""
        return _reply(service, {"model": service.state.model.name, "items": service.state.similar(item, k)})

    @app.get("/users/{user:path}", response_model=Known, responses=REFUSALS)
    async def known(user: Id) -> Response:
        """Tell how many events of a user are stored, and the mean of what is believed of their factor."""
        state = service.state
        vector = state.user(user).belief.mean.tolist()
        return _reply(service, {"events": state.reader.count(user), "vector": vector})


def _watching(app: FastAPI, service: Service, meters: Meters) -> None:
    @app.get("/healthz")
    async def healthz() -> Response:
        """Say that the process answers."""
        return _reply(service, {"alive": True})

    @app.get("/readyz")
    async def readyz() -> Response:
        """Say whether it takes requests: 503 from the moment the disk refuses until it takes something again."""
        ready = service.writer.healthy
        learning = service.learning is not None and not service.learning.done()
        told: Mapping[str, Any] = {"ready": ready, "learning": learning, "retrained": service.retrained}
        return _reply(service, told, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Tell Prometheus counts and times; nothing of it names a user."""
        values = {
            "items": len(service.state.ids) - len(service.state.hidden),
            "writes_waiting": service.writer.queue.qsize(),
            "events_since_model": service.since,
            "retrained": service.retrained,
        }
        for name, value in values.items():
            meters.gauges[name].set(value)
        return PlainTextResponse(generate_latest(meters.registry).decode())
