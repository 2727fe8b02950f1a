"""The Vault port over KMS: every secret has a data key of its own, which only KMS can unwrap, and only for its owner.

A sealed secret is one byte for this format, 8 bytes that name the KMS key, the wrapped data key after its length in 2
bytes, a nonce of 12 bytes, and the secret encrypted by AES-256-GCM with its tag of 16 bytes at the end. The owner and
all that stands before the nonce are authenticated with it. The owner is also the encryption context of KMS, so that it
stands in the trail of who opened what, and a policy can demand it.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from option_baskets.adapters.aws.service import Service, code_of
from option_baskets.domain.errors import Invalid, Unavailable

_FORMAT = b"\x02"
_NAME, _LENGTH, _NONCE, _TAG = 8, 2, 12, 16
_HEAD = len(_FORMAT) + _NAME + _LENGTH
_NOT_ITS_OWN = {"InvalidCiphertextException", "IncorrectKeyException"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    name: bytes
    wrapped: bytes
    nonce: bytes
    text: bytes
    head: bytes
    """All before the nonce."""


class KmsVault:
    """Seals and opens by keys that never leave KMS.

    KMS rotates what is inside a key by itself, and secrets stay as they are. After an accident another key is put
    before the old one: it seals from then on, and ``is_current`` says what is not sealed anew yet.

    Args:
        kms: its client.
        keys: ARNs of KMS keys, the newest first; looked at anew with every use. None but these opens anything.
    """

    def __init__(self, kms: Service, keys: Sequence[str]) -> None:
        self._kms = kms
        self._keys = keys

    async def seal(self, secret: bytes, *, owner: str) -> bytes:
        """Raises Unavailable: KMS makes no data key, or there is no KMS key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._keys:
            raise Unavailable("no KMS key is given; name one in OPTION_BASKETS_KEY")
        arn = self._keys[0]
        made = await self._kms.call(
            "generate_data_key", KeyId=arn, KeySpec="AES_256", EncryptionContext={"owner": owner}
        )
        wrapped: bytes = made["CiphertextBlob"]
        head = _FORMAT + _name(arn) + len(wrapped).to_bytes(_LENGTH, "big") + wrapped
        nonce = os.urandom(_NONCE)
        return head + nonce + AESGCM(made["Plaintext"]).encrypt(nonce, secret, head + owner.encode())

    async def open(self, sealed: bytes, *, owner: str) -> bytes:
        """The secret.

        Raises:
            Invalid: it was sealed for another owner, by a key that is not given, or was changed.
            Unavailable: KMS does not answer, or may not be asked.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        parts = _parts(sealed)
        if parts is None:
            raise Invalid(f"what is sealed for {owner} is no secret of this program; give the secret anew")
        arn = next((each for each in self._keys if _name(each) == parts.name), None)
        if arn is None:
            raise Invalid(
                f"what is sealed for {owner} was sealed by the KMS key {parts.name.hex()}, which is not among those of "
                "OPTION_BASKETS_KEY; name that key there too, or give the secret anew"
            )
        changed = f"what is sealed for {owner} was changed, or sealed for another owner; give the secret anew"
        try:
            answer = await self._kms.call(
                "decrypt", CiphertextBlob=parts.wrapped, KeyId=arn, EncryptionContext={"owner": owner}
            )
            return AESGCM(answer["Plaintext"]).decrypt(parts.nonce, parts.text, parts.head + owner.encode())
        except (InvalidTag, ValueError):  # a length that was changed cuts the wrapped key
            raise Invalid(changed) from None
        except Unavailable as error:
            if code_of(error) in _NOT_ITS_OWN:
                raise Invalid(changed) from None
            raise

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest key sealed it; False where there is no key."""
        parts = _parts(sealed)
        return parts is not None and bool(self._keys) and parts.name == _name(self._keys[0])


def _name(arn: str) -> bytes:
    return hashlib.sha256(b"option-baskets kms key" + arn.encode()).digest()[:_NAME]


def _parts(sealed: bytes) -> _Parts | None:
    """None: it is nothing that was sealed here."""
    if not sealed.startswith(_FORMAT) or len(sealed) < _HEAD:
        return None
    length = int.from_bytes(sealed[_HEAD - _LENGTH : _HEAD], "big")
    head, rest = sealed[: _HEAD + length], sealed[_HEAD + length :]
    if not length or len(head) < _HEAD + length or len(rest) < _NONCE + _TAG:
        return None
    return _Parts(
        name=sealed[len(_FORMAT) : len(_FORMAT) + _NAME],
        wrapped=head[_HEAD:],
        nonce=rest[:_NONCE],
        text=rest[_NONCE:],
        head=head,
    )
