"""The page of `kvgym watch` in headless Chromium: it loads, draws, plays, and tells what the films hold."""

import numpy as np
import pytest

from agents import make_agent
from kvgym.watch.film import film
from kvgym.watch.payload import page
from tests.browser import chromium, needs_browser, screen

pytestmark = needs_browser

SHORT = {"episode_requests": 80, "warmup_requests": 40}
CRASHES = {"episode_requests": 100, "warmup_requests": 40, "faults": {"crash_every_s": 5.0, "down_s": 1.0}}
# Memory that is full at once.
FULL = {
    **{"episode_requests": 12, "warmup_requests": 20},
    "workers": [{"kv_tokens": 12288, "cost": {"c0": 20.0, "k": 0.1}, "count": 4}],
}
CASES = {
    "one": ("gsp-stable", SHORT, ["lbgr"]),
    "two": ("gsp-stable", SHORT, ["lbgr", "random"]),
    "transfers": ("multi-node-agents", {"episode_requests": 60}, ["lbgr", "random"]),
    "crashes": ("failover", CRASHES, ["least_loaded"]),
    "evict": ("gsp-stable", FULL, ["rlt", "lru"]),
}
ONE, TWO = "one", "two"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def films():
    """Films by the name of a case, played when first asked for."""
    played = {}

    def of(case):
        if case not in played:
            scenario, overrides, agents = CASES[case]
            shots = [film(make_agent(a), a, scenario, 3, overrides=overrides, look_ahead=2) for a in agents]
            played[case] = shots
        return played[case]

    return of


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def show(browser, films, tmp_path):
    """Shows films on a screen of a size; returns what runs JavaScript in the page."""

    def of(case, width=1600, height=900, dark=False):
        screen(browser, width, height, dark)
        file = tmp_path / "page.html"
        file.write_text(page(films(case)), encoding="utf-8")
        browser.get(file.as_uri())
        browser.execute_async_script(
            "const done = arguments[0];"
            "const look = () => performance.getEntriesByName('first frame').length || !byId('problem').hidden"
            " ? done() : setTimeout(look, 10); look();"
        )
        return browser.execute_script

    yield of
    assert browser.get_log("browser") == [], "the console is silent"


def drawn(js):
    """Draws what is due, now."""
    js("stale(); frame(performance.now())")


def colours(js, number=0):
    """How many colours a panel's picture has."""
    return js(
        "const c = panels[arguments[0]].canvas;"
        "const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);"
        "return new Set(d).size",
        number,
    )


def press(browser, key):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(key).perform()


def click(browser, number, x, y):
    """Clicks with the mouse at a place of a panel's canvas."""
    box = browser.execute_script(
        "const b = panels[arguments[0]].canvas.getBoundingClientRect(); return [b.left, b.top]", number
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        where = {"type": kind, "x": box[0] + x, "y": box[1] + y, "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", where)


def text(js, selector):
    """The text of an element, with plain spaces."""
    found = js("return document.querySelector(arguments[0])?.textContent ?? null", selector)
    return found and found.replace("\xa0", " ")


def seconds(value):
    """A duration as the page writes it, for those from a millisecond to 100 s."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{1000 * value:.{1 if value < 0.0995 else 0}f} ms"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dark", [False, True])
def test_page_loads_and_draws(show, films, case, dark):
    js = show(case, dark=dark)
    shots = films(case)
    assert js("return byId('problem').hidden")
    assert js("return panels.length") == len(shots)
    for number, shot in enumerate(shots):
        assert colours(js, number) > 20
        assert shot.agent in text(js, f".panel:nth-child({number + 1}) h2")
    drawn(js)
    ground = js("return getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def test_no_request_leaves_the_page(show, browser):
    js = show(TWO)
    js("openDrawer('list'); setTime(state.end / 2); step(1); openDrawer('detail')")
    drawn(js)
    assert js("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    policy = js("return document.querySelector('meta[http-equiv]').content")
    assert policy.startswith("default-src 'none'")
    # The policy holds: the browser itself refuses what asks a host, even this one.
    refused = "const done = arguments[0]; fetch(location.href).then(() => done(false), () => done(true))"
    assert browser.execute_async_script(refused)
    assert browser.get_log("browser"), "a refusal is logged"


def test_head_tells_who_is_faster(show, films):
    js = show(TWO)
    first, second = films(TWO)
    head = text(js, "#agents")
    for shot in (first, second):
        assert f"{shot.agent}: mean latency{seconds(shot.metrics['J'])}" in head
    by = 100 * (second.metrics["J"] / first.metrics["J"] - 1)
    assert f"{abs(by):.1f} %" in head
    assert "gsp-stable" in text(js, "h1")


def test_mean_at_the_end_is_the_metric(show, films):
    for case in (TWO, "transfers", "crashes"):
        js = show(case)
        for number, shot in enumerate(films(case)):
            assert js("return latencySoFar(state.films[arguments[0]], 1e9)", number) == pytest.approx(
                shot.metrics["J"], abs=2e-6
            )


def test_space_plays_and_pauses(show, browser):
    js = show(ONE)
    before = js("return state.time")
    press(browser, " ")
    assert js("return [state.playing, byId('play').getAttribute('aria-label')]") == [True, "Pause"]
    browser.execute_async_script(
        "const [from, done] = arguments;"
        "const look = () => state.time > from + 0.05 ? done() : setTimeout(look, 10); look()",
        before,
    )
    assert text(js, "#time") != f"{before:,.3f} s"
    press(browser, " ")
    after = js("return state.time")
    assert not js("return state.playing") and after > before
    drawn(js)
    assert js("return state.time") == after


def test_clock_goes_at_the_chosen_speed(show):
    js = show(ONE)
    for speed in (0.1, 1, 100):
        went = js(
            "state.speed = arguments[0]; setTime(1, true); const t = state.time; advance(0.05); return state.time - t",
            speed,
        )
        assert went == pytest.approx(0.05 * speed, abs=1e-9)
    js("setPlaying(true); setTime(state.end - 1e-3); state.speed = 100; advance(0.1)")
    assert js("return [state.time === state.end, state.playing]") == [True, False]


def test_scrubbing_moves_clock_window_and_picture(show, browser):
    js = show(TWO)
    end = js("return state.end")
    box = js("const b = byId('scrub').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]")

    def mouse(kind, share):
        where = {"x": box[0] + share * box[2], "y": box[1] + box[3] / 2}
        browser.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": kind, **where, "button": "left", "buttons": 1, "clickCount": 1}
        )

    mouse("mouseMoved", 0.5)
    mouse("mousePressed", 0.5)
    assert js("return state.time") == pytest.approx(0.5 * end, rel=0.01)
    drawn(js)
    before = js("return panels[0].canvas.toDataURL()")
    mouse("mouseMoved", 0.75)
    mouse("mouseReleased", 0.75)
    time, from_s, to_s = js("return [state.time, state.from, state.to]")
    assert time == pytest.approx(0.75 * end, rel=0.01) and from_s <= time <= to_s
    drawn(js)
    assert js("return panels[0].canvas.toDataURL()") != before
    assert float(js("return byId('scrub').getAttribute('aria-valuenow')")) == pytest.approx(time, abs=1e-3)


def test_arrow_keys_step_through_decisions(show, films, browser):
    from selenium.webdriver.common.keys import Keys

    js = show(ONE)
    times = films(ONE)[0].times
    js("setTime(arguments[0])", float(times[10]) + 1e-5)
    at = [js("return state.time")]
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        press(browser, key)
        at.append(js("return state.time"))
    assert at[1:] == pytest.approx([times[11], times[12], times[11]], abs=2e-6)


def test_zoom_keeps_what_is_under_the_pointer(show, browser):
    js = show(ONE)
    before = js("return [state.from, state.to, timeOf(panels[0], 300)]")
    box = js("const b = panels[0].canvas.getBoundingClientRect(); return [b.left, b.top]")
    wheel = {"type": "mouseWheel", "x": box[0] + 300, "y": box[1] + 200, "deltaX": 0, "deltaY": -200}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", wheel)
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    after = js("return [state.from, state.to, timeOf(panels[0], 300)]")
    assert after[1] - after[0] < 0.9 * (before[1] - before[0])
    assert after[2] == pytest.approx(before[2], abs=1e-6 + 0.01 * (before[1] - before[0]))
    press(browser, "-")
    assert js("return state.to - state.from") > after[1] - after[0]


def test_click_on_a_decision_tells_what_it_cost(show, films, browser):
    js = show(TWO)
    shot, other = films(TWO)
    i = 30
    js("setTime(arguments[0])", float(shot.times[i]))
    # The mark of the decision in the lane of the worker that was chosen.
    x, y = js(
        "const [i] = arguments; const p = panels[0]; zoom(0.2);"
        "return [xOf(p, p.film.decisions.time[i]), topsOf(p, decidedWorker(p.film, i)).ticks + 4]",
        i,
    )
    click(browser, 0, x, y)
    request, worker = int(shot.deciding[i]), int(shot.actions[i])
    title = text(js, "#drawer h2")
    assert title.startswith(f"Request {request} → worker {worker}")
    assert f"ROUTE decision {i + 1} of {len(shot.times)} by {shot.agent}" in title
    for w, cost in enumerate(shot.costs[i].tolist()):
        row = text(js, f"#drawer .choices [data-action='{w}']")
        assert seconds(cost) in row
        by = cost - float(shot.costs[i, worker])
        if abs(by) >= 1e-3:
            assert ("+" if by > 0 else MINUS) + seconds(abs(by)) in row
    chosen = js("return [...document.querySelectorAll('#drawer .choices .chosen')].map((row) => row.dataset.action)")
    assert chosen == [str(worker)]
    row = int(np.flatnonzero(shot.requests["request"] == request)[0])
    assert f"{shot.requests['prompt_tokens'][row]:,} tokens" in text(js, "#drawer .facts")
    latency = shot.requests["finish"][row] - shot.requests["arrival"][row]
    assert seconds(float(latency)) in text(js, "#drawer .life")
    same = int(np.flatnonzero(other.deciding == request)[0])
    assert f"Request {request} → worker {other.actions[same]} at" in text(js, "#drawer")


def test_observation_is_a_table_by_worker_that_can_be_filtered(show, films, browser):
    js = show(ONE)
    shot, i = films(ONE)[0], 12
    js("const f = state.films[0]; select(f, f.decisions.request[arguments[0]], arguments[0])", i)
    names = shot.layout.names
    cells = js(
        "return Object.fromEntries([...document.querySelectorAll('#drawer .observation tr[data-words]')].map((row) =>"
        " [row.querySelector('th').firstChild.textContent, [...row.querySelectorAll('td')].map((d) => d.textContent)]))"
    )
    seen = 0
    for name, value in zip(names, shot.observations[i].tolist(), strict=True):
        of, dot, feature = name.partition(".")
        shown = cells[feature if dot else name][int(of[1:]) if dot else 0]
        assert float(shown.replace(",", "").replace(MINUS, "-")) == pytest.approx(value, rel=1e-3, abs=1e-6), name
        seen += 1
    assert seen == shot.observations.shape[1]
    js("document.querySelector('#drawer input').focus()")
    for letter in "queued":
        press(browser, letter)
    left = js(
        "return [...document.querySelectorAll('#drawer tr[data-words]')].filter((row) => !row.hidden)"
        ".map((row) => row.dataset.words)"
    )
    assert left and len(left) < len(cells) and all("queued" in words for words in left)


def test_click_on_a_request_tells_its_life(show, films, browser):
    js = show(ONE)
    shot = films(ONE)[0]
    decided = int(shot.deciding[20])
    x, y = js(
        "const f = state.films[0], row = f.rowOf.get(arguments[0]), w = f.requests.worker[row], b = f.bars[w];"
        "setTime(f.requests.arrival[row]); drawPanel(panels[0]); const k = b.list.indexOf(row), p = panels[0];"
        "return [(xOf(p, b.arrival[k]) + Math.min(p.width, xOf(p, b.finish[k]))) / 2,"
        " topsOf(p, w).requests + 1 + (b.slot[k] + 0.5) * p.rowHeight]",
        decided,
    )
    click(browser, 0, x, y)
    assert text(js, "#drawer h2").startswith(f"Request {decided} ")
    row = int(np.flatnonzero(shot.requests["request"] == decided)[0])
    r = shot.requests
    life = text(js, "#drawer .life")
    assert f"decode {seconds(float(r['finish'][row] - r['first_token'][row]))}" in life
    assert f"prefill {seconds(float(r['first_token'][row] - r['admitted'][row]))}" in life


def test_list_of_decisions_opens_one_and_sorts_by_loss(show, films, browser):
    js = show(TWO)
    shot = films(TWO)[0]
    js("if (byId('drawer').hidden) byId('list').click()")
    assert "Decisions" in text(js, "#drawer h2")
    js("const s = document.querySelector('#drawer select'); s.value = 'loss'; s.dispatchEvent(new Event('change'))")
    first = int(js("return document.querySelector('#drawer .rows button').dataset.decision"))
    lost = shot.costs[np.arange(len(shot.actions)), shot.actions] - np.nanmin(shot.costs, axis=1)
    assert lost[first] == pytest.approx(lost.max(), abs=2e-6)
    js("document.querySelector('#drawer .rows button').click()")
    assert f"decision {first + 1} of" in text(js, "#drawer h2")
    press(browser, "\ue00c")  # Escape
    assert js("return byId('drawer').hidden")


@pytest.mark.parametrize("plays", [True, False])
def test_list_goes_along_while_it_plays_and_with_the_scrubber(show, films, plays):
    js = show(TWO)
    times = films(TWO)[0].times
    # It plays, but so slowly that only the test moves the clock.
    js(
        "openDrawer('list'); setTime(arguments[0]); state.speed = 0; setPlaying(arguments[1])",
        float(times[40]) - 1e-3,
        plays,
    )
    for i in range(40, 60, 5):
        js("setTime(arguments[0]); draw()", float(times[i]) + 1e-5)
        assert js("return document.querySelector('#drawer [aria-current]').dataset.decision") == str(i)
        top, bottom = js("const b = byId('drawer').getBoundingClientRect(); return [b.top, b.bottom]")
        row = js("return document.querySelector('#drawer [aria-current]').getBoundingClientRect().top")
        assert top < row < bottom


def test_evictions_name_the_leaf(show, films):
    js = show("evict")
    shot = films("evict")[0]
    i = len(shot.times) // 2
    js("const f = state.films[0]; select(f, f.decisions.request[arguments[0]], arguments[0])", i)
    title = text(js, "#drawer h2")
    assert f"worker {shot.asking[i]} evicts leaf c{shot.actions[i]}" in title and "EVICT" in title
    assert js("return document.querySelectorAll('#drawer .observation table').length") == 3


def test_faults_and_transfers_lie_where_the_film_says(show, films):
    js = show("crashes")
    shot = films("crashes")[0]
    assert len(shot.faults)
    fault = shot.faults[0]
    inside = fault.time_s + 0.5 * fault.down_s
    js("setTime(arguments[0])", inside)
    drawn(js)
    assert js("return workerAt(state.films[0], arguments[0], arguments[1]).up", fault.worker, inside) is False
    assert js("return workerAt(state.films[0], arguments[0], arguments[1]).up", fault.worker, fault.time_s - 0.1)
    js = show("transfers")
    number = next(n for n, shot in enumerate(films("transfers")) if shot.transfers)
    request, source, target, start, end = films("transfers")[number].transfers[0]
    found = js(
        "return pickTransfer(state.films[arguments[0]], arguments[1], arguments[2], 0)",
        number,
        target,
        (start + end) / 2,
    )
    assert found["request"] == request and f"worker {source} → worker {target}" in found["lines"][0]


def test_memory_now_is_that_of_the_last_decision(show, films):
    js = show(ONE)
    shot = films(ONE)[0]
    for i in (0, 25, 70):
        for w in range(len(shot.kv_pages)):
            now = js("return workerAt(state.films[0], arguments[0], arguments[1])", w, float(shot.times[i]) + 2e-6)
            assert [now[name] for name in ("locked", "cached", "running", "queued")] == shot.workers[i, w, :4].tolist()


@pytest.mark.parametrize("case", [ONE, TWO, "transfers"])
def test_phone(show, browser, case):
    js = show(case, 360, 740)
    unfold = "for (const part of document.querySelectorAll('details')) part.open = true"
    for view in ("", unfold, "openDrawer('list')", "select(state.films[0], state.films[0].decisions.request[5], 5)"):
        js(view)
        drawn(js)
        assert js("return document.documentElement.scrollWidth") <= 360
        boxes = js(
            "return [...document.querySelectorAll('.buttons button, .buttons select')].map((b) =>"
            " [b.getBoundingClientRect().left, b.getBoundingClientRect().right, b.getBoundingClientRect().bottom,"
            " b.getBoundingClientRect().width, b.getBoundingClientRect().height])"
        )
        for left, right, bottom, width, height in boxes:
            assert left >= 0 and right <= 360 and bottom <= 740 and width >= 40 and height >= 40
    tops = js("return panels.map((p) => p.canvas.getBoundingClientRect().left)")
    assert len(set(tops)) == 1, "panels stand below each other"


def test_two_films_side_by_side_on_a_wide_screen(show):
    js = show(TWO)
    lefts = js("return panels.map((p) => p.canvas.getBoundingClientRect().left)")
    tops = js("return panels.map((p) => p.canvas.getBoundingClientRect().top)")
    assert lefts[0] < lefts[1] and tops[0] == tops[1]
    assert js("return document.documentElement.scrollWidth") <= 1600


def test_tooltip_tells_what_lies_under_the_pointer(show, films, browser):
    js = show(ONE)
    shot, i = films(ONE)[0], 30
    js("setTime(arguments[0])", float(shot.times[i]))
    x, y = js(
        "const p = panels[0]; return [xOf(p, p.film.decisions.time[arguments[0]]),"
        " topsOf(p, decidedWorker(p.film, arguments[0])).ticks + 4]",
        i,
    )
    box = js("const b = panels[0].canvas.getBoundingClientRect(); return [b.left, b.top]")
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": box[0] + x, "y": box[1] + y})
    browser.execute_async_script("setTimeout(arguments[0], 50)")
    assert not js("return byId('tip').hidden") and "→ worker" in text(js, "#tip")


@pytest.mark.slow
def test_a_broken_film_says_so(browser, films, tmp_path):
    file = tmp_path / "broken.html"
    whole = page(films(ONE))
    start = whole.index('type="application/json">') + len('type="application/json">')
    file.write_text(whole[:start] + "AAAA" + whole[whole.index("</script>", start) :], encoding="utf-8")
    browser.get(file.as_uri())
    browser.execute_async_script(
        "const done = arguments[0]; const look = () => byId('problem').hidden ? setTimeout(look, 10) : done(); look()"
    )
    assert "cannot be shown" in browser.find_element("id", "problem").text
    browser.get_log("browser")
