"""The service over HTTP: the contract, its limits, and that an answer counts all that was acknowledged."""

import asyncio
import logging
import shlex
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import batch, encode
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from coldstart_utils.book import cli
from coldstart_utils.ground import ColdstartError
from coldstart_utils.serving import start
from coldstart_utils.serving.learning import learn, untaught
from coldstart_utils.serving.state import State
from coldstart_utils.serving.store import Store
from coldstart_utils.serving.versions import load, save, versions

WAR = {"item": "x1", "title": "war film at sea", "text": "", "attributes": {"genres": "war", "year": 1999}}


def names(answer):
    assert answer.status_code == 200, answer.text
    return [entry["item"] for entry in answer.json()["items"]]


# --- The contract ----------------------------------------------------------------------------------------------------


def test_a_new_item_is_in_every_answer_of_the_next_request(client):
    with client() as http:
        assert http.post("/items", json=WAR).status_code == 201
        assert "x1" in names(http.get("/recommend", params={"user": "u0", "k": 200}))
        assert "x1" in names(http.post("/recommend", json={"likes": ["i0"], "k": 30}))
        assert names(http.get("/search", params={"q": "war at sea", "k": 1})) == ["x1"]
        assert "x1" in names(http.get("/similar", params={"item": "i0", "k": 29}))
        assert names(http.get("/similar", params={"item": "x1", "k": 3}))


def test_a_click_counts_in_the_next_request_and_equals_the_batch_posterior(client, folder):
    with client() as http:
        before = http.get("/users/u1").json()
        assert http.post("/items", json=WAR).json() == {"item": "x1", "new": True}
        said = http.post("/events", json={"user": "u1", "item": "x1", "value": 1, "time": 99})
        assert said.status_code == 201 and said.json() == {"new": 1, "known": 0}
        after = http.get("/users/u1").json()
        assert "x1" not in names(http.get("/recommend", params={"user": "u1", "k": 200}))
    assert set(after) == {"events", "vector"} and after["events"] == before["events"] + 1
    assert after["vector"] != before["vector"]
    assert np.abs(np.array(after["vector"]) - batch(folder, "u1")).max() < 1e-8


def test_events_in_any_order_with_doubles_equal_the_batch_posterior(client, folder):
    rng = np.random.default_rng(4)
    events = [
        {"user": f"n{rng.integers(3)}", "item": f"i{rng.integers(30)}", "value": float(rng.uniform()), "time": float(t)}
        for t in rng.permutation(120)
    ]
    with client() as http:
        for n, event in enumerate(events + events[::7]):
            assert http.post("/events", json=event).json() == {"new": int(n < 120), "known": int(n >= 120)}
            if n % 5 == 0:  # a user who is asked about is in memory from then on
                http.get(f"/users/{event['user']}")
        online = {user: http.get(f"/users/{user}").json() for user in ("n0", "n1", "n2")}
    assert sum(said["events"] for said in online.values()) == 120
    for user, said in online.items():
        assert np.abs(np.array(said["vector"]) - batch(folder, user)).max() < 1e-8


def test_a_restart_changes_no_vector(client, folder):
    with client() as http:
        http.post("/events", json=[{"user": "n", "item": f"i{n}", "value": 1, "time": n} for n in range(9)])
        before = http.get("/users/n").json()
    with client() as http:
        after = http.get("/users/n").json()
    assert after["events"] == 9 and np.allclose(before["vector"], after["vector"], atol=1e-10)


def test_what_was_said_before_1970_counts_and_what_was_said_later_counts_more(client):
    with client() as http:
        said = [{"user": "n", "item": "i1", "value": 0, "time": -5}, {"user": "n", "item": "i1", "time": -9}]
        assert http.post("/events", json=said).status_code == 201
        both = http.get("/users/n").json()
        http.post("/events", json={"user": "m", "item": "i1", "value": 0, "time": -5})
        assert both["events"] == 2 and both["vector"] == http.get("/users/m").json()["vector"]


def test_strangers_are_served_from_the_prior(client):
    with client() as http:
        stranger = http.get("/users/nobody").json()
        asked = [http.get("/recommend", params={"user": "nobody"}), http.post("/recommend", json={})]
    assert stranger["events"] == 0 and names(asked[0]) == names(asked[1]) and len(names(asked[0])) == 20


def test_likes_and_a_sentence_lead_to_their_kind_and_leave_nothing_behind(client, folder):
    with client() as http:
        for guest in ({"likes": ["i0", "i2"]}, {"dislikes": ["i1", "i3"], "likes": ["i4"]}, {"sentence": "war film"}):
            first = names(http.post("/recommend", json=guest | {"k": 5}))
            assert all(int(name[1:]) % 2 == 0 for name in first)
    assert Store(folder).reader().count() == 320


def test_reasons_add_up_to_the_score(client):
    with client() as http:
        entries = http.get("/recommend", params={"user": "u0", "reasons": True}).json()["items"]
    assert entries[0]["because"]["answers"]
    for entry in entries:
        because = entry["because"]
        total = because["prior"] + because["others"] + sum(answer["adds"] for answer in because["answers"])
        assert total == pytest.approx(entry["score"], abs=1e-5)


def test_a_withdrawn_item_is_in_no_answer_while_what_was_said_of_it_counts(client, folder):
    with client() as http:
        liked = names(http.get("/recommend", params={"user": "u0", "k": 3}))[0]
        http.post("/events", json={"user": "n", "item": liked, "time": 1})
        vector = http.get("/users/n").json()["vector"]
        assert http.post(f"/items/{liked}", json={"withdrawn": True}).json() == {"item": liked, "withdrawn": True}
        everywhere = [
            http.get("/recommend", params={"user": "u0", "k": 200}),
            http.get("/search", params={"q": "war love film story", "k": 200}),
            http.get("/similar", params={"item": "i5", "k": 200}),
        ]
        assert all(liked not in names(answer) for answer in everywhere)
        assert http.get("/users/n").json()["vector"] == vector
        assert http.post("/events", json={"user": "m", "item": liked, "time": 1}).status_code == 201
    with client() as http:  # also after a restart
        assert liked not in names(http.get("/recommend", params={"user": "u0", "k": 200}))
        http.post(f"/items/{liked}", json={"withdrawn": False})
        assert liked in names(http.get("/recommend", params={"user": "u0", "k": 200}))


def test_taste_moves_a_search(client):
    with client() as http:
        plain = http.get("/search", params={"q": "number", "k": 30}).json()["items"]
        own = http.get("/search", params={"q": "number", "k": 30, "user": "u1"}).json()["items"]
    of_kind = lambda entries: np.mean([int(entry["item"][1:]) % 2 for entry in entries[:10]])  # noqa: E731
    assert of_kind(own) > of_kind(plain)


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method,path,sent,status,sentence",
    [
        ("post", "/events", {"user": "u"}, 422, "item: Field required"),
        ("post", "/events", {"user": "u", "item": "zz"}, 404, "event 1: item 'zz' is unknown; post it to /items first"),
        ("post", "/events", {"user": "u", "item": "i1", "value": 7}, 422, "value"),
        ("post", "/events", b'{"user": "u", "item": "i1", "value": NaN}', 422, "value"),
        ("post", "/events", b'{"user": "\\ud800", "item": "i1"}', 422, "user"),
        ("post", "/events", {"user": "u", "item": "i1", "time": 1.7e12}, 422, "time"),
        ("post", "/events", {"user": "u", "item": "i1", "time": -1.7e12}, 422, "time"),
        ("post", "/events", {"user": "", "item": "i1"}, 422, "user"),
        ("post", "/events", {"user": "u", "item": "i1", "valeu": 1}, 422, "valeu: Extra inputs are not permitted"),
        ("post", "/events", [], 422, "at least 1"),
        ("post", "/events", [{"user": "u", "item": "i1"}] * 1001, 422, "1000"),
        ("post", "/events", b"no json", 422, "the body: expected JSON, found something else"),
        ("post", "/events", b"[" * 100_000, 400, "parsing the body"),
        ("post", "/items", {"item": "i1", "title": "other"}, 409, "item 'i1' exists with other words"),
        ("post", "/items", {"item": "x", "text": "a" * 20_001}, 422, "text"),
        ("post", "/items", b" " * 1_000_001, 413, "the body is longer than 1000000 bytes"),
        ("post", "/items/zz", {"withdrawn": True}, 404, "item 'zz' is unknown"),
        ("post", "/recommend", {"likes": ["zz"]}, 404, "item 'zz' is unknown"),
        ("post", "/recommend", {"likes": ["i1"] * 201}, 422, "likes"),
        ("get", "/recommend?user=u&k=0", None, 422, "k"),
        ("get", "/recommend?user=u&k=201", None, 422, "k"),
        ("get", "/search?q=", None, 422, "q"),
        ("get", "/search?q=%3F%3F", None, 422, "question: expected words"),
        ("get", "/similar?item=zz", None, 404, "item 'zz' is unknown"),
        ("get", "/nothing", None, 404, "Not Found"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence_and_changes_nothing(
    client, folder, method, path, sent, status, sentence
):
    with client() as http:
        body = {} if sent is None else {"content": sent} if isinstance(sent, bytes) else {"json": sent}
        headers = {"content-type": "application/json"} if sent is not None else {}
        answer = http.request(method, path, **body, headers=headers)
        assert answer.status_code == status and list(answer.json()) == ["detail"]
        assert sentence in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert Store(folder).reader().count() == 320 and len(Store(folder).reader().items()) == 30


def test_a_list_of_events_is_stored_whole_or_not_at_all(client, folder):
    with client() as http:
        sent = [{"user": "n", "item": "i1", "time": 1}, {"user": "n", "item": "zz", "time": 2}]
        assert http.post("/events", json=sent).json() == {
            "detail": "event 2: item 'zz' is unknown; post it to /items first"
        }
        assert http.get("/users/n").json()["events"] == 0


def test_with_a_token_whoever_lacks_it_is_refused(client):
    with client(token="a secret of some length") as http:
        assert http.get("/recommend").status_code == 401
        assert http.get("/recommend", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert http.get("/recommend", headers={"Authorization": "Bearer a secret of some length"}).status_code == 200
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200


def test_without_a_token_a_name_that_is_not_this_machine_is_refused(client):
    with client() as http:
        assert http.get("/recommend", headers={"Host": "evil.example:80"}).status_code == 421
        assert http.get("/recommend", headers={"Host": "localhost:80"}).status_code == 200


def test_past_so_many_requests_at_once_it_says_when_to_come_again(client):
    with client(at_once=0) as http:
        answer = http.get("/recommend")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1" and "try again" in answer.text
        assert http.get("/healthz").status_code == 200


def test_past_so_many_waiting_writes_it_says_when_to_come_again(opened):
    async def story():
        service, hold = opened(waiting=1), threading.Event()
        async with service:
            # The first is being written and waits for us, the second waits in the queue, the third finds it full.
            begun = threading.Event()
            blocked = asyncio.create_task(service._stored(lambda _: (begun.set(), hold.wait()), lambda _: None))
            await asyncio.to_thread(begun.wait)
            queued = asyncio.create_task(service.withdraw("i1", True))
            await asyncio.sleep(0)
            with pytest.raises(ColdstartError, match="try again"):
                await service.withdraw("i2", True)
            hold.set()
            await asyncio.gather(blocked, queued)

    asyncio.run(story())


def test_a_full_disk_is_told_and_reading_goes_on(client):
    with client() as http:
        service = http.app.state.service
        service.store.db.execute("PRAGMA max_page_count=1")
        sent = [{"user": f"{n}" * 50, "item": "i1", "time": n} for n in range(900)]
        answer = http.post("/events", json=sent)
        assert answer.status_code == 503 and "nothing was stored" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "1"
        assert http.get("/readyz").status_code == 503 and http.get("/healthz").status_code == 200
        assert len(names(http.get("/recommend", params={"user": "u1"}))) == 20
        service.store.db.execute("PRAGMA max_page_count=100000")
        assert http.post("/events", json=sent).json() == {"new": 900, "known": 0}
        assert http.get("/readyz").status_code == 200


def test_a_fault_is_logged_by_its_place_and_not_by_what_somebody_sent(client, caplog, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("about the secret user")

    monkeypatch.setattr(State, "recommend", fail)
    with client() as http, caplog.at_level(logging.INFO):
        answer = http.get("/recommend", params={"user": "secret user"})
    assert answer.status_code == 500 and answer.json() == {"detail": "the service failed; its log says where"}
    (line,) = [record.getMessage() for record in caplog.records if record.name == "coldstart"]
    assert line.startswith("GET /recommend: RuntimeError at") and "secret" not in line


def test_meters_count_and_name_nobody(client):
    with client() as http:
        http.get("/recommend", params={"user": "u0"})
        http.get("/recommend", params={"user": "a stranger"})
        text = http.get("/metrics").text
    assert 'coldstart_answers_total{user="cold"} 1.0' in text and 'coldstart_answers_total{user="known"} 1.0' in text
    assert 'coldstart_requests_total{route="/recommend",status="200"} 2.0' in text and "stranger" not in text


def test_the_page_of_the_contract_asks_no_server_elsewhere(client):
    with client() as http:
        page, contract = http.get("/docs").text, http.get("/openapi.json").json()
    assert "https://" not in page.replace("https://fastapi.tiangolo.com", "")
    paths = {"/items", "/items/{item}", "/events", "/recommend", "/search", "/similar", "/users/{user}"}
    assert paths <= set(contract["paths"])


# --- Learning beside serving -----------------------------------------------------------------------------------------


def test_a_new_model_is_swapped_in_without_a_lost_or_doubled_event(client, folder):
    with client() as http:
        http.post("/items", json=WAR)
        http.post("/events", json=[{"user": "n", "item": f"i{n}", "time": n} for n in range(0, 20, 2)])
        old = http.get("/recommend", params={"user": "n"}).json()["model"]
        learn(folder)
        late = {"item": "x2", "title": "love story at sea"}
        http.post("/items", json=late)
        http.post("/events", json={"user": "n", "item": "x2", "time": 99})
        http.portal.call(http.app.state.service.swap)
        http.post("/events", json={"user": "n", "item": "x1", "time": 100})
        new, said = http.get("/recommend", params={"user": "n", "k": 200}).json(), http.get("/users/n").json()
    assert new["model"] == load(folder).name != old and said["events"] == 12
    assert len(new["items"]) == 32 - 12
    assert np.abs(np.array(said["vector"]) - batch(folder, "n")).max() < 1e-8


def test_enough_events_begin_a_new_model(client, folder):
    with client(retrain_after=5) as http:
        service = http.app.state.service
        http.post("/events", json=[{"user": "n", "item": f"i{n}", "time": n} for n in range(5)])

        async def ended():
            await service.learning

        http.portal.call(ended)
        told = http.get("/readyz").json()
        model = http.get("/recommend").json()["model"]
    assert told == {"ready": True, "learning": False, "retrained": 1}
    assert len(versions(folder)) == 2 and model == load(folder).name and service.since == 0


# --- Starting --------------------------------------------------------------------------------------------------------


def test_it_refuses_to_listen_elsewhere_without_a_token(monkeypatch):
    monkeypatch.delenv(start.TOKEN, raising=False)
    assert start.allowed("127.0.0.1") == start.allowed("localhost") == start.allowed("::1") == ""
    for host in ("0.0.0.0", "192.168.0.7", "example.org"):
        with pytest.raises(ColdstartError, match="COLDSTART_TOKEN"):
            start.allowed(host)
    monkeypatch.setenv(start.TOKEN, "short")
    with pytest.raises(ColdstartError, match="16 characters"):
        start.allowed("0.0.0.0")
    monkeypatch.setenv(start.TOKEN, "long enough, sixteen signs")
    assert start.allowed("0.0.0.0") == "long enough, sixteen signs"


def test_a_second_service_on_the_same_store_is_refused(tmp_path):
    with (
        start.only_writer(tmp_path),
        pytest.raises(ColdstartError, match="another service writes to this store"),
    ):
        start.only_writer(tmp_path)
    start.only_writer(tmp_path).release()


def test_a_store_without_data_ranks_what_is_posted_by_its_text(tmp_path, client_of):
    start.filled(Store(tmp_path), "none", encode, print)
    save(untaught([], width=16), tmp_path)
    with client_of(tmp_path) as http:
        assert http.get("/recommend").json()["items"] == http.get("/search", params={"q": "war"}).json()["items"] == []
        for n, title in enumerate(["war at sea", "love at home", "war on land", "love by the sea"]):
            http.post("/items", json={"item": f"n{n}", "title": title})
        http.post("/events", json={"user": "u", "item": "n0"})
        assert names(http.get("/recommend", params={"user": "u"}))[0] == "n2"
        assert names(http.get("/search", params={"q": "love at home"}))[0] == "n1"
    with client_of(tmp_path) as http:
        assert names(http.get("/recommend", params={"user": "u"}))[0] == "n2"


def test_a_damaged_model_is_told_and_learnt_again(folder):
    (path,) = versions(folder)
    path.write_bytes(b"")
    told = []
    model = start.newest(folder, told.append)
    assert told == [f"{path}: damaged, passed over", "No model is sound: learning one again."]
    assert len(model.numbers) == 30


def sessions(text):
    """Return (method, path, body) of each curl line of a text."""
    found = []
    for line in text.splitlines():
        if line.startswith("curl "):
            words = shlex.split(line)
            (address,) = (word for word in words if word.startswith("http"))
            body = words[words.index("-d") + 1].encode() if "-d" in words else None
            found.append(("POST" if body else "GET", address.removeprefix("http://127.0.0.1:8899"), body))
    return found


class WithoutModel:
    """Stands for the language model."""

    def encode(self, texts):
        return encode(texts).astype(np.float32)


def test_the_session_of_the_readme_works_from_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "TextEncoder", WithoutModel)
    monkeypatch.setattr(start, "quick", lambda encoder: encoder)
    served = []
    monkeypatch.setattr("uvicorn.run", lambda app, **settings: served.append((app, settings)))
    outcome = CliRunner().invoke(cli.app, ["serve", "--store", str(tmp_path / "my_store"), "--port", "8899"])
    assert outcome.exit_code == 0 and "1682 items, 100000 events, model 000001-" in outcome.output
    ((app, settings),) = served
    assert settings["host"] == "127.0.0.1" and settings["access_log"] is False
    headers = {"Content-Type": "application/json"}
    with TestClient(app, base_url="http://127.0.0.1:8899") as http:
        lines = sessions((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"))
        answers = [http.request(method, path, content=body, headers=headers) for method, path, body in lines]
    assert [answer.status_code for answer in answers] == [200, 201, 201, 200, 200]
    assert names(answers[0]) != names(answers[3]) and "x1" in names(answers[4])


def test_what_the_command_cannot_serve_is_one_sentence(tmp_path, monkeypatch):
    run = lambda *words: CliRunner().invoke(cli.app, ["serve", "--store", str(tmp_path), *words]).output  # noqa: E731
    monkeypatch.delenv(start.TOKEN, raising=False)
    assert "coldstart: 0.0.0.0: others could reach it" in run("--host", "0.0.0.0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use already" in run("--port", str(taken.getsockname()[1]))
    with start.only_writer(tmp_path):
        assert "another service writes to this store" in run("--port", "8899")
    monkeypatch.setattr(start, "NEEDED", ("a_package_that_is_not_there",))
    assert "coldstart-utils[serve]" in run()
