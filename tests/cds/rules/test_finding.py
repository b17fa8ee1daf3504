from __future__ import annotations

from itertools import product

import pytest

from cds.model import Result
from cds.rules.finding import Finding, all_of, any_of, met, negate, not_applicable, not_met, unknown

M, N, U, X = Result.MET, Result.NOT_MET, Result.UNKNOWN, Result.NOT_APPLICABLE
FOUND = {
    M: met("m", ["m/1"]),
    N: not_met("n", ["n/1"], ["change n"]),
    U: unknown("u", ["miss u"], ["u/1"]),
    X: not_applicable("x"),
}

ALL_OF = {
    (M, M): M,
    (M, N): N,
    (M, U): U,
    (M, X): M,
    (N, N): N,
    (N, U): N,
    (N, X): N,
    (U, U): U,
    (U, X): U,
    (X, X): X,
}
ANY_OF = {
    (M, M): M,
    (M, N): M,
    (M, U): M,
    (M, X): M,
    (N, N): N,
    (N, U): U,
    (N, X): N,
    (U, U): U,
    (U, X): U,
    (X, X): X,
}


def parts(*results: Result) -> list[Finding]:
    return [FOUND[result] for result in results]


@pytest.mark.parametrize(("pair", "result"), list(ALL_OF.items()))
def test_all_of_is_kleenes_and_when_parts_are_joined_in_either_order(
    pair: tuple[Result, Result], result: Result
) -> None:
    assert all_of(parts(*pair)).result is result
    assert all_of(parts(*pair[::-1])).result is result


@pytest.mark.parametrize(("pair", "result"), list(ANY_OF.items()))
def test_any_of_is_kleenes_or_when_parts_are_joined_in_either_order(
    pair: tuple[Result, Result], result: Result
) -> None:
    assert any_of(parts(*pair)).result is result
    assert any_of(parts(*pair[::-1])).result is result


@pytest.mark.parametrize(("before", "after"), [(M, N), (N, M), (U, U), (X, X)])
def test_not_turns_only_what_is_settled_when_it_negates(before: Result, after: Result) -> None:
    assert negate(FOUND[before]).result is after


@pytest.mark.parametrize("triple", list(product((M, N, U), repeat=3)))
def test_the_joins_mirror_each_other_when_every_part_is_negated(triple: tuple[Result, ...]) -> None:
    assert negate(all_of(parts(*triple))).result is any_of([negate(part) for part in parts(*triple)]).result


@pytest.mark.parametrize("triple", list(product((M, N, U, X), repeat=3)))
def test_nesting_makes_no_difference_when_joins_are_of_one_kind(triple: tuple[Result, ...]) -> None:
    first, second, third = parts(*triple)
    assert all_of([all_of([first, second]), third]).result is all_of([first, second, third]).result
    assert any_of([any_of([first, second]), third]).result is any_of([first, second, third]).result


def test_only_the_parts_that_brought_it_about_are_told_when_an_any_of_is_met() -> None:
    found = any_of(parts(M, N, U))
    assert (found.says, found.evidence, found.missing, found.would_change) == ("m", ("m/1",), (), ())


def test_what_would_settle_and_turn_it_is_told_when_an_all_of_is_not_met() -> None:
    found = all_of(parts(M, N, U))
    assert (found.says, found.evidence) == ("n", ("n/1",))
    assert "change n" in found.would_change


def test_lists_of_one_kind_are_told_as_one_when_parts_are_joined() -> None:
    lists = [Finding(M, f"none on file: {'; '.join(items)}", listed=items) for items in (("a", "b"), ("c",))]
    assert all_of([lists[0], met("m: c"), lists[1]]).says == "none on file: a; b; c; m: c"


def test_it_does_not_apply_when_there_are_no_parts() -> None:
    assert all_of([]).result is X
    assert any_of([]).result is X
