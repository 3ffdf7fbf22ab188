"""``python -m textflight`` is the command ``textflight``, also where that is not on the path."""
from __future__ import annotations

import os
import sys

from ._binary import binary


def main() -> None:
    """Becomes the binary."""
    path = binary()
    os.execv(path, [path, *sys.argv[1:]])


if __name__ == "__main__":
    main()
