"""The instruments of the benchmarks, which must be right before they are believed."""
