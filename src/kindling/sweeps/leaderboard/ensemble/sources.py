"""The data and models of a sweep's jobs, built only once where they are equal."""

import json
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from torch.utils.hooks import RemovableHandle

from kindling import UserError
from kindling.cli.build import build
from kindling.cli.folders.read import text_of
from kindling.data.base import Data, model_kwargs
from kindling.models.base import Model
from kindling.models.probabilities import divide_logits
from kindling.sweeps.leaderboard.config_text import SAME_SAMPLES, data_and_model_text
from kindling.sweeps.leaderboard.jobs import Job
from kindling.training.checkpoint_files import load_best
from kindling.training.run_folder import config_of


class Sources:
    """Builds the data and models of jobs; equal data and the models of equal configs only once."""

    def __init__(self, trust: bool):
        self.trust = trust
        self.texts: dict[Job, str] = {}
        self.configs: dict[str, DictConfig] = {}
        self.loaded: dict[str, Data] = {}
        self.models: dict[str, Model] = {}
        self.hooks: dict[str, RemovableHandle] = {}  # which divide the logits of a model

    def config(self, job: Job) -> DictConfig:
        """Return the config of the job, or one that has the same data and model."""
        if job not in self.texts:
            self.texts[job] = data_and_model_text(_config_text(job))
        text = self.texts[job]
        if text not in self.configs:
            self.configs[text] = config_of(job.folder, self.trust)
        return self.configs[text]

    def data(self, job: Job) -> Data:
        cfg = self.config(job)
        key = options_text(cfg.data, SAME_SAMPLES)
        if key not in self.loaded:
            data = build(cfg.data)
            if not isinstance(data, Data):
                raise _foreign(job)
            data.setup()
            self.loaded[key] = data
        return self.loaded[key]

    def scoring_model(self, job: Job) -> Model:
        """Return a model whose loss and metrics score predictions."""
        cfg = self.config(job)
        model = build(cfg.model, **model_kwargs(self.data(job)))
        if not isinstance(model, Model):
            raise _foreign(job)
        return model

    def model(self, job: Job) -> Model:
        """Return the model with the job's best weights and temperature, which are replaced by the next call."""
        self.config(job)
        text = self.texts[job]
        if text not in self.models:
            self.models[text] = self.scoring_model(job).eval()
        checkpoint = load_best(job.folder, self.trust)
        self.models[text].load_state_dict(checkpoint["state_dict"])
        if text in self.hooks:
            self.hooks.pop(text).remove()
        if "temperature" in checkpoint:
            self.hooks[text] = divide_logits(self.models[text], checkpoint["temperature"])
        return self.models[text]


def options_text(node: DictConfig, ignored: tuple[str, ...]) -> str:
    """Return a resolved config node as JSON, without the ignored options."""
    plain = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
    return json.dumps({name: value for name, value in plain.items() if name not in ignored})


def _config_text(job: Job) -> str:
    file = job.folder / ".hydra" / "config.yaml"
    return text_of(file) if file.is_file() else ""  # config_of reports that there is none


def _foreign(job: Job) -> UserError:
    return UserError(
        f"{job.folder.name} does not use subclasses of Kindling's Data and Model, as an ensemble requires."
    )
