"""The page of the leaderboard: it needs nothing else, and takes names for names."""

import json
import re

import pytest

from kvgym.evaluation import anchors, plain
from kvgym.evaluation.page import page
from kvgym.evaluation.standings import Failure, Player
from kvgym.scenarios import get_scenario
from tests.browser import chromium, needs_browser, screen

EVIL = "mine.py:</script><img src=x onerror='document.title=1'>/*JS*/"
RANDOM, REFERENCE = Player("random", "lru"), Player("lbgr_code", "rlt_code")
ORACLE = Player("lbgr_code", "belady", True)
COSTS = {RANDOM: 8.0, REFERENCE: 2.0, Player(EVIL, "lru"): 1.5, ORACLE: 1.0}
NONE = "\N{EN DASH}"
NAMES = ("gsp-stable", "gsp", "long-doc")


@pytest.fixture(scope="module")
def values(made_up):
    """Three scenarios, one of them not ranked; two players with names to be wary of."""
    scenarios = [get_scenario(name) for name in NAMES]
    frozen = {one.name: made_up.frozen(one, planner=1.2 if one.name != "long-doc" else None) for one in scenarios}
    boards = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchors, "load", lambda: frozen)
        for number, scenario in enumerate(scenarios):
            costs = {**COSTS, ORACLE: 1 + 0.1 * number}
            played = {player: made_up.episodes(cost, 12) for player, cost in costs.items()}
            errors = {Player("bad.py:<b>Bad</b>", "lru"): Failure("it looked <i>behind</i> the view", broke_rule=True)}
            boards.append(made_up.board(scenario, played, errors))
    return plain.as_dict(made_up.report(boards, provenance={"command": "kvgym leaderboard --seeds 12"}))


def test_it_holds_all_numbers_and_asks_nobody(values):
    text = page(values)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)["scenarios"][0]["rows"][0]["J"] == values["scenarios"][0]["rows"][0]["J"]
    assert text.count("<script") == 2 and "<img" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=[\"']?https?:|@import|url\(", text)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def show(browser, values, tmp_path):
    """Shows the page on a screen; returns what runs JavaScript there."""

    def of(width=1280, dark=False):
        screen(browser, width, 900, dark)
        file = tmp_path / "page.html"
        file.write_text(page(values), encoding="utf-8")
        browser.get(file.as_uri())
        return browser.execute_script

    yield of
    assert browser.get_log("browser") == [], "the console is silent"


def column(js, selector, number):
    """The texts of a column of the first table that a selector finds."""
    rows = f"document.querySelector('{selector} table').querySelectorAll('tbody tr')"
    return js(f"return [...{rows}].map((row) => row.children[{number}].innerText)")


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_it_fits_screens_and_themes(show, width, dark):
    js = show(width, dark)
    assert js("return document.documentElement.scrollWidth") <= width
    titles = js("return [...document.querySelectorAll('h2')].map((one) => one.innerText)")
    assert titles == ["Scores", "By scenario", "One scenario", "Profiles", "Bounds", "Provenance"]
    assert js("return document.querySelectorAll('svg').length") > 6
    ground = js("return getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
    outside = "[...document.querySelectorAll('section > svg, section div > svg')]"
    assert js(f"return {outside}.every((one) => one.getBoundingClientRect().right <= innerWidth)")


@pytest.mark.slow
@needs_browser
def test_names_are_text(show):
    js = show()
    assert js("return document.title") == "KVGym leaderboard"
    assert js("return document.querySelectorAll('img, b, i').length") == js(
        "return document.querySelectorAll('.key i').length"
    )
    assert f"{EVIL}\nlru" in column(js, "#scores", 1)
    assert "NOT RANKED bad.py:<b>Bad</b> + lru: it looked <i>behind</i> the view" in js(
        "return document.getElementById('scenario').innerText"
    )


@pytest.mark.slow
@needs_browser
def test_tables_are_sorted_by_what_is_pressed(show):
    js = show()
    assert column(js, "#scores", 0) == [NONE, "1", "2", "3"]
    press = "[...document.querySelectorAll('#scores th button')].find((one) => one.innerText === 'score').click()"
    js(press)
    best_first = column(js, "#scores", 4)
    js(press)
    assert column(js, "#scores", 4) == best_first[::-1]
    assert js("return document.querySelector('#scores th[aria-sort]').getAttribute('aria-sort')") == "ascending"
    assert column(js, "#bounds", 7) == ["0.300"] * 3
    assert column(js, "#map", 0)[-2:] == ["random\nlru", "bad.py:<b>Bad</b>\nlru"]
    heads = js("return [...document.querySelectorAll('#map thead th')].map((one) => one.innerText)")
    assert heads == ["agent", "gsp-stable", "gsp", "(long-doc)"]


@pytest.mark.slow
@needs_browser
def test_another_scenario_is_shown_when_it_is_chosen(show, values):
    js = show()
    choose = (
        "const one = document.querySelector('#scenario select'); one.value = 2; one.dispatchEvent(new Event('change'))"
    )
    js(choose)
    text = js("return document.getElementById('scenario').innerText")
    assert "Not ranked: no planner was played on this version: what there is to gain is not known." in text
    assert float(column(js, "#scenario", 1)[0]) == pytest.approx(values["scenarios"][2]["rows"][0]["J"], rel=0.01)
