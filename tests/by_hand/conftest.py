import pytest

from tests.by_hand import engines, hand


@pytest.fixture(autouse=True, params=engines.ENGINES)
def engine(request, monkeypatch):
    """Each case computed by hand is played by both simulators."""
    monkeypatch.setattr(hand, "simulate", engines.ENGINES[request.param])
