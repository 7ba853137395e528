"""SFTP version 3: a tree of caps for OpenSSH, sshfs, rclone and all who speak it. Spec: 09, part A.

In the order to read: `wire` (bytes of requests and replies, pure), `presentation` (attributes and errors as SFTP has them),
`session` (one client's requests, carried out on a `Tree`), `channel` (a session inside an SSH connection), `login`, `server`.
"""
