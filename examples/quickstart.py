"""A small search on the embedded corpus, as a program: three minutes on two CPU cores.

python examples/quickstart.py
"""

from search import Experiment, UserError, search


def main() -> None:
    """Search, and print the ranking, the trials that were stopped, and two translations."""
    experiment = Experiment.load("quickstart", **{"search.trials": 8, "training.epochs": 4})
    result = search(experiment)
    best = result.ranking.iloc[0]
    low, high = best["test_bleu_low"], best["test_bleu_high"]
    print(f"\ntrial {best['trial']} is best: BLEU {best['test_bleu']:.1f}, 95% interval {low:.1f} to {high:.1f}")
    stopped = result.trials[result.trials["outcome"] == "stopped"]
    print(f"{len(stopped)} of {len(result.trials)} trials were stopped, after {stopped['epochs'].sum():g} epochs")
    for line in result.translate(["The old man is reading a book.", "Do you see the small house?"]):
        print(line)
    print(f"the report: {result.report}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"{error}") from None
