"""Writes the certificates that pip trusts: the usual ones, and those in the build argument CA_CERTIFICATE (base64)."""

import base64
import os
import sys
from pathlib import Path

from pip._vendor import certifi

usual = Path(os.environ.get("SSL_CERT_FILE") or certifi.where()).read_bytes()
own = base64.b64decode(os.environ.get("CA_CERTIFICATE", ""), validate=True)
Path(sys.argv[1]).write_bytes(usual + b"\n" + own)
