"""Train the jobs of a search. Does not import torch."""

import gc
from pathlib import Path

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from kindling.cli.folders.damaged import Damaged
from kindling.files import replacing, write_json
from kindling.sweeps.folder import read_list, result_of, warn
from kindling.sweeps.grid import run_with
from kindling.sweeps.plan import plan


class Jobs:
    """Trains jobs in the sweep's folder with the chosen launcher."""

    def __init__(self, launcher: Launcher, context: HydraContext, master: DictConfig):
        self.launcher, self.context, self.master = launcher, context, master
        self.folder = Path(master.hydra.sweep.dir)
        self.listed = self.folder / "jobs.json"

    def begin(self) -> None:
        """Write the config of the sweep, which `resume` reads."""
        with replacing(self.folder / "multirun.yaml") as part:
            OmegaConf.save(self.master, part)

    def __call__(self, batch: list[list[str]]) -> list[tuple[dict, dict]]:
        """Train jobs, given by their overrides; return each job's entry in jobs.json and its result, {} if not run."""
        # Imported here, because Hydra executes each plugin module again when it looks for plugins, with new classes.
        from kindling.sweeps.hydra_plugin import TogetherLauncher

        # By key, because jobs.json lists duplicates only once; computed now, because code may be edited while they run.
        keys = [job.key for job in plan(self.context.config_loader, self.master, batch)]
        if isinstance(self.launcher, TogetherLauncher):
            self.launcher.launch(batch, 0)
        else:
            run_with(self.launcher, self.context, self.master, batch=batch)
        gc.collect()  # a failed job's traceback refers to the sweep's folder, which would stay locked
        by_key = {entry["key"]: entry for entry in read_list(self.folder)["jobs"]}
        entries = [by_key[key] for key in keys]
        return [(entry, result_of(self.folder / entry["folder"])) for entry in entries]

    def list_all(self, entries: list[dict]) -> None:
        """Add these entries to jobs.json, from which launchers drop jobs that failed in an earlier batch."""
        try:
            content = read_list(self.folder)
        except Damaged as error:
            warn(f"{self.listed} ({error.why}) is written again, with the jobs of this search")
            content = {"jobs": [], "groups": {}}
        merged = {entry["key"]: entry for entry in [*entries, *content["jobs"]]}
        write_json(self.listed, {**content, "jobs": list(merged.values())})
