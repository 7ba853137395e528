"""Known answers made with the real peer.

`LAFS_VECTORS=DIR` reads another folder; otherwise ../shared/vectors beside the repository is used when it is there, and the
copies under tests/vectors/ otherwise.
"""
from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def folders() -> list[Path]:
    """Where vectors are looked for, first match wins."""
    chosen = os.environ.get("LAFS_VECTORS")
    if chosen:
        return [Path(chosen)]
    return [HERE.parent.parent / "shared" / "vectors", HERE / "vectors"]


@cache
def load(name: str) -> Any:
    """The vectors in `name`.json. Raises FileNotFoundError when no folder has them."""
    for folder in folders():
        path = folder / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
    raise FileNotFoundError(f"no {name}.json in {', '.join(map(str, folders()))}")


def available(name: str) -> bool:
    """Whether `load(name)` would find something."""
    return any((folder / f"{name}.json").exists() for folder in folders())
