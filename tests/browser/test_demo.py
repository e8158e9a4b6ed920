"""What only the demo's page can do: scenes in the address, visitors, restarts, screenshots."""

import contextlib
import json
import os
import re
from urllib.parse import quote

import psutil
import pytest
from driver import ROOT, arrive, chromium, demo, fresh, holds, says, tab
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect

from coldstart_utils.whatif.bench import DIALS

PLAIN = dict.fromkeys(DIALS, 0)
SCENES = {
    "item": {"film": "Fargo (1996)", "k": 12},
    "user": {"liked": ["Fargo (1996)", "Alien (1979)"], "disliked": ["Titanic (1997)"], "age": 30},
    "policy": {"text": 0.2, "popularity": 0.4, "A": PLAIN, "B": PLAIN | {"reserve": 6}},
    "question": {
        "wanted": "a boy hides a creature from space from the government",
        "person": "A 13-year-old student, male · 2",
        "film": "E.T. the Extra-Terrestrial (1982)",
    },
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


FAULT = """
from coldstart_utils.whatif import item_view
true = item_view.new_item
def new_item(world, state):
    if state.description == "poison":
        raise RuntimeError("the fault of one")
    return true(world, state)
item_view.new_item = new_item
"""


def test_visitors_harm_each_other_in_nothing_and_take_turns(playwright, browser, small, tmp_path):
    with demo(tmp_path, f"--dataset={small}", "--most=2", before=FAULT) as server:
        before = set(psutil.Process().children(recursive=True))
        lost = chromium(playwright)
        processes = set(psutil.Process().children(recursive=True)) - before
        first, second = arrive(lost, server.url), arrive(browser, server.url)
        a_fault_is_told_to_its_visitor_only(second, first)
        third = browser.new_page()
        third.goto(server.url, wait_until="commit")
        expect(third.locator(".cs-notice")).to_contain_text("2 visitors are here")
        expect(third.locator(".cs-notice")).to_contain_text("访客")
        second.close(run_before_unload=True)
        third.locator(".cs-head").wait_for(timeout=60_000)
        for process in processes:  # a browser that vanishes says no goodbye
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        arrive(browser, server.url).close(run_before_unload=True)
        third.close(run_before_unload=True)


def a_fault_is_told_to_its_visitor_only(one, other):
    one.get_by_label("Description").fill("poison")
    expect(one.locator("[role=alert]")).to_have_text("RuntimeError: the fault of one")
    other.get_by_label("Description").fill("a $warm$ tale")
    holds(other, "a $warm$ tale")
    expect(other.locator(".cs-map")).to_contain_text("$")
    assert other.locator("[role=alert]").count() == 0
    assert other.locator("mjx-container, .MathJax").count() == 0, "a dollar is a dollar"
    one.get_by_label("Description").fill("a cold tale")
    expect(one.locator("[role=alert]")).to_have_count(0)


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
    for n in range(3):
        page = arrive(browser, served.url)
        page.get_by_label("Play a film as new").fill(f"no such film {n}")
        expect(page.locator(".cs-note")).to_contain_text(f"no such film {n}")
        assert page.locator(".cs-root").count() == 1
        page.close(run_before_unload=True)


def test_a_page_is_dark_where_the_system_is_and_light_again_by_a_button(browser, served):
    page = arrive(browser, served.url, color_scheme="dark")
    root, dark = page.locator(".cs-root"), re.compile("cs-dark")
    expect(root).to_have_class(dark)
    page.emulate_media(color_scheme="light")
    expect(root).not_to_have_class(dark)
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_class(dark)
    page.get_by_role("button", name="Dark").click()
    expect(root).not_to_have_class(dark)
    page.close(run_before_unload=True)


UNREACHED = """() => [...document.querySelectorAll(".cs-root :is(button, input, select, textarea, .noUi-handle)")]
  .filter(e => e.checkVisibility() && !e.disabled && !e.dataset.reached).map(e => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("kind", SCENES)
def test_the_keyboard_reaches_every_control(demo_page, kind):
    """The map answers to the mouse only: by keys a film is chosen in the box beside it."""
    fresh(demo_page, kind)
    demo_page.locator(".cs-tabs button").first.focus()
    for _ in range(80):
        demo_page.evaluate("document.activeElement.dataset.reached = 1")
        demo_page.keyboard.press("Tab")
        if not demo_page.evaluate(UNREACHED):
            break
    assert demo_page.evaluate(UNREACHED) == []


# Of each size one look is enough for what a test can claim; all of them are photographed by `make screenshots`.
SIZES = {(1280, 900): ["light", "dark"], (1024, 768): ["dark", "light"], (1920, 1080): ["light", "dark"]}
CUT_OFF = """() => [...document.querySelectorAll(".cs-root :is(button, h3, h4, th, td, .cs-label, .cs-key)")]
  .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"""
OUTSIDE = """() => [...document.querySelectorAll(".cs-root *")].filter(e => {
  const at = e.getBoundingClientRect();
  return e.checkVisibility() && at.width && (at.right > innerWidth + 1 || at.left < -1) && !e.closest("svg");
}).map(e => e.className)"""
OVERLAP = """() => {
  const boxes = [...document.querySelectorAll(".cs-view .cs-card")].filter(e => !e.parentElement.closest(".cs-card"));
  const at = boxes.map(e => e.getBoundingClientRect());
  const shared = (a, b, from, to) => Math.min(a[to], b[to]) - Math.max(a[from], b[from]) > 1;
  return at.some((a, n) =>
    at.slice(n + 1).some(b => shared(a, b, "left", "right") && shared(a, b, "top", "bottom")));
}"""


def once_settled(page, faults):
    """Return what the script `faults` still finds five seconds after a change of size, on a busy machine."""
    with contextlib.suppress(PlaywrightTimeout):
        page.wait_for_function(f"() => !({faults})().length", timeout=5000)
    return page.evaluate(faults)


@pytest.mark.parametrize("kind", SCENES)
def test_screenshots(browser, served, kind):
    """No panel is wider than the page, no card lies over another, no label is cut off, whatever the size."""
    kept = os.environ.get("COLDSTART_SCREENSHOTS")
    page = arrive(browser, f"{served.url}/?scene={quote(json.dumps({kind: SCENES[kind]}))}")
    panel = tab(page, kind)
    if kind == "item":
        page.get_by_role("button", name="Reveal the true audience").click()
        expect(panel.locator(".cs-track .cs-true").first).to_be_visible()
    for (width, height), looks in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        pressed(page, "Large letters", "cs-large", width == 1920)
        for look in looks if kept else looks[:1]:
            pressed(page, "Dark", "cs-dark", look == "dark")
            page.wait_for_timeout(900 if kept else 100)  # marks move to their places
            for what in (CUT_OFF, OUTSIDE):
                assert once_settled(page, what) == [], (width, look)
            assert not page.evaluate(OVERLAP) and page.locator("[role=alert]").count() == 0, (width, look)
            if kept:
                name = f"08_{kind}_{width}{'' if look == 'light' else '_dark'}.png"
                page.mouse.move(5, 5)
                page.screenshot(path=ROOT / kept / name, animations="disabled")
    page.close(run_before_unload=True)


def pressed(page, button, style, on):
    """Press a button that switches a style of the page on or off, unless it is so already."""
    if (style in page.locator(".cs-root").get_attribute("class")) != on:
        page.get_by_role("button", name=button).click()
    expect(page.locator(".cs-root")).to_have_class(re.compile(style) if on else re.compile(f"^(?!.*{style})"))
