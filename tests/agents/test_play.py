"""`python -m agents.play`: a person's answers become actions, and advice is what the agents would do."""

import io

import pytest

from agents import make_agent, play
from kvgym.evaluation import play as played

GAME = ["--scenario", "gsp-stable", "--requests", "3", "--seed", "1"]


def typing(monkeypatch, *words):
    """A person who types these words; returns the prompts that were shown."""
    answers, prompts = iter(words), []

    def ask(prompt):
        prompts.append(prompt)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", ask)
    return prompts


def test_the_score_is_that_of_an_agent_that_takes_the_same_workers(monkeypatch, capsys):
    prompts = typing(monkeypatch, "2", "", "9", "x", "?", " 0 ", "3")
    assert play.main(GAME) == 0
    out = capsys.readouterr().out

    class Same:
        observation = "physical"

        def reset(self, env, seed):
            self.workers = iter((2, 0, 3))

        def act(self, observation, info):
            return next(self.workers)

    J = played(Same(), "gsp-stable", 1, overrides={"episode_requests": 3}, split="train").J
    assert f"you {J:.3f}" in " ".join(out.split())
    assert len(prompts) == 7
    assert out.count("one of 0, 1, 2, 3, ? or q") == 3
    assert "3 requests; of all rules" in out.partition("request 512:")[0]  # above the first request, and after the last
    assert "you took 3" in out


def test_advice_is_what_the_adviser_does_where_all_took_its_advice():
    answers = []

    class Follows(play.Person):
        def _choose(self, workers, advice):
            answers.append(advice["lbgr"])
            return advice["lbgr"]

    person = Follows({"lbgr": make_agent("lbgr")}, out=io.StringIO())
    mine = played(person, "gsp-stable", 2, overrides={"episode_requests": 40}, split="train")
    alone = played(make_agent("lbgr"), "gsp-stable", 2, overrides={"episode_requests": 40}, split="train")
    assert mine.actions_sha256 == alone.actions_sha256 and mine.J == alone.J
    assert person.agreed == {"lbgr": 40} and len(set(answers)) > 1


@pytest.mark.parametrize("words", [["1", "q"], ["1"]])
def test_leaving(monkeypatch, capsys, words):
    typing(monkeypatch, *words)
    assert play.main(GAME) == 1
    assert "left after 1 of 3 requests: no score" in capsys.readouterr().out


def test_bad_options(capsys):
    with pytest.raises(SystemExit):
        play.main(["--requests", "0"])
    assert "--requests must be" in capsys.readouterr().err
