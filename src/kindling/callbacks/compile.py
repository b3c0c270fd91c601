"""`compile=true` compiles the model's forward pass with torch.compile. Small nets lose by it: measure."""

import pytorch_lightning as pl


class Compile(pl.Callback):
    """Compiles in place, so checkpoints and names stay as they are. On a CPU torch wants a C++ compiler."""

    supports_multi_step = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module.compile()


def compile(compile: bool) -> Compile | None:
    """For conf/config.yaml: none with compile=false."""
    return Compile() if compile else None
