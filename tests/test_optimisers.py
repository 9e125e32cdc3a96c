"""Other people's optimisers in replay: a made-up one is played as ours are, and what the comparison prints."""

import csv
import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

from search.record.study import Study
from search.replay.measures import Policy, measure_systems
from search.replay.simulation import Until, evaluate
from search.replay.tables import SYSTEM, System, Table, make_table, read_systems
from search.samplers import SAMPLERS, Task
from search.space.domain import Domain
from search.space.space import SearchSpace
from trainables.base.errors import UserError

BENCH = Path(__file__).parents[1] / "bench"
VALUES = ([1000, 2000], [1, 2, 4], [256, 512], [1024], [4, 8], [0.0003, 0.001])
GRID = [row for place, row in enumerate(itertools.product(*VALUES)) if place != 1]
STUB = """
from optimisers import Peer

CALLS = []


class Last(Peer):
    def tell(self, point, score):
        CALLS.append(("tell", point, score))

    def ask(self, untried, running):
        CALLS.append(("ask", untried[-1], tuple(running)))
        return untried[-1]


class Lost(Last):
    def ask(self, untried, running):
        return running[0] if running else (0, 0, 0, 0, 1)  # the point that the table lacks


class Stubborn(Lost):
    def ask(self, untried, running):
        return running[0] if running else untried[0]
"""


def bleu(row: tuple[float, ...]) -> float:
    return 20 + row[1] - row[0] / 1000 + (row[4] == 8) - 500 * row[5] + (row[2] == 512)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stubs and bench/ can be imported, here and by what is started from here."""
    (tmp_path / "stub_optimisers.py").write_text(STUB)
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[1]}")
    monkeypatch.delitem(sys.modules, "stub_optimisers", raising=False)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    with (tmp_path / "nmthpo_aa-bb.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*SYSTEM, "dev_bleu"])
        writer.writerows([*row, bleu(row)] for row in GRID)
    return tmp_path


@pytest.fixture
def table(tables: Path) -> Table:
    return read_systems(tables / "nmthpo_aa-bb.csv")


def test_a_named_optimiser_is_played_by_the_clock_of_replay(bench: None, table: Table) -> None:
    """Four workers, whose trainings take equally long: it hears of each before it is asked again."""
    policy = Policy(SAMPLERS.read("stub_optimisers:Last"))
    until = Until(least=len(GRID), most=99, target=0)
    scores = evaluate(table, policy.make_sampler(table, 0), workers=4, until=until)
    assert scores == [bleu(row) for row in reversed(GRID)]
    calls = importlib.import_module("stub_optimisers").CALLS
    asked = [call[1] for call in calls if call[0] == "ask"]
    assert len(set(asked)) == len(GRID) and asked[0] == (1, 2, 1, 1, 1)  # no place for the one with a single value
    assert [call[2] for call in calls[:4]] == [(), *(tuple(asked[:count]) for count in (1, 2, 3))]
    assert calls[4:8] == [
        ("tell", asked[0], scores[0]),
        ("ask", asked[4], tuple(asked[1:4])),
        ("tell", asked[1], scores[1]),
        ("ask", asked[5], tuple(asked[2:5])),
    ]


@pytest.mark.parametrize("name", ["Lost", "Stubborn"])
def test_a_point_that_is_no_untried_system_is_refused(name: str, bench: None, table: Table) -> None:
    sampler = Policy(SAMPLERS.read(f"stub_optimisers:{name}")).make_sampler(table, 0)
    with pytest.raises(UserError, match=r"it proposed .*, which is no untried system of the table"):
        evaluate(table, sampler, workers=2, until=Until(40, 40, 99))


def test_points_are_ranks_and_categories_and_the_nearest_is_found(bench: None) -> None:
    from optimisers import Systems

    rows = itertools.product((8, 32, 16, 64), ("relu", "gelu", "swish"), (1,))
    table = make_table("t", [System(dict(zip("abc", row, strict=True)), 1.0) for row in rows])
    systems = Systems(table.task(0))
    assert [(column.size, column.ordered) for column in systems.columns] == [(4, True), (3, False)]
    assert systems.point({"a": 16, "b": "swish", "c": 1}) == (1, 2)
    assert systems.params((3, 0)) == {"a": 64, "b": "relu", "c": 1} and (4, 0) not in systems
    assert systems.unit([(3, 2), (1, 0)]).tolist() == [[1, 2], [1 / 3, 0]]
    assert systems.nearest((2, 1), [(2, 2), (0, 1), (2, 0)]) == (0, 1)  # 2/3 away, and another category 1
    assert systems.nearest((2, 0), [(2, 2), (0, 1), (2, 1)]) == (2, 2)  # categories have no order
    space = SearchSpace({"x": Domain(min=0.0, max=1.0)})
    with pytest.raises(UserError, match="x is a range without steps"):
        Systems(Task(space, lambda params: params, 0))
    space = SearchSpace({"x": Domain(values=(1, 2)), "y": Domain(values=(1, 2))})
    with pytest.raises(UserError, match="some systems leave hyperparameters unused"):
        Systems(Task(space, lambda params: params if params["x"] == 1 else {"x": 2}, 0))


def test_a_comparison_prints_a_row_a_policy(
    bench: None, tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import search_quality

    asked: list[Any] = []

    def replay(folder: Path, pair: str, policy: Any, longest: int) -> dict[str, float]:
        asked.append((pair, policy.sampler, policy.workers, policy.seeds, longest))
        assert [file.name for file in folder.iterdir()] == ["nmthpo_aa-bb.csv", "nmthpo_cc-dd.csv"][: len(pairs)]
        scale = 1 if pair == "aa-bb" else 3
        regrets = {f"nr_{mark}": scale / mark for mark in (5, 10, 20, 40)}
        errors = {f"nr_{mark}_se": scale * 0.01 for mark in (5, 10, 20, 40)}
        return regrets | errors | {"proposal_seconds": scale * 0.5}

    pairs = ["aa-bb"]
    (tables / "nmtlc_finetune_ee-ff.json").write_text("{}")  # curves are no part of it
    monkeypatch.setattr(search_quality, "replay", replay)
    monkeypatch.setattr(
        sys, "argv", ["search_quality.py", "--peers", str(tables), "30", "tpe,1", "optimisers:Hebo,4@10"]
    )
    search_quality.main()
    one = "0.200 ± 0.010 / 0.100 ± 0.010 / 0.050 ± 0.010 / 0.025 ± 0.010"
    assert capsys.readouterr().out.splitlines() == [
        "| optimiser | workers | seeds | aa-bb: nr_5 / 10 / 20 / 40 | mean of 1 pairs | CPU s a proposal |",
        "|---|---|---|---|---|---|",
        f"| tpe | 1 | 30 | {one} | {one} | 0.500 |",
        f"| Hebo | 4 | 10 | {one} | {one} | 0.500 |",
    ]
    assert asked == [("aa-bb", "tpe", 1, 30, 40), ("aa-bb", "optimisers:Hebo", 4, 10, 40)]
    found = {"aa-bb": {"nr_5": 0.2, "nr_5_se": 0.03}, "cc-dd": {"nr_5": 0.4, "nr_5_se": 0.04}}
    monkeypatch.setattr(search_quality, "MARKS", (5,))
    assert search_quality.mean_of(found) == pytest.approx({"nr_5": 0.3, "nr_5_se": 0.025})


@pytest.mark.parametrize("policy", ["default", "default,x", "default,4@"])
def test_a_policy_that_is_none_is_told(policy: str, bench: None) -> None:
    from search_quality import read_policy

    with pytest.raises(SystemExit, match=r"not a policy; write SAMPLER,WORKERS, such as default,4 or"):
        read_policy(policy, 30)


def test_replay_takes_an_optimiser_by_its_name(bench: None, tables: Path, table: Table) -> None:
    import search_quality

    policy = search_quality.read_policy("stub_optimisers:Last,4", 2)
    measures = search_quality.replay(tables, "aa-bb", policy, 40)
    expected = measure_systems(table, Policy(SAMPLERS.read("stub_optimisers:Last")), seeds=2, workers=4, longest=40)
    same = [name for name in expected if name != "proposal_seconds"]
    assert [measures[name] for name in same] == [expected[name] for name in same] and measures["seeds"] == 2
    assert 0 < measures["proposal_seconds"] < 1


def test_a_search_ends_where_it_should(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not near the best goes on to the most evaluations; proposals are timed."""
    monkeypatch.setattr("search.replay.measures.NEAR", -1.0)  # nothing is near
    monkeypatch.setattr("search.replay.measures.EVALUATIONS", (5,))
    random = Policy(SAMPLERS.read("random"))
    assert [measure_systems(table, random, 1, 2, longest)["ftc_mean"] for longest in (3, 9)] == [6, 10]


def test_time_is_that_of_the_sampler_alone(table: Table) -> None:
    from search.replay.measures import Timed

    sampler = Timed(SAMPLERS.read("random").make(table.task(0)))
    proposal = sampler.propose(Study(None, "replay", "maximize"))
    assert proposal is not None and len(sampler.seconds) == 1 and 0 <= sampler.seconds[0] < 1
