"""Export a run as one file that needs neither Kindling nor the run: format=pt2 (torch.export) or onnx.

The file takes raw rows (N, columns) of float64, scales them and returns probabilities, or values in the unit of the
target. Categories are given as their index, dates as days since 1970-01-01, missing values as NaN; the file says which
(for pt2 as extra file "kindling.json", for onnx as metadata "kindling"). It is loaded again and compared with the run.
"""

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.files import replacing

if TYPE_CHECKING:
    import torch

    from kindling.training.prediction.predictor import Predictor

USAGE = "python -m kindling export run=<run or sweep folder> output=<file> [format=pt2|onnx] [trust=true] [--json]"
TOLERANCE = 1e-5
ROWS = 64  # that are compared


def export(run: Path, output: Path, form: str = "pt2", trust: bool = False) -> dict[str, Any]:
    """Write the file, and return what it contains: columns, their kinds and values, the task and the class names.

    Raises:
        UserError: there is no such run, the format is unknown or needs another package, or the outputs differ.
    """
    if form not in ("pt2", "onnx"):
        raise UserError(f"format={form} is unknown: choose pt2 or onnx.")
    if not output.parent.is_dir():
        raise UserError(f"output={output} is in a folder that does not exist: create {output.parent} first.")
    import torch

    from kindling.training.prediction.predictor import Predictor, RawRows

    predictor = Predictor(run, trust)
    module = RawRows(predictor.model, predictor.transform).eval().requires_grad_(False)
    rows = _rows(predictor)
    about = _about(predictor)
    with torch.no_grad(), replacing(output) as part, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"model.{form}"
        found = (_as_pt2 if form == "pt2" else _as_onnx)(module, rows, about, file)
        wanted = module(rows)
        worst = ((found - wanted).abs() / wanted.abs().clamp(min=1)).max().item()
        if not worst <= TOLERANCE:
            raise UserError(f"the exported model differs from {predictor.folder} by {worst:.2g}: it is not written.")
        part.write_bytes(file.read_bytes())
    return {"run": str(predictor.folder), "output": str(output), "difference": worst, **about}


def _as_pt2(module: "torch.nn.Module", rows: "torch.Tensor", about: dict[str, Any], file: Path) -> "torch.Tensor":
    import torch

    program = torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, file, extra_files={"kindling.json": json.dumps(about)})
    return torch.export.load(file).module()(rows)


def _as_onnx(module: "torch.nn.Module", rows: "torch.Tensor", about: dict[str, Any], file: Path) -> "torch.Tensor":
    import torch

    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # which torch.onnx needs
    except ImportError as error:
        raise UserError(f'format=onnx needs {error.name}: install it with `pip install -e ".[onnx]"`.') from error
    logging.disable(logging.WARNING)  # that torchvision, which is not needed, is not installed
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            program = torch.onnx.export(
                module, (rows,), dynamo=True, input_names=["rows"], output_names=["predictions"], verbose=False,
                dynamic_shapes=({0: torch.export.Dim("rows")},),
            )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    if program is None:
        raise UserError("torch.onnx cannot export this model; try format=pt2.")
    program.save(str(file))
    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, {"kindling": json.dumps(about)})
    onnx.save(model, str(file))
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"rows": rows.numpy()})[0])


def _rows(predictor: "Predictor") -> "torch.Tensor":
    """Draw raw rows (ROWS, columns) around the training samples, a fifth of the cells missing."""
    import torch

    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(ROWS, len(predictor.columns), dtype=torch.float64, generator=generator)
    encoding = predictor.transform.get("encoding", [])
    for i, column in enumerate(encoding):
        if column.get("values"):
            rows[:, i] = torch.randint(-1, len(column["values"]), (ROWS,), generator=generator).double()
        else:
            rows[:, i] = column["fill"] + rows[:, i] * (365 if column["kind"] == "date" else abs(column["fill"]) + 1)
    if not encoding and len(predictor.transform["shift"]) == len(predictor.columns):
        shift, factor = (torch.tensor(predictor.transform[key], dtype=torch.float64) for key in ("shift", "factor"))
        rows = shift + rows * torch.where(factor > 0, 1 / factor, 0.0)
    return torch.where(torch.rand(rows.shape, generator=generator) < 0.2, torch.nan, rows)


def _about(predictor: "Predictor") -> dict[str, Any]:
    kinds = {column["name"]: column for column in predictor.transform.get("encoding", [])}
    columns = []
    for name in predictor.columns:
        column = kinds.get(name, {"kind": "number"})
        values = {"values": column["values"]} if column.get("values") else {}
        columns.append({"name": name, "kind": column["kind"], **values})
    task = predictor.model.task.name
    return {"task": task, "columns": columns, "classes": list(predictor.model.hparams["class_names"])}


def main(args: list[str]) -> None:
    """Run the command."""
    given = parse([arg for arg in args if arg != "--json"], USAGE)
    found = export(Path(given["run"]), Path(given["output"]), given.get("format", "pt2"), given.get("trust") == "true")
    if "--json" in args:
        print(json.dumps(found))
    else:
        differs = f"largest difference from {found['run']} in {ROWS} rows: {found['difference']:.2g}"
        print(f"wrote {found['output']}; {differs}")
