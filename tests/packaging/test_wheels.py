"""Every Python on every platform finds wheels: of the engine alone, and of the harness. It asks a package index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "linux-x86-64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "linux-arm64": (
        "manylinux_2_28_aarch64",
        "manylinux_2_27_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ),
    "musl-x86-64": ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64"),
    "musl-arm64": ("musllinux_1_2_aarch64", "musllinux_1_1_aarch64"),
    "macos-arm64": ("macosx_14_0_arm64",),
    "macos-x86-64": ("macosx_14_0_x86_64",),
}
COPYLEFT = ("gpl", "sspl", "rsal", "mozilla", "mpl")
MAX_PACKAGES = 8
MAX_MEGABYTES = 30

pytestmark = pytest.mark.nightly


def resolve(wheel: Path, extra: str, folder: Path, python: str, platforms: tuple[str, ...]) -> set[str]:
    """Return the packages that pip would install. It evaluates markers for the Python that it runs on."""
    report = folder / "report.json"
    where = [word for platform in platforms for word in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", report]
    only = ["--only-binary=:all:", "--python-version", python, "--target", folder / "target"]
    done = subprocess.run([*pip, *only, *where, f"{wheel}{extra}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {found["metadata"]["name"].lower() for found in json.loads(report.read_text())["install"]}


NO_WHEELS = {("musl-arm64", "[simulation]"): "matplotlib has no wheel for musl on arm64; pip builds it from source"}
CASES = [
    pytest.param(platform, extra, id=f"{platform}-{extra or 'engine'}")
    for platform in PLATFORMS
    for extra in ("", "[simulation]")
    if (platform, extra) not in NO_WHEELS
]


@pytest.mark.parametrize(("platform", "extra"), CASES)
@pytest.mark.parametrize("python", PYTHONS)
def test_wheels_are_found(wheel: Path, tmp_path: Path, python: str, platform: str, extra: str) -> None:
    found = resolve(wheel, extra, tmp_path, python, PLATFORMS[platform])
    assert {"causim", "redis", "pydantic"} <= found
    assert ("simpy" in found) == bool(extra)


def test_the_engine_alone_is_small_and_free(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--ignore-installed", "--target", target, wheel]
    subprocess.run(pip, check=True)
    metadata = sorted(target.glob("*.dist-info/METADATA"))
    assert len(metadata) <= MAX_PACKAGES, metadata
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert size <= MAX_MEGABYTES * 1_000_000
    for file in metadata:
        lines = file.read_text(encoding="utf-8").split("\n\n")[0].lower().splitlines()
        licences = [
            line for line in lines if line.startswith(("license:", "license-expression:", "classifier: license"))
        ]
        assert licences
        assert not any(word in line for line in licences for word in COPYLEFT), licences
