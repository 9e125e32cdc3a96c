"""The plan that a search prints when it starts, and compares with its real cost at its end."""

from search.cluster.slots import Slots
from search.planning.extent import measure_extent
from search.planning.fitting import check_disk, check_memory
from search.planning.kept import compare_with_plan, describe_plan, keep_plan
from search.planning.planned import plan_search
from search.record.budget import Spent
from search.settings.experiment import Experiment
from trainables.base.installed import program
from trainables.base.log import say


class OwnPlan:
    """The plan of one search."""

    def __init__(self, experiment: Experiment):
        self.experiment, self.extent = experiment, measure_extent(experiment)

    def check_memory(self) -> None:
        """Raises UserError if the models do not fit into this machine's memory."""
        check_memory(self.experiment, self.extent)

    def tell(self, slots: Slots) -> None:
        """Print what the search will take, and keep the plan. Raises UserError if the disk is too small."""
        plan = plan_search(self.experiment, self.extent, slots, measuring=False)
        if plan is None:
            say(f"how much the budget buys is not known; `{program('plan')}` measures it")
            return
        check_disk(self.experiment, plan.estimate)
        keep_plan(self.experiment.run_dir, self.experiment, plan)
        say(describe_plan(plan.estimate))

    def compare(self, search: Spent, everything: Spent) -> list[str]:
        """Sentences on how far off the plan was.

        search: what the trials of the search spent. everything: the same with the finals.
        """
        return compare_with_plan(self.experiment.run_dir, self.experiment, search, everything)
