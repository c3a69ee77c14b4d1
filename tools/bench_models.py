"""`s5kit bench models`: clips per second and memory of every net, forward and with gradients."""

from __future__ import annotations

import contextlib
import json
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models import ModelError

if TYPE_CHECKING:  # torch is loaded when the command runs, not when the program starts
    import torch

WARM_UP = 1
SAMPLE_S = 0.005
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        batch: Clips per step.
        seconds: Length of a clip [s].
        repeat: Timed steps.
        backward: Also measure forward and backward.
        compiled: Apply `torch.compile`.
        channels_last: Channels-last memory for the separators.
    """

    batch: int = 1
    seconds: float = 10.0
    repeat: int = 3
    backward: bool = True
    compiled: bool = False
    channels_last: bool = True


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        model: Name of the net.
        precision: fp32, bf16 or fp16, by autocast.
        compiled: Whether `torch.compile` was applied.
        parameters: Their number.
        batch: Clips per step.
        forward: Clips per second without gradients (median of the repetitions).
        training: Clips per second forward and backward; None when not asked for.
        forward_mb: Peak memory above the model's own, forward [MB].
        training_mb: The same, forward and backward.
    """

    model: str
    precision: str
    compiled: bool
    parameters: int
    batch: int
    forward: float
    training: float | None
    forward_mb: float
    training_mb: float | None


def models(
    names: Annotated[
        list[str] | None, typer.Option("--model", help="Only this one; may be repeated. Default: all.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps …")] = "cpu",
    precisions: Annotated[
        list[str] | None, typer.Option("--precision", help="fp32, bf16, fp16; may be repeated.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Clips per step.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a clip [s].")] = 10.0,
    repeat: Annotated[int, typer.Option(min=1, help="Timed steps; the median counts.")] = 3,
    compiled: Annotated[bool, typer.Option("--compile", help="Also apply torch.compile.")] = False,
    channels_last: Annotated[bool, typer.Option(help="Channels-last memory for the separators.")] = True,
    checkpointed: Annotated[int, typer.Option(min=0, max=6, help="Separator levels recomputed.")] = 0,
    backward: Annotated[bool, typer.Option(help="Also measure forward and backward.")] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's.")] = None,
    tiny: Annotated[bool, typer.Option(help="The nets' small forms, for a dry run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure every net on clips of noise; the separators' SED model is its own row."""
    import torch

    for precision in precisions or []:
        if precision not in PRECISIONS:
            raise ModelError(f"{precision!r}", where="--precision", remedy=f"choose {', '.join(PRECISIONS)}")
    if threads is not None:
        torch.set_num_threads(threads)
    rows = []
    for name in names or list(_makers(tiny, 0)):
        for precision in precisions or ["fp32"]:
            work = Work(batch, seconds, repeat, backward, compiled, channels_last)
            rows.append(measure(name, _maker(name, tiny, checkpointed), device, precision, work))
            if not as_json:
                _print_row(rows[-1])
    if as_json:
        where = {**_machine(device), "seconds": seconds, "repeat": repeat, "checkpointed": checkpointed}
        typer.echo(json.dumps({**where, "rows": [asdict(row) for row in rows]}))


def measure(name: str, maker: Callable[[], torch.nn.Module], device: str, precision: str, work: Work) -> Row:
    """Time one net on a device, in one of `PRECISIONS`."""
    import torch

    net = maker().to(device)
    if work.channels_last and hasattr(net, "passes"):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = _inputs(net, work.batch, work.seconds, device)
    step = torch.compile(net) if work.compiled else net
    parameters = sum(p.numel() for p in net.parameters())

    def forward() -> None:
        with torch.no_grad(), _autocast(device, precision):
            step(*inputs)

    def training() -> None:
        net.zero_grad(set_to_none=True)
        with _autocast(device, precision):
            _loss(step(*inputs)).backward()

    net.eval()
    per_forward, forward_mb = _timed(forward, work.repeat, device)
    per_training, training_mb = None, None
    if work.backward:
        net.train()
        _steady(net)
        per_training, training_mb = _timed(training, work.repeat, device)
    return Row(
        model=name,
        precision=precision,
        compiled=work.compiled,
        parameters=parameters,
        batch=work.batch,
        forward=work.batch / per_forward,
        training=work.batch / per_training if per_training else None,
        forward_mb=forward_mb,
        training_mb=training_mb,
    )


def _steady(net: torch.nn.Module) -> None:
    """Let norms before a head use their running statistics: one clip alone has no variance."""
    import torch

    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d) and not module.affine:
            module.eval()


def _timed(work: Callable[[], None], repeat: int, device: str) -> tuple[float, float]:
    """Return the median time of a step [s] and the peak memory above the level before [MB]."""
    import torch

    times = []
    with _peak(device) as peak:
        for _ in range(WARM_UP + repeat):
            start = time.perf_counter()
            work()
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:]), peak[0]


@contextlib.contextmanager
def _peak(device: str) -> Iterator[list[float]]:
    """Measure the peak memory above the level before: exact on CUDA, sampled from the process elsewhere."""
    import torch

    found = [0.0]
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield found
        found[0] = (torch.cuda.max_memory_allocated(device) - before) / 1e6
        return
    before, over, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_S):
            over[0] = max(over[0], _resident() - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()
    found[0] = max(over[0], _resident() - before) / 1e6


def _resident() -> int:
    """Return the process's resident memory [bytes]; its high-water mark where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


def _autocast(device: str, precision: str) -> contextlib.AbstractContextManager[Any]:
    import torch

    if precision == "fp32":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(torch.device(device).type, dtype=dtype)


def _makers(tiny: bool, checkpointed: int) -> dict[str, Callable[[], torch.nn.Module]]:
    """Return how each net is built: the five SED models, the taggers, the separators."""
    from functools import partial

    from models import SEPARATORS, create_sed, create_separator, create_tagger

    size, suffix = ("tiny", "-tiny") if tiny else ("base", "")
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        name: partial(create_sed, name, size=size) for name in ("m2d", "atst", "beats", "fpasst", "asit")
    }
    for name in ("baseline2025", "baseline2026_4c"):
        makers[name] = partial(create_tagger, name, size=size)
    for name in SEPARATORS:
        makers[name] = partial(create_separator, name + suffix, checkpointed=checkpointed)
    return makers


def _maker(name: str, tiny: bool, checkpointed: int) -> Callable[[], torch.nn.Module]:
    makers = _makers(tiny, checkpointed)
    if name not in makers:
        raise ModelError(f"no net {name!r}", where="--model", remedy=f"choose one of {', '.join(makers)}")
    return makers[name]


def _inputs(net: torch.nn.Module, batch: int, seconds: float, device: str) -> tuple[Any, ...]:
    """Return noise of the right shape, and for separators labels and hints."""
    import torch

    from models import Hints

    draw = torch.Generator(device="cpu").manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw).mul_(0.1).to(device)

    config: Any = getattr(net, "config", None)
    if not hasattr(net, "passes"):
        rate: Any = getattr(net, "sample_rate", 16000)
        return (noise(batch, 4, round(seconds * rate)),)
    mixture = noise(batch, config.mics, round(seconds * 32000))
    if not config.classes:
        return mixture, noise(batch, config.condition)
    labels = torch.zeros(batch, config.sources, config.classes, device=device)
    labels[:, :, 0] = 1
    columns = max(1, round(6.2 * seconds))
    hints = Hints(
        noise(batch, config.classes, 250), noise(batch, config.features, 5, columns, config.feature_width)
    )
    return mixture, labels, hints


def _loss(output: Any) -> torch.Tensor:
    """Return a number that depends on every output."""
    tensors = [part for part in output if part is not None] if isinstance(output, tuple) else [output]
    total: torch.Tensor = sum(part.float().square().mean() for part in tensors)
    return total


def _machine(device: str) -> dict[str, Any]:
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    return {"device": device, "name": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def _print_row(row: Row) -> None:
    how = f"{row.precision}{' compiled' if row.compiled else ''}"
    text = f"{row.model:20s} {how:13s} {row.parameters / 1e6:6.2f} M"
    text += f" {row.forward:8.2f} clips/s {row.forward_mb:6.0f} MB"
    if row.training is not None:
        text += f"   with gradients {row.training:8.2f} clips/s {row.training_mb:6.0f} MB"
    typer.echo(text)
