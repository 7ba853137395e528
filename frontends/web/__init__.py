"""The web gateway: the grid's files over HTTP, for browsers, for the `lafs` command and for other programs.

Read in this order. `channel` is the HTTP glue: it lets a request be worked on while its body still arrives, and its answer wait
for a slow client; `http2` is the same for HTTP/2. `body` and `forms` are what comes in; `answers` what goes out. `request` is a
request parsed once into a value; `safety` says which requests are let in and what a browser may do with the answers; `routes`
is the table that finds the function that answers: `objects` and `directory_pages` tell, `links`, `directory_posts` and
`unlinked` change, `node_pages` are about the node. `targets` follows a path to what a request is about. `errors` is the one
place where an error gets its status. `site` puts them together: `make_site`.

Pages for people: `directory_pages` (a listing is made of `listing_rows`, and knows from `places` where it is) and `file_pages`
(`qr_code` draws a cap) fill the templates through `pages`; `batches` takes the many small files of a folder dropped on one,
and `zip_downloads` gives back many.

`checking` tells how an object is. What takes longer is either a stream (`streams`), or one of the `deep_operations`, kept by
`operations` under a handle and shown by `operation_pages`. `status_pages` and `static_files` are what their names say.

A browser is let in by `entrance`, with a session of `sessions`, in which `handles` stand for caps; `forgery` says when a
request speaks for its user. `content_origin` shows files under host names of their own, `addresses` is how pages link to all
that, and `access_log` what is written down of it.

The gateway talks to `lafs.filesystem` and `lafs.interfaces` only. Spec: 07.
"""
from __future__ import annotations
