"""Read a foreign checkpoint without running any of it: tensors in, everything else refused.

A torch file is a zip of a pickle and raw tensor bytes. The pickle's opcodes are looked at before anything is
loaded, then `torch.load` reads it with ``weights_only=True``.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import ModelError

_LEAST_TORCH = (2, 10)  # earlier versions: weights_only=True could be bypassed (CVE-2026-24747)
_WRAPPERS = ("state_dict", "model")
_MAX_ENTRIES = 200_000
_MAX_PICKLE = 64 << 20
_LEGACY_PICKLES = 4  # magic number, protocol, system, object: then the tensors' bytes
_PROTOCOL = b"\x80"
_ZIP = b"PK\x03\x04"
_REMEDY = "get the file again from where it was published"
_ZIP_FAULTS = (  # what zipfile raises on damaged archives
    zipfile.BadZipFile,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    RuntimeError,
    struct.error,
)
_HARMLESS = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch.serialization", "_get_layout"),
    ("torch.storage", "UntypedStorage"),
    ("torch.storage", "TypedStorage"),
    ("builtins", "set"),
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, under the names in the file.

    Lightning files and the like hold the tensors in ``state_dict`` or ``model``: those are unwrapped, the rest
    of such a file (optimizer, counters) is left.

    Args:
        path: A safetensors file, or one written by `torch.save`.

    Raises:
        ModelError: No such file, truncated, code in it, or anything but dense tensors.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=path, remedy="check the path") from error
    if head.startswith(_ZIP):
        _inspect_zip(path)
        state = _unwrap(_torch_load(path), path)
    elif head.startswith(_PROTOCOL):
        _inspect_legacy(path)
        state = _unwrap(_torch_load(path), path)
    elif head[8:9] == b"{":
        state = _read_safetensors(path)
    else:
        raise ModelError("neither a torch nor a safetensors file", where=path, remedy=_REMEDY)
    for key, tensor in state.items():
        _check_tensor(key, tensor, path)
    return state


def _inspect_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
            scripted = [
                e.filename for e in entries if "/code/" in e.filename or "constants.pkl" in e.filename
            ]
            if scripted:
                raise ModelError(
                    f"a TorchScript program ({scripted[0]})", where=path, remedy="give a file of weights only"
                )
            if len(pickles) != 1:
                held = ", ".join(entry.filename for entry in entries[:5])
                raise ModelError(
                    f"a zip archive but no checkpoint (it holds {held})",
                    where=path,
                    remedy="unpack it and give the checkpoint inside",
                )
            if len(entries) > _MAX_ENTRIES or pickles[0].file_size > _MAX_PICKLE:
                raise ModelError("too large an index", where=path, remedy=_REMEDY)
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                    raise ModelError(f"{entry.filename} is compressed", where=path, remedy=_REMEDY)
            with archive.open(pickles[0]) as file:
                _inspect_pickle(file, path)
            if damaged := archive.testzip():
                raise ModelError(f"the checksum of {damaged} differs", where=path, remedy=_REMEDY)
    except _ZIP_FAULTS as error:
        raise ModelError(f"truncated or damaged: {error}", where=path, remedy=_REMEDY) from error


def _inspect_legacy(path: Path) -> None:
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            _inspect_pickle(file, path)
            place = file.tell()
            more = file.read(1)
            file.seek(place)
            if more != _PROTOCOL:
                break


def _inspect_pickle(file: IO[bytes], path: Path) -> None:
    """Walk over the opcodes of one pickle; nothing is executed.

    Raises:
        ModelError: It asks for anything but tensors and plain containers.
    """
    strings: list[str] = []
    try:
        for opcode, argument, position in _opcodes(file):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                if _harmless(module, name):
                    continue
            elif opcode.name == "STACK_GLOBAL":  # torch.save does not write this one
                module, name = strings if len(strings) == 2 else ("something", "unnamed")
            elif opcode.name == "INST" or opcode.name.startswith("EXT"):
                module, name = opcode.name, str(argument)
            else:
                if isinstance(argument, str):
                    strings = [*strings[-1:], argument]
                continue
            raise ModelError(
                f"its pickle asks for {module}.{name} at byte {position}; nothing was run",
                where=path,
                remedy="do not load this file elsewhere; get one that holds tensors only",
            )
    except (ValueError, LookupError) as error:
        raise ModelError(f"truncated or damaged: {error}", where=path, remedy=_REMEDY) from error


def _opcodes(file: IO[bytes]) -> Iterator[tuple[Any, Any, int | None]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in a damaged string
        yield from pickletools.genops(_Bounded(file))  # type: ignore[arg-type]


class _Bounded:
    """A file that hands out no more than a pickle may be long, whatever the pickle claims."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_PICKLE:
            raise ValueError(f"an entry of {size} bytes in the pickle")
        return self.file.read(size)

    def readline(self) -> bytes:
        return self.file.readline(_MAX_PICKLE)

    def tell(self) -> int:
        return self.file.tell()


def _harmless(module: str, name: str) -> bool:
    if (module, name) in _HARMLESS:
        return True
    if module == "torch" and name.endswith("Storage"):
        return name.isalnum()
    return module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)


def _torch_load(path: Path) -> Any:
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _LEAST_TORCH:
        raise ModelError(
            f"torch {torch.__version__} cannot read foreign checkpoints safely",
            where=path,
            remedy="install torch 2.10 or newer, or give a safetensors file",
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything from KeyError to RuntimeError on damaged files
        first = str(error).partition("\n")[0]
        raise ModelError(f"torch refuses it: {first}", where=path, remedy=_REMEDY) from error


def _unwrap(loaded: Any, path: Path) -> dict[str, Tensor]:
    for name in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise ModelError(f"holds a {type(loaded).__name__}, no tensors by name", where=path, remedy=_REMEDY)
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ModelError(
                f"{key!r} is a {type(value).__name__}, not a tensor",
                where=path,
                remedy="give a file of weights",
            )
    return dict(loaded)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"no safetensors file: {error}", where=path, remedy=_REMEDY) from error


def _check_tensor(key: str, tensor: Tensor, path: Path) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise ModelError(f"{key} is no dense tensor", where=path, remedy=_REMEDY)
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ModelError(
            f"{key} claims shape {tuple(tensor.shape)} but stores less", where=path, remedy=_REMEDY
        )
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise ModelError(f"{key} holds NaN or infinity", where=path, remedy="take an intact checkpoint")
