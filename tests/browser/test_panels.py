"""The panels as people use them, by mouse and keyboard, in JupyterLab and on the demo's page."""

import re

import pytest
from driver import fresh, latencies, says, tab
from playwright.sync_api import expect


@pytest.fixture(params=["lab_page", "demo_page"])
def page(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def item(page):
    return fresh(page, "item")


@pytest.fixture
def user(page):
    return fresh(page, "user")


@pytest.fixture
def policy(page):
    return fresh(page, "policy")


def pick(panel, label, film):
    """Type the beginning of a film's name and take what completes it; return the box."""
    box = panel.get_by_label(label)
    box.fill("")
    box.press_sequentially(film[:-4])
    # The list that drops down is no part of the page, so that no test can click it; its entries are.
    offered = box.evaluate("box => [...box.list.options].map(option => option.value)")
    assert [name for name in offered if name.startswith(film[:-4])] == [film]
    box.fill(film)
    box.press("Enter")
    return box


def test_evidence_moves_a_film_key_by_key(item, numbers):
    pick(item, "A real one as new", "Fargo (1996)")
    expect(item).to_contain_text("chose it")
    slider = item.get_by_role("slider").first
    times = latencies(item, slider, ["ArrowRight"] * 12)
    says(item, "12 choices")
    expect(slider).to_have_attribute("aria-valuenow", re.compile(r"^12(\.0+)?$"))
    numbers(f"{item.page.host}, new item, slider", times)


def test_what_is_typed_is_shown_and_never_run(item):
    page, hostile = item.page, '<img src=x onerror="window.injected = 1"> $x$ 🎬 电影'
    item.get_by_label("A real one as new").fill(hostile)
    expect(item).to_contain_text(hostile[:40])
    before = item.locator(".coldstart-table").first.text_content()
    item.get_by_label("Title").fill(hostile)
    item.get_by_label("Description").fill("robots in love <script>window.injected = 2</script> " + "and so on " * 1000)
    expect(item.locator(".coldstart-table").first).not_to_have_text(before)  # other neighbours
    expect(item.locator("[role=alert]")).to_have_count(0)
    assert page.evaluate("window.injected") is None and page.locator("img[src=x]").count() == 0


def test_typing_redraws(item, numbers):
    times = latencies(item, item.get_by_label("Title"), list("spaceships"))
    says(item, "Drawn")
    numbers(f"{item.page.host}, new item, typing", times)


def test_a_new_user_likes_films(user, numbers):
    before = user.locator(".coldstart-table").inner_text()
    choices = (("Fargo (1996)", "I like it"), ("Alien (1979)", "I like it"), ("Titanic (1997)", "I do not"))
    for n, (film, button) in enumerate(choices, 1):
        box = pick(user, "Find one", film)
        user.get_by_role("button", name=button, exact=True).click()
        says(user, f"{n} films")
        expect(box).to_have_value("")
    table = user.locator(".coldstart-table")
    expect(table.locator("tbody tr")).to_have_count(20)
    expect(table).to_contain_text("like Fargo (1996)")
    expect(table).not_to_contain_text("Titanic")
    assert table.inner_text() != before
    user.get_by_role("button", name="Undo").click()
    says(user, "2 films")
    numbers(f"{user.page.host}, new user, typing", latencies(user, user.get_by_label("Taste"), list("spaceships")))


def test_two_policies_are_pinned_and_compared(policy, numbers):
    policy.get_by_role("button", name="Pin as A").click()
    times = latencies(policy, policy.get_by_role("slider").first, ["ArrowRight"] * 12)
    policy.get_by_role("button", name="Pin as B").click()
    expect(policy.locator(".coldstart-table tbody tr").first).to_be_visible()
    expect(policy).to_contain_text(re.compile(r"B less A: NDCG -0\.\d{3} \(-0\.\d{3} to -0\.\d{3}"))
    numbers(f"{policy.page.host}, policy, slider", times)


def test_a_fault_is_told_and_stays_until_it_is_mended(page, item):
    scene, read = page.get_by_label("Scene").first, page.get_by_role("button", name="Read the scene").first
    scene.fill('{"item": {"k": "many"}}')
    read.click()
    alert = page.locator("[role=alert]").first
    expect(alert).to_contain_text("scene, item, k: expected")
    tab(page, "policy")
    tab(page, "item")
    expect(alert).to_be_visible()
    scene.fill('{"item": {"film": "Fargo (1996)", "k": 7}}')
    read.click()
    says(item, "7 choices")
    expect(page.locator("[role=alert]")).to_have_count(0)


def test_a_burst_of_keys_ends_at_the_last(item):
    pick(item, "A real one as new", "Fargo (1996)")
    expect(item).to_contain_text("chose it")
    slider = item.get_by_role("slider").first
    slider.focus()
    item.evaluate(
        "panel => { const i = panel.querySelector('img'); i.n = 0; i.addEventListener('load', () => i.n++); }"
    )
    for _ in range(30):
        item.page.keyboard.press("ArrowRight")
    says(item, "30 choices")
    assert item.locator("img").evaluate("image => image.n") < 30


def test_everything_has_a_name_and_speaks_two_languages(page, item):
    nameless = """panel => [...panel.querySelectorAll("input, select, textarea, button")].filter(
        e => !(e.labels && e.labels.length) && !e.ariaLabel && !e.title && !e.innerText).map(e => e.outerHTML)"""
    for kind in ("user", "policy", "item"):
        assert tab(page, kind).evaluate(nameless) == []
    chinese = page.get_by_role("button", name="中文").first
    chinese.click()
    expect(item.get_by_role("button", name="重置")).to_be_visible()
    says(item, "已绘制")
    page.get_by_role("button", name="English").first.click()
    says(item, "Drawn")
