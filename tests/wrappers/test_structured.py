"""StructuredObservation: the same numbers in blocks."""

import numpy as np
import pytest

from kvgym.envs.features import WORKER_FEATURES
from kvgym.wrappers import StructuredObservation, VectorStructuredObservation
from tests.envs.helpers import FORMS, make_form, play
from tests.wrappers.batches import FAULTY, assert_is_what_gymnasium_makes


@pytest.mark.parametrize("more", [{}, FAULTY], ids=["plain", "faulty"])
@pytest.mark.parametrize("form", FORMS)
def test_the_blocks_joined_are_the_flat_observation(form, more):
    env, bare = StructuredObservation(make_form(form, more=more)), make_form(form, more=more)
    for (blocks, *_), (flat, *_) in zip(play(env, seed=0), play(bare, seed=0), strict=True):
        assert np.concatenate([block.ravel() for block in blocks.values()]).tolist() == flat.tolist()
    low, high = (
        np.concatenate([getattr(space, bound).ravel() for space in env.observation_space.values()])
        for bound in ("low", "high")
    )
    assert (low == bare.observation_space.low).all() and (high == bare.observation_space.high).all()


@pytest.mark.parametrize(
    ("form", "shapes"),
    [
        ("route", {"request": (14,), "workers": (3, 22)}),
        ("evict", {"request": (14,), "workers": (3, 22), "evict": (6,), "candidates": (16, 14)}),
        ("evict-rule", {"request": (14,), "workers": (3, 22), "evict": (6,)}),
        (
            "joint-leaf",
            {"decision": (2,), "request": (14,), "workers": (3, 22), "evict": (6,), "candidates": (16, 14)},
        ),
    ],
)
def test_names_and_shapes(form, shapes):
    blocks, _ = StructuredObservation(make_form(form)).reset(seed=0)
    assert {name: block.shape for name, block in blocks.items()} == shapes
    assert all(block.dtype == np.float32 for block in blocks.values())


@pytest.mark.parametrize("form", ["route", "evict", "joint-leaf"])
def test_the_fetch_block_stands_after_the_workers(form):
    env = StructuredObservation(make_form(form, more=FAULTY, observation="physical"))
    bare = make_form(form, more=FAULTY, observation="physical")
    offered = 0.0
    for (blocks, *_), (flat, *_) in zip(play(env, seed=0), play(bare, seed=0), strict=True):
        names = list(blocks)
        assert names[names.index("workers") + 1] == "fetch"
        assert blocks["fetch"].shape == (3, 2)
        for column, name in enumerate(("fetch", "fetch_s")):
            assert blocks["fetch"][:, column].tolist() == flat[bare.layout.workers(name)].tolist()
        offered += blocks["fetch"].sum()
    assert offered > 0


def test_a_row_is_a_worker():
    env = StructuredObservation(make_form("route", observation="physical"))
    env.reset(seed=0)
    for _ in range(4):
        blocks, *_ = env.step(1)
    names = [feature.name for feature in WORKER_FEATURES]
    assert (blocks["workers"][:, names.index("n_sent")] > 0).tolist()[1]
    assert blocks["workers"][:, names.index("up")].tolist() == [1, 1, 1]
    assert blocks["workers"][:, names.index("n_sent")].argmax() == 1


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("form", ["route", "joint-leaf"])
def test_the_vector_form(form, mode):
    assert_is_what_gymnasium_makes(VectorStructuredObservation, StructuredObservation, form, mode)
    assert_is_what_gymnasium_makes(VectorStructuredObservation, StructuredObservation, form, mode, more=FAULTY)
