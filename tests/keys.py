"""Pairs of keys for signing, made for one test."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass(frozen=True)
class Keys:
    """A private key and its public one, as PEM files."""

    private: Path
    public: Path


def make(folder: Path, name: str, password: str | None = None, key: PrivateKeyTypes | None = None) -> Keys:
    """A pair on P-256, or of the `key` given; encrypted where there is a password."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    pair = Keys(folder / f"{name}.pem", folder / f"{name}.pub")
    pair.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    pair.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return pair
