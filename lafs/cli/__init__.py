"""The `lafs` command.

    main            the global options and the table of commands: start here
    commands        a group that imports a command only when it runs; the one place where errors become lines and exit statuses
    invocation      what was said before the name of the command: `-d`, `-q`
    files           `put`, `get`; with `fetching` (bytes to a stream or a file) and `partial` (FILE.part, continued later)
    directories     `mkdir`, `mv`, `ln`, `rm`, `webopen`; `listing` is `ls`
    copying         `cp`; `copy_plan` is what it finds out before it starts
    naming          `create-alias`, `add-alias`, `list-aliases`; `recovery` is `recovery`; `aliases` is the table of names
    status          `status`
    nodes           `create-*`, `run`, `up`: the only commands for which Twisted is imported
    root_directory  what `up` makes on its first start
    completion      `completion`; `path_completion` knows aliases and remote paths
    gateway         the way to a node: finds it, speaks HTTP with it; `answer` is what it said
    remote_objects  what a gateway tells of files and directories, and the requests that link them
    remote_paths    caps, paths and aliases as people write them; `quoting` is how names are shown
    progress        the line on a terminal; `quantities` are sizes and durations in words

Spec: 08; 07 §17.
"""
