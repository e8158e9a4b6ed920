"""What only the demo's page can do: scenes in the address, visitors, restarts, screenshots."""

import contextlib
import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from driver import ROOT, arrive, chromium, demo, fresh, holds, says, tab
from playwright.sync_api import expect

from coldstart_utils.whatif.bench import DIALS

PLAIN = dict.fromkeys(DIALS, 0)
SCENES = {
    "item": {"film": "Fargo (1996)", "k": 12},
    "user": {"liked": ["Fargo (1996)", "Alien (1979)"], "disliked": ["Titanic (1997)"], "age": 30},
    "policy": {"text": 0.2, "popularity": 0.4, "A": PLAIN, "B": PLAIN | {"reserve": 6}},
}


def test_a_scene_comes_with_the_address_and_to_one_visitor_only(browser, demo_page, served):
    first = fresh(demo_page, "item")
    second = arrive(browser, f"{served.url}/?scene={quote(json.dumps({'item': SCENES['item']}))}")
    says(second.locator(".cs-item"), " 12 of its 508")
    says(first, " 0 of its 508")
    first.get_by_label("Title").fill("Robots")
    expect(second.get_by_label("Title")).to_have_value("Fargo")
    second.get_by_role("slider").first.press("ArrowRight")
    holds(second, '"k": 13')
    second.close(run_before_unload=True)


@pytest.mark.parametrize("address", ["{", '{"item": {"film": "Nobody (1900)"}}', "[1]", "<script>alert(1)</script>"])
def test_a_scene_that_cannot_be_read_is_told(browser, served, address):
    page = arrive(browser, f"{served.url}/?scene={quote(address)}")
    expect(page.locator("[role=alert]").first).to_contain_text("scene")
    says(page.locator(".cs-item"), "plays new")
    page.close(run_before_unload=True)


def test_past_the_limit_a_page_says_so_and_lets_in_who_waits(browser, small, tmp_path):
    with demo(tmp_path, f"--dataset={small}", "--most=2") as server:
        first, second = (arrive(browser, server.url) for _ in range(2))
        third = browser.new_page()
        third.goto(server.url, wait_until="commit")
        expect(third.locator(".cs-notice")).to_contain_text("2 visitors are here")
        expect(third.locator(".cs-notice")).to_contain_text("访客")
        second.close(run_before_unload=True)
        third.locator(".cs-head").wait_for(timeout=60_000)
        expect(first.locator(".cs-head")).to_be_visible()
        first.close(run_before_unload=True)
        third.close(run_before_unload=True)


def test_a_browser_that_vanishes_frees_its_seat(playwright, browser, small, tmp_path):
    with demo(tmp_path, f"--dataset={small}", "--most=1") as server:
        before = set(psutil.Process().children(recursive=True))
        lost = chromium(playwright)
        processes = set(psutil.Process().children(recursive=True)) - before
        arrive(lost, server.url)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        arrive(browser, server.url).close(run_before_unload=True)


def test_a_restart_brings_an_open_page_back_to_its_scene(browser, small, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with demo(tmp_path / "a", f"--dataset={small}") as server:
        port = int(server.url.rsplit(":", 1)[1])
        page = arrive(browser, server.url)
        page.get_by_label("Description").fill("a warm tale")
        holds(page, "a warm tale")
    page.evaluate("window.old = true")
    with demo(tmp_path / "b", f"--dataset={small}", port=port):
        page.wait_for_function("() => !window.old && document.querySelector('.cs-head')", timeout=120_000)
        expect(page.get_by_label("Description")).to_have_value("a warm tale")
        page.close(run_before_unload=True)


def test_no_box_is_deaf_in_the_first_second(browser, served):
    """A key that is pressed as soon as there is a box is heard, and the page is there once."""
    for n in range(5):
        page = arrive(browser, served.url)
        page.get_by_label("Play a film as new").fill(f"no such film {n}")
        expect(page.locator(".cs-note")).to_contain_text(f"no such film {n}")
        assert page.locator(".cs-root").count() == 1
        page.close(run_before_unload=True)


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1280, 900), (1024, 768), (1920, 1080)])
@pytest.mark.parametrize("kind", SCENES)
def test_screenshots(browser, served, kind, width, height, look):
    folder = Path(os.environ.get("COLDSTART_SCREENSHOTS", ROOT / "build" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    url = f"{served.url}/?scene={quote(json.dumps({kind: SCENES[kind]}))}"
    page = arrive(browser, url, viewport={"width": width, "height": height})
    if look == "dark":
        page.get_by_role("button", name="Dark").click()
        expect(page.locator(".cs-root")).to_have_class(re.compile("cs-dark"))
    if width == 1920:
        page.get_by_role("button", name="Large letters").click()
        expect(page.locator(".cs-root")).to_have_class(re.compile("cs-large"))
    panel = tab(page, kind)
    if kind == "item":
        page.get_by_role("button", name="Reveal the true audience").click()
        expect(panel.locator(".cs-track .cs-true").first).to_be_visible()
    page.locator(".cs-head").scroll_into_view_if_needed()
    page.mouse.move(5, 5)
    page.wait_for_timeout(900)  # marks move to their places
    name = f"08_{kind}_{width}{'' if look == 'light' else '_dark'}.png"
    page.screenshot(path=folder / name, animations="disabled")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("[role=alert]").count() == 0
    page.close(run_before_unload=True)
