"""The `s5kit` command: one small file per group of commands beside this one."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

# One thread per process, before NumPy is imported: small FFTs and products lose by threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import typer  # noqa: E402
from rich.console import Console  # noqa: E402

from models import ModelError  # noqa: E402
from synth import SynthError  # noqa: E402

from . import (  # noqa: E402
    ablate,
    bench,
    catalog,
    catalog_check,
    catalog_merge,
    demo,
    doctor,
    download,
    ensemble,
    evaluate,
    inspect,
    plan,
    prepare,
    publish,
    recipes,
    render,
    rirs,
    serve,
    stream,
    submit,
    synth,
    train,
    verify,
    weights,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Spatial sound scenes for DCASE Task 4 (S5), and the nets that take them apart again.",
)
catalog.app.command("check")(catalog_check.check)
catalog.app.command("merge")(catalog_merge.merge)
app.add_typer(catalog.app, name="catalog")
app.add_typer(prepare.app, name="prepare")
app.add_typer(rirs.app, name="rirs")
app.add_typer(recipes.app, name="recipes")
app.add_typer(bench.app, name="bench")
app.add_typer(demo.app, name="demo")
app.add_typer(train.app, name="train")
app.add_typer(weights.app, name="weights")
app.command("ablate")(ablate.ablate)
app.command("download")(download.download)
app.command("plan")(plan.plan)
app.command("render")(render.render)
app.command("synth")(synth.synth)
app.command("stream")(stream.stream)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.add_typer(ensemble.app, name="ensemble")
app.command("evaluate")(evaluate.evaluate)
app.command("inspect")(inspect.inspect)
app.command("submit")(submit.submit)
app.command("verify")(verify.verify)
app.command("publish")(publish.publish)

_EXTRAS = {
    "torch": "models",
    "safetensors": "models",
    "huggingface_hub": "models",
    "pyroomacoustics": "demo",
    "matplotlib": "plots",
    "torch_audiomentations": "augment",
    "sed_scores_eval": "train",
    "accelerate": "train",
    "tensorboard": "train",
    "uvicorn": "serve",
    "fastapi": "serve",
    "s3fs": "remote",
    "aiohttp": "remote",
    "fsspec": "remote",
    "ray": "ray",
}
_ROOMS = ("synth", "models", "training", "manifests")


def main() -> None:
    """Run the command line; user errors become one message on stderr and a status that is not 0."""
    _warn_of_shadows()
    try:
        app()
    except (SynthError, ModelError) as error:
        _complain(str(error))
        sys.exit(getattr(error, "exit_code", 1))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        _complain(f"this command needs {error.name}, which is not installed (pip install 's5kit[{extra}]')")
        sys.exit(1)


def _complain(text: str) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(text, markup=False)


def _warn_of_shadows() -> None:
    """Say which files run when another package of the same generic name comes first."""
    home = Path(__file__).resolve().parent.parent
    for room in _ROOMS:
        spec = importlib.util.find_spec(room)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if origin is not None and origin.parent.parent != home:
            print(
                f"note: s5kit runs from {home}, but the name `{room}` belongs to {origin.parent}; "
                "run from another folder or take that one off PYTHONPATH",
                file=sys.stderr,
            )
