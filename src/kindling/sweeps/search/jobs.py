"""How a search has its jobs trained. Does not import torch."""

import gc
import json
from pathlib import Path

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from kindling.files import replacing, write_json
from kindling.sweeps.folder import result_of
from kindling.sweeps.grid import through
from kindling.sweeps.plan import plan


class Jobs:
    """Trains jobs in the sweep's folder, by whichever launcher was chosen."""

    def __init__(self, launcher: Launcher, context: HydraContext, master: DictConfig):
        self.launcher, self.context, self.master = launcher, context, master
        self.folder = Path(master.hydra.sweep.dir)
        self.listed = self.folder / "jobs.json"

    def begin(self) -> None:
        """Write what was typed, for `resume`."""
        with replacing(self.folder / "multirun.yaml") as part:
            OmegaConf.save(self.master, part)

    def __call__(self, batch: list[list[str]]) -> list[tuple[dict, dict]]:
        """Of every job its entry in jobs.json, and its result, empty if it was not run."""
        # Here, as Hydra runs every plugin's module once more when it looks for plugins, and makes other classes then.
        from kindling.sweeps.hydra_plugin import TogetherLauncher

        # Keys, as a job may be listed with the words of one that is the same; now, as code may be edited meanwhile.
        keys = [job.key for job in plan(self.context.config_loader, self.master, batch)]
        if isinstance(self.launcher, TogetherLauncher):
            self.launcher.launch(batch, 0)
        else:
            through(self.launcher, self.context, self.master, batch=batch)
        gc.collect()  # a failed job's traceback holds the sweep's folder, which would stay locked for the next batch
        of_key = {entry["key"]: entry for entry in json.loads(self.listed.read_text(encoding="utf-8"))["jobs"]}
        entries = [of_key[key] for key in keys]
        return [(entry, result_of(self.folder / entry["folder"])) for entry in entries]

    def list_all(self, entries: list[dict]) -> None:
        """Have jobs.json list these too; a launcher leaves out what has failed in an earlier batch."""
        content = json.loads(self.listed.read_text(encoding="utf-8"))
        every = {entry["key"]: entry for entry in [*entries, *content["jobs"]]}
        write_json(self.listed, {**content, "jobs": list(every.values())})
