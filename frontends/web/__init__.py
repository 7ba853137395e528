"""The web gateway: the grid's files over HTTP, for browsers, for the `lafs` command and for other programs.

Read in this order. `channel` is the HTTP glue: it lets a request be worked on while its body still arrives, and its answer
wait for a slow client. `body` and `forms` are what comes in; `answers` what goes out. `request` is a request parsed once into a
value; `safety` says which requests are let in and what a browser may do with the answers; `routes` is the table that finds the
function that answers: `objects` and `directory_pages` tell, `links`, `directory_posts` and `unlinked` change, `node_pages` are
about the node. `targets` follows a path to what a request is about. `errors` is the one place where an error gets its status.
`site` puts them together: `make_site`.

The gateway talks to `lafs.filesystem` and `lafs.interfaces` only. Spec: 07.
"""
from __future__ import annotations
