"""A quick check whether the Hugging Face hub can be reached, made once, before anything retries for long."""

import os
import socket
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

SECONDS = 5.0
ENDPOINT = "https://huggingface.co"


@cache
def hub_reachable() -> bool:
    """Return whether a connection to the hub (or to ``HF_ENDPOINT``) opens within five seconds.

    Behind a proxy the answer is always True, because only the proxy can tell.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    where = urlsplit(os.environ.get("HF_ENDPOINT") or ENDPOINT)
    if where.scheme in getproxies():
        return True
    try:
        with socket.create_connection((where.hostname, where.port or 443), timeout=SECONDS):
            return True
    except OSError:
        return False
