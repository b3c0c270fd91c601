"""`compile=true` compiles the model's forward pass with torch.compile, which can slow down small models."""

import pytorch_lightning as pl


class Compile(pl.Callback):
    """Compiles the model in place, which keeps the names in checkpoints. On a CPU, torch needs a C++ compiler."""

    supports_multi_step = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module.compile()


def compile(compile: bool) -> Compile | None:
    """Return the callback, or None with compile=false; called by conf/config.yaml."""
    return Compile() if compile else None
