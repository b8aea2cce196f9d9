"""The service: frames in, stable readings out, to a database, MQTT, HTTP, a webhook and standard output.

    cameras, inbox ──▶ follow ──frame──▶ service: read, stable, plausible ──record──▶ store ──▶ mqtt, webhook, output
                                            │ live state                                ╰──▶ web: API, page, metrics

`service.py` is the loop; each other module is one of its rooms. Nothing here is imported unless the command is
`edge-digits daemon` or `edge-digits history`.
"""
