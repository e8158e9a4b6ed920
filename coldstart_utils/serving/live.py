"""The service without its wire: what is stored, what is known, what is asked, and learning beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..ground import ColdstartError
from ..language.search import cleaned
from .catalogue import said
from .contract import Guest
from .state import State, User
from .store import Event, Item, Store
from .versions import load
from .writer import Write, Writer

Array = np.ndarray
Encode = Callable[[Sequence[str]], Array]

log = logging.getLogger("coldstart")

RETRAIN_AFTER = 10_000  # events
INLINE = 50_000  # items: a ranking of more is made in a thread, so that others need not wait


class Service:
    """A store, the state that answers, an encoder of texts, and the writer between them.

    Everything but encoding, large rankings and writing happens in one thread, that of the event loop: a state does not
    change while it is read, but that items may come while a large ranking is made; that one looks at those before.
    What is written enters the state after it is on disk and before it is acknowledged.
    """

    def __init__(
        self, store: Store, state: State, encode: Encode, *, retrain_after: int = RETRAIN_AFTER, waiting: int = 1_000
    ) -> None:
        self.store, self.state, self.encode, self.retrain_after = store, state, encode, retrain_after
        self.reading = ThreadPoolExecutor(1, "reading")
        self.learning: asyncio.Task[None] | None = None
        self.since, self.retrained, self.waiting = state.reader.count_since(state.model.until), 0, waiting

    async def __aenter__(self) -> Service:
        self.loop = asyncio.get_running_loop()
        self.writer = Writer(self.store, self._deliver, waiting=self.waiting)
        # Lists and clicks need not wait until the encoder is loaded; the first text does.
        self.reading.submit(self.encode, ["The first text loads the model."])
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self.learning:
            self.learning.cancel()
            await asyncio.gather(self.learning, return_exceptions=True)
        await asyncio.to_thread(self.writer.close)
        self.reading.shutdown()
        self.state.reader.close()
        self.store.close()

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _deliver(self, batch: Sequence[Write]) -> None:
        self.loop.call_soon_threadsafe(self._settle, batch)

    def _settle(self, batch: Sequence[Write]) -> None:
        for write in batch:
            write.done(write.result, write.fault)
        if self.since >= self.retrain_after:
            self.retrain()

    async def _stored(self, do: Callable[[Store], Any], take: Callable[[Any], None]) -> Any:
        """Return what `do` returned, once it is on disk and `take` has told the state of it."""
        future: asyncio.Future[Any] = self.loop.create_future()

        def done(result: Any, fault: Exception | None) -> None:
            if fault is None:
                # Stored is stored, whether or not somebody still waits.
                take(result)
            if future.cancelled():
                return
            if fault is None:
                future.set_result(result)
            else:
                future.set_exception(fault)

        self.writer.put(Write(do, done))
        return await future

    async def add_item(self, item: str, title: str, text: str, attributes: dict[str, list[str]]) -> bool:
        """Store an item, read by the encoder; it is in every answer from now on. Return whether it is new."""
        vector = await self._read(said(title, text, attributes) or item)
        new = Item(item, title, text, attributes, vector)

        def do(store: Store) -> tuple[bool, Item | None]:
            return store.add_item(new), store.item(item)

        fresh, _ = await self._stored(do, lambda result: self.state.add(result[1]))
        return bool(fresh)

    async def add_events(self, events: Sequence[Event]) -> int:
        """Store events, all or none; every answer from now on counts them. Return how many are new."""

        def take(fresh: list[Event]) -> None:
            self.since += len(fresh)
            for event in fresh:
                self.state.heard(event)

        return len(await self._stored(lambda store: store.add_events(events), take))

    async def withdraw(self, item: str, withdrawn: bool) -> None:
        """Leave an item out of every answer from now on, or take it back in."""
        await self._stored(
            lambda store: store.withdraw(item, withdrawn), lambda number: self.state.withdraw(number, withdrawn)
        )

    # --- Asking ------------------------------------------------------------------------------------------------------

    async def _read(self, text: str) -> Array:
        vectors = await self.loop.run_in_executor(self.reading, self.encode, [text])
        return np.asarray(vectors[0], np.float32)

    async def recommend(self, user: str, k: int, reasons: bool) -> tuple[str, list[dict[str, Any]], User]:
        """Return the model's name, the k best items, and what is known of a user; of a stranger, the prior."""
        return await self._ranked(self.state, self.state.user(user), k, reasons)

    async def recommend_guest(self, guest: Guest) -> tuple[str, list[dict[str, Any]], User]:
        """Return the same for somebody without an account. Raises Unknown for an item."""
        wish = await self._read(guest.sentence) if guest.sentence.strip() else None
        state = self.state
        return await self._ranked(state, state.guest(guest.likes, guest.dislikes, wish), guest.k, guest.reasons)

    async def _ranked(self, state: State, user: User, k: int, reasons: bool) -> tuple[str, list[dict[str, Any]], User]:
        if len(state.ids) > INLINE:
            entries = await asyncio.to_thread(state.recommend, user, k, reasons=reasons)
        else:
            entries = state.recommend(user, k, reasons=reasons)
        return state.model.name, entries, user

    async def search(self, question: str, user: str, k: int) -> tuple[str, list[dict[str, Any]]]:
        """Return the model's name and the k items that answer a question best. Raises ColdstartError without words."""
        question = cleaned(question)
        vector, state = await self._read(question), self.state
        return state.model.name, state.search(question, vector, k, state.user(user) if user else None)

    # --- Learning beside serving -------------------------------------------------------------------------------------

    def retrain(self) -> None:
        """Begin to learn a new model from the store in a process of its own, unless one is being learnt."""
        if self.learning is None or self.learning.done():
            self.learning = self.loop.create_task(self._retrain())

    async def _retrain(self) -> None:
        # If it fails, the next try waits for as many events again.
        since, self.since = self.since, 0
        try:
            if code := await self._learn():
                log.error("learning a new model failed with code %s after %s events; the old one serves", code, since)
            else:
                await self.swap()
        except Exception as error:  # nobody waits for this task: it would vanish
            fault = f"{type(error).__name__}: {error}"
            log.error("a new model after %s events cannot serve (%s); the old one does", since, fault)

    async def _learn(self) -> int:
        """Return the exit code of a process that learns a model from the store."""
        command = [sys.executable, "-m", "coldstart_utils.serving.learning", str(self.store.folder)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        child = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
        try:
            return await child.wait()
        except asyncio.CancelledError:
            child.kill()
            raise

    async def swap(self) -> None:
        """Serve by the newest model on disk: a state is read beside the one that serves, and takes its place whole.

        What is stored meanwhile is read by `catch_up`, in the thread in which writes enter the state: nothing is lost
        or counted twice. Raises ColdstartError where no model is sound.
        """

        def read() -> State:
            model = load(self.store.folder)
            if model is None:
                raise ColdstartError(f"{self.store.folder}: no sound model")
            return State(model, self.store.reader())

        fresh = await asyncio.to_thread(read)
        fresh.catch_up()
        old, self.state = self.state, fresh
        old.reader.close()
        self.retrained += 1
