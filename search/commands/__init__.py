"""Finds the best translation transformer: searches, retrains the finalists, ranks them by test BLEU.

babeltune                                search with configs/quickstart.yaml; python search/run.py is the same
babeltune --config FILE [--key VALUE]    search with another configuration, keys in dotted form
babeltune plan                           what a search would take: hours, money, memory, disk
babeltune resume runs/NAME               go on with a search that was stopped
babeltune resume runs/NAME --key VALUE   extend or change a search, finished or not
babeltune resume s3://bucket/runs/NAME   go on, here, with a search of another machine that is lost
babeltune resume runs/NAME --trust       go on with somebody else's, whose hosts and code you have looked at
babeltune … --verbose, or --quiet        print what RUN/driver.log has, too, or warnings alone
babeltune fetch s3://bucket/runs/NAME    bring a run here from its storage, without its checkpoints
babeltune publish runs/NAME              send to W&B what it lacks of a search, with sweep and report
babeltune translate runs/NAME            translate standard input with the best model; --help says more
babeltune replay --tables DIR            how soon a policy finds the best of systems that are trained
babeltune clean                          what runs and caches no longer need, removed after asking
babeltune doctor                         what this machine can do, and what holds it back
babeltune configs                        the configurations that --config takes by name, and where they lie
babeltune schema                         the JSON Schema of a configuration, for editors
babeltune completion bash                completion for bash, zsh or fish
babeltune --version                      versions, for a report of a fault
babeltune --help                         all keys, their defaults and meaning
"""

ABOUT = __doc__ or ""
