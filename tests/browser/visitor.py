"""A visitor of the demo without a browser: what a page and its server say to each other, spoken over a websocket."""

from __future__ import annotations

import json
import struct
import time
from typing import Any
from uuid import uuid4

from websockets.sync.client import connect


class Visitor:
    """One open page.

    `models` holds the state of each widget by its id, `heard` and `updates` count the bytes and states received.
    """

    def __init__(self, url: str) -> None:
        self.session, self.heard, self.updates = uuid4().hex, 0, 0
        self.models: dict[str, dict[str, Any]] = {}
        place = url.replace("http://", "ws://")
        self.socket = connect(
            f"{place}/jupyter/api/kernels/{uuid4()}/channels?session_id={self.session}", max_size=None
        )
        control = uuid4().hex
        self.ask("comm_open", comm_id=control, target_name="solara.control", data={})
        run = {
            "method": "run",
            "args": {"path": "", "appName": None, "themes": {"light": {}, "dark": {}}, "dark": False},
        }
        self.ask("comm_msg", comm_id=control, data=run)

    def find(self, description: str) -> str:
        """Return the id of the widget with a description, once there is one."""
        while not (found := [key for key, state in self.models.items() if state.get("description") == description]):
            self._hear()
        return found[0]

    def set(self, widget: str, **values: Any) -> float:
        """Set traits of a widget, as a page does; return the seconds until everything has been answered."""
        begun, before = time.perf_counter(), self.updates
        self.ask("comm_msg", comm_id=widget, data={"method": "update", "state": values, "buffer_paths": []})
        assert self.updates > before, "the server took no notice"
        return time.perf_counter() - begun

    def ask(self, kind: str, **content: Any) -> None:
        """Send a message, and hear what comes until it has been dealt with."""
        header = {"msg_id": uuid4().hex, "msg_type": kind, "username": "", "session": self.session,
                  "date": "2020-01-01T00:00:00Z", "version": "5.3"}  # fmt: skip
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell",
                   "buffers": []}  # fmt: skip
        self.socket.send(json.dumps(message))
        while self._hear() != header["msg_id"]:
            pass

    def _hear(self) -> str:
        """Take in one message; return the id of what has been dealt with, if it says so."""
        raw = self.socket.recv(timeout=60)
        self.heard += len(raw)
        if isinstance(raw, bytes):
            first, second = struct.unpack("!II", raw[4:12]) if struct.unpack("!i", raw[:4])[0] > 1 else (8, len(raw))
            raw = raw[first:second].decode()
        message = json.loads(raw)
        content, kind = message["content"], message["header"]["msg_type"]
        if kind in ("comm_open", "comm_msg") and "state" in content.get("data", {}):
            self.models.setdefault(content["comm_id"], {}).update(content["data"]["state"])
            self.updates += 1
        done = kind == "status" and content["execution_state"] == "idle"
        return str(message["parent_header"]["msg_id"]) if done else ""

    def close(self) -> None:
        """Close the page."""
        self.socket.close()
