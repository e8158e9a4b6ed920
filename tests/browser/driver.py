"""Servers and a browser for tests: JupyterLab and the demo on loopback, Chromium that reaches nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from coldstart_utils.book import pages

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("COLDSTART_CHROMIUM", "/usr/bin/chromium")
NAMES = {
    "item": ("A new item", "新物品"),
    "user": ("A new user", "新用户"),
    "policy": ("A policy", "策略"),
    "question": ("A question", "提问"),
}
NOTEBOOK = """
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.whatif.panels import Panels
from coldstart_utils.whatif.world import prepare

Panels(prepare(load_dataset("ml-100k"), TextEncoder()))
"""
# Without the last two, Chromium asks hosts far away at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
)
FLAGS += ("--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
# From a key going down to the first frame in which what the panel draws has changed, as the page sees it.
STOPWATCH = """([panel, drawn]) => {
  const target = panel.querySelector(drawn);
  window.latencies = [];
  window.pressed = null;
  if (target.timed) return;
  target.timed = true;
  window.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
  new MutationObserver(() => requestAnimationFrame(() => {
    if (window.pressed !== null) {
      window.latencies.push(performance.now() - window.pressed);
      window.pressed = null;
    }
  })).observe(target, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
# What was asked for before must not be taken for the answer to what comes next.
SETTLE = """([panel, drawn, still = 500]) => new Promise(resolve => {
  let timer = setTimeout(resolve, still);
  const watch = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(resolve, still); });
  watch.observe(panel.querySelector(drawn), { subtree: true, childList: true, attributes: true });
})"""
DRAWN = {
    "item": ".cs-map svg.svg-figure",
    "user": ".cs-list",
    "policy": ".cs-plane svg.svg-figure",
    "question": ".cs-answers",
}


@dataclass(frozen=True)
class Server:
    """A server that answers at `url`, and its process."""

    url: str
    process: psutil.Process

    def memory(self) -> float:
        """Return the resident memory of the server and all its children, in MB."""
        total = 0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Return when `condition()` holds; AssertionError that says `what` was waited for if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def _serving(command: Callable[[int], list[str]], folder: Path, port: int = 0) -> Iterator[Server]:
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", port))
        port = found.getsockname()[1]
    # Settings of whoever runs the tests must not change what they see.
    places = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "RUNTIME", "DATA")}
    places |= {f"JUPYTERLAB_{kind}_DIR": str(folder / kind) for kind in ("SETTINGS", "WORKSPACES")}
    environment = os.environ | places | {"IPYTHONDIR": str(folder / "ipython")}
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command(port), env=environment, stdout=stream, stderr=stream, cwd=folder)
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, f"the server: {log.read_text()}", 60)
        yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def demo(folder: Path, *options: str, port: int = 0, before: str = "") -> contextlib.AbstractContextManager[Server]:
    """Serve the panels by `coldstart demo` with these options, after the code `before`; its files go to `folder`."""
    code = f"{before}\nfrom coldstart_utils.book.cli import app\napp()"
    start = [sys.executable, "-c", code, "demo", *options]
    return _serving(lambda port: [*start, f"--port={port}"], folder, port)


def lab(notebooks: Path, folder: Path) -> contextlib.AbstractContextManager[Server]:
    """Serve a folder of notebooks by JupyterLab, without its news."""
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
        # Cells out of sight would be taken out of the page, and the panels with them.
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, content in settings.items():
        path = folder / "SETTINGS" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    flags = ("--no-browser", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=", "--ServerApp.password=")
    flags += (f"--ServerApp.root_dir={notebooks}", "--KernelManager.transport_encryption=auto")
    return _serving(lambda port: [sys.executable, "-m", "jupyterlab", *flags, f"--port={port}"], folder)


@contextlib.contextmanager
def laboratory(folder: Path) -> Iterator[Server]:
    """Serve by JupyterLab a notebook, what_if.ipynb, that shows the panels."""
    (folder / "root").mkdir()
    notebook = new_notebook(cells=[new_code_cell(NOTEBOOK)], metadata=pages.METADATA)
    nbformat.write(notebook, folder / "root" / "what_if.ipynb")
    with lab(folder / "root", folder) as server:
        yield server


def lab_page(browser: Browser, server: Server) -> Page:
    """Open the notebook of a `laboratory`, run it, and return its page when the panels are there."""
    page = browser.new_page(viewport={"width": 1600, "height": 1300})
    page.set_default_timeout(60_000)
    run_all(page, server.url, "what_if.ipynb")
    page.locator(".cs-head").wait_for()
    return page


def chromium(playwright: Playwright) -> Browser:
    """Start Chromium; AssertionError in one sentence if it is missing."""
    assert os.access(CHROMIUM, os.X_OK), (
        f"{CHROMIUM} is missing: browser tests need Chromium (Debian: apt-get install chromium; elsewhere name it in "
        "COLDSTART_CHROMIUM), and make test-fast leaves them out"
    )
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))


def run_all(page: Page, url: str, notebook: str) -> None:
    """Open a notebook in JupyterLab, run all its cells, and return when none is waiting."""
    page.goto(f"{url}/lab/tree/{notebook}?reset")
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=60_000)
    # The indicator in the notebook says 'idle' before there is a kernel; the status bar does not.
    page.locator("#jp-bottom-panel, .jp-StatusBar-Widget").get_by_text(re.compile(r"\| Idle$")).first.wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(
        "() => { const p = [...document.querySelectorAll('.jp-InputPrompt')].map(e => e.textContent);"
        " return p.some(t => /\\d/.test(t)) && !p.some(t => t.includes('*')); }",
        timeout=300_000,
    )


def latencies(panel: Locator, handle: Locator, keys: list[str], drawn: str, still: int = 500) -> list[float]:
    """Press keys on a control, each when what is `drawn` has answered the one before; return the milliseconds.

    It has answered when nothing of it has changed for `still` milliseconds.
    """
    page, element = panel.page, panel.element_handle()
    page.evaluate(SETTLE, [element, drawn])
    page.evaluate(STOPWATCH, [element, drawn])
    handle.focus()
    for n, key in enumerate(keys, 1):
        page.keyboard.press(key)
        page.wait_for_function("n => window.latencies.length >= n", arg=n, timeout=20_000)
        page.evaluate(SETTLE, [element, drawn, still])
    return page.evaluate("() => window.latencies")


def tab(page: Page, kind: str) -> Locator:
    """Bring the panel 'item', 'user', 'policy' or 'question' to the front and return it."""
    page.locator(".cs-tabs button").filter(has_text=re.compile(f"^({'|'.join(NAMES[kind])})$")).first.click()
    panel = page.locator(f".cs-{kind}").first
    expect(panel.locator(DRAWN[kind]).first).to_be_visible()
    return panel


def fresh(page: Page, kind: str) -> Locator:
    """Bring a panel to the front, in its first state."""
    panel = tab(page, kind)
    page.get_by_role("button", name="Reset").first.click()
    page.evaluate(SETTLE, [panel.element_handle(), DRAWN[kind]])
    return panel


def says(panel: Locator, words: str) -> None:
    """Return when the panel's status line says `words`, a regular expression."""
    expect(panel.locator(".cs-status").first).to_contain_text(re.compile(words))


def arrive(browser: Browser, url: str, **options: object) -> Page:
    """Open a page of the demo; return it when its panels are there."""
    page = browser.new_page(**options)
    page.set_default_timeout(60_000)
    page.goto(url, wait_until="commit")
    page.locator(".cs-head").wait_for(timeout=180_000)
    return page


def holds(page: Page, text: str) -> None:
    """Return when the address of a page holds a text."""
    page.wait_for_function("text => decodeURIComponent(location.href).includes(text)", arg=text)
