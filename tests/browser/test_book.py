"""The book of the whole series in Chromium, from its files: no server and no network."""

import shutil
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from driver import ROOT
from playwright.sync_api import expect

from coldstart_utils.book import site

NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = ["index", "RESULTS", *(f"notebooks/{name}" for name in NAMES)]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The book of the notebooks under version control, which have no outputs; its folder."""
    build = tmp_path_factory.mktemp("project") / "build"
    shutil.copytree(ROOT / "notebooks", build / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(ROOT / "figures", build.parent / "figures")
    for page in ("RESULTS.md", "CARD.md"):
        shutil.copy(ROOT / page, build.parent)
    return site.bind(build.parent, build).parent


@pytest.fixture(scope="module")
def faults():
    """What the pages could not load, and what their scripts stumbled over."""
    return []


@pytest.fixture(scope="module")
def reader(browser, book, faults):
    """Somebody with a phone, and without a network."""
    page = browser.new_context(viewport={"width": 390, "height": 844}, offline=True).new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.book = book
    yield page
    page.context.close()


def opened(reader, name):
    reader.goto((reader.book / f"{name}.html").as_uri())
    return reader


def anchors(reader, name):
    return set(opened(reader, name).evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_on_a_phone_without_scrolling_sideways(reader, faults, name):
    opened(reader, name).wait_for_function("!window.MathJax?.startup || MathJax.startup.promise.then(() => true)")
    assert reader.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults == []


@pytest.mark.parametrize("width", [700, 1010, 1100, 1320, 1440, 1600])
def test_no_window_is_too_narrow_for_a_page_and_its_contents(reader, width):
    reader.set_viewport_size({"width": width, "height": 900})
    assert opened(reader, PAGES[2]).evaluate("document.documentElement.scrollWidth") <= width
    reader.set_viewport_size({"width": 390, "height": 844})


@pytest.mark.parametrize("name", PAGES[2:])
def test_every_formula_is_set(reader, name):
    opened(reader, name).wait_for_function("MathJax.startup.promise.then(() => true)")
    assert reader.locator("mjx-container").count() > 0
    assert reader.locator("mjx-merror, [data-mjx-error]").count() == 0
    # A dollar that is left in the prose is a formula that was not seen.
    prose = "[...document.querySelectorAll('article p, article li, article td')].filter(e => !e.closest('.cell'))"
    text = "e => { const c = e.cloneNode(true); c.querySelectorAll('code, mjx-container').forEach(x => x.remove());"
    left = reader.evaluate(f"{prose}.map({text} return c.textContent; }}).filter(t => t.split('$').length > 2)")
    assert left == []


def test_every_link_leads_to_a_page_and_a_heading(reader):
    found, missing = {}, []
    for name in PAGES:
        opened(reader, name)
        for link in reader.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)"):
            if link.startswith("file:"):
                found.setdefault(link, name)
    assert len(found) > 10 * len(NAMES)
    known = {}
    for link, name in found.items():
        address, fragment = urldefrag(link)
        path = unquote(urlparse(address).path)
        target = path.removeprefix(f"{reader.book}/").removesuffix(".html")
        if not (reader.book / f"{target}.html").is_file():
            missing.append((name, link))
        elif fragment and fragment != "#":
            ids = known.get(target) or known.setdefault(target, anchors(reader, target))
            missing += [] if unquote(fragment) in ids else [(name, link)]
    assert missing == []


def test_search_finds_a_word_in_the_chapter_that_explains_it(reader):
    reader.goto((reader.book / "search.html").as_uri() + "?q=distillation")
    expect(reader.locator("#search-results li").first).to_be_visible()
    expect(reader.locator("#search-results")).to_contain_text("04 · Distillation")
    reader.goto((reader.book / "search.html").as_uri() + "?q=zyxwv")
    expect(reader.locator("#search-results")).to_contain_text("did not match any documents")


def test_light_and_dark_follow_the_system_and_the_hand(reader):
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    for scheme, dark in (("light", False), ("dark", True)):
        reader.emulate_media(color_scheme=scheme)
        assert (opened(reader, "index").evaluate(shade) < 100) == dark
    reader.emulate_media(color_scheme="light")
    opened(reader, "index").locator(".theme-toggle:visible").first.click()
    assert reader.evaluate("document.body.dataset.theme") in ("light", "dark")
    reader.evaluate("localStorage.clear()")


def test_the_contents_open_on_a_phone_and_stand_at_the_left_of_a_screen(reader):
    contents = opened(reader, "index").locator(".sidebar-tree")
    expect(contents).not_to_be_in_viewport()
    reader.locator("label.nav-overlay-icon").first.click()
    expect(contents).to_be_in_viewport()
    reader.set_viewport_size({"width": 1600, "height": 1000})
    expect(opened(reader, "index").locator(".sidebar-tree")).to_be_in_viewport()
    reader.set_viewport_size({"width": 390, "height": 844})


def test_answers_open_at_a_click(reader):
    answers = opened(reader, "notebooks/00_cold_start").locator("details", has_text="Answers").first
    expect(answers.locator("pre")).not_to_be_visible()
    answers.locator("summary").click()
    expect(answers.locator("pre")).to_be_visible()
