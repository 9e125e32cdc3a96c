"""A day of a regular, recorded: python tools/regular_day.py [REPOSITORY].

Three searches of one corpus, compared; one of them is extended, and its tables are read. Their output and times become
docs/results/regular-day.md. This takes about ten minutes on two idle cores, and needs a network for `pip install`.
REPOSITORY: the repository to clone, by default this one.
"""

import sys

from recording import ROOT, Session, Step, record

SEARCH = "babeltune --config quickstart --data.path corpus --search.trials 5 --finals.top 2 --finals.seeds 2"
TABLE = (
    "python -c \"import pandas as pd; t = pd.read_csv('runs/small/trials.csv'); "
    "print(t[['trial', 'outcome', 'epochs', 'valid_bleu', 'device_seconds']].to_string(index=False))\""
)
RANKING = (
    "python -c \"from search import load_run; r = load_run('runs/small').ranking; "
    "print(r[['rank', 'trial', 'test_bleu', 'test_bleu_low', 'test_bleu_high']].to_markdown(index=False))\""
)
STEPS = (
    Step("Install", "make install"),
    Step("A search", f"{SEARCH} --name small"),
    Step("The same with longer training", f"{SEARCH} --training.epochs 6 --name longer"),
    Step("The same with another tokenizer", f"{SEARCH} --tokenizer.kind unigram --name unigram"),
    Step("What runs there are", "babeltune list"),
    Step("Which is better, and is that sure", "babeltune compare longer small unigram"),
    Step("How one trial went", "babeltune show small --trial 2"),
    Step("More trials", "babeltune resume small --search.trials 8"),
    Step("Fewer trials: nothing to do", "babeltune resume small --search.trials 4 --quiet"),
    Step("What a wrong name says", "babeltune status smal", status=2),
    Step("All trials as a table", TABLE),
    Step("The ranking as a table", RANKING),
    Step("One trial again, to its end", "babeltune train small --trial 1"),
    Step("Translate with it", 'echo "The old woman bought a book." | babeltune translate small-trial-1'),
    Step("The report again", "babeltune report small"),
)
DAY = Session("regular-day", "A day of a regular", "Three searches, compared, extended and read as tables", STEPS)

if __name__ == "__main__":
    record(DAY, sys.argv[1] if len(sys.argv) > 1 else str(ROOT))
