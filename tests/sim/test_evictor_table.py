"""The table of evictors says what its modules need: who is not told, and a table that is not there, are found."""

import inspect

import pytest

from kvgym.sim.base.tables import KEPT_TABLES
from kvgym.sim.evictors import KEPT, RULES, TABLE, bit, choosers, kept, module
from kvgym.sim.evictors.dispatch import HOOKS

WAYS = ("victim", "pool", "key", "score")


def own_functions(name):
    found = vars(module(name)).items()
    return {
        key: f for key, f in found if getattr(getattr(f, "py_func", None), "__module__", "") == module(name).__name__
    }


@pytest.mark.parametrize("name", TABLE)
def test_an_evictor_chooses_in_one_way(name):
    number = list(TABLE).index(name)
    assert sum(number in choosers(way) for way in WAYS) == 1


@pytest.mark.parametrize("name", TABLE)
def test_what_has_hooks_or_tables_is_kept(name):
    row = TABLE[name]
    hooks = HOOKS.keys() & own_functions(row.module)
    tables = [table.name for table in KEPT_TABLES.values() if table.module == row.module]
    assert row.module in row.keeps or not (hooks or tables)


@pytest.mark.parametrize("name", KEPT)
def test_hooks_take_what_they_are_given(name):
    for hook, function in own_functions(name).items():
        if hook in HOOKS:
            promised = HOOKS[hook][0].split(", ")
            assert list(inspect.signature(function.py_func).parameters) == promised


def test_evictors_with_keys_have_a_heap():
    assert all("keyed" in TABLE[list(TABLE)[number]].keeps for number in choosers("key"))


def test_rules_take_turns_and_keep_what_each_of_them_needs():
    together = kept(-1, 0)
    assert all(set(TABLE[rule].keeps) <= set(together) for rule in RULES)
    assert not {"rlt_code", "belady"} & set(RULES)


def test_each_module_has_a_bit_of_its_own():
    bits = [bit(name) for name in KEPT]
    assert sorted(bits) == [1 << i for i in range(len(bits))]
    assert KEPT[-1] == "histories", "the others see histories as they were"
