"""Pictures of a cluster: their shape, that they show what the tables hold, and who shows and films them."""

import builtins
import itertools
import pickle
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.wrappers import HumanRendering, RecordVideo

import kvgym
from envs_registry import ENVIRONMENTS
from kvgym.envs import picture as drawn
from kvgym.envs.scene import cached_by_group, prefix_groups, read_scene
from studies import side_by_side
from tests.envs.helpers import FORMS, MOVING, make, make_form, play, pressed, random_actions, small, steps
from tests.envs.test_observation_cases import small_case
from tests.envs.token_scenarios import make_env

pygame = pytest.importorskip("pygame", reason="the extra `render` is not installed")


def cells(env, image, w):
    """Parts of a picture of default size: a worker's row, then its memory, batch, queue, hits and links."""
    sheet = drawn._Sheet(read_scene(env.simulator), [], getattr(env, "rules", ()), None)
    row, columns = sheet._cells(w)
    return [image[y : y + height, x : x + width] for x, y, width, height in (row, *columns)]


def length(part, *colours):
    """In how many of its columns a part of a picture has one of the colours."""
    return int(sum((part == colour).all(axis=2) for colour in colours).astype(bool).any(axis=0).sum())


def bars(part, colour):
    """Number of stretches of a colour in the last line of a part, from left to right."""
    line = (part[-1] == colour).all(axis=1)
    return int(line[0]) + int((line[1:] & ~line[:-1]).sum())


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_one_shape_from_the_first_decision_to_the_end(form):
    env = make_form(form, render_mode="rgb_array")
    pictures = [env.render() for _ in steps(env, random_actions(env), seed=1)]
    pictures += [env.render() for _ in steps(env, random_actions(env))]  # the next episode
    assert {one.shape for one in pictures} == {pictures[0].shape}
    assert all(one.dtype == np.uint8 and one.flags.writeable for one in pictures)
    height, width, colours = pictures[0].shape
    assert colours == 3 and height % 2 == 0 and width % 2 == 0
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))


@pytest.mark.parametrize("form", ["route", "evict", "joint-leaf"])
@pytest.mark.parametrize("mode", ["rgb_array", "human"])
def test_drawing_at_every_step_changes_nothing(form, mode, monkeypatch):
    monkeypatch.setitem(kvgym.envs.base.ClusterEnv.metadata, "render_fps", 0)  # a window that does not wait
    env, plain = make_form(form, render_mode=mode), make_form(form)
    seen = [step[0].tolist() for step in steps(env, random_actions(env), seed=1) if (env.render() is None) or True]
    assert seen == [step[0].tolist() for step in play(plain, seed=1)]
    env.close()


@pytest.mark.parametrize("size", [None, (84, 84), (640, 320)])
def test_two_runs_draw_the_same_bits(size):
    runs = []
    for _ in range(2):
        env = make_form("route", more=MOVING, render_mode="rgb_array", render_size=size)
        runs.append([env.render().tobytes() for _ in steps(env, random_actions(env), seed=3)])
    assert runs[0] == runs[1] and len(set(runs[0])) > len(runs[0]) / 2


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
    for w in (0, 1):
        _, memory, batch, queue, hit, _ = cells(env, env.render(), w)
        assert length(memory, drawn.LOCKED, *drawn.GROUPS) == bars(batch, drawn.RUNNING) == 0
        assert bars(queue, drawn.QUEUED) == 0 and length(hit[-5:], drawn.FREE) == hit.shape[1]
    env.step(0)
    # Three of ten pages are locked, one request runs; eight of the ten prompt tokens of the second one would hit there.
    row, memory, batch, _, hit, _ = cells(env, env.render(), 0)
    assert length(memory, drawn.LOCKED) == round(0.3 * memory.shape[1])
    assert bars(batch, drawn.RUNNING) == 1
    assert length(hit[-5:], drawn.SHARED, *drawn.GROUPS) == round(0.8 * hit.shape[1])
    assert (row[:, :3] == drawn.INK).all()  # it was sent there
    row, memory, batch, _, hit, _ = cells(env, env.render(), 1)
    assert length(memory, drawn.LOCKED, *drawn.GROUPS) == bars(batch, drawn.RUNNING) == 0
    assert length(hit[-5:], drawn.SHARED, *drawn.GROUPS) == 0
    assert (row[:, :3] == drawn.ROW).all()
    env.step(0)
    env.step(0)
    # The end: two of the ten pages stay cached, and no request is there that could hit.
    _, memory, batch, _, hit, _ = cells(env, env.render(), 0)
    assert length(memory, drawn.FREE) == round(0.8 * memory.shape[1])
    assert length(memory, drawn.LOCKED) == bars(batch, drawn.RUNNING) == 0
    assert length(hit[-5:], drawn.SHARED, *drawn.GROUPS, drawn.FREE) == 0
    scene = read_scene(env.simulator)
    metrics = env.episode_metrics()
    assert scene.e2e_s == pytest.approx(metrics["e2e_mean"]) and scene.ttft_s == pytest.approx(metrics["ttft_mean"])


def test_queues_crashes_transfers_and_what_could_be_fetched():
    """Each bar is as long as the table says, in every frame; each kind of bar is seen."""
    env = make_form("route", more=MOVING, render_mode="rgb_array")
    seen = set()
    for _ in steps(env, random_actions(env), seed=3):
        image, sim = env.render(), env.simulator
        due = int(sim.tables["clock"]["request"][0])
        under_way = sim.tables["transfers"][: sim.tables["clock"]["n_transfers"][0]]
        for w, worker in enumerate(sim.tables["workers"]):
            _, memory, batch, queue, hit, links = cells(env, image, w)
            if not worker["up"]:
                assert length(memory, drawn.DOWN) == memory.shape[1]
                assert length(memory, drawn.FREE, drawn.LOCKED) == 0
                seen.add("down")
                continue
            assert length(memory, drawn.DOWN) == 0
            room = -(-batch.shape[1] // 3)
            assert abs(bars(batch, drawn.RUNNING) - min(room, worker["n_running"])) <= 1
            if worker["n_queued"] + worker["n_fetching"] < room:
                assert bars(batch, drawn.RUNNING) == worker["n_running"]
                assert bars(queue, drawn.QUEUED) == worker["n_queued"]
                assert bars(queue, drawn.FETCHING) == worker["n_fetching"]
            offered = sim.offer(w, due)[0] if due >= 0 else 0
            assert (length(hit, drawn.FETCHING) > 0) == (offered > 0)
            incoming = under_way[under_way["target"] == w]
            assert (length(links[-5:], drawn.FREE, drawn.FETCHING) > 0) == (len(incoming) > 0)
            kinds = {
                "queued": worker["n_queued"],
                "fetching": worker["n_fetching"],
                "offer": offered,
                "transfer": length(links[-5:], drawn.FETCHING),
            }
            seen |= {kind for kind, n in kinds.items() if n > 0}
    assert seen == {"down", "queued", "fetching", "offer", "transfer"}


@pytest.mark.parametrize("form", ["route", "evict", "joint-leaf", "joint"])
@pytest.mark.parametrize(("scenario", "more"), [("gsp-stable", {}), ("multi-turn", {}), ("gsp-stable", MOVING)])
def test_cached_pages_of_the_groups_are_those_that_may_be_evicted(form, scenario, more):
    env = make_form(form, scenario, more)
    most = 0
    for _ in steps(env, random_actions(env), seed=1):
        groups = prefix_groups(env.workload)
        for worker, (numbers, pages) in zip(
            env.simulator.tables["workers"], cached_by_group(env.simulator, groups), strict=True
        ):
            assert pages.sum() == worker["evictable"] and (pages > 0).all() and (np.diff(numbers) > 0).all()
            most = max(most, len(numbers))
    assert most > 1


def test_prompts_of_a_group_begin_with_the_same_pages():
    """In gsp-stable a prompt's group is known by the hash of its first 256 tokens."""
    env = make()
    env.reset(seed=0)
    workload = env.workload
    groups = prefix_groups(workload)
    first = groups[workload.paths[workload.requests["path_start"]]]
    pairs = set(zip(first.tolist(), workload.requests["prefix_u"].tolist(), strict=True))
    assert len(pairs) == len(set(first.tolist())) == len({u for _, u in pairs}) == 8


@pytest.mark.parametrize("form", ["evict", "evict-rule", "joint-leaf"])
def test_what_is_to_be_evicted(form):
    """The worker that asks is shaded; a slot's bar is its leaf's share of the pages that are wanted."""
    env = make_form(form, render_mode="rgb_array")
    shaded, filled = set(), 0
    for _ in steps(env, random_actions(env), seed=1):
        image, sim = env.render(), env.simulator
        asking = int(sim.tables["clock"]["asking"][0])
        assert [w for w in range(3) if length(cells(env, image, w)[0], drawn.ASKING)] == (
            [asking] if asking >= 0 else []
        )
        shaded.add(asking)
        if not sim.settings.candidates or asking < 0:
            continue
        wanted, n = int(sim.tables["workers"]["wanted"][asking]), len(sim.candidates())
        groups = prefix_groups(sim.workload)
        top = drawn._HEAD + drawn._TITLES + 3 * 40 + 20
        for slot, leaf in enumerate(sim.candidates()):
            bar = image[top : top + 36, drawn._MARGIN + slot * (image.shape[1] - 2 * drawn._MARGIN) // n]
            row = sim.tables["candidates"][slot]
            full = (bar == drawn._colour(groups[sim.tables["rows"]["node"][row]])).all(axis=1).sum()
            assert full == (max(1, round(36 * min(1, leaf["tail_pages"] / wanted))) if leaf["valid"] else 0)
            filled += leaf["valid"]
    assert len(shaded) > 1
    assert (filled > 100) == (form != "evict-rule")


@pytest.mark.parametrize("n_workers", [1, 2, 4, 8, 16, 17, 64, 256])
@pytest.mark.parametrize(
    "more", [{}, {"network": {"per_node": 8, "inside": "nvlink-h100", "between": "ethernet-100g"}}]
)
def test_any_number_of_workers(n_workers, more):
    """No box of a worker lies on another one, or beyond the picture; each has its bar of memory."""
    transfer = {"transfer": "auto", **more} if more else {}
    env = make(
        "multi-node-agents" if more else "gsp-stable", {"n_workers": n_workers, **transfer}, render_mode="rgb_array"
    )
    env.reset(seed=0)
    image = env.render()
    assert image.shape[0] % 2 == image.shape[1] % 2 == 0
    sheet = drawn._Sheet(read_scene(env.simulator), [], (), None)
    taken = np.zeros(image.shape[:2], int)
    for w in range(n_workers):
        row, columns = sheet._cells(w)
        inside = np.zeros((row[3], row[2]), int)
        for x, y, width, height in [column for column in columns if column[2] > 0]:
            assert row[0] <= x and x + width <= row[0] + row[2] and row[1] <= y and y + height <= row[1] + row[3]
            inside[y - row[1] : y - row[1] + height, x - row[0] : x - row[0] + width] += 1
        assert inside.max() == 1
        taken[row[1] : row[1] + row[3], row[0] : row[0] + row[2]] += 1
        x, y, width, height = columns[0]
        memory = image[y : y + height, x : x + width]
        assert length(memory, drawn.FREE, drawn.LOCKED, drawn.PAPER, drawn.SHARED, *drawn.GROUPS) == memory.shape[1]
    assert taken.max() == 1 and not taken[: drawn._HEAD].any() and not taken[-drawn._LEGEND :].any()


@pytest.mark.parametrize("size", [(84, 84), (32, 32), (200, 100), (500, 400), (1920, 1080)])
@pytest.mark.parametrize("form", ["route", "evict", "joint"])
def test_any_size(form, size):
    env = make_form(form, render_mode="rgb_array", render_size=size)
    env.reset(seed=0)
    pictures = []
    for t in range(9):
        env.step(np.array([t % 3, 0]) if form == "joint" else t % 3)
        pictures.append(env.render())
    assert all(picture.shape == (size[1], size[0], 3) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) > 1


@pytest.mark.parametrize("size", [84, (84,), (84, 84, 3), "84x84", (31, 84), (84, 84.5), (True, 84)])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="render_size"):
        make(render_mode="rgb_array", render_size=size)


@pytest.mark.parametrize("candidates", [2, 64, 600])
def test_any_number_of_slots(candidates):
    env = make_form("evict", candidates=candidates, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (drawn._HEAD + drawn._TITLES + 3 * 40 + drawn._SLOTS + drawn._LEGEND + 8, 960, 3)


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
        envs.step(np.full(3, t % 3))
        for single in singles:
            single.step(t % 3)
    envs.close()


def test_a_grid():
    pictures = [np.full((4, 6, 3), i + 1, np.uint8) for i in range(5)]
    whole = drawn.grid(pictures)
    assert whole.shape == (8, 18, 3)
    assert whole[::4, ::6, 0].tolist() == [[1, 2, 3], [4, 5, drawn.PAPER[0]]]
    assert (whole[4:, :6] == 4).all() and (whole[4:, 12:] == drawn.PAPER).all()
    assert drawn.grid(pictures[:1]).tolist() == pictures[0].tolist()


def shown():
    """What the window shows: uint8 (height, width, 3)."""
    return pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)


@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_a_window_shows_the_picture(id):
    settings = {"scenario_overrides": pressed("gsp-stable"), "disable_env_checker": False}
    env, beside = (gym.make(id, render_mode=mode, **settings) for mode in ("human", "rgb_array"))
    env.reset(seed=0), beside.reset(seed=0)
    assert np.array_equal(shown(), beside.render())
    action = env.action_space.sample()
    env.step(action), beside.step(action)
    assert np.array_equal(shown(), beside.render()) and env.render() is None
    again = pickle.loads(pickle.dumps(env.unwrapped))
    env.close(), env.close()
    assert not pygame.display.get_init()
    again.step(action)  # opens one of its own
    assert pygame.display.get_init()
    again.close()


@pytest.mark.parametrize("make_vec", [kvgym.make_vec, gym.make_vec])
def test_a_window_shows_a_grid(make_vec):
    settings = {"scenario_overrides": pressed("gsp-stable"), "render_size": (200, 100)}
    envs, beside = (make_vec("KVGym/Route-v0", 3, render_mode=mode, **settings) for mode in ("human", "rgb_array"))
    assert envs.render_mode == "human"
    envs.reset(seed=0), beside.reset(seed=0)
    assert np.array_equal(shown(), drawn.grid(beside.render()))
    for t in range(2):
        envs.step(np.full(3, t)), beside.step(np.full(3, t))
        assert np.array_equal(shown(), drawn.grid(beside.render()))
    assert envs.render() is None
    envs.close()
    assert not pygame.display.get_init()


def test_a_window_is_no_larger_than_a_screen():
    painter = drawn.Painter(None, 0)
    painter.show(np.zeros((3000, 2000, 3), np.uint8))
    assert pygame.display.get_surface().get_size() == (667, 1000)
    painter.close()


@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_gymnasiums_window(id):
    env = HumanRendering(gym.make(id, scenario_overrides=pressed("gsp-stable"), render_mode="rgb_array"))
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert np.array_equal(shown(), env.env.render())
    env.close()


def test_gymnasiums_films(tmp_path):
    pytest.importorskip("moviepy", reason="moviepy is not installed")
    count = pytest.importorskip("imageio_ffmpeg").count_frames_and_secs
    settings = {"scenario_overrides": pressed("gsp-stable"), "render_mode": "rgb_array"}
    env = RecordVideo(gym.make("KVGym/Route-v0", **settings), str(tmp_path / "film"), video_length=12)
    env.reset(seed=0)
    for _ in range(13):
        env.step(env.action_space.sample())
    env.close()
    (film,) = (tmp_path / "film").iterdir()
    assert count(str(film))[0] == 13  # one more than asked for, as Gymnasium has it


def test_gymnasium_collects_pictures():
    env = gym.make("KVGym/Route-v0", scenario_overrides=small("gsp-stable"), render_mode="rgb_array_list")
    play(env, seed=0)
    pictures = env.render()
    assert len(pictures) == 37 and len({one.shape for one in pictures}) == 1


@pytest.mark.parametrize("mode", ["rgb_array", "human"])
def test_without_pygame(mode, monkeypatch):
    """The error says what to install; an environment that draws nothing does not ask for it."""
    real = builtins.__import__

    def no_pygame(name, *args, **kwargs):
        if name.split(".")[0] == "pygame":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split(".")[0] == "pygame"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", no_pygame)
    make(render_mode="ansi").reset(seed=0)
    env = make(render_mode=mode)
    with pytest.raises(DependencyNotInstalled, match=r'pip install "kvgym\[render\]"'):
        env.reset(seed=0)
        env.render()


def test_the_film_of_the_readme(tmp_path):
    """Both play the same arrivals, and are shown at the same times; the file holds all pictures."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    films = [side_by_side.film(*rival, seed=0, frames=3) for rival in side_by_side.RIVALS]
    assert all(len(pictures) == 3 for pictures, _ in films)
    assert films[0][1] == films[1][1]
    time = [pictures[2][:34, 700:] for pictures, _ in films]
    assert np.array_equal(*time) and not np.array_equal(films[0][0][2], films[1][0][2])
    side_by_side.save(films[0][0], tmp_path / "film.gif")
    with image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3 and film.size == films[0][0][0].shape[1::-1]
