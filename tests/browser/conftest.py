"""One browser for all tests, and servers of which most tests share one."""

import statistics

import driver
import numpy as np
import pytest
from driver import arrive, chromium, demo
from playwright.sync_api import expect, sync_playwright

expect.set_options(timeout=20_000)  # two cores may be busy with notebooks


@pytest.fixture(scope="session")
def playwright():
    """What starts browsers."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright):
    """Chromium."""
    browser = chromium(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The panels, as `coldstart demo` serves them."""
    with demo(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A folder with a catalogue so small that a server is ready in seconds."""
    folder, rng = tmp_path_factory.mktemp("small"), np.random.default_rng(0)
    pairs = {(u, i) for u in range(40) for i in rng.choice(60, 12, replace=False, p=np.arange(1, 61) / 1830)}
    inter = "".join(f"u{u}\ti{i}\n" for u, i in sorted(pairs))
    items = "".join(f"i{i}\t{'warm' if i % 2 else 'cold'} tale ${i}$\n" for i in range(60))
    name = folder.name
    (folder / f"{name}.inter").write_text(f"user_id:token\titem_id:token\n{inter}")
    (folder / f"{name}.item").write_text(f"item_id:token\tstory:token_seq\n{items}")
    return folder


@pytest.fixture(scope="session")
def lab_page(browser, tmp_path_factory):
    """JupyterLab in which a notebook that shows the panels has been run."""
    with driver.laboratory(tmp_path_factory.mktemp("lab")) as server:
        page = driver.lab_page(browser, server)
        page.host = "JupyterLab"
        yield page
        page.close(run_before_unload=True)


@pytest.fixture(scope="session")
def demo_page(browser, served):
    """The page of the demo, with its panels."""
    page = arrive(browser, served.url, viewport={"width": 1280, "height": 1000})
    page.host = "demo"
    yield page
    page.close(run_before_unload=True)


MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def numbers(pytestconfig):
    """Return tell(what, milliseconds), whose medians are printed at the end."""
    lines = pytestconfig.stash.setdefault(MEASURED, [])

    def tell(what, times):
        slowest = f"slowest {max(times):.0f} ms, n = {len(times)}"
        lines.append(f"{what}: key press to new picture {statistics.median(times):.0f} ms (median; {slowest})")

    return tell


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(MEASURED, []):
        terminalreporter.write_line(line)
