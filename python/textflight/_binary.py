"""Where the textflight binary is, and the model that comes along."""
from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

from ._errors import Error, InvalidError

# Where the bundled model is, seen from the folder above the binary's; and in a checkout.
_SHARED = Path("share", "textflight", "sst2-mini")
_CHECKOUT = Path("data", "sst2-mini")


def binary() -> str:
    """The path of the textflight binary.

    It is what the variable ``TEXTFLIGHT_BIN`` names, or came with this package, or is on ``PATH``.

    >>> import subprocess
    >>> subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout.split()[0]
    'textflight'
    """
    named = os.environ.get("TEXTFLIGHT_BIN")
    if named:
        if not _is_program(Path(named)):
            raise InvalidError(f"TEXTFLIGHT_BIN={named}: no program; expected the path of the textflight binary")
        return os.path.abspath(named)
    installed = _installed()
    if installed is not None:
        return str(installed)
    found = shutil.which("textflight")
    if found is None:
        raise Error(
            "the textflight binary is not here: `pip install textflight` brings it, "
            "and the variable TEXTFLIGHT_BIN names one that is elsewhere"
        )
    return os.path.abspath(found)


def bundled_model() -> str:
    """The folder of the small sentiment model that comes along, in Hugging Face's layout.

    It knows English film reviews, and is there to try things out: ``model="bundled"`` is the same.

    >>> sorted(path.name for path in Path(bundled_model()).glob("*.safetensors"))
    ['model.safetensors']
    """
    places = [Path(binary()).resolve().parents[1] / _SHARED, Path(__file__).resolve().parents[2] / _CHECKOUT]
    for place in places:
        if place.is_dir():
            return str(place)
    raise Error("the bundled model is not here; looked for the folder " + " and ".join(map(str, places)))


def _installed() -> Path | None:
    """The console script of the installed distribution; beside the package in folders of `pip install --target`."""
    try:
        files = importlib.metadata.files("textflight") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    scripts = [Path(str(file.locate())).resolve() for file in files if file.name == "textflight" and file.parent.name == "bin"]
    others = [Path(__file__).resolve().parents[1] / "bin" / "textflight", Path(sys.executable).parent / "textflight"]
    return next((script for script in [*scripts, *others] if _is_program(script)), None)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
