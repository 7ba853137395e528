"""Directories: names and caps, packed into the contents of a file. Spec: 04.

This room knows files only as nodes that somebody else opens: `packing` has the bytes, `children` what they mean, `edits` how they
change; `directory` is the node that reads and changes one on the grid, and `traversal` and `deep_walk` go from one to the next.
"""
