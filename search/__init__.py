"""Many trials: space, searcher, scheduling, finals, evidence, tracking, report, command line."""
