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

import psutil
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("COLDSTART_CHROMIUM", "/usr/bin/chromium")
CHINESE = {"item": "新物品", "user": "新用户", "policy": "策略"}
# Without the last two, Chromium asks hosts far away at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
)
FLAGS += ("--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
# From a key going down to the first frame that shows the next picture of the panel, as the page sees it.
STOPWATCH = """panel => {
  const image = panel.querySelector("img");
  window.latencies = [];
  if (image.timed) return;
  image.timed = true;
  let pressed = null;
  window.addEventListener("keydown", () => { pressed = performance.now(); }, true);
  image.addEventListener("load", () => requestAnimationFrame(() => {
    if (pressed !== null) { window.latencies.push(performance.now() - pressed); pressed = null; }
  }));
}"""

# A picture that was asked for before must not be taken for the answer to what comes next.
SETTLE = """panel => new Promise(resolve => {
  const image = panel.querySelector("img");
  let timer = setTimeout(resolve, 400);
  image.addEventListener("load", () => { clearTimeout(timer); timer = setTimeout(resolve, 400); });
})"""


@dataclass(frozen=True)
class Server:
    """A server that answers at `url`, and its process."""

    url: str
    process: psutil.Process

    def kernels(self) -> list[psutil.Process]:
        """Return the kernels that live now."""
        found = []
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "ipykernel_launcher" in child.cmdline():
                    found.append(child)
        return found

    def memory(self) -> float:
        """Return the resident memory of the server and all its kernels, in MB."""
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
def _serving(command: Callable[[int], list[str]], folder: Path) -> Iterator[Server]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
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


def demo(page: Path, folder: Path, cull_after: int = 60) -> contextlib.AbstractContextManager[Server]:
    """Serve a notebook as `coldstart demo` does; its files go to `folder`."""
    code = (
        "from pathlib import Path; from coldstart_utils.book.run import kernel_environment; "
        "from coldstart_utils.whatif.page import VISITORS, serve; "
        f"serve(Path({str(page)!r}), %d, kernel_environment(VISITORS, None), cull_after={cull_after})"
    )
    return _serving(lambda port: [sys.executable, "-c", code % port], folder)


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


def latencies(panel: Locator, handle: Locator, keys: list[str]) -> list[float]:
    """Press keys on a control, each when the picture of the one before has come; return the milliseconds."""
    page = panel.page
    panel.evaluate(SETTLE)
    panel.evaluate(STOPWATCH)
    handle.focus()
    for n, key in enumerate(keys, 1):
        page.keyboard.press(key)
        page.wait_for_function("n => window.latencies.length >= n", arg=n, timeout=20_000)
    return page.evaluate("() => window.latencies")


def tab(page: Page, kind: str) -> Locator:
    """Bring the panel 'item', 'user' or 'policy' to the front and return it."""
    names = [f"A new {kind}" if kind != "policy" else "A policy", CHINESE[kind]]
    page.locator(".lm-TabBar-tab").filter(has_text=re.compile(f"^({'|'.join(names)})$")).first.click()
    panel = page.locator(f".coldstart-{kind}").first
    expect(panel.locator("img")).to_be_visible()
    return panel


def fresh(page: Page, kind: str) -> Locator:
    """Bring a panel to the front, in its first state."""
    panel = tab(page, kind)
    panel.get_by_role("button", name="Reset").click()
    panel.evaluate(SETTLE)
    return panel


def says(panel: Locator, words: str) -> None:
    """Return when the panel's status line says `words`, a regular expression."""
    expect(panel.locator(".coldstart-status")).to_contain_text(re.compile(words))


def panels_or_fault(page: Page) -> None:
    """Return when the panels are there; AssertionError if an error stands in their place."""
    fault = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    page.locator(".coldstart-item .coldstart-status").or_(fault).first.wait_for(timeout=180_000)
    assert fault.all_inner_texts() == []
