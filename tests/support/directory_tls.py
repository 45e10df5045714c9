"""A throw-away certificate authority, so that the tests can check TLS as a client in the field does."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """The key of a server, its certificate, and that of the authority that signed it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    authority: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        """The key without a password, PKCS #8 in PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def authority_pem(self) -> bytes:
        """The authority's certificate in PEM."""
        return self.authority.public_bytes(serialization.Encoding.PEM)

    def pkcs12(self, name: str, password: str) -> bytes:
        """Key and certificates in one encrypted file; the key has the given name in it."""
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(
            name.encode(), self.key, self.certificate, [self.authority], encryption
        )


class Authority:
    """A certificate authority. Each has a key of its own: who trusts one does not trust another."""

    def __init__(self, name: str = "Landfall test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = (
            _builder(subject, subject, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate_pem(self) -> bytes:
        """The certificate that a client is given to trust, in PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def identity(self, *hosts: str) -> Identity:
        """A new key, and a certificate for the given host names and IP addresses that is valid from yesterday on
        for a month."""
        # RSA, for a 389 Directory Server made from its template has settings for no other kind of key.
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = (
            _builder(_name(hosts[0]), self._certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(key, certificate, self._certificate)


@cache
def authority() -> Authority:
    """The authority that signs for the directory servers of this process."""
    return Authority()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 30 * DAY)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
