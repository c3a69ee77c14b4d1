"""`s5kit serve`: shards made on demand over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synth import Catalog, ServeSettings, available_cores, load_recipe, serve_shards, stem_names

console = Console(stderr=True, highlight=False, soft_wrap=True)

_STEMS = ("mixture", "dry", "wet", "interference", "noise")


def serve(
    catalog: Annotated[Path, typer.Option(help="Catalog to draw from (see `s5kit catalog build`).")],
    recipes: Annotated[str, typer.Option(help="Presets or YAML files, with commas between them.")] = "demo",
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(envvar="S5KIT_TOKEN", help="Clients must send Authorization: Bearer TOKEN."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, valid or test; by default the recipe's.")] = None,
    shard_size: Annotated[int, typer.Option(help="Scenes per shard.")] = 100,
    stems: Annotated[
        str, typer.Option(help=f"`all`, or some of {','.join(_STEMS)}; mixture and dry are always there.")
    ] = "mixture,dry",
    workers: Annotated[int, typer.Option(min=0, help="Shards made at once; 0: one per core.")] = 0,
    waiting: Annotated[int, typer.Option(help="Shards that may wait; more get 503 and Retry-After.")] = 16,
    max_requests: Annotated[int, typer.Option(help="Requests answered at once.")] = 64,
    max_shards: Annotated[int, typer.Option(help="Shards per recipe and seed.")] = 100_000,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps made shards; else a temporary one.")
    ] = None,
    cache_gb: Annotated[
        float, typer.Option(help="The least recently used shards beyond this are removed.")
    ] = 10.0,
    timeout: Annotated[float, typer.Option(help="Seconds after which a shard is given up.")] = 900.0,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipes: targets.snr_db=[5,20]. Repeatable.")
    ] = None,
) -> None:
    """Answer GET /RECIPE/SEED/000123.tar with that shard: the bytes that `s5kit synth` writes, made on demand.

    Also /RECIPE/SEED/000123.idx.json, / (what is served), /health and /metrics (Prometheus). The
    same address always gives the same bytes; `?content=DIGEST` makes sure of it.
    """
    changes = [*(overrides or []), *([] if split is None else [f"split={split}"])]
    chosen = [load_recipe(name.strip(), changes) for name in recipes.split(",")]
    settings = ServeSettings(
        host=host,
        port=port,
        token=token,
        shard_size=shard_size,
        stems=stem_names(stems, _STEMS),
        max_shards=max_shards,
        workers=workers or available_cores(),
        waiting=waiting,
        max_requests=max_requests,
        cache=cache,
        cache_bytes=int(cache_gb * 1e9),
        make_seconds=timeout,
    )

    def say(address: str) -> None:
        names = ", ".join(recipe.name for recipe in chosen)
        console.print(f"serving {names} at {address}/RECIPE/SEED/000000.tar (Ctrl-C ends it)", markup=False)

    serve_shards(chosen, Catalog.load(catalog), settings, on_start=say)
