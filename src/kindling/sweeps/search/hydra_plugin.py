"""A sweeper that asks Optuna for jobs. Imports neither torch nor optuna."""

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from kindling import UserError


class OptunaSweeper(Sweeper):
    """Searches for the best values of the swept options; see kindling.sweeps.search.

    Args:
        n_trials: total number of trials, including those of an earlier start.
        batch: number of trials that are sampled at once and trained together.
        seed: seed of the sampler, independent of the jobs' seeds; None: a different one each time.
        repeat, folds: number of seeds and of cross-validation folds; a trial's score is the mean over them.
        sampler: "tpe" or "random".
        params: option -> its search space in Hydra's override syntax; overrides on the command line take precedence.
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
        self.n_trials, self.batch, self.seed, self.sampler = n_trials, batch, seed, sampler
        self.repeat, self.folds, self.params = repeat, folds, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins  # imports all plugins

        from kindling.sweeps.search.jobs import Jobs

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.loader, self.jobs = hydra_context.config_loader, Jobs(launcher, hydra_context, config)

    def sweep(self, arguments: list[str]) -> None:
        try:
            from kindling.sweeps.grid import with_params
            from kindling.sweeps.search.space import SearchSpace
            from kindling.sweeps.search.study import search
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError('hydra/sweeper=optuna needs Optuna: pip install -e ".[optuna]"') from error
        space = SearchSpace(with_params(arguments, self.params), self.loader, self.repeat, self.folds)
        search(space, self.jobs, self.n_trials, self.batch, self.seed, sampler=self.sampler)
