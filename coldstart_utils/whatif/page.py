"""The panels as a web page: one process, one prepared world, a state for each visitor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

import typer
from threadpoolctl import threadpool_limits

from ..ground import ColdstartError

if TYPE_CHECKING:  # the command's help does not wait for it
    from .world import World

VISITORS = 40
# Read by Solara when it is imported: nothing of it asks a server elsewhere.
SETTINGS = {
    "SOLARA_APP": "coldstart_utils.whatif.visit",
    "SOLARA_MODE": "production",
    "SOLARA_KERNEL_CULL_TIMEOUT": "20s",
    "SOLARA_KERNEL_MAX_PER_SESSION": "0",
    "SOLARA_SESSION_SECRET_KEY": "one machine, no secrets",
    "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "False",
    "SOLARA_THEME_SHOW_BANNER": "False",
    "SOLARA_THEME_LOADER": "plain",
    "SOLARA_THEME_TITLE": "What if it were new?",
}


@dataclass
class House:
    """What all visitors share: the world once it is prepared, or the `fault`, and the seats.

    `step` is what is being prepared; `ready` is set when that has ended, well or not.
    """

    most: int = VISITORS
    step: str = "texts"
    world: World | None = None
    fault: str = ""
    ready: Event = field(default_factory=Event)
    seated: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def open(self, make: Callable[[Callable[[str], None]], World]) -> None:
        """Prepare the world in a thread of its own by `make`, which tells its steps."""
        Thread(target=self._prepare, args=(make,), daemon=True).start()

    def _prepare(self, make: Callable[[Callable[[str], None]], World]) -> None:
        try:
            self.world = make(self._begin)
        except Exception as error:  # in a thread it would vanish; visitors are told
            self.fault = str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"
        self.ready.set()
        if self.world:
            # Behind the first page: whoever looks at the policies soon need not wait for all of it.
            self.world.finish()

    def _begin(self, step: str) -> None:
        self.step = step

    def seat(self, visitor: str) -> bool:
        """Return whether there is room for a visitor, who has a seat from then on."""
        with self.lock:
            if visitor in self.seated or len(self.seated) < self.most:
                self.seated.add(visitor)
            return visitor in self.seated

    def leave(self, visitor: str) -> None:
        """Free the seat of a visitor."""
        with self.lock:
            self.seated.discard(visitor)


HOUSE = House()


def serve(port: int, make: Callable[[Callable[[str], None]], World], *, most: int = VISITORS) -> None:
    """Serve the panels at 127.0.0.1:`port` until interrupted, to at most so many visitors at a time.

    `make` prepares the world and tells its steps. Raises ColdstartError if Solara is not installed or something else
    listens at the port.
    """
    os.environ.update(SETTINGS)
    try:
        import uvicorn
        from solara.server.starlette import app
    except ModuleNotFoundError as error:
        raise ColdstartError(
            f"{error.name} is not installed; pip install 'coldstart-utils[serve]' brings what the demo needs"
        ) from None
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ColdstartError(f"port {port}: in use already; name another, such as --port {port + 1}")
    # Visitors already share the cores; threads of one sum would only wait for each other.
    threadpool_limits(1)
    HOUSE.most = most
    HOUSE.open(make)
    typer.echo(f"http://127.0.0.1:{port}/ shows the panels; Ctrl-C ends it")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", ws_ping_interval=20, ws_ping_timeout=20)
