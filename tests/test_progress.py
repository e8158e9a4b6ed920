"""progress: what somebody who waits is told."""

import pytest

from coldstart_utils.book import progress

NAMES = ["00_a", "01_b", "02_c"]


def test_a_chapter_weighs_what_it_took_and_a_new_one_what_is_usual():
    assert progress.weights(NAMES, {"00_a": 10.0, "01_b": 30.0, "09_z": 900.0}) == {
        "00_a": 10.0, "01_b": 30.0, "02_c": 20.0,
    }  # fmt: skip
    assert progress.weights(NAMES, {}) == dict.fromkeys(NAMES, 1.0)


def test_the_rest_follows_the_pace_so_far():
    work = {"00_a": 10.0, "01_b": 30.0}
    assert progress.rest(work, {"00_a": 1.0}, 5.0) == pytest.approx(15.0)
    assert progress.rest(work, {"00_a": 1.0, "01_b": 0.5}, 10.0) == pytest.approx(6.0)
    assert progress.rest(work, {"00_a": 1.0, "01_b": 1.0}, 10.0) == 0


def test_a_rest_that_nobody_can_know_is_not_told():
    assert progress.rest({"00_a": 1.0}, {"00_a": 0.02}, 5.0) is None
    assert progress.told(None) == ""


@pytest.mark.parametrize("seconds, words", [(33.2, "about 40 s left"), (100, "about 2 min left")])
def test_a_rest_in_words(seconds, words):
    assert progress.told(seconds) == words


def test_outside_a_terminal_each_chapter_is_a_line(capsys):
    with progress.Watch({"00_a": 4, "01_b": 4}, {}) as watch:
        watch.begin("00_a", 2)
        watch.end("00_a", 12.3)
        watch.begin("00_a", 4)  # what a worker wrote last may be read after its chapter has ended
        watch.end("01_b", 4.0)
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" about")[0] for line in told] == ["00_a: 12 s (1 of 2)", "01_b: 4 s (2 of 2)"]


def test_the_first_run_says_that_texts_are_encoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    assert "reads every text once" in progress.first_run() and str(tmp_path) in progress.first_run()
    (tmp_path / "vectors.sqlite").touch()
    assert progress.first_run() is None
