"""An introducer: where the nodes of a grid learn of each other, and perhaps a page that says how many there are.

Built by `services`, run by `process`. Spec: 05 §12, 07 §14.
"""
