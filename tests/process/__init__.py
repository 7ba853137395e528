"""Real nodes, as processes on this machine, driven from outside."""
