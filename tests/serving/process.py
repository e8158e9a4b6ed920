"""A service in a process of its own, with the encoder of these tests: python process.py FOLDER."""

import contextlib
import socket
import sys
from pathlib import Path

import uvicorn
from conftest import service_on

from coldstart_utils.serving.service import application
from coldstart_utils.serving.start import only_writer


class Server(uvicorn.Server):
    """Says on its first line of output where it listens."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with only_writer(folder), contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        config = uvicorn.Config(application(service_on(folder)), access_log=False, log_level="warning")
        Server(config).run(sockets=[listening])
