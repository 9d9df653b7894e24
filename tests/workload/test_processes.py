"""Arrival processes by name: means, burstiness, the same first ones, bits."""

import hashlib

import numpy as np
import pytest

from kvgym.workload import PROCESSES, arrive, gsp, poisson_arrivals
from kvgym.workload.measure import dispersion

SETTINGS = {
    "poisson": {},
    "constant": {},
    "gamma": {"cv": 3.0},
    "weibull": {"cv": 3.0},
    "clients": {"clients": 30, "zipf": 1.0, "cv": 1.5, "cv_p90": 4.0},
    "markov": {"levels": [1.0, 6.0, 0.0], "dwell_s": [20.0, 5.0, 5.0]},
    "on_off": {"on_s": 5.0, "off_s": 20.0, "off_level": 0.1},
    "cox": {"sigma": 0.3, "correlation": 0.7, "step_s": 10.0},
    "profile": {"times_s": [0.0, 10.0, 10.0, 40.0], "levels": [1.0, 3.0, 0.0, 1.0], "period_s": 40.0},
    "diurnal": {"peak_to_trough": 4.0, "period_s": 300.0},
    "ramp": {"factor": 4.0, "over_s": 100.0},
    "spikes": {"factor": 5.0, "width_s": 5.0, "every_s": 50.0, "at_s": 20.0},
}
CHANGING = {"profile": 0.875, "ramp": None, "spikes": 1.4}
"""Mean rate over `rate` of those whose `rate` is not the mean; None: it has none."""


def test_every_process_is_tested():
    assert set(SETTINGS) == set(PROCESSES)


@pytest.mark.parametrize("name", PROCESSES)
def test_mean_rate_and_first_ones(name):
    t = arrive(3, 60_000, {"process": name, **SETTINGS[name]}, 12.0).seconds
    assert t[0] >= 0
    assert np.all(np.diff(t) >= 0)
    assert arrive(3, 500, {"process": name, "rate": 12.0, **SETTINGS[name]}).seconds.tolist() == t[:500].tolist()
    expected = CHANGING.get(name, 1.0)
    if expected:
        assert len(t) / t[-1] == pytest.approx(12.0 * expected, rel=0.08)


GOLDEN = {
    "poisson": "8972d639be96c141",
    "constant": "2d99a1db7d7cdf8f",
    "gamma": "0641c2b6464019e1",
    "weibull": "f58e55b08bc5fbc1",
    "clients": "91e89d38872d2ab3",
    "markov": "d190fc6b4d68c548",
    "on_off": "fe867dbf7503e33b",
    "cox": "935426a744c13831",
    "profile": "0d4cf1b12b78dbc8",
    "diurnal": "2f111a0eae798e71",
    "ramp": "4d024a39bb08d031",
    "spikes": "a58198ef3820a76e",
}


def test_bits():
    """A seed gives the same times for ever."""
    found = {
        name: hashlib.sha256(arrive(5, 300, {"process": name, **SETTINGS[name]}, 3.0).seconds.tobytes()).hexdigest()[
            :16
        ]
        for name in PROCESSES
    }
    assert found == GOLDEN


@pytest.mark.parametrize("law", ["gamma", "weibull"])
@pytest.mark.parametrize("cv", [0.3, 1.0, 4.0])
def test_coefficient_of_variation(law, cv):
    gaps = np.diff(arrive(1, 100_000, {"process": law, "cv": cv}, 2.0).seconds)
    assert gaps.mean() == pytest.approx(0.5, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.06)


def test_gamma_law():
    """Against the distribution function: shape 4 and shape 1/4."""
    from scipy.stats import gamma, kstest, weibull_min

    for cv in (0.5, 2.0):
        gaps = np.diff(arrive(2, 20_000, {"process": "gamma", "cv": cv}, 1.0).seconds)
        assert kstest(gaps, gamma(1 / cv**2, scale=cv**2).cdf).pvalue > 1e-3
    gaps = np.diff(arrive(2, 20_000, {"process": "weibull", "cv": 2.0}, 1.0).seconds)
    shape = 0.5427  # of a coefficient of variation of 2
    assert kstest(gaps, weibull_min(shape, scale=gaps.mean() / weibull_min(shape).mean()).cdf).pvalue > 1e-3


def test_cox_dispersion():
    """Variance over mean of counts per step is 1 + rate x step x (exp(sigma^2) - 1)."""
    t = arrive(4, 400_000, {"process": "cox", "sigma": 0.3, "correlation": 0.5, "step_s": 10.0}, 10.0).seconds
    assert dispersion(t, 10.0) == pytest.approx(1 + 100 * (np.exp(0.09) - 1), rel=0.1)


def test_profile_follows_its_levels():
    process = {"process": "profile", "times_s": [0.0, 50.0], "levels": [0.0, 2.0], "period_s": 50.0}
    t = arrive(1, 200_000, process, 100.0).seconds % 50.0
    counts = np.histogram(t, 10, (0.0, 50.0))[0] / len(t)
    np.testing.assert_allclose(counts, (2 * np.arange(10) + 1) / 100, atol=0.003)


def test_ramp_and_spike():
    t = arrive(1, 50_000, {"process": "ramp", "factor": 3.0, "over_s": 100.0, "start_s": 50.0}, 40.0).seconds
    assert np.count_nonzero(t < 50) == pytest.approx(2000, rel=0.07)
    assert np.count_nonzero((t >= 50) & (t < 150)) == pytest.approx(8000, rel=0.05)
    assert np.count_nonzero((t >= 150) & (t < 200)) == pytest.approx(6000, rel=0.05)
    t = arrive(1, 50_000, {"process": "spikes", "factor": 10.0, "width_s": 20.0, "at_s": 30.0}, 40.0).seconds
    assert np.count_nonzero((t >= 30) & (t < 50)) == pytest.approx(8000, rel=0.05)
    assert np.count_nonzero((t >= 50) & (t < 100)) == pytest.approx(2000, rel=0.07)


def test_clients():
    made = arrive(6, 100_000, {"process": "clients", "clients": 50, "zipf": 1.2, "cv": 0.8, "cv_p90": 0.9}, 20.0)
    counts = np.bincount(made.clients, minlength=50) / 100_000
    shares = np.arange(1, 51) ** -1.2
    np.testing.assert_allclose(counts, shares / shares.sum(), rtol=0.1, atol=0.002)
    own = np.diff(made.seconds[made.clients == 0])
    assert 0.5 < own.std() / own.mean() < 1.4


def test_one_process_on_the_clock_of_another():
    inner = {"process": "clients", "clients": 5}
    made = arrive(6, 1000, {"process": "diurnal", "period_s": 60.0, "of": inner}, 20.0)
    assert made.clients is not None
    regular = {"process": "profile", "times_s": [0.0, 10.0, 10.0], "levels": [1.0, 1.0, 2.0]}
    t = arrive(6, 50, {**regular, "of": {"process": "constant"}}, 2.0).seconds
    np.testing.assert_allclose(np.diff(t[t < 10]), 0.5)
    np.testing.assert_allclose(np.diff(t[t > 10]), 0.25)


def test_generators_take_a_process():
    plain = gsp(1, 16, requests=50, rate=5.0)
    assert gsp(1, 16, requests=50, arrivals={"rate": 5.0}).content_hash() == plain.content_hash()
    other = gsp(1, 16, requests=50, rate=5.0, arrivals={"process": "gamma", "cv": 2.0})
    assert other.content_hash() != plain.content_hash()
    assert arrive(1, 9, None, 4.0).seconds.tolist() == poisson_arrivals(1, 9, 4.0).tolist()


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ({"process": "bursts"}, "process of arrivals must be one of poisson, constant"),
        ({"process": "gamma"}, "arrivals, process 'gamma': 'cv' is missing"),
        ({"process": "gamma", "cv": 0.0}, "cv must be a finite number from 0.01 to 100, got 0.0"),
        ({"process": "poisson", "cv": 2.0}, "'cv' \\(given 2.0\\) is not known"),
        ({"rate": 0.0}, "rate must be > 0"),
        ({"process": "markov", "levels": [1.0], "dwell_s": [1.0]}, "levels and dwell_s must be two or more"),
        ({"process": "profile", "times_s": [1.0], "levels": [1.0]}, "times_s must ascend from 0"),
        ({"process": "profile", "times_s": [0.0], "levels": [0.0]}, "levels must have one > 0"),
        ({"process": "cox", "of": {"process": "nothing"}}, "process of arrivals must be one of"),
        ("gamma", "arrivals must be a mapping"),
    ],
)
def test_refusals(process, message):
    with pytest.raises(ValueError, match=message):
        arrive(1, 10, process, 1.0)
