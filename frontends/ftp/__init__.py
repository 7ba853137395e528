"""The FTP server: a client's files for programs that speak FTP, in clear or (unless configured otherwise, only) over TLS.

A control protocol of our own: Twisted's buffers, trusts and misreports too much (spec 09 §20). Read in this order. `commands`
and `replies` are what is said on the control connection; `control` takes the one and sends the other, for a client of whom
`session` knows all there is to know. `verbs` is the one table of what can be said; `verbs_access`, `verbs_tree` and
`verbs_transfer` do it. `passive` and `data_connection` are where bytes come in and go out; `listings`, `paths` and `ascii_type`
are pure. `errors` is the one place where an error gets its code. `server` puts them together; it is called by lafs/node/ftp.py.

It shares the tree (`frontends.virtual_tree`) and the accounts with SFTP. Spec: 09 part B; RFC 959, 2228, 2389, 2428, 3659, 4217.
"""
