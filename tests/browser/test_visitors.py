"""What the demo's server does with its visitors: each has a kernel of their own, and none leaves one behind."""

import contextlib

import psutil
from driver import chromium, until
from playwright.sync_api import expect


def arrive(browser, server, query=""):
    page = browser.new_page()
    page.goto(f"{server.url}/{query}", wait_until="commit")
    page.get_by_role("slider").first.wait_for()
    return page


def gone(server, kernels=0):
    return lambda: len(server.kernels()) == kernels


def move(page):
    page.get_by_role("slider").first.press("ArrowRight")


def test_twenty_visitors_one_after_another_leave_nothing(browser, tiny):
    arrive(browser, tiny).close(run_before_unload=True)
    until(gone(tiny), "the first kernel to end")
    before = tiny.memory()
    with_a_cache = browser.new_context()
    for _ in range(20):
        page = arrive(with_a_cache, tiny)
        move(page)
        expect(page.locator(".coldstart-status")).to_have_text("Drawn: 1")
        page.close(run_before_unload=True)
    until(gone(tiny), "the kernels of twenty visitors to end")
    print(f"memory of the server before and after twenty visitors: {before:.0f} and {tiny.memory():.0f} MB")
    assert tiny.memory() < before + 20  # a visitor who left 1 MB behind would be seen


def test_four_visitors_at_once_have_a_kernel_each_and_leave_none(browser, tiny):
    pages = [arrive(browser, tiny) for _ in range(4)]
    assert len(tiny.kernels()) == 4
    move(pages[0])
    expect(pages[0].locator(".coldstart-status")).to_have_text("Drawn: 1")
    assert [page.locator(".coldstart-status").inner_text() for page in pages[1:]] == [""] * 3
    for page in pages:
        page.close(run_before_unload=True)
    until(gone(tiny), "the kernels of four visitors to end")


def test_a_browser_that_vanishes_frees_its_kernel(playwright, tiny):
    before = set(psutil.Process().children(recursive=True))
    lost = chromium(playwright)
    processes = set(psutil.Process().children(recursive=True)) - before
    arrive(lost, tiny)
    assert len(tiny.kernels()) == 1
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(gone(tiny), "the kernel of the lost browser to end")


def test_an_address_reaches_the_page_and_nothing_else_is_served(browser, tiny):
    page = arrive(browser, tiny, "?scene=%7B%7D")
    expect(page.locator(".coldstart-status")).to_have_text("scene=%7B%7D")
    for path in ("voila/files/tiny.ipynb", "voila/files/log", "api/kernels", "api/contents"):
        assert "QUERY_STRING" not in page.request.get(f"{tiny.url}/{path}").text()
    assert page.request.get(f"{tiny.url}/voila/files/log").status == 403
    page.close(run_before_unload=True)


RUN_CODE = """async () => {
  const { kernelId } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
  const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernelId}/channels?session_id=other`);
  await new Promise(resolve => { socket.onopen = resolve; });
  const send = (msg_type, content) => socket.send(JSON.stringify({
    header: { msg_id: crypto.randomUUID(), msg_type, username: "", session: "other", version: "5.3" },
    parent_header: {}, metadata: {}, buffers: [], channel: "shell", content }));
  send("execute_request", { code: "slider.value = 17", silent: false, user_expressions: {}, allow_stdin: false });
  send("kernel_info_request", {});
  const types = [];
  return new Promise(resolve => { socket.onmessage = event => {
    types.push(JSON.parse(event.data).header.msg_type);
    if (types.at(-1) === "kernel_info_reply") resolve(types);
  }; });
}"""


def test_a_visitor_cannot_run_code(browser, tiny):
    page = arrive(browser, tiny)
    types = page.evaluate(RUN_CODE)
    assert "kernel_info_reply" in types and not {"execute_input", "execute_reply"} & set(types)
    move(page)
    expect(page.locator(".coldstart-status")).to_have_text("Drawn: 1")
    page.close(run_before_unload=True)
