"""The panels as a web page: a notebook served by Voila, each visitor with a kernel of their own."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import typer

from ..ground import ColdstartError, package_file

DEMO = package_file("demo")
VISITORS = 4  # who share the cores of the demo
PAGE_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss:; frame-ancestors 'self'"
)


def serve(page: Path, port: int, environment: Mapping[str, str], *, cull_after: int = 60) -> None:
    """Serve a notebook by Voila at 127.0.0.1:`port` until interrupted, each visitor with a kernel of their own.

    `environment` is what the kernels find set. One ends when its page is closed, or when it has had no page and no work
    for `cull_after` seconds. Raises ColdstartError if voila is not installed or something else listens at the port.
    """
    try:
        from tornado.ioloop import IOLoop
        from traitlets.config import Config
        from voila.app import Voila
    except ModuleNotFoundError as error:
        raise ColdstartError(
            f"{error.name} is not installed; pip install 'coldstart-utils[serve]' brings what the demo needs"
        ) from None
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ColdstartError(f"port {port}: in use already; name another, such as --port {port + 1}")
    os.environ.update(environment)
    settings = {
        # A page that closes sends a beacon, which can carry no token; who would forge it must know a kernel's id.
        "disable_check_xsrf": True,
        # A browser that vanished without closing its connection is noticed by an unanswered ping.
        "ws_ping_interval": 20_000,
        "ws_ping_timeout": 20_000,
        # Voila asks a server far away for icons that the panels do not use, and waits where nobody answers.
        "headers": {"Content-Security-Policy": PAGE_POLICY},
    }
    server = Voila(
        config=Config(
            Voila={
                "ip": "127.0.0.1",
                "port": port,
                "port_retries": 0,
                "open_browser": False,
                "log_level": "ERROR",
                "tornado_settings": settings,
            },
            VoilaConfiguration={
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "file_allowlist": [],
            },
            MappingKernelManager={"cull_idle_timeout": cull_after, "cull_interval": max(1, cull_after // 6)},
            KernelManager={"transport_encryption": "auto"},
        )
    )
    server.initialize([str(page)])
    # The culler reports a kernel that ends while it looks at it as an error.
    server.log.addFilter(lambda record: "idle duration of kernel" not in record.msg)
    server.template_paths.insert(0, str(DEMO))  # a page that says what it loads
    # Runs as the first thing in the loop, when the server listens.
    IOLoop.current().add_callback(typer.echo, f"http://127.0.0.1:{port}/ shows the panels; Ctrl-C ends it")
    server.start()
