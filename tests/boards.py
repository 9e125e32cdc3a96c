"""Leaderboards whose entries differ by what a test says of them."""

from itertools import combinations

from search.finals.board import Cost, DataSize, Leaderboard, LeaderboardEntry, Significance
from search.finals.comparison import Comparison
from search.settings.experiment import Experiment
from search.space.space import Params
from search.translation.finals import FINALS

TEST_BLEU = FINALS.metrics(Experiment.model_validate({}))[0]


def entry(rank: int, trial: int, bleu: float, group: int, params: Params, seeds: int = 2) -> LeaderboardEntry:
    return LeaderboardEntry(
        rank=rank,
        group=group,
        trial=trial,
        config=params,
        seeds=list(range(2, 2 + max(1, seeds))),
        final_trials=list(range(2 * (rank - 1), 2 * (rank - 1) + seeds)),
        score=bleu,
        score_std=0.3 if seeds > 1 else None,
        score_ci=(bleu - 1.5, bleu + 1.4),
        figures={
            "test_chrf": 50.0,
            "test_ter": 61.5,
            "test_sentence_bleu": bleu - 1,
            "test_ppl_per_char": 1.875,
            "valid_bleu": bleu - 2,
            "valid_nll_per_char": 0.5 * rank,
            "beam_size": 5,
            "length_penalty": 0.8,
        },
        intervals={"test_chrf": (48.5, 51.5), "test_ter": (60.0, 63.0)},
        groups={"test_chrf": group, "test_ter": 1},
        num_parameters=1_000_000 // rank,
        train_seconds=10.0,
        pareto=rank == 1,
        untrained=False,
    )


def board(*ranking: LeaderboardEntry) -> Leaderboard:
    return Leaderboard(
        experiment="demo",
        metric="test_bleu",
        corpus=DataSize("<corpus>", "en", "fr", train_pairs=8000, valid_pairs=500, test_pairs=500),
        signatures={"bleu": "nrefs:1|version:2", "chrf": "nrefs:1", "ter": "nrefs:1|case:lc"},
        search=Cost(
            trials=4, epochs_trained=10, epochs_full=16, gpu_seconds=200.0, wall_seconds=4000.0, idle_seconds=3.4
        ),
        decided_by="test_bleu",
        notes=[],
        ranking=list(ranking),
        comparisons=[
            Comparison(a.trial, b.trial, 3.5, (1.25, 5.75), 0.0101, 0.0202, 0.0303, 0.0404)
            for a, b in combinations(ranking, 2)
        ],
        further={},
        chosen=ranking[0].trial,
        significance=Significance(0.95, 1000, 1000, 1, 0.3, len(ranking)),
    )
