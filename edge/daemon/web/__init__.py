"""The daemon's HTTP side: an API, a page, metrics.

    client ──▶ server: connections, limits ──▶ app: who may, which route ──▶ api, images, corrections, metrics

`auth.py` says who may ask, `server.py` how long anybody may take. SECURITY.md says what all of it promises.
"""
