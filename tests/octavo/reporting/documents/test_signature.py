"""Whoever changes a file, or the signature, or signs with another key, is found out, and told in one sentence."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from octavo.project.errors import KeyUnusable, ModelError, SignatureInvalid
from octavo.reporting.documents import signature
from tests import keys
from tests.keys import Keys

PHRASE = "correct horse"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys.make(tmp_path_factory.mktemp("keys"), "signing", PHRASE)


@pytest.fixture
def folder(tmp_path: Path, pair: Keys) -> Path:
    """Signed files."""
    folder = tmp_path / "model"
    for name in ("model.onnx", "scorecard.json", "code/flavor.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    signature.sign(folder, pair.private, PHRASE)
    return folder


def test_what_was_signed_holds_and_names_the_key(folder: Path, pair: Keys) -> None:
    fingerprint = hashlib.sha256(pair.public.read_bytes()).hexdigest()
    assert signature.verify(folder, pair.public) == fingerprint
    (folder / "registered_model_meta").write_text("MLflow writes this into what it hands out")
    assert signature.verify(shutil.copytree(folder, folder.with_name("copy")), pair.public) == fingerprint


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_each_curve_signs(curve: ec.EllipticCurve, folder: Path, tmp_path: Path) -> None:
    made = keys.make(tmp_path, "other", key=ec.generate_private_key(curve))
    assert signature.sign(folder, made.private, None) == signature.verify(folder, made.public)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "model.onnx").write_text("swapped"), "model.onnx was changed"),
        (lambda folder: (folder / "code/flavor.py").write_text("import os"), "code/flavor.py was changed"),
        (lambda folder: (folder / "scorecard.json").unlink(), "scorecard.json is gone"),
        (lambda folder: (folder / "code/more.py").write_text("import os"), "code/more.py was added"),
        (lambda folder: (folder / ".gitignore").write_text("*"), ".gitignore was added"),
        (lambda folder: (folder / "scorecard.json").rename(folder / "card.json"), "card.json was added; scorecard"),
    ],
)
def test_a_changed_file_is_named(change: Callable[[Path], object], told: str, folder: Path, pair: Keys) -> None:
    change(folder)
    with pytest.raises(SignatureInvalid, match=f"^{told}"):
        signature.verify(folder, pair.public)


def test_a_link_in_place_of_a_file_does_not_hold(folder: Path, pair: Keys) -> None:
    shutil.move(folder / "model.onnx", folder.parent / "elsewhere")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(SignatureInvalid):
        signature.verify(folder, pair.public)


def rewrite(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / signature.FILE
    bundle = json.loads(path.read_text())
    edit(bundle)
    path.write_text(json.dumps(bundle))


def forge(bundle: dict[str, Any]) -> None:
    """The digest of a swapped file put into the statement, as somebody would who has no key."""
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["predicate"]["resources"][0]["digest"] = hashlib.sha256(b"swapped").hexdigest()
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


SIGNATURE = {
    "the statement": (forge, "model.sig was changed: it is not what the key"),
    "the signature": (
        lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig=base64.b64encode(b"0" * 70).decode()),
        "model.sig was changed",
    ),
    "no signatures": (lambda bundle: bundle["dsseEnvelope"].update(signatures=[]), "model.sig is damaged"),
    "the kind": (lambda bundle: bundle.update(mediaType="text/plain"), "model.sig is damaged"),
    "the key's name": (lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint="f00"), "the key f00"),
    "no name": (lambda bundle: bundle["verificationMaterial"].clear(), "model.sig is damaged"),
    "no envelope": (lambda bundle: bundle.pop("dsseEnvelope"), "model.sig is damaged"),
}


@pytest.mark.parametrize(("edit", "told"), SIGNATURE.values(), ids=SIGNATURE)
def test_a_changed_signature_does_not_hold(
    edit: Callable[[dict[str, Any]], object], told: str, folder: Path, pair: Keys
) -> None:
    rewrite(folder, edit)
    with pytest.raises(SignatureInvalid, match=told):
        signature.verify(folder, pair.public)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"verificationMaterial": 1}'])
def test_rubbish_in_place_of_a_signature_does_not_hold(content: bytes, folder: Path, pair: Keys) -> None:
    (folder / signature.FILE).write_bytes(content)
    with pytest.raises(SignatureInvalid, match=r"model\.sig is damaged"):
        signature.verify(folder, pair.public)


def test_another_key_does_not_do(folder: Path, tmp_path: Path) -> None:
    other = keys.make(tmp_path, "other")
    with pytest.raises(SignatureInvalid, match=r"signed with the key [0-9a-f]{64}, and .*other\.pub is [0-9a-f]{64}"):
        signature.verify(folder, other.public)


def test_no_signature_is_no_tampering(folder: Path, pair: Keys) -> None:
    (folder / signature.FILE).unlink()
    with pytest.raises(ModelError, match=r"there is no model\.sig"):
        signature.verify(folder, pair.public)


KEYS: dict[str, tuple[PrivateKeyTypes | bytes | None, str | None, str | None, str]] = {
    "wrong password": (None, PHRASE, "wrong", "OCTAVO_SIGNING_PASSWORD does not open"),
    "no password": (None, PHRASE, None, "is encrypted, and no password is set"),
    "a password too many": (None, None, PHRASE, "is not encrypted, yet a password is set"),
    "RSA": (rsa.generate_private_key(65537, 2048), None, None, "of another kind. Allowed are elliptic"),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), None, None, "of another kind"),
    "another curve": (ec.generate_private_key(ec.SECP256K1()), None, None, "of another kind"),
    "no key": (b"hello", None, None, "is not a private key"),
    "no key, but a password": (b"hello", None, PHRASE, "is not a private key"),
}


@pytest.mark.parametrize(("key", "encrypted", "given", "told"), KEYS.values(), ids=KEYS)
def test_a_key_that_does_not_sign_gets_a_sentence(
    key: PrivateKeyTypes | bytes | None,
    encrypted: str | None,
    given: str | None,
    told: str,
    folder: Path,
    tmp_path: Path,
) -> None:
    made = keys.make(tmp_path, "bad", encrypted, None if isinstance(key, bytes) else key)
    if isinstance(key, bytes):
        made.private.write_bytes(key)
    before = (folder / signature.FILE).read_bytes()
    with pytest.raises(KeyUnusable, match=told) as failure:
        signature.sign(folder, made.private, given)
    assert given is None or given not in str(failure.value)
    assert (folder / signature.FILE).read_bytes() == before


def test_a_key_that_does_not_verify_gets_a_sentence(folder: Path, pair: Keys, tmp_path: Path) -> None:
    other = keys.make(tmp_path, "rsa", key=rsa.generate_private_key(65537, 2048))
    for path, told in (
        (pair.private, "is not a public key"),
        (other.public, "of another kind"),
        (tmp_path / "none.pub", "cannot be read: No such file"),
    ):
        with pytest.raises(KeyUnusable, match=told):
            signature.verify(folder, path)
    with pytest.raises(KeyUnusable, match="cannot be read: No such file"):
        signature.sign(folder, tmp_path / "none.pem", None)


@pytest.mark.slow
def test_it_can_be_verified_without_octavo(folder: Path, pair: Keys) -> None:
    (folder / "registered_model_meta").write_text("MLflow writes this into what it hands out")
    program = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command = [*program, "--signature", str(folder / signature.FILE), "--public_key", str(pair.public)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (folder / "model.onnx").write_text("swapped")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
