from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from agents.learned.kernel import Scorer  # noqa: E402
from agents.learned.network import Actor, Critic, Shape, _Encode, _Rate, fitted, start, tanh  # noqa: E402
from kvgym.envs.features import N_FETCH, N_WORKER  # noqa: E402
from kvgym.envs.layout import Layout  # noqa: E402

SHAPES = {
    "route": Shape(),
    "evict leaf": Shape(routes=False, evicts=True, candidates=4),
    "evict rule": Shape(routes=False, evicts=True, rules=3),
    "joint rule": Shape(rules=3),
    "joint leaf": Shape(evicts=True, candidates=4),
    "route with fetches": Shape(fetches=True),
    "evict leaf with fetches": Shape(routes=False, evicts=True, candidates=4, fetches=True),
    "joint leaf with fetches": Shape(evicts=True, candidates=4, fetches=True),
}


def drawn(layout: Layout, n: int = 8, seed: int = 0) -> torch.Tensor:
    numbers = np.random.default_rng(seed).random((n, layout.size), dtype=np.float32)
    if layout.evicts:
        numbers[:, layout.evict("asked_worker")] = np.arange(n) % layout.n_workers
    return torch.from_numpy(numbers)


def permuted(observations: torch.Tensor, layout: Layout, order: list[int]) -> torch.Tensor:
    out = observations.clone()
    for first, size in (("up", N_WORKER), ("fetch", N_FETCH))[: 1 + layout.fetches]:
        start = layout.workers(first).start
        for place, worker in enumerate(order):
            a, b = start + place * size, start + worker * size
            out[:, a : a + size] = observations[:, b : b + size]
    if layout.evicts:
        asked = observations[:, layout.evict("asked_worker")].long()
        out[:, layout.evict("asked_worker")] = torch.tensor([order.index(int(w)) for w in asked]).float()
    return out


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("workers", [1, 3, 7])
def test_the_same_weights_score_any_number_of_workers(shape: Shape, workers: int) -> None:
    layout = Layout(workers, shape.routes, shape.evicts, shape.candidates, shape.fetches)
    assert shape.layout(layout.size) == shape.of_workers(workers) == layout
    assert Actor(shape)(drawn(layout)).shape == (8, shape.n_scores(workers))
    assert Critic(shape)(drawn(layout)).shape == (8, 1)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_permuting_the_workers_permutes_their_scores_and_nothing_else(shape: Shape) -> None:
    torch.manual_seed(0)
    actor, critic = Actor(shape), Critic(shape)
    layout, order = shape.of_workers(5), [3, 1, 4, 0, 2]
    before = drawn(layout)
    after = permuted(before, layout, order)
    scores, moved = actor(before), actor(after)
    if shape.routes:
        assert torch.allclose(scores[:, order], moved[:, :5], atol=1e-5)
    rest = 5 * shape.routes
    assert torch.allclose(scores[:, rest:], moved[:, rest:], atol=1e-5)
    assert torch.allclose(critic(before), critic(after), atol=1e-5)
    assert not torch.allclose(scores, scores[:, :1].expand_as(scores))


@pytest.mark.parametrize("fetches", [False, True])
def test_every_feature_of_a_worker_counts(fetches: bool) -> None:
    torch.manual_seed(0)
    actor, layout = Actor(Shape(fetches=fetches)), Layout(3, fetches=fetches)
    before = drawn(layout, 1)
    for place in range(layout.size):
        after = before.clone()
        after[0, place] += 0.5
        # A request feature moves the scores beside each other only through the hidden layer: it must do so, too.
        assert not torch.allclose(actor(before), actor(after), atol=1e-7), layout.names[place]


def test_fetches_add_features_to_the_first_layer_and_nothing_else() -> None:
    def sizes(shape: Shape) -> dict[str, list[int]]:
        return {name: list(weight.shape) for name, weight in Actor(shape).state_dict().items()}

    plain, more = sizes(Shape()), sizes(Shape(fetches=True))
    assert {name for name in plain if plain[name] != more[name]} == {"trunk.worker.weight"}
    assert more.keys() == plain.keys()


def test_gains_stand_by_their_features() -> None:
    shape = Shape(evicts=True, candidates=2, fetches=True)
    actor, layout = Actor(shape), shape.of_workers(1)
    assert len(actor.trunk.gains) == layout.size
    (place,) = range(layout.size)[layout.workers("fetch_s")]
    assert float(actor.trunk.gains[place]) == pytest.approx(np.log1p(100 / 0.01))


@pytest.mark.parametrize("workers", [1, 4, 16])
@pytest.mark.parametrize("shape", [Shape(width=8), Shape(fetches=True, corrects=True)], ids=["plain", "all"])
def test_the_compiled_kernel_chooses_as_torch_does(shape: Shape, workers: int) -> None:
    torch.manual_seed(0)
    actor = Actor(shape)
    scorer = Scorer({name: weight.numpy() for name, weight in actor.state_dict().items()})
    for layout in {shape.of_workers(workers), Layout(workers)}:
        seen = drawn(layout, 64)
        wanted = torch.from_numpy(np.stack([fitted(row, layout, shape) for row in seen.numpy()]))
        expected = actor(wanted).detach().numpy()
        found = scorer(seen.numpy(), workers)
        assert np.allclose(found, expected, atol=3e-5)
        assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_steps_written_by_hand_have_the_gradients_of_what_they_compute() -> None:
    torch.manual_seed(0)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(*size, dtype=torch.float64, requires_grad=True)

    blocks, least = random(5, 4, 3).detach(), random(5, 3).detach()
    assert torch.allclose(tanh(3 * blocks), torch.tanh(3 * blocks))
    assert torch.autograd.gradcheck(lambda x: tanh(x.clone()), random(7))
    assert torch.autograd.gradcheck(_Encode.apply, (blocks, least, random(2, 6), random(5, 2)))
    layers = random(2, 2), random(2), random(2, 2), random(1, 2)
    assert torch.autograd.gradcheck(_Rate.apply, (random(5, 4, 2), random(5, 2), *layers))


def test_scores_that_correct_a_rule_begin_with_its_order() -> None:
    torch.manual_seed(0)
    actor, layout = Actor(Shape(corrects=True)), Layout(5)
    start(actor)
    seen = drawn(layout)
    seen_by = layout.physical(seen.numpy())
    prefill, miss, flying, speed = (
        seen_by[:, layout.workers(name)] for name in ("prefill", "miss", "inflight", "speed")
    )
    work = (prefill + 6 * miss + 100 * flying) / speed**0.25
    assert np.array_equal(actor(seen).argmax(1).numpy(), work.argmin(1))


def test_a_size_that_no_number_of_workers_gives_is_refused() -> None:
    with pytest.raises(ValueError, match=r"14 \+ 22 x workers .* got 37"):
        Shape().layout(37)
    with pytest.raises(ValueError, match="candidates"):
        replace(Shape(), candidates=-1)
