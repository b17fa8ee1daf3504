"""The app's own keys, in one file that only its owner reads: for assertions (RS384, ES384), cookies, sealed sessions.

Made at the first start, and by one worker only, however many start at once. Rotation makes new ones; an old public key
stays in the JWKS for a day, since authorization servers keep what they fetched (SMART App Launch 2.2,
client-confidential-asymmetric.md, Registering a client).
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import jwt
import msgspec
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cds.errors import SettingsError

Json = dict[str, Any]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
# client-confidential-asymmetric.md: a client supports both.
ALGORITHMS = ("RS384", "ES384")
COOKIE, SEAL = "cookie", "seal"
KEPT_SECONDS = 86_400
FILE = "smart-keys.json"
_RSA_BITS = 3072


class Key(msgspec.Struct, frozen=True):
    """One key of the file: what it is for, when it was made and retired (seconds since 1970), and its text."""

    id: str
    use: str
    made: int
    text: str
    retired: int | None = None

    def __repr__(self) -> str:
        """Without the key itself."""
        return f"Key({self.use} {self.id})"


class Keys:
    """The keys of one folder, read anew when another process has changed them. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Read the folder's keys, or make them; SettingsError where they cannot be read, made, or kept to oneself."""
        self.path = folder / FILE
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._keys: tuple[Key, ...] = ()
        with _telling(self.path):
            if not self.path.exists():
                self._make()
        self.all()

    def __repr__(self) -> str:
        """The file only."""
        return f"Keys({self.path})"

    # ------------------------------------------------------------------------------------------- using

    def all(self) -> tuple[Key, ...]:
        """Every key of the file, oldest first."""
        with self._lock, _telling(self.path):
            found = self.path.stat()
            if os.name == "posix" and found.st_mode & 0o077:
                raise _refuse(f"holds {self.path}, which others may read", "chmod 600 it, and rotate the keys")
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp != self._stamp:
                self._keys = msgspec.json.decode(self.path.read_bytes(), type=tuple[Key, ...])
                self._stamp = stamp
            return self._keys

    def signing(self, algorithm: str) -> tuple[str, PrivateKey]:
        """The id and the private key by which assertions of this algorithm are signed now."""
        current = next(key for key in reversed(self.all()) if key.use == algorithm and key.retired is None)
        return current.id, _private(current.text)

    def jwks(self) -> Json:
        """The public keys as a JWKS (RFC 7517): those in use, and those retired within the last day."""
        return {"keys": [_jwk(key) for key in self._kept() if key.use in ALGORITHMS]}

    def cookie_secrets(self) -> list[str]:
        """The secrets that sign cookies, the one in use last."""
        return [key.text for key in self._kept() if key.use == COOKIE]

    def seal(self) -> MultiFernet:
        """What seals sessions with the key in use, and opens those sealed with one retired within the last day."""
        return MultiFernet([Fernet(key.text) for key in reversed(self._kept()) if key.use == SEAL])

    def _kept(self) -> list[Key]:
        since = time.time() - KEPT_SECONDS
        return [key for key in self.all() if key.retired is None or key.retired > since]

    # ------------------------------------------------------------------------------------------- making

    def rotate(self) -> tuple[Key, ...]:
        """Make new keys for every use and retire the old ones; gives the new ones. SettingsError as at the start."""
        with _telling(self.path), _alone(self.path.with_suffix(".lock")):
            now = int(time.time())
            new = _new_keys(now)
            kept = [key if key.retired is not None else _retired(key, now) for key in self.all()]
            kept = [key for key in kept if key.retired is not None and key.retired > now - KEPT_SECONDS]
            temporary = _written(self.path.parent, (*kept, *new))
            os.replace(temporary, self.path)
            return new

    def _make(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = _written(self.path.parent, _new_keys(int(time.time())))
        try:
            # A link, not a move: it fails where another worker was quicker, and then that worker's keys count.
            os.link(temporary, self.path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()


def _new_keys(now: int) -> tuple[Key, ...]:
    pairs: tuple[tuple[str, PrivateKey], ...] = (
        ("RS384", rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)),
        ("ES384", ec.generate_private_key(ec.SECP384R1())),
    )
    texts = [(use, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()) for use, key in pairs]
    texts += [(COOKIE, secrets.token_urlsafe(48)), (SEAL, Fernet.generate_key().decode())]
    return tuple(Key(secrets.token_urlsafe(12), use, now, text) for use, text in texts)


def _retired(key: Key, now: int) -> Key:
    """A key that signs nothing any more: of a pair the public half is enough."""
    text = key.text
    if key.use in ALGORITHMS:
        public = _private(text).public_key()
        text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return msgspec.structs.replace(key, retired=now, text=text)


def _private(text: str) -> PrivateKey:
    key = load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, PrivateKey):
        raise ValueError
    return key


def _jwk(key: Key) -> Json:
    public = load_pem_public_key(key.text.encode()) if key.retired is not None else _private(key.text).public_key()
    if isinstance(public, rsa.RSAPublicKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        found = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        raise ValueError
    return {**found, "kid": key.id, "use": "sig", "alg": key.use, "key_ops": ["verify"]}


def _written(folder: Path, keys: tuple[Key, ...]) -> Path:
    """A file of its own beside the real one, whole and on disk. mkstemp makes it readable by its owner only."""
    descriptor, name = mkstemp(prefix=".smart-keys-", dir=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(msgspec.to_builtins(keys), indent=1).encode())
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One rotation at a time."""
    import fcntl  # here: not every system has it, and only rotation needs it

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of the file as ours. Never quoted: a message may hold a key."""
    try:
        yield
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else type(problem).__name__
        raise _refuse(f"names {path.parent}, where keys cannot be kept ({reason})", "Name a writable folder") from None
    except (ValueError, StopIteration):
        raise _refuse(f"holds {path}, which is no file of keys", "Take it away; new keys are made") from None


def _refuse(what: str, remedy: str) -> SettingsError:
    return SettingsError(f"THERAPY_CDS_SMART_KEYS {what}", where="environment", remedy=remedy)
