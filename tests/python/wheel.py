"""The wheel around the binary that is tested: maturin builds it, as it would any other, with a cargo that has nothing left to do.

TEXTFLIGHT_WHEEL names one that is there, such as that of tools/wheel, which is then tested instead.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import server as servers


def built(folder):
    """The wheel, made in a folder unless one is named."""
    named = os.environ.get("TEXTFLIGHT_WHEEL")
    if named:
        return pathlib.Path(named).absolute()
    tools = folder / "tools"
    tools.mkdir()
    stripped = tools / "textflight"
    # Of a debug build most is for debuggers.
    subprocess.run(["strip", "-o", stripped, servers.BINARY], check=True, timeout=120)
    cargo = tools / "cargo"
    cargo.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
                     f"from wheel import pretend\npretend({shutil.which('cargo')!r}, {str(stripped)!r})\n")  # fmt: skip
    cargo.chmod(0o755)
    maturin = pathlib.Path(sys.executable).with_name("maturin")
    command = [maturin, "build", "--locked", "--auditwheel", "skip", "--compatibility", "linux", "--out", folder / "wheels"]
    # Deflated as little as can be: it is installed once.
    environment = {**servers.environment(), "CARGO": str(cargo), "PATH": f"{tools}:{os.environ['PATH']}"}
    run = subprocess.run([*command, "--compression-level", "1"], cwd=servers.REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    wheel, = (folder / "wheels").glob("*.whl")
    return wheel


def pretend(cargo, binary):
    """Is cargo, but for builds: of these it says what it would, that this is the binary."""
    arguments = sys.argv[1:]
    if "rustc" not in arguments and "build" not in arguments:
        os.execv(cargo, [cargo, *arguments])
    metadata = subprocess.run([cargo, "metadata", "--locked", "--no-deps", "--format-version", "1"], check=True, capture_output=True)
    package = next(found for found in json.loads(metadata.stdout)["packages"] if found["name"] == "textflight")
    target = next(found for found in package["targets"] if found["kind"] == ["bin"])
    artifact = {
        "reason": "compiler-artifact", "package_id": package["id"], "manifest_path": package["manifest_path"], "target": target,
        "profile": {"opt_level": "0", "debuginfo": None, "debug_assertions": True, "overflow_checks": True, "test": False},
        "features": [], "filenames": [binary], "executable": binary, "fresh": True,
    }  # fmt: skip
    print(json.dumps(artifact))
    print(json.dumps({"reason": "build-finished", "success": True}))
