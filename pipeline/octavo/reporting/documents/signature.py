"""Sign a folder of files with a private key, and verify it with the public key, all offline.

The signature is a Sigstore bundle in the format of OpenSSF's model-signing (DSSE over an in-toto statement, ECDSA), so
`model_signing verify key` can verify it where Octavo is not installed. It covers every file of the folder except itself
and `registered_model_meta`, which MLflow adds to everything that it hands out.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from model_signing import hashing, signing, verifying

from octavo.project.errors import KeyUnusable, ModelError, SignatureInvalid
from octavo.project.files import atomic_write, json_file

FILE = "model.sig"
UNSIGNED = (FILE, "registered_model_meta")
CURVES = ("secp256r1", "secp384r1", "secp521r1")
ALLOWED = "Allowed are elliptic curve keys in PEM: P-256, P-384 or P-521."
MAKE_ONE = "Make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-256-cbc -out signing.pem."


def sign(folder: Path, key: Path, password: str | None) -> str:
    """Sign all files of `folder`, and return the fingerprint of the public key.

    Args:
        folder: gets the file `model.sig`.
        key: PEM file with the private key.
        password: of the key; None if it is not encrypted.

    Raises:
        KeyUnusable: there is no such key, it cannot sign, or the password is wrong.
    """
    secret = password.encode() if password else None
    fingerprint = _fingerprint(_private(key, secret).public_key())
    signer = signing.Config().use_elliptic_key_signer(
        private_key=key,
        password=secret,  # type: ignore[arg-type] # it is handed on to cryptography, which takes bytes
    )
    signer.set_hashing_config(_files()).sign(folder, folder / FILE)
    return fingerprint


def verify(folder: Path, key: Path) -> str:
    """Verify the files of `folder` against its signature with the public key in the PEM file `key`. Returns its
    fingerprint.

    Raises:
        KeyUnusable: there is no such key, or it cannot verify.
        ModelError: there is no signature. The message has no full stop, as the next one.
        SignatureInvalid: another key signed, or files or signature were changed. The message names them.
    """
    fingerprint, signature = _fingerprint(_public(key)), folder / FILE
    if not signature.is_file():
        raise ModelError(f"there is no {FILE}")
    signer = _signer(signature)
    if signer != fingerprint:
        raise SignatureInvalid(f"it was signed with the key {signer}, and {key} is {fingerprint}")
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
    try:
        verifier.set_hashing_config(_files()).verify(folder, signature)
    except InvalidSignature:
        raise SignatureInvalid(f"{FILE} was changed: it is not what the key {fingerprint} signed") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        changes = [*_changes(folder, signature)] if "Signature mismatch" in str(error) else []
        raise SignatureInvalid("; ".join(changes) or f"{FILE} is damaged") from None
    return fingerprint


def _files() -> hashing.Config:
    return hashing.Config().set_ignored_paths(paths=UNSIGNED, ignore_git_paths=False)


def _changes(folder: Path, signature: Path) -> Iterator[str]:
    """The changes in the files since they were signed. The caller has verified the signature itself."""
    statement = json_file.parse(base64.b64decode(_bundle(signature)["dsseEnvelope"]["payload"]))
    signed = {item["name"]: item["digest"] for item in statement["predicate"]["resources"]}
    found = {item.identifier: item.digest.digest_hex for item in _files().hash(folder).resource_descriptors()}
    for name in sorted(signed.keys() | found.keys()):
        if name not in found:
            yield f"{name} is gone"
        elif name not in signed:
            yield f"{name} was added"
        elif found[name] != signed[name]:
            yield f"{name} was changed"


def _signer(signature: Path) -> str:
    try:
        return str(_bundle(signature)["verificationMaterial"]["publicKey"]["hint"])
    except (ValueError, KeyError, TypeError):
        raise SignatureInvalid(f"{FILE} is damaged") from None


def _bundle(signature: Path) -> dict[str, Any]:
    return dict(json_file.read(signature))


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key's PEM, as in the bundle: `openssl pkey -in KEY -pubout | sha256sum`."""
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _private(path: Path, password: bytes | None) -> ec.EllipticCurvePrivateKey:
    content = _read(path, "private", MAKE_ONE)
    try:
        key = load_pem_private_key(content, password)
    except TypeError:
        what = "is not encrypted, yet a password is set" if password else "is encrypted, and no password is set"
        raise KeyUnusable(f"The private key {path} {what}; it comes from OCTAVO_SIGNING_PASSWORD.") from None
    except (ValueError, UnsupportedAlgorithm):
        if password and b"ENCRYPTED" in content:
            raise KeyUnusable(f"The password in OCTAVO_SIGNING_PASSWORD does not open {path}.") from None
        raise KeyUnusable(f"{path} is not a private key. {ALLOWED} {MAKE_ONE}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in CURVES:
        raise KeyUnusable(f"{path} is a private key of another kind. {ALLOWED} {MAKE_ONE}")
    return key


def _public(path: Path) -> ec.EllipticCurvePublicKey:
    remedy = "Get it from the private one: openssl pkey -in signing.pem -pubout -out signing.pub."
    try:
        key = load_pem_public_key(_read(path, "public", remedy))
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{path} is not a public key. {ALLOWED} {remedy}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise KeyUnusable(f"{path} is a public key of another kind. {ALLOWED} {remedy}")
    return key


def _read(path: Path, kind: str, remedy: str) -> bytes:
    try:
        return atomic_write.content(path)
    except OSError as error:
        raise KeyUnusable(f"The {kind} key {path} cannot be read: {error.strerror}. {remedy}") from None
