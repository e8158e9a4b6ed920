"""The panels as people use them, by mouse and keyboard, in JupyterLab and on the demo's page."""

import json
import re

import pytest
from driver import DRAWN, fresh, latencies, says, tab
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


@pytest.fixture
def question(page):
    return fresh(page, "question")


def find(panel, label, text, button):
    """Type a part of a film's name and press a button of the first film that is offered; return its name."""
    panel.get_by_label(label).fill(text)
    first = panel.locator(".cs-offers:visible").first
    expect(first).to_contain_text(re.compile(re.escape(text), re.IGNORECASE))
    name = first.locator(".cs-do-name").inner_text()
    first.locator(f".cs-do-{button}").click()
    return name


def middle(locator):
    """Return the middle of what is shown at a locator, after it has been scrolled to."""
    locator.scroll_into_view_if_needed()
    at = locator.bounding_box()
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def largest(points):
    """Return the largest of some marks."""
    return max((points.nth(n) for n in range(points.count())), key=lambda one: one.bounding_box()["width"])


def test_a_film_on_the_map_says_its_name_and_a_click_makes_it_the_new_one(item):
    page = item.page
    x, y = middle(item.locator(".cs-map .element").nth(300))
    page.mouse.move(x, y)
    told = page.locator(".bqplot_mark_tooltip:visible").first
    expect(told).to_contain_text(re.compile(r"\(19\d\d\)"))
    name = told.inner_text().strip()
    page.mouse.click(x, y)
    says(item, f"^{re.escape(name)} plays new: 0 of its")
    expect(item.locator(".cs-text mark").first).to_be_visible()
    page.get_by_role("button", name="Undo").first.click()
    says(item, r"^Fargo \(1996\) plays new")


def test_choices_arrive_key_by_key_and_by_themselves(item, numbers):
    slider = item.get_by_role("slider").first
    times = latencies(item, slider, ["ArrowRight"] * 12, DRAWN["item"])
    says(item, "12 of its 508 choices")
    numbers(f"{item.page.host}, new item, slider", times)
    item.get_by_role("button", name="▶ Play").click()
    says(item, "1[4-9] of its 508 choices")
    item.get_by_role("button", name="Pause").click()
    expect(item.get_by_role("button", name="▶ Play")).to_be_visible()


def test_a_burst_of_keys_ends_at_the_last(item):
    item.get_by_role("slider").first.focus()
    for _ in range(30):
        item.page.keyboard.press("ArrowRight")
    says(item, "30 of its 508 choices")


def test_a_class_can_bet_before_the_truth_is_revealed(item):
    expect(item.locator(".cs-track .cs-true")).to_have_count(0)
    item.get_by_role("button", name="Reveal the true audience").click()
    expect(item.locator(".cs-track .cs-true").first).to_be_visible()
    expect(item.locator(".cs-verdict")).to_contain_text(re.compile(r"\d\d% of the time by the text"))
    find(item, "Play a film as new", "alien (", "name")
    says(item, r"^Alien \(1979\) plays new")
    expect(item.locator(".cs-track .cs-true")).to_have_count(0)


def test_what_is_typed_is_shown_and_never_run(item, numbers):
    page, hostile = item.page, '<img src=x onerror="window.injected = 1"> $x$ 🎬 电影'
    item.get_by_label("Play a film as new").fill(hostile)
    expect(item).to_contain_text(hostile[:40])
    item.get_by_label("Play a film as new").fill("")
    item.get_by_label("Title").fill(hostile)
    item.get_by_label("Description").fill("robots in love <script>window.injected = 2</script> " + "and so on " * 1000)
    says(item, "Only the first 600 letters")
    item.get_by_role("button", name="Mark the words").click()
    expect(item.locator(".cs-text")).to_contain_text("<img")
    expect(page.locator("[role=alert]")).to_have_count(0)
    assert page.evaluate("window.injected") is None and page.locator("img[src=x]").count() == 0
    item.get_by_label("Description").fill("")
    times = latencies(item, item.get_by_label("Title"), list("spaceships"), DRAWN["item"])
    numbers(f"{page.host}, new item, typing", times)


def test_a_new_user_says_yes_and_no_and_is_asked(user, numbers):
    assert find(user, "Find a film you know", "fargo", "like") == "Fargo (1996)"
    expect(user.locator(".cs-chip.cs-yes")).to_have_text(re.compile("Fargo"))
    find(user, "Find a film you know", "titanic (1997", "dislike")
    expect(user.locator(".cs-chip.cs-no")).to_have_text(re.compile("Titanic"))
    entries = user.locator(".cs-list li")
    expect(entries).to_have_count(20)
    expect(user.locator(".cs-list")).to_contain_text("lifted most by your yes to Fargo (1996)")
    expect(user.locator(".cs-up, .cs-down").first).to_be_visible()
    question = user.locator(".cs-question")
    before = question.inner_text()
    user.get_by_role("button", name="Never seen").click()
    expect(question).not_to_have_text(before)
    user.get_by_role("button", name="Yes", exact=True).click()
    expect(user.locator(".cs-chip.cs-yes")).to_have_count(2)
    user.locator(".cs-chip.cs-no").click()
    expect(user.locator(".cs-chip.cs-no")).to_have_count(0)
    user.page.get_by_role("button", name="Undo").first.click()
    expect(user.locator(".cs-chip.cs-no")).to_have_count(1)
    box = user.get_by_label("Taste in a sentence")
    numbers(f"{user.page.host}, new user, typing", latencies(user, box, list("spaceships"), ".cs-stage"))


def test_a_policy_is_dragged_along_the_front(policy):
    page = policy.page
    points = policy.locator(".cs-plane .element")
    expect(points.first).to_be_visible()
    x, y = middle(largest(points))
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(x + 12 * step, y + 4 * step)
    page.mouse.up()
    expect(policy.get_by_role("slider").first).not_to_have_attribute("aria-valuenow", re.compile(r"^4(\.0+)?$"))
    expect(policy.locator(".cs-status")).not_to_contain_text("tail 20%")
    page.mouse.move(*middle(points.nth(20)))
    expect(page.locator(".bqplot_mark_tooltip:visible").first).to_contain_text("NDCG 0.")


def test_two_policies_are_pinned_and_compared(policy, numbers):
    policy.get_by_role("button", name="Take both pins out").click()
    policy.get_by_role("button", name="Pin as A").click()
    times = latencies(policy, policy.get_by_role("slider").nth(2), ["ArrowRight"] * 12, DRAWN["policy"])
    policy.get_by_role("button", name="Pin as B").click()
    expect(policy.locator(".cs-hands .cs-row").first).to_be_visible()
    expect(policy).to_contain_text(re.compile(r"B less A: NDCG -0\.\d{3} \(-0\.\d{3} to -0\.\d{3}"))
    numbers(f"{policy.page.host}, policy, slider", times)


def test_a_question_has_four_answers_and_a_film_its_place_in_each(question, numbers):
    page, lists = question.page, question.locator(".cs-answer")
    expect(lists).to_have_count(4)
    question.get_by_role("button", name="the one with the bus").click()
    expect(lists.first).to_contain_text("Speed (1994)")
    expect(lists.first.locator("mark").first).to_have_text("bus")
    find(question, "The film you mean", "speed (", "name")
    expect(lists.nth(2)).to_contain_text("Speed (1994): place 1")
    page.get_by_role("button", name="Undo").first.click()
    expect(question.locator(".cs-place")).to_have_count(0)
    question.get_by_label("Who asks").select_option(label="nobody we know")
    expect(lists).to_have_count(3)
    box = question.get_by_label("What are you looking for?")
    box.fill('<img src=x onerror="window.injected = 3"> $x$ 一个男孩藏起外星人')
    says(question, "trained on English")
    assert page.evaluate("window.injected") is None and page.locator("mjx-container, .MathJax").count() == 0
    box.fill("a film about ")
    times = latencies(question, box, list("spaceships"), ".cs-stage")
    numbers(f"{page.host}, question, typing", times)


def test_a_fault_is_told_and_harms_nothing(page, item):
    page.get_by_role("button", name="Scene", exact=True).first.click()
    scene, read = page.get_by_label("Scene as JSON").first, page.get_by_role("button", name="Read the scene").first
    scene.fill('{"item": {"k": "many"}}')
    read.click()
    alert = page.locator("[role=alert]").first
    expect(alert).to_contain_text("scene, item, k: expected")
    says(item, r"^Fargo \(1996\) plays new: 0")
    scene.fill(json.dumps({"item": {"film": "Alien (1979)", "k": 7}}))
    read.click()
    says(item, r"^Alien \(1979\) plays new: 7")
    expect(page.locator("[role=alert]")).to_have_count(0)
    page.get_by_role("button", name="Scene", exact=True).first.click()


def test_everything_has_a_name_and_speaks_two_languages(page, item):
    nameless = """panel => [...panel.querySelectorAll("input, select, textarea, button")].filter(
        e => e.checkVisibility() && !(e.labels && e.labels.length) && !e.ariaLabel && !e.title && !e.innerText
    ).map(e => e.outerHTML)"""
    for kind in ("user", "policy", "question", "item"):
        assert tab(page, kind).evaluate(nameless) == []
    page.get_by_role("button", name="中文").first.click()
    expect(page.get_by_role("button", name="重置").first).to_be_visible()
    says(item, "当作新片")
    page.get_by_role("button", name="English").first.click()
    says(item, "plays new")


def test_light_and_dark_and_large_letters(page, item):
    root = page.locator(".cs-root").first
    look = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).fontSize]"
    (ground, size), width = root.evaluate(look), item.locator(".cs-map").evaluate("e => e.clientHeight")
    page.get_by_role("button", name="Dark").first.click()
    page.get_by_role("button", name="Large letters").first.click()
    expect(root).to_have_class(re.compile("cs-dark"))
    expect(root).to_have_class(re.compile("cs-large"))
    dark, large = root.evaluate(look)
    assert dark != ground and float(large[:-2]) > float(size[:-2])
    assert item.locator(".cs-map").evaluate("e => e.clientHeight") > width
    page.get_by_role("button", name="Dark").first.click()
    page.get_by_role("button", name="Large letters").first.click()
    expect(root).not_to_have_class(re.compile("cs-large"))
