"""The card of a corpus: `README.md` with a YAML header, as dataset hubs read it. The same corpus gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import yaml

from ..assets.licences import LedgerRow, Redistribution
from .identity import INDEX_NAME, CorpusIdentity

if TYPE_CHECKING:
    from .corpus_index import CorpusIndex

CARD_NAME = "README.md"
CARD_MARK = "<!-- written by s5kit: changes are lost when the corpus is made again -->"

_HUB_SPLITS = {"valid": "validation", "train-valid": "train"}
_HUB_LICENCES = {
    **{f"cc-by-{v}": f"cc-by-{v}" for v in ("2.0", "2.5", "3.0", "4.0")},
    **{f"cc-by-sa-{v}": f"cc-by-sa-{v}" for v in ("3.0", "4.0")},
    **{f"cc-by-nc-{v}": f"cc-by-nc-{v}" for v in ("2.0", "3.0", "4.0")},
    **{"cc0-1.0": "cc0-1.0", "cc0": "cc0-1.0", "mit": "mit", "apache-2.0": "apache-2.0"},
}
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_SIZE_WORDS = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
_VERDICTS: dict[Redistribution, str] = {
    "forbidden": "**This corpus contains sounds whose licence forbids redistribution, also of mixtures made "
    "from them. Do not pass it on.**",
    "unknown": "**The licence of some sounds in this corpus is unknown. Do not pass it on before that is "
    "found out.**",
    "allowed-non-commercial": "Some licences allow redistribution for non-commercial purposes only; name the "
    "sources.",
    "allowed": "All licences allow redistribution; name the sources.",
}


def card_text(index: CorpusIndex) -> str:
    """Return the card of a corpus."""
    corpus = index.corpus
    header = yaml.safe_dump(_header(index), sort_keys=False, allow_unicode=True, width=100)
    made_up = (
        "\n**Synthetic: these are no recordings, and the rooms are simulated.**\n" if corpus.synthetic else ""
    )
    hours = index.statistics.hours(corpus.sample_rate)
    return f"""---
{header}---
{CARD_MARK}

# {corpus.name}
{made_up}
{corpus.num_scenes:,} spatial sound scenes of {corpus.duration / corpus.sample_rate:g} s ({hours:.2f} hours) for
DCASE Task 4, first-order Ambisonics (W Y Z X, ACN, SN3D), {corpus.sample_rate:,} Hz, 16-bit FLAC in
{len(index.shards)} WebDataset shard(s). `{INDEX_NAME}` lists every shard with its SHA-256; the file beside each
shard lists its members.

{_table(("what", "value"), _facts(corpus))}

## Members of a sample

{", ".join(f"`{name}`" for name in corpus.member_suffixes())}. Slots without a target are silent. The JSON holds
the labels, and the whole scene on paper, from which it can be rendered again.

## Targets

{_table(("class", "events"), sorted(index.statistics.targets.items()))}

## Licences

{_VERDICTS[index.redistribution]}

{_table(("data set", "licence", "redistribution", "uses"), map(_ledger_cells, index.ledger))}
"""


def _header(index: CorpusIndex) -> dict[str, object]:
    corpus = index.corpus
    split = _HUB_SPLITS.get(corpus.split, corpus.split)
    size = sum(corpus.num_scenes >= limit for limit in _SIZES)
    header: dict[str, object] = {"pretty_name": corpus.name, **_licence(index.ledger)}
    return {
        **header,
        "tags": ["audio", "webdataset", "ambisonics", "sound-event-detection", "source-separation", "dcase"]
        + (["synthetic"] if corpus.synthetic else []),
        "task_categories": ["audio-classification", "audio-to-audio"],
        "size_categories": [_SIZE_WORDS[size]],
        "redistribution": index.redistribution,
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{corpus.name}-*.tar"}],
            }
        ],
    }


def _licence(ledger: Sequence[LedgerRow]) -> dict[str, str]:
    """Return the hub's word for the licence when there is a single one."""
    found = {row.licence for row in ledger}
    word = _HUB_LICENCES.get(next(iter(found)).lower().replace(" ", "-")) if len(found) == 1 else None
    if word is not None:
        return {"license": word}
    return {"license": "other", "license_name": "several, see the table"}


def _facts(corpus: CorpusIdentity) -> list[tuple[str, object]]:
    return [
        ("made by", f"s5kit {corpus.generator}"),
        ("recipe", f"{corpus.recipe} ({corpus.recipe_hash})"),
        ("catalog", corpus.catalog_hash),
        ("split", corpus.split),
        ("seed", corpus.seed),
        ("slots for targets", corpus.slots),
    ]


def _ledger_cells(row: LedgerRow) -> tuple[object, ...]:
    return row.dataset, row.licence, row.redistribution, row.count


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
