"""What lafs costs, measured on real processes beside the real peer. `python -m benchmarks --help`."""
