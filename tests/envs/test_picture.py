"""The picture of a cluster: its shape, and that it shows what the tables hold."""

import itertools
import string

import gymnasium as gym
import numpy as np
import pytest

import kvgym
from kvgym.envs import picture as drawn
from kvgym.envs.lettering import HEIGHT, write
from tests.envs.helpers import FORMS, MOVING, make, make_form, play, pressed, random_actions, small, steps
from tests.envs.test_observation_cases import small_case
from tests.envs.token_scenarios import make_env


def row(image, w):
    """The row of worker w, of at most 16 workers."""
    first = drawn._TABLE + w * drawn._ROW
    return image[first : first + drawn._ROW]


def length(part, colour):
    """In how many of its columns a part of a picture has a colour."""
    return int((part == colour).all(axis=2).any(axis=0).sum())


@pytest.mark.parametrize("form", FORMS)
def test_one_shape_from_the_first_decision_to_the_end(form):
    env = make_form(form, render_mode="rgb_array")
    pictures = [env.render() for _ in steps(env, random_actions(env), seed=1)]
    pictures += [env.render() for _ in steps(env, random_actions(env))]  # the next episode
    assert {one.shape for one in pictures} == {pictures[0].shape}
    assert all(one.dtype == np.uint8 for one in pictures)
    height, width, colours = pictures[0].shape
    assert colours == 3 and height % 2 == 0 and width % 2 == 0
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))


@pytest.mark.parametrize("form", ["route", "evict", "joint-leaf"])
def test_drawing_at_every_step_changes_nothing(form):
    env, plain = make_form(form, render_mode="rgb_array"), make_form(form)
    seen = [step[0].tolist() for step in steps(env, random_actions(env), seed=1) if env.render() is not None]
    assert seen == [step[0].tolist() for step in play(plain, seed=1)]


def test_there_is_no_picture_before_the_first_episode():
    with pytest.raises(RuntimeError, match="call reset"):
        make(render_mode="rgb_array").render()


def test_an_episode_without_a_decision_has_a_picture_too():
    env = make_form("evict", "sanity", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert env.simulator.tables["clock"]["asking"][0] < 0
    assert env.step(0)[2]
    assert env.render().shape == first.shape


def test_a_small_case_by_hand(monkeypatch):
    env = make_env(monkeypatch, small_case(), render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert [length(row(image, w), colour) for w in (0, 1) for colour in (drawn.LOCKED, drawn.CACHED, drawn.HIT)] == [
        0
    ] * 6
    env.step(0)
    # Three of ten pages are locked, one request runs; eight of the ten prompt tokens of the second one would hit there.
    first, second = row(env.render(), 0), row(env.render(), 1)
    assert length(first, drawn.LOCKED) == round(0.3 * drawn._MEMORY_LENGTH)
    assert length(first, drawn.RUNNING) == 1
    assert length(first, drawn.HIT) == round(0.8 * drawn._COUNT_LENGTH)
    assert not any(length(second, colour) for colour in (drawn.LOCKED, drawn.RUNNING, drawn.QUEUED, drawn.HIT))
    env.step(0)
    env.step(0)
    # The end: two of the ten pages stay cached, and no request is there that could hit.
    first = row(env.render(), 0)
    assert length(first, drawn.CACHED) == round(0.2 * drawn._MEMORY_LENGTH)
    assert length(first, drawn.LOCKED) == length(first, drawn.RUNNING) == length(first, drawn.HIT) == 0


def test_queues_crashes_and_what_could_be_fetched():
    """Each bar is as long as the table says, in every frame; each kind of bar is seen."""
    env = make_form("route", more=MOVING, render_mode="rgb_array")
    seen = set()
    for _ in steps(env, random_actions(env), seed=3):
        image, sim = env.render(), env.simulator
        due = int(sim.tables["clock"]["request"][0])
        for w, worker in enumerate(sim.tables["workers"]):
            shown = row(image, w)
            if not worker["up"]:
                assert length(shown, drawn.DOWN) == drawn._MEMORY_LENGTH
                assert length(shown, drawn.EMPTY) == length(shown, drawn.LOCKED) == 0
                seen.add("down")
                continue
            assert length(shown, drawn.DOWN) == 0
            assert length(shown, drawn.RUNNING) == min(drawn._COUNT_LENGTH, worker["n_running"])
            assert length(shown, drawn.QUEUED) == min(drawn._COUNT_LENGTH, worker["n_queued"])
            assert length(shown, drawn.FETCHING) == min(drawn._COUNT_LENGTH - worker["n_queued"], worker["n_fetching"])
            offered = sim.offer(w, due)[0] if due >= 0 else 0
            assert (length(shown, drawn.OFFERED) > 0) == (offered > 0)
            kinds = {"queued": worker["n_queued"], "fetching": worker["n_fetching"], "offer": offered}
            seen |= {kind for kind, n in kinds.items() if n > 0}
    assert seen == {"down", "queued", "fetching", "offer"}


@pytest.mark.parametrize("form", ["evict", "evict-rule", "joint-leaf"])
def test_what_is_to_be_evicted(form):
    """The worker that asks is shaded; a slot's bar is its leaf's share of the pages that are wanted."""
    env = make_form(form, render_mode="rgb_array")
    shaded, filled = set(), 0
    for _ in steps(env, random_actions(env), seed=1):
        image, sim = env.render(), env.simulator
        asking = int(sim.tables["clock"]["asking"][0])
        assert [w for w in range(3) if length(row(image, w), drawn.ASKING)] == ([asking] if asking >= 0 else [])
        shaded.add(asking)
        panel = image[drawn._TABLE + 3 * drawn._ROW + drawn._LINE + 2 :][: 2 * drawn._ROW - 4]  # bars alone
        if not sim.settings.candidates or asking < 0:
            continue
        wanted = int(sim.tables["workers"]["wanted"][asking])
        pitch = (image.shape[1] - 2 * drawn._MARGIN) // len(sim.candidates())
        for slot, leaf in enumerate(sim.candidates()):
            bar = panel[:, drawn._MARGIN + slot * pitch]
            full = ((bar == drawn.OLDEST) | (bar == drawn.DRAWN)).all(axis=1).sum()
            assert full == (max(1, round(len(bar) * min(1, leaf["tail_pages"] / wanted))) if leaf["valid"] else 0)
            filled += leaf["valid"]
    assert len(shaded) > 1
    assert (filled > 100) == (form != "evict-rule")


@pytest.mark.parametrize("n_workers", [1, 16, 17, 100, 256])
def test_any_number_of_workers(n_workers):
    env = make(more={"n_workers": n_workers}, render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert image.shape[0] % 2 == image.shape[1] % 2 == 0
    assert image.shape[0] < 1400 and image.shape[1] <= 1920
    # Everyone has a bar of memory, nobody's lies on that of another one.
    bars = (
        (image == drawn.EMPTY).all(axis=2) | (image == drawn.CACHED).all(axis=2) | (image == drawn.LOCKED).all(axis=2)
    )
    columns = [bars[:-16, x + drawn._MEMORY] for x in range(0, image.shape[1], drawn._CELL)]
    assert sum(column.sum() for column in columns) == n_workers * drawn._BAR


@pytest.mark.parametrize("candidates", [2, 64, 600])
def test_any_number_of_slots(candidates):
    env = make_form("evict", candidates=candidates, render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert image.shape[1] >= candidates and image.shape[1] % 2 == 0


def test_letters_differ_and_what_is_too_long_is_cut_off():
    seen = {}
    for letter in string.ascii_uppercase + string.digits + " -.,:/":
        place = np.zeros((HEIGHT, 8, 3), np.uint8)
        write(place, 0, 0, letter, (255, 255, 255))
        seen[place.tobytes()] = seen.get(place.tobytes(), "") + letter
    assert sorted(seen.values()) == sorted(string.ascii_uppercase + string.digits + " -.,:/")
    place = np.zeros((HEIGHT, 20, 3), np.uint8)
    write(place, 0, 4, "8" * 50, (255, 255, 255))
    assert not place[:, :4].any() and place[:, 4:].any()


@pytest.mark.parametrize("form", ["route", "evict", "joint-leaf"])
def test_the_native_vector_form_has_the_pictures_of_the_single_ones(form):
    name, arguments = FORMS[form]
    settings = {"scenario_overrides": pressed("gsp-stable"), "render_mode": "rgb_array", **arguments}
    envs = kvgym.make_vec(name, 3, **settings)
    singles = [gym.make(name, **settings) for _ in range(3)]
    envs.reset(seed=5)
    for i, single in enumerate(singles):
        single.reset(seed=5 + i)
    for t in range(8):
        pictures = envs.render()
        assert isinstance(pictures, tuple) and envs.render_mode == "rgb_array"
        assert all(np.array_equal(one, single.render()) for one, single in zip(pictures, singles, strict=True))
        actions = np.full(3, t % 3)
        envs.step(actions)
        for single in singles:
            single.step(t % 3)
    envs.close()


def test_gymnasium_collects_pictures():
    env = gym.make("KVGym/Route-v0", scenario_overrides=small("gsp-stable"), render_mode="rgb_array_list")
    play(env, seed=0)
    pictures = env.render()
    assert len(pictures) == 37 and len({one.shape for one in pictures}) == 1
