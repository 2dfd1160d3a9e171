"""Where the replicas of a service are: at every address of a name, of which a headless Service has one for each pod."""

import socket
from urllib.parse import urlsplit, urlunsplit


def addresses(url: str) -> list[str]:
    """The URL once for each IPv4 address of its host; unchanged where the name is unknown now, or it is not a URL.

    Whoever asks there then gets the error that names the URL.
    """
    try:
        parts = urlsplit(url)
        found = socket.getaddrinfo(parts.hostname, parts.port, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, ValueError):
        return [url]
    hosts = sorted({str(address[4][0]) for address in found})
    # A certificate is made out to the name, which an address would not match.
    if len(hosts) < 2 or parts.scheme != "http":
        return [url]
    return [urlunsplit(parts._replace(netloc=f"{host}:{parts.port or 80}")) for host in hosts]
