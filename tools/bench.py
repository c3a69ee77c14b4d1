"""`s5kit bench`: how fast the parts are on this machine."""

from __future__ import annotations

import typer

from . import bench_effects, bench_generator, bench_models, bench_render, bench_stream

app = typer.Typer(no_args_is_help=True, help="Measure what this machine does per second.")
app.command("generator")(bench_generator.generator)
app.command("models")(bench_models.models)
app.command("effects")(bench_effects.effects)
app.command("stream")(bench_stream.stream)
app.command("render")(bench_render.render)
