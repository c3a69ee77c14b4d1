"""What the house promises about its own source: no dangerous calls, light imports, one version."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("synth", "training", "models", "manifests", "tests", "tools")
SOURCES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))


def test_rooms_are_exactly_these() -> None:
    """A newcomer finds six rooms and nothing beside them."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode == 0 and tracked.stdout:
        folders = {line.split("/")[0] for line in tracked.stdout.splitlines() if "/" in line}
        assert folders - {".ci", ".github"} <= set(ROOMS)


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of names, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head or '?'}.{node.attr}"
    return ""


def keyword(call: ast.Call, name: str) -> object:
    return next(
        (k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None
    )


GLOBAL_RANDOM = {
    *(f"{m}.{f}" for m in ("np.random", "numpy.random") for f in
      ("seed", "rand", "randn", "randint", "random", "choice", "uniform", "normal", "shuffle", "permutation")),
    *(f"random.{f}" for f in ("seed", "random", "choice", "randint", "uniform", "shuffle", "sample", "gauss")),
}  # fmt: skip


def forks_generator(node: ast.AST) -> bool:
    """Say whether a `with` block keeps torch's global generator as it was."""
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call) and dotted(item.context_expr.func) == "torch.random.fork_rng"
        for item in node.items
    )


def forbidden(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, fault) for calls that run code from data, reach a shell or hide randomness."""
    forked = {id(inner) for node in ast.walk(tree) if forks_generator(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for name in names:
                if name.split(".")[0] in ("pickle", "cPickle", "dill", "marshal", "shelve", "joblib"):
                    yield node.lineno, f"imports {name}"
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = name.split(".")[-1]
        if name in (
            "eval",
            "exec",
            "compile",
            "os.system",
            "os.popen",
            "yaml.load",
            "yaml.unsafe_load",
            "yaml.full_load",
        ):
            yield node.lineno, f"calls {name}"
        if name == "torch.load" and keyword(node, "weights_only") is not True:
            yield node.lineno, "torch.load without weights_only=True"
        if last in ("extractall", "extract") and "tar" in name.lower():
            yield node.lineno, f"calls {name}"
        if last == "extractall":
            yield node.lineno, f"calls {name}"
        if keyword(node, "shell") is True:
            yield node.lineno, "shell=True"
        if keyword(node, "allow_pickle") is True:
            yield node.lineno, "allow_pickle=True"
        if name in GLOBAL_RANDOM:
            yield node.lineno, f"global random state: {name}"
        if (name == "torch.manual_seed" and id(node) not in forked) or name.endswith(
            "register_for_checkpointing"
        ):
            yield node.lineno, f"calls {name}"


def test_the_tree_calls_nothing_dangerous() -> None:
    """A user's data can run no code, and no scene depends on global state (tests seed torch as they like)."""
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in SOURCES
        for line, fault in forbidden(ast.parse(path.read_text()))
        if not (
            path.is_relative_to(ROOT / "tests")
            and ("torch.manual_seed" in fault or "imports pickle" in fault)
        )
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "yaml.load(x)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "subprocess.run(c, shell=True)",
        "tarfile.open(f).extractall(d)",
        "eval(s)",
        "np.random.uniform(0, 1)",
        "np.load(f, allow_pickle=True)",
    ],
)
def test_the_reader_of_the_tree_sees_each_fault(line: str) -> None:
    """The test above cannot pass by being blind."""
    assert list(forbidden(ast.parse(line)))


def test_import_synth_is_light() -> None:
    """`import synth` brings neither torch nor pandas and takes under half a second."""
    code = (
        "import sys, time; t = time.perf_counter(); import synth; took = time.perf_counter() - t; "
        "heavy = {'torch', 'pandas', 'scipy.signal', 'pyroomacoustics', 'webdataset'} & set(sys.modules); "
        "print(took, sorted(heavy))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split(None, 1)
        for _ in range(3)
    ]
    assert all(heavy.strip() == "[]" for _, heavy in runs)
    assert min(float(took) for took, _ in runs) < 0.5


def test_no_path_of_a_developers_machine_stays() -> None:
    """What we ship names no folder outside the clone."""
    needle = "/" + "work" + "/"
    suffixes = (".py", ".md", ".yaml", ".toml", ".json")
    texts = [*ROOT.glob("*.*"), *(p for room in (*ROOMS, ".github", ".ci") for p in (ROOT / room).rglob("*"))]
    texts = [p for p in texts if p.is_file() and p.suffix in suffixes]
    assert not [str(p.relative_to(ROOT)) for p in texts if needle in p.read_text(errors="ignore")]
