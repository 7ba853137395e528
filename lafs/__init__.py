"""lafs: a least-authority, encrypted, distributed filesystem node. The map of the house is docs/architecture.md."""

__version__ = "0.1.0"
