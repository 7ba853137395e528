"""Mutable files: one life of a file that changes. Spec: 03."""
