"""Costs from published figures: by hand on a small model, near the fitted pairs, and at a minimum of the distance."""

from dataclasses import fields, replace

import numpy as np
import pytest

from kvgym.cluster import Gpu, IterationCost, Model, kv_tokens, load_catalogue, published_cost
from kvgym.cluster.calibrate import Distance, dense_pairs
from kvgym.cluster.points import Errors, make_points, read_grid, times_ms, usual_points
from kvgym.cluster.roofline import EFFICIENCY, Efficiency

PERFECT = Efficiency(1, 1, 1, 1, 1, 0, 0, 0, 1)
SIZES = {"vocabulary": 10, "hidden": 8, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 2, "feed_forward": 16}
# A millisecond moves 1,000 bytes, multiplies 1,000 (16 bits) or 2,000 (8 bits) times, sends 100 bytes.
GPU = Gpu("toy", 1, "made up", tflops=1e-6, fp8_tflops=2e-6, mem_gbps=1e-3, link_gbps=1e-4)


def model(**changes) -> Model:
    return Model.from_data("toy", {**SIZES, "source": "made up", **changes})


def test_a_dense_model_by_hand():
    # Attention: 8 x 8 twice (q, o), 8 x 4 twice (k, v); feed-forward: 3 x 8 x 16; two layers.
    active = 2 * (128 + 64 + 384)
    shape = model().shape()
    assert (shape.active_params, shape.params) == (active, active + 2 * 80)
    cost = published_cost(model(), GPU, efficiency=PERFECT)
    assert cost.w == pytest.approx((2 * active + 2 * 80) / 1000)
    assert cost.k == pytest.approx(2 * active / 1000)
    assert cost.a_kv == pytest.approx(2 * 2 * 2 * 2 * 2 / 1000)
    assert cost.a_s == pytest.approx(4 * 2 * 8 / 1000)
    halves = published_cost(model(), GPU, 2, "fp8", replace(PERFECT, layer_ms=0.5, sync_ms=0.25, chunk_ms=0.125))
    assert halves.w == pytest.approx((active + 2 * 80) / 2 / 1000)
    # Two all-reduces per layer, each 2 (tp - 1) / tp x 8 x 2 bytes per token.
    assert halves.k == pytest.approx(2 * active / 2 / 2000 + 2 * 2 * 16 / 100)
    assert (halves.c0, halves.c_n) == (2 * (0.5 + 2 * 0.25), 2 * 0.125)


def test_a_mixture_reads_the_experts_that_its_tokens_are_expected_to_touch():
    mixed = model(experts=4, experts_per_token=2)
    one = 3 * 8 * 16
    always, experts = 2 * (128 + 64 + 8 * 4), 2 * 4 * one
    assert mixed.weight_bytes == 2 * (2 * 80 + always + experts)
    cost = published_cost(mixed, GPU, efficiency=PERFECT)
    for tokens, share in ((1, 0.5), (2, 0.75), (3, 0.875), (8, 1 - 0.5**8)):
        read = (2 * 80 + 2 * always + 2 * experts * share) / 1000
        computed = tokens * 2 * (always + 2 * 2 * one) / 1000
        assert cost.g_ps(8)[tokens] / 1e9 == pytest.approx(read + computed)


def test_a_tied_head_is_counted_once():
    assert model(tied=True).weight_bytes == model().weight_bytes - 2 * 80
    assert published_cost(model(tied=True), GPU) == published_cost(model(), GPU)


def test_the_constants_are_where_the_distance_is_least():
    """A step of 15 % along any constant takes the costs away from the fitted pairs."""
    catalogue = load_catalogue()
    distance = Distance(catalogue, dense_pairs(catalogue))
    least = distance(EFFICIENCY)
    for field in fields(Efficiency):
        for factor in (0.85, 1.15):
            moved = max(1.0, getattr(EFFICIENCY, field.name) * factor)
            moved = moved if field.name == "sharpness" else getattr(EFFICIENCY, field.name) * factor
            assert distance(replace(EFFICIENCY, **{field.name: moved})) > least, field.name


def test_published_figures_are_near_the_fitted_pairs():
    catalogue = load_catalogue()
    dense = dense_pairs(catalogue)
    off = dict(zip([pair.key for pair in dense], Distance(catalogue, dense).each(EFFICIENCY), strict=True))
    assert np.median(list(off.values())) < 0.08
    assert [key for key, distance in off.items() if distance > 0.15] == [("llama-3.1-8b", "l40s", 4, "bf16")]
    mixtures = [pair for pair in catalogue.pairs.values() if pair.form == "table"]
    assert len(mixtures) == 4
    assert max(Distance(catalogue, mixtures).each(EFFICIENCY)) < 0.15


def test_every_model_and_gpu_of_the_catalogue_has_a_cost():
    catalogue = load_catalogue()
    for entry in catalogue.models.values():
        for gpu in catalogue.gpus.values():
            times = times_ms(published_cost(entry, gpu, 2), make_points([(0, 0, 0, 1, 100), (512, 1, 0, 0, 0)]))
            assert (times > 0.1).all()


def test_a_model_without_an_architecture_is_refused():
    with pytest.raises(ValueError, match="model plain has no architecture: give its vocabulary"):
        published_cost(Model("plain", 10, 10, 1, "made up"), GPU)
    with pytest.raises(ValueError, match="experts_per_token of model toy must be an integer >= 1, got 0"):
        model(experts=4)
    with pytest.raises(ValueError, match="experts_per_token of model toy must be at most its 2 experts, got 3"):
        model(experts=2, experts_per_token=3)


def test_times_are_those_of_the_simulator():
    cost = IterationCost.linear(1.0, 0.05, 1e-6, 0.02, 1e-4, overhead_ms=0.5)
    points = usual_points(100_000)
    assert len(points) > 100
    for point, time in zip(points[::17], times_ms(cost, points)[::17], strict=True):
        prefill, chunks, s, decodes, kv = point.tolist()
        assert time == pytest.approx(cost.duration_ps(prefill, chunks, s, decodes, kv) / 1e9, rel=1e-9)
        assert time == pytest.approx(1.5 + 0.05 * prefill + 1e-6 * s + 0.02 * decodes + 1e-4 * kv)


def test_usual_points_fit_the_memory():
    points = usual_points(20_000)
    assert points["kv"].max() <= 20_000
    assert {0, 8192} <= set(points["prefill"])


def test_errors_by_hand():
    errors = Errors.of(np.array([1.1, 1.8]), np.array([1.0, 2.0]))
    assert (errors.n, errors.mape, errors.max) == (2, pytest.approx(10), pytest.approx(10))
    assert errors.bias == pytest.approx(0)
    assert errors.r2 == pytest.approx(1 - 0.05 / 0.5)
    assert Errors.of(np.zeros(0), np.zeros(0)).n == 0


HEADER = "pair,prefill_tokens,n_chunks,hist,decode_batch,decode_ctx,t_ms\n"


def test_a_grid_is_read(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text(HEADER + "aic:toy:a100:tp2:bf16,10,2,4,3,7,1.5\n")
    ((key, (points, times)),) = read_grid(path).items()
    assert key == ("toy", "a100-80g", 2, "bf16")
    # Two chunks of 5 after 4: S = 2 x 5 x (4 + 3).
    assert points.tolist() == [(10, 2, 70.0, 3, 21)]
    assert times.tolist() == [1.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair,t_ms\n", "must have the columns .* lacks .*'prefill_tokens'"),
        (HEADER + "aic:toy:a100:tp2:bf16,10,x,4,3,7,1.5\n", "line 2 of grid .* must hold numbers"),
        (HEADER + "aic:toy:a100:tp2:bf16,10,1,4,3,7,0\n", "t_ms in line 2 of grid .* must be > 0"),
        (HEADER + "toy,10,1,4,3,7,1\n", "pair of a grid must look like"),
    ],
)
def test_a_bad_grid_is_refused(text, message, tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_grid(path)
    with pytest.raises(ValueError, match=r"none\.csv can't be read"):
        read_grid(tmp_path / "none.csv")


def test_room_beside_weights_in_eight_bits():
    catalogue = load_catalogue()
    for name, tp, tokens in (("llama-3.1-8b", 1, 504_160), ("llama-3.1-70b", 2, 237_030)):
        assert kv_tokens(catalogue.models[name], catalogue.gpus["h100"], tp, weights="fp8") == tokens
