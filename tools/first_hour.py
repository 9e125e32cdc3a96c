"""The first hour of a new user, recorded: python tools/first_hour.py [REPOSITORY].

Installs a new clone and types the commands of README and tutorial, in their order, in a terminal. Their output and
times become docs/results/first-hour.md. This takes about half an hour on two idle cores, and needs a network for `pip
install`. REPOSITORY: the repository to clone, by default this one.
"""

import sys

from recording import ROOT, Session, Step, record

STEPS = (
    Step("Install, and search", "make search"),
    Step("What the machine can do", "babeltune doctor"),
    Step("All commands", "babeltune --help"),
    Step("Translate with the best model", 'echo "The old woman bought a book." | babeltune translate {run}'),
    Step("Go on, with more trials", "babeltune resume {run} --search.trials 14"),
    Step("What a search of one's own corpus takes", "babeltune plan --config own --data.path corpus --search.trials 6"),
    Step("A mistake in a key", "babeltune --config own --data.path corpus --trainning.epochs 3", status=2),
    Step("A folder that is not there", "babeltune --config own --data.path corpsu", status=2),
    Step(
        "One's own corpus",
        "babeltune --config own --data.path corpus --name mine --search.trials 6 --training.epochs 4 --finals.top 2",
    ),
    Step("Translate with that", 'echo "The old woman bought a book." | babeltune translate mine'),
)

FIRST_HOUR = Session("first-hour", "The first hour", "What README and tutorial say to type", STEPS)

if __name__ == "__main__":
    record(FIRST_HOUR, sys.argv[1] if len(sys.argv) > 1 else str(ROOT))
