//! The slices of a file whose blocks are large: a second file by its name, whose blocks are the slices.
//!
//! A slice is requested like a block, by its number in [`Layout::sliced`](crate::Layout::sliced) and by the name of the
//! slices. In front of its bytes is the state of SHA-256 over everything before it in its block ([`Item::State`]). So
//! slices are verified from the end of a block to its beginning, each as soon as it has arrived.
//!
//! [`Item::State`]: crate::extension::Item::State

use crate::CascadeHash;
use crate::hash::HASH_LEN;

/// What precedes the cascade hash where the name of the slices is computed.
const PREFIX: &[u8; 14] = b"cascade slices";

/// The name of the slices of the file `hash`: the SHA-256 of `cascade slices` and the cascade hash.
#[must_use]
pub fn name(hash: &CascadeHash) -> CascadeHash {
    let mut bytes = [0; PREFIX.len() + HASH_LEN];
    crate::field::put(&mut bytes, 0, PREFIX);
    crate::field::put(&mut bytes, PREFIX.len(), hash.as_bytes());
    CascadeHash::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_name_of_the_slices_is_another_hash() {
        let hash = CascadeHash([7; HASH_LEN]);
        let expected: [u8; HASH_LEN] =
            Sha256::new().chain_update(b"cascade slices").chain_update([7; 32]).finalize().into();
        assert_eq!(name(&hash), CascadeHash(expected));
    }
}
