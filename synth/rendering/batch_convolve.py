"""The arithmetic of a batch on a device: the same sums as `convolve`, many scenes at a time.

No matrix product is used: on a GPU it might run at reduced precision (TF32).

Shapes: N event blocks, E events, R rows, C channels, F = B + 1 bins, L lines of K blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from .batch_device import fft_count
from .batch_layout import Index, Terms


def read_blocks(
    tensors: Sequence[torch.Tensor], rows: dict[str, torch.Tensor], used: Sequence[int], block: int
) -> torch.Tensor:
    """Read event blocks out of flat tensors, each followed by a block of zeros.

    Args:
        tensors: Samples, 1-d each.
        rows: (n,) tensors: `tensor` and `offset` of the first sample, `low` and `high`: which
            samples of the block belong to the event.
        used: Numbers of the tensors that occur in `rows`.
        block: B.

    Returns:
        (fft_count(n), 2 B) float32; int16 samples are not divided by 32,768.
    """
    device, count = rows["offset"].device, len(rows["offset"])
    out = torch.zeros(fft_count(count, device), 2 * block, device=device)
    column = torch.arange(block, device=out.device, dtype=torch.int32)
    low, high = rows["low"].to(torch.int32)[:, None], rows["high"].to(torch.int32)[:, None]
    inside = (column >= low).logical_and_(column < high)
    for number in used:
        source = tensors[number]
        if len(used) == 1:
            out[:count, :block] = _windows(source, rows["offset"], block).mul_(inside)
        else:
            mine = rows["tensor"] == number
            offset = rows["offset"].where(mine, 0)
            found = _windows(source, offset, block).mul_(inside.logical_and(mine[:, None]))
            out[:count, :block] += found
    return out


def _windows(tensor: torch.Tensor, starts: torch.Tensor, length: int) -> torch.Tensor:
    """Return the runs of `length` samples that begin at `starts`, (n, length)."""
    windows = tensor.unfold(0, length, 1)
    # Each is the faster one there: a large pool makes CUDA's index_select count in 64 bits.
    return windows[starts] if tensor.is_cuda else windows.index_select(0, starts)


def wet_energies(
    x: torch.Tensor,
    data: torch.Tensor,
    groups: Sequence[tuple[int, int, int]],
    lag_rows: torch.Tensor,
    slab: int,
) -> torch.Tensor:
    """Return the energy of every event's whole wet signal, tail included; see `convolve.wet_energy`.

    Args:
        x: (N, F) block spectra, events in order.
        data: (rows, F) of the filter bank.
        groups: Runs of events with equally many blocks, (first, end, P).
        lag_rows: (E, Q + 1) rows of the lag spectra; row 0 is zero.
        slab: Bytes of working memory at a time.

    Returns:
        (E,) float64.
    """
    energies = x.new_zeros(len(lag_rows), dtype=torch.float64)
    row = 0
    for first, end, blocks in groups:
        step = max(slab // (8 * blocks * x.shape[1]), 1)
        for a in range(first, end, step):
            b = min(a + step, end)
            some = x[row : row + (b - a) * blocks].view(b - a, blocks, -1)
            row += (b - a) * blocks
            energies[a:b] = _energies(some, data, lag_rows[a:b])
    return energies


def _energies(x: torch.Tensor, data: torch.Tensor, lag_rows: torch.Tensor) -> torch.Tensor:
    """Return the energies of e events with P blocks each, (e,) float64; x: (e, P, F)."""
    blocks = x.shape[1]
    lags = data.index_select(0, lag_rows[:, 0])
    power = torch.view_as_real(x).square().sum(dim=(1, 3))
    total = (power * lags.real).sum(dim=1).double()
    for j in range(1, min(blocks, lag_rows.shape[1])):
        lags = data.index_select(0, lag_rows[:, j])
        product = torch.view_as_real(x[:, : blocks - j] * lags[:, None])
        product *= torch.view_as_real(x[:, j:])
        total += product.sum(dim=(2, 3)).double().sum(dim=1)
    return total


def scale_blocks(x: torch.Tensor, gains: torch.Tensor) -> None:
    """Multiply spectra (N, F) by real factors (N,), in place."""
    torch.view_as_real(x).mul_(gains[:, None, None])


def sum_lines(
    x: torch.Tensor,
    data: torch.Tensor,
    terms: Terms,
    blocks: torch.Tensor,
    filters: torch.Tensor,
    places: torch.Tensor,
    shape: tuple[int, int],
    slab: int,
) -> torch.Tensor:
    """Multiply, add in frequency, transform back and overlap-add.

    Args:
        x: (N, F) spectra of event blocks, gains included.
        data: (rows, F) of the filter bank.
        terms: What to multiply and where to add it.
        blocks: `terms.blocks` on the device.
        filters: `terms.filters` on the device.
        places: (R * C,) where each row begins in the output, in blocks; from `row_places`.
        shape: (L, K).
        slab: Bytes of working memory at a time.

    Returns:
        (L, C, (K + 1) * B) float32.
    """
    lines, limit = shape
    channels, bins = terms.channels, x.shape[1]
    block = bins - 1
    out = torch.zeros(lines * channels * (limit + 1), block, device=x.device)
    step = max(slab // (8 * channels * bins), 1)
    for first in range(0, len(terms.keys), step):
        end = min(first + step, len(terms.keys))
        rows = _sum_rows(x, data, terms, blocks, filters, (first, end))
        pieces = torch.fft.irfft(rows, n=2 * block)
        place = places[first * channels : end * channels]
        # A block of the output is a sum of two: their order changes nothing.
        _add_rows(out, place, pieces[: len(place), :block])
        _add_rows(out, place + 1, pieces[: len(place), block:])
    return out.view(lines, channels, (limit + 1) * block)


def _sum_rows(
    x: torch.Tensor,
    data: torch.Tensor,
    terms: Terms,
    blocks: torch.Tensor,
    filters: torch.Tensor,
    rows: tuple[int, int],
) -> torch.Tensor:
    """Return the spectra of some rows, (fft_count(r * C), F); those beyond r * C are undefined."""
    first, end = rows
    channels, bins = terms.channels, x.shape[1]
    whole = x.new_empty(fft_count((end - first) * channels, x.device), bins)
    out = whole[: (end - first) * channels].view(-1, channels, bins)
    for number, (start, width) in enumerate(_rounds(terms.widths)):
        count = min(end, width) - first
        if count <= 0:
            break
        a = start + first
        left = x.index_select(0, blocks[a : a + count])[:, None]
        right = data.index_select(0, filters[a * channels : (a + count) * channels])
        right = right.view(count, channels, bins)
        if number == 0:
            torch.mul(left, right, out=out)
        else:
            out[:count].addcmul_(left, right)
    return whole


def _add_rows(out: torch.Tensor, place: torch.Tensor, values: torch.Tensor) -> None:
    """Add rows to different rows of a tensor."""
    if out.is_cuda:
        out.index_add_(0, place, values)
    else:  # there `index_add_` adds number by number
        out.index_copy_(0, place, out.index_select(0, place).add_(values))


def _rounds(widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for width in widths:
        yield start, width
        start += width


def row_places(terms: Terms, limit: int) -> Index:
    """Return where the rows of (L, C, K + 1, B) begin, in blocks: (R * C,), on the host."""
    line, block = np.divmod(terms.keys, limit)
    channel = np.arange(terms.channels)
    return ((line[:, None] * terms.channels + channel) * (limit + 1) + block[:, None]).reshape(-1)


def read_noises(
    tensor: torch.Tensor, starts: torch.Tensor, samples: torch.Tensor | None, length: int
) -> torch.Tensor:
    """Read backgrounds out of one flat tensor, (n, 4, T) float32; int16 samples are not divided.

    Args:
        tensor: Samples, 1-d.
        starts: (n, 4) first sample of each channel.
        samples: (n,) lengths of backgrounds that are repeated; None: all are long enough.
        length: T.
    """
    if samples is None:
        found = _windows(tensor, starts.reshape(-1), length)
        return found.view(*starts.shape, length).to(torch.float32)
    column = torch.arange(length, device=tensor.device)
    index = starts[:, :, None] + torch.remainder(column, samples[:, None])[:, None]
    return tensor[index].to(torch.float32)
