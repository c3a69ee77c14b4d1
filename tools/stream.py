"""`s5kit stream`: shards made now, as a tar archive on standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from synth import (
    Catalog,
    SynthError,
    corpus_of,
    load_recipe,
    parse_shards,
    stem_names,
    stream_shards,
)

BROKEN_PIPE = 141
"""What a shell gives for a program whose reader has gone (128 + SIGPIPE)."""

_STEMS = ("mixture", "dry", "wet", "interference", "noise")


def stream(
    recipe: Annotated[str, typer.Option(help="A preset (see `s5kit recipes`) or a YAML file.")],
    catalog: Annotated[Path, typer.Option(help="Catalog to draw from (see `s5kit catalog build`).")],
    shard: Annotated[
        list[str], typer.Option(help="Which shards: 7, 0:10 (10 is not one) or {000000..000009}. Repeatable.")
    ],
    seed: Annotated[int, typer.Option(help="Which series of scenes.")] = 0,
    split: Annotated[str | None, typer.Option(help="train, valid or test; by default the recipe's.")] = None,
    shard_size: Annotated[int, typer.Option(help="Scenes per shard.")] = 100,
    stems: Annotated[
        str, typer.Option(help=f"`all`, or some of {','.join(_STEMS)}; mixture and dry are always there.")
    ] = "mixture,dry",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: targets.snr_db=[5,20]. Repeatable.")
    ] = None,
) -> None:
    """Write shards to standard output: one has the bytes that `s5kit synth` writes into its file.

    `webdataset` reads them with "pipe:s5kit stream … --shard {000000..000999}". Several shards of
    one command are one archive.
    """
    if sys.stdout.isatty():
        raise SynthError(
            "is a terminal, and archives are no text",
            where="standard output",
            remedy="send it into a file or a pipe: s5kit stream … > shard.tar",
        )
    chosen = load_recipe(recipe, [*(overrides or []), *([] if split is None else [f"split={split}"])])
    identity, maker = corpus_of(
        chosen, Catalog.load(catalog), seed=seed, shard_size=shard_size, stems=stem_names(stems, _STEMS)
    )
    shards = parse_shards(shard, identity.num_shards, where="--shard")
    try:
        stream_shards(identity, shards, maker, sys.stdout.buffer)
    except BrokenPipeError:
        _leave_quietly()
    except OSError as error:
        raise SynthError(
            f"it cannot be written: {error.strerror or error}",
            where="standard output",
            remedy="make room for it; what was written is no whole archive",
        ) from error


def _leave_quietly() -> None:
    """End as programs do whose reader has seen enough, without a word when Python flushes its output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(BROKEN_PIPE)
