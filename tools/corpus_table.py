"""The closing table of a corpus: classes, SNRs, overlap, hours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from synth import CorpusIndex, Statistics

_BAR = 24


def corpus_table(index: CorpusIndex) -> Table:
    """Return what a corpus holds as a table of three columns: what, how many, how that looks."""
    corpus, found = index.corpus, index.statistics
    made_up = " (synthetic sounds and rooms)" if corpus.synthetic else ""
    table = Table(title=f"{corpus.name}{made_up}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row("scenes", f"{found.scenes:,}", f"{found.hours(corpus.sample_rate):.2f} hours")
    table.add_row("size", f"{index.size / 1e6:,.1f} MB", f"{len(index.shards)} shard(s)")
    _section(table, "targets in a scene", sorted(found.targets_per_scene.items()))
    _section(table, "interferers in a scene", sorted(found.interferers_per_scene.items()))
    _section(table, "targets", sorted(found.targets.items()))
    snr = ((f"{low} to {low + found.SNR_BIN_DB:g} dB", count) for low, count in sorted(found.snr_db.items()))
    _section(table, "SNR of targets", snr)
    _section(table, "targets at once", _time(found, corpus.sample_rate), unit=" s")
    table.add_section()
    table.add_row("overlap", f"{found.overlap():.1%}", "of the time with targets has several")
    table.add_row("repeated class", f"{found.same_class_scenes:,}", "scenes with two targets of one class")
    table.add_row("no background", f"{found.noiseless_scenes:,}", "scenes")
    table.add_row("clipped", f"{found.clipped_samples:,}", f"samples in {found.clipped_scenes:,} scenes")
    if index.ledger:
        table.add_section()
        table.add_row("redistribution", "", index.redistribution)
    return table


def _time(found: Statistics, rate: int) -> list[tuple[int, float]]:
    return [(number, samples / rate) for number, samples in sorted(found.active_targets.items())]


def _section(table: Table, title: str, counts: Iterable[tuple[object, float]], unit: str = "") -> None:
    """Add a histogram under a title; nothing when there is nothing to count."""
    rows = list(counts)
    if not rows:
        return
    table.add_section()
    table.add_row(f"[bold]{title}[/bold]", "", "")
    most = max(count for _, count in rows)
    for name, count in rows:
        text = f"{count:,.1f}{unit}" if unit else f"{count:,}"
        table.add_row(f"  {name}", text, "█" * max(round(_BAR * count / most), 1))
