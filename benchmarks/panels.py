"""The what-if panels: keys in both hosts, loads and memory, with one visitor and with thirty at once.

    python benchmarks/panels.py [--hosts page lab] [--keys 200] [--loads 200] [--visitors 30]

Starts `coldstart demo` on the loopback address and Chromium beside it, so that both share this machine's cores. Of the
thirty one types in Chromium; the others speak to the server over websockets as a page does. Prints the load of the
machine first: on a busy one, read the ratios.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread

import psutil
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from driver import DRAWN, STOPWATCH, arrive, chromium, demo, fresh, lab_page, laboratory, latencies
from visitor import Visitor

WORDS = "robotsinlovewithanoldspaceship"  # no space: one at the end changes nothing, and nothing would be drawn
# Types a letter and waits for the answer, again and again, in every page by itself; `pause` ms lie between two letters.
TYPIST = """([letters, pause]) => {
  const panel = document.querySelector(".cs-item");
  const box = [...panel.querySelectorAll("label")].find(e => e.innerText === "Title").control;
  let n = 0;
  const type = () => {
    if (n >= letters.length) { window.done = true; return; }
    const heard = window.latencies.length;
    window.pressed = performance.now();
    box.value += letters[n++];
    box.dispatchEvent(new Event("input", { bubbles: true }));
    const wait = setInterval(() => {
      if (window.latencies.length > heard) { clearInterval(wait); setTimeout(type, pause); }
    }, 5);
  };
  setTimeout(type, Math.random() * pause);
}"""


def told(what: str, times: list[float]) -> None:
    """Print median, ninth decile and slowest of some milliseconds."""
    ninth = sorted(times)[int(0.9 * (len(times) - 1))]
    spread = f"90 % below {ninth:.0f}, slowest {max(times):.0f}, n = {len(times)}"
    print(f"{what}: median {statistics.median(times):.0f} ms, {spread}", flush=True)


def keys(page, host: str, n: int) -> None:
    """Press n keys in the panel of a new item, half on its slider, half typed, and tell how long pictures took."""
    panel = fresh(page, "item")
    there_and_back = ["ArrowRight"] * (n // 4) + ["ArrowLeft"] * (n // 4)
    slider = latencies(panel, panel.get_by_role("slider").first, there_and_back, DRAWN["item"], still=120)
    told(f"{host}, slider: key press to new picture", slider)
    title, typed = panel.get_by_label("Title"), []
    for begun in range(0, n // 2, 25):
        title.fill("")
        typed += latencies(panel, title, list(WORDS[: min(25, n // 2 - begun)]), DRAWN["item"], still=120)
    told(f"{host}, typing: key press to new picture", typed)


def loads(browser, url: str, n: int) -> None:
    """Load the page n times, press a key at once, and count the boxes that are deaf."""
    times, deaf = [], 0
    for number in range(n):
        begun = time.perf_counter()
        page = arrive(browser, url)
        times.append(1000 * (time.perf_counter() - begun))
        page.get_by_label("Play a film as new").fill(f"nothing {number}")
        try:
            page.locator(".cs-note", has_text=f"nothing {number}").wait_for(timeout=10_000)
        except Exception:
            deaf += 1
        assert page.locator(".cs-root").count() == 1, "the panels are there twice"
        page.close(run_before_unload=True)
        if (number + 1) % 25 == 0 or number + 1 == n:
            print(f"boxes that were deaf in the first second: {deaf} of {number + 1}", flush=True)
    told("page to first panel", times)


def crowd(browser, server, n: int, letters: str, pause: int) -> None:
    """Let n visitors type at once: one in Chromium, who measures what is seen, the others without a browser.

    A page in Chromium costs more than the server's answer to it, and a class brings machines of its own. The others say
    to the server what a page says, and hear all that it answers.
    """
    before, page = server.memory(), arrive(browser, server.url)
    page.evaluate(STOPWATCH, [page.locator(".cs-item").element_handle(), DRAWN["item"]])
    others = [Visitor(server.url) for _ in range(n - 1)]
    done, heard = Event(), []
    threads = [Thread(target=typing, args=(other, letters, pause / 1000, done, heard)) for other in others]
    for thread in threads:
        thread.start()
    page.evaluate(TYPIST, [letters, pause])
    page.wait_for_function("window.done", timeout=300_000)
    done.set()
    for thread in threads:
        thread.join()
    print(f"{n} visitors who type a letter, wait for the answer, and {pause} ms more:")
    told("  key to new picture in Chromium", page.evaluate("window.latencies"))
    told(f"  key to the whole answer, {n - 1} others without a browser", [1000 * seconds for seconds in heard])
    full = server.memory()
    print(f"memory of the server: {before:.0f} MB before them, {full:.0f} MB with all {n}: "
          f"{(full - before) / n:.1f} MB each", flush=True)  # fmt: skip
    page.close(run_before_unload=True)
    for other in others:
        other.close()
    time.sleep(60)
    print(f"a minute after they left: {server.memory():.0f} MB", flush=True)
    again = [Visitor(server.url) for _ in range(n)]
    print(f"with {n} more in their place: {server.memory():.0f} MB")
    for other in again:
        other.close()


def typing(visitor: Visitor, letters: str, pause: float, done: Event, heard: list[float]) -> None:
    """Type letters one after another, each a pause after the last answer, until all are done; note the seconds."""
    title, text = visitor.find("Title"), ""
    done.wait(random.random() * pause)
    while not done.is_set():
        text = (text + random.choice(letters))[-20:]
        heard.append(visitor.set(title, value=text))
        done.wait(pause)


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hosts", nargs="*", choices=("page", "lab"), default=["page", "lab"])
    options.add_argument("--keys", type=int, default=200, help="in each host")
    options.add_argument("--loads", type=int, default=200, help="of the page")
    options.add_argument("--visitors", type=int, default=30, help="of the page, at once")
    options.add_argument("--pause", type=int, default=1000, help="milliseconds between an answer and the next letter")
    given = options.parse_args()
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = chromium(playwright)
        if "page" in given.hosts:
            on_the_page(browser, Path(folder), given)
        if "lab" in given.hosts and given.keys:
            (Path(folder) / "lab").mkdir()
            with laboratory(Path(folder) / "lab") as server:
                keys(lab_page(browser, server), "JupyterLab", given.keys)
        browser.close()


def on_the_page(browser, folder: Path, given: argparse.Namespace) -> None:
    """Measure the page: from the start of its server, keys, loads, visitors."""
    begun = time.perf_counter()
    with demo(folder) as server:
        arrive(browser, server.url).close(run_before_unload=True)
        print(f"start of the server, preparation, first page: {time.perf_counter() - begun:.1f} s", flush=True)
        if given.keys:
            page = arrive(browser, server.url, viewport={"width": 1280, "height": 1000})
            keys(page, "the page", given.keys)
            page.close(run_before_unload=True)
        if given.loads:
            loads(browser.new_context(), server.url, given.loads)  # which keeps what it has loaded, as a browser does
        if given.visitors:
            crowd(browser, server, given.visitors, WORDS[:25], given.pause)


if __name__ == "__main__":
    main()
