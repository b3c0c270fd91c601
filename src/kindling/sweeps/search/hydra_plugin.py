"""A sweeper that asks Optuna for the jobs. Importing this takes neither torch nor optuna."""

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from kindling import UserError


class OptunaSweeper(Sweeper):
    """Searches the best values of the swept knobs; see kindling.sweeps.search.

    Args:
        n_trials: trials of the search in all, those of an earlier start included.
        batch: trials asked for at once, so that they are trained together.
        seed: of what is tried, apart from the jobs' own; None: another one each time.
        repeat, folds: seeds, and parts of a cross-validation, over whose mean score a trial counts.
        sampler: "tpe" or "random".
        params: knob -> where to search it, as it would be typed; what is typed goes before it.
    """

    def __init__(
        self,
        n_trials: int,
        batch: int,
        seed: int | None,
        repeat: int,
        folds: int | None,
        sampler: str = "tpe",
        params: dict[str, str] | None = None,
    ):
        self.how = {"n_trials": n_trials, "batch": batch, "seed": seed, "sampler": sampler}
        self.shorthand, self.params = (repeat, folds), params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins  # itself imports all plugins

        from kindling.sweeps.search.jobs import Jobs

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.loader, self.jobs = hydra_context.config_loader, Jobs(launcher, hydra_context, config)

    def sweep(self, arguments: list[str]) -> None:
        try:
            from kindling.sweeps.grid import with_params
            from kindling.sweeps.search.space import Typed
            from kindling.sweeps.search.study import search
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError('hydra/sweeper=optuna needs Optuna: pip install -e ".[optuna]"') from error
        words = with_params(arguments, self.params)
        search(Typed(words, self.loader, *self.shorthand), self.jobs, **self.how)
