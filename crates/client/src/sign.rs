//! Identities, keys and signatures, as ColonyOS defines them.
//!
//! A key is 32 bytes on secp256k1. Its identity is the SHA3-256 digest of the **hexadecimal text** of its
//! uncompressed public key. A request is signed over the SHA3-256 digest of its base64 payload, deterministically
//! (RFC 6979), with a low `s`; the signature is written `r s v`, 65 bytes in hexadecimal. The request contains
//! neither time nor nonce, so anyone who reads it can replay it: only TLS guards against that.

use std::fmt;

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use rand::{TryRngCore, rngs::OsRng};
use sha3::{Digest, Sha3_256};
use zeroize::{Zeroize, Zeroizing};

use super::model::Id;

/// Text that is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not 32 bytes of hexadecimal.
    #[error("failed to read a private key: give its 64 hexadecimal digits")]
    NotHexadecimal,
    /// 32 bytes that are no key: zero, or not below the order of the curve.
    #[error("failed to read a private key: its 32 bytes are none of the curve's keys, make a new one")]
    NotOnCurve,
    /// The operating system gave no randomness for a new key.
    #[error("failed to make a private key: the operating system gave no randomness")]
    NoRandomness,
}

/// A private key. Overwritten when dropped, and never shown by `Debug`.
#[derive(Clone)]
pub struct PrivateKey {
    key: SigningKey,
    id: Id,
}

impl PrivateKey {
    /// Reads a key as the server's tools print it.
    ///
    /// # Errors
    /// When it is not 64 hexadecimal digits (white space around them is ignored), or no key.
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim(), bytes.as_mut_slice()).map_err(|_| InvalidKey::NotHexadecimal)?;
        Self::from_bytes(&bytes)
    }

    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        OsRng.try_fill_bytes(bytes.as_mut_slice()).map_err(|_| InvalidKey::NoRandomness)?;
        // Not a key with a probability of 2^-128: not worth a loop.
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = SigningKey::from_slice(bytes).map_err(|_| InvalidKey::NotOnCurve)?;
        let public = hex::encode(key.verifying_key().to_encoded_point(false));
        let id = Id::of_digest(&digest(public.as_bytes()));
        Ok(Self { key, id })
    }

    /// The public identity of the key.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The key as the server's tools print it, for example to store it in a Secret. Overwritten when dropped.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        let mut bytes = self.key.to_bytes();
        let text = Zeroizing::new(hex::encode(bytes));
        bytes.zeroize();
        text
    }

    /// Signs a payload, the base64 of a call: 130 hexadecimal digits. `None` with a probability of 2^-256.
    #[must_use]
    pub fn sign(&self, payload: &str) -> Option<String> {
        let (signature, recovery) = self.key.sign_prehash_recoverable(&digest(payload.as_bytes())).ok()?;
        Some(format!("{}{:02x}", hex::encode(signature.to_bytes()), recovery.to_byte()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PrivateKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The identity that signed a payload, in base64, as a server finds it out; `None` when the signature is none.
#[must_use]
pub fn recover(payload: &str, signature: &str) -> Option<Id> {
    let bytes = hex::decode(signature).ok().filter(|bytes| bytes.len() == 65)?;
    let (signature, recovery) = bytes.split_at(64);
    let signature = Signature::from_slice(signature).ok()?;
    // The server takes only the smaller of the two values of `s` that would do.
    if signature.normalize_s().is_some() {
        return None;
    }
    let recovery = recovery.first().copied().and_then(RecoveryId::from_byte)?;
    let key = VerifyingKey::recover_from_prehash(&digest(payload.as_bytes()), &signature, recovery).ok()?;
    let public = hex::encode(key.to_encoded_point(false));
    Some(Id::of_digest(&digest(public.as_bytes())))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha3_256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::{InvalidKey, PrivateKey, recover};

    /// Development keys that ColonyOS publishes with its source, and what its own Go library makes of them.
    const KEYS: [(&str, &str); 3] = [
        (
            "ddf7f7791208083b6a9ed975a72684f6406a269cfa36f1b1c32045c0a71fff05",
            "3fc05cf3df4b494e95d6a3d297a34f19938f7daa7422ab0d4f794454133341ac",
        ),
        (
            "ba949fa134981372d6da62b6a56f336ab4d843b22c02a4257dcf7d0d73097514",
            "4787a5071856a4acf702b2ffcea422e3237a679c681314113d86139461290cf4",
        ),
        (
            "fcc79953d8a751bf41db661592dc34d30004b1a651ffa0725b03ac227641499d",
            "039231c7644e04b6895471dd5335cf332681c54e27f81fac54f9067b3f2c0103",
        ),
    ];

    #[test]
    fn identities_are_those_of_the_servers_own_library() {
        for (key, id) in KEYS {
            let read = PrivateKey::from_hex(key).unwrap();
            assert_eq!(read.id().as_str(), id);
            assert_eq!(read.to_hex().as_str(), key);
        }
    }

    /// One vector for each value of the recovery byte that occurs in practice.
    #[test]
    fn signatures_are_those_of_the_servers_own_library() {
        let payload = "eyJtc2d0eXBlIjoidmVyc2lvbm1zZyJ9";
        let even = "a4441eeb22373d2d99e52e65f70ab5519a78888a96e853cad66e1038ebd51d11\
                    01a2d510b48eccdc3b5046d9703a112c9bd96201386b01348402dc64927433bf00";
        let odd = "41c5209737b42936f3d549ff78b2d6259310d1cb9ac363247fb67481c535bc64\
                   46af09e2d53def5c703e282361a9914c0144c3b185383080566fc026c2a6e20f01";
        for (key, signature) in [(KEYS[0].0, even), (KEYS[2].0, odd)] {
            assert_eq!(PrivateKey::from_hex(key).unwrap().sign(payload).unwrap(), signature);
        }
    }

    #[test]
    fn a_server_finds_out_who_signed() {
        let key = PrivateKey::generate().unwrap();
        let signature = key.sign("payload").unwrap();
        assert_eq!(recover("payload", &signature).as_ref(), Some(key.id()));
        assert_ne!(recover("another", &signature).as_ref(), Some(key.id()));
        for wrong in ["", "00", &"0".repeat(130), &"f".repeat(130), &signature[2..]] {
            assert_eq!(recover("payload", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for (text, refusal) in [
            ("", InvalidKey::NotHexadecimal),
            ("zz", InvalidKey::NotHexadecimal),
            (&KEYS[0].0[1..], InvalidKey::NotHexadecimal),
            (&"0".repeat(64), InvalidKey::NotOnCurve),
            (&"f".repeat(64), InvalidKey::NotOnCurve),
        ] {
            assert_eq!(PrivateKey::from_hex(text).unwrap_err(), refusal);
        }
        assert!(PrivateKey::from_hex(&format!("{}\n", KEYS[0].0)).is_ok(), "files end with a line feed");
    }

    #[test]
    fn new_keys_differ_and_none_is_shown() {
        let (one, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        assert_ne!(one.id(), other.id());
        assert!(!format!("{one:?}").contains(one.to_hex().as_str()));
    }
}
