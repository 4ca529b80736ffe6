"""An authority, a server and clients for mutual TLS, made by the openssl program. Knows nothing of who uses them."""

import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """A certificate authority of its own in a directory; `NAME.pem` and `NAME-key.pem` are what it made."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        if not shutil.which("openssl"):
            pytest.skip("openssl is not installed")
        self.directory = directory
        self.name = name
        _openssl(
            directory, "req", "-x509", *_new_key(name), "-subj", f"/CN={name}", "-days", "2", "-out", f"{name}.pem"
        )

    @property
    def path(self) -> str:
        return str(self.directory / f"{self.name}.pem")

    def issue(self, name: str) -> tuple[str, str]:
        """Make a certificate, good for 127.0.0.1, and its key; return the paths of both."""
        _openssl(self.directory, "req", *_new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (self.directory / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        signed_by = ["-CA", f"{self.name}.pem", "-CAkey", f"{self.name}-key.pem", "-CAcreateserial", "-days", "2"]
        request = ["-req", "-in", f"{name}.csr", "-extfile", f"{name}.ext"]
        _openssl(self.directory, "x509", *request, *signed_by, "-out", f"{name}.pem")
        return str(self.directory / f"{name}.pem"), str(self.directory / f"{name}-key.pem")


def _new_key(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}-key.pem"]


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
