"""Whether scores at a rung say anything about final scores. Every kind asks before it lets a trial wait or end."""

import math

from search.record.forecasting import ENOUGH_FINISHED, misleads
from search.record.study import Study
from search.schedulers.arrivals import Field


def is_doubted(study: Study, field: Field, rung: int) -> bool:
    """Whether the finished trials of a field show that the rung says next to nothing; then all trials pass it."""
    if field.num_finished < ENOUGH_FINISHED:
        return False
    if field.doubt[0] != field.num_finished:  # scores of finished trials stay as they are
        ends = [(study.merit(trial, rung), study.final(trial)) for trial in field.finished(study)]
        ends = [(at_rung, at_end) for at_rung, at_end in ends if min(at_rung, at_end) > -math.inf]
        doubted = misleads(tuple(at_rung for at_rung, _ in ends), tuple(at_end for _, at_end in ends))
        field.doubt = field.num_finished, doubted
    return field.doubt[1]
