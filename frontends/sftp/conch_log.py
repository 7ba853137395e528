"""What Conch's classes log through: only failures that nobody foresaw. The rest is a line for every packet, login and goodbye."""
from __future__ import annotations

from typing import Any

from twisted.logger import FilteringLogObserver, Logger, LogLevel, LogLevelFilterPredicate, globalLogPublisher

_only_failures: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)
_everybody: Any = globalLogPublisher
_observer: Any = FilteringLogObserver(_everybody, [_only_failures])

CONCH_LOG = Logger(observer=_observer)
