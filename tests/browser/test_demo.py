"""What only the demo's page can do: a scene in the address, a second visitor, screenshots."""

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from driver import ROOT, fresh, panels_or_fault, says, tab
from playwright.sync_api import expect

from coldstart_utils.whatif.bench import DIALS

ACCURATE = dict.fromkeys(DIALS, 0)
SCENE = {
    "item": {"film": "Fargo (1996)", "k": 12},
    "user": {"liked": ["Fargo (1996)", "Alien (1979)"], "disliked": ["Titanic (1997)"], "age": 30},
    "policy": {"text": 0.4, "popularity": 0.7, "A": ACCURATE, "B": ACCURATE | {"popularity": 0.8}},
}


@pytest.fixture(scope="module")
def visitor(browser, served):
    """A second visitor, whose address holds a scene."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(f"{served.url}/?scene={quote(json.dumps(SCENE))}", wait_until="commit")
    panels_or_fault(page)
    yield page
    page.close(run_before_unload=True)


def test_a_scene_comes_with_the_address_and_to_one_visitor_only(demo_page, visitor, served):
    first = fresh(demo_page, "item")
    says(tab(visitor, "item"), "12 choices")
    says(first, " 0 choices")
    first.get_by_label("Title").fill("Robots")
    says(first, "Drawn")
    expect(tab(visitor, "item").get_by_label("Title")).to_have_value("Fargo")
    assert len(served.kernels()) == 2


# Where the window is narrow, the picture stands below the controls.
@pytest.mark.parametrize("width, height", [(1280, 1000), (1024, 1200)])
@pytest.mark.parametrize("kind", SCENE)
def test_screenshots(visitor, kind, width, height):
    folder = Path(os.environ.get("COLDSTART_SCREENSHOTS", ROOT / "build" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    visitor.set_viewport_size({"width": width, "height": height})
    panel = tab(visitor, kind)
    says(panel, "Drawn")
    expect(panel.locator(".coldstart-table").first).to_be_visible()
    if kind == "item":
        expect(panel).to_contain_text("Words that carry the prediction")
    visitor.screenshot(path=folder / f"08_{kind}_{width}.png", animations="disabled")
    assert visitor.evaluate("document.documentElement.scrollWidth") <= width
    assert panel.locator("img").evaluate("image => image.clientWidth") > 600  # readable, and not pushed aside
