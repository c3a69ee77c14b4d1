"""`s5kit bench`: how fast the parts are on this machine."""

from __future__ import annotations

import typer

from . import bench_generator, bench_models

app = typer.Typer(no_args_is_help=True, help="Measure what this machine does per second.")
app.command("generator")(bench_generator.generator)
app.command("models")(bench_models.models)
