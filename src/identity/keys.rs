//! What stands for identifiers in the map of a publication: keyed hashes, so that the map holds no identifier.

use std::hash::Hasher;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::intern::{NOBODY, Nodes};
use super::rules::Rules;
use crate::engine::{self, HashIndex, parallel};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 16;
/// What the key of the keyed hash is made from, beside a pipeline's own salt.
const PURPOSE: &str = "segmill: identifiers of a publication, 1";

/// What stands for identifiers in the map: SipHash-2-4 of the type and the text, 128 bits, with a key of the pipeline's.
#[derive(Clone, Copy)]
pub(super) struct Hash([u8; KEY_BYTES]);

impl Hash {
    pub(super) fn of(rules: &Rules) -> Self {
        let mut digest = Sha256::new();
        digest.update(PURPOSE);
        digest.update(rules.salt.as_bytes());
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&digest.finalize()[..KEY_BYTES]);
        Hash(key)
    }

    /// What tells whether it is the same one, and nothing of its key.
    fn id(self) -> String {
        format!("{:016x}", lower_half(self.key("", PURPOSE)))
    }

    pub(super) fn key(self, identifier_type: &str, text: &str) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(identifier_type.as_bytes());
        hasher.write_u8(0);
        hasher.write(text.as_bytes());
        hasher.finish128().into()
    }
}

/// The keys of identifiers that lead to customers, by number.
pub(super) struct Keys {
    of_node: Vec<u128>,
    index: HashIndex,
}

impl Keys {
    pub(super) fn of_each(self) -> Vec<u128> {
        self.of_node
    }

    pub(super) fn of(rules: &Rules, nodes: &Nodes, leads: impl Fn(u32) -> bool + Sync, threads: usize) -> Vec<u128> {
        let hash = Hash::of(rules);
        let key = |node: u32| if leads(node) { hash.key(&rules.rule(nodes.kind(node)).name, nodes.text(node)) } else { 0 };
        let mut of_node = vec![0; nodes.count()];
        let share = of_node.len().div_ceil(threads).max(1);
        let mut parts: Vec<(usize, &mut [u128])> = of_node.chunks_mut(share).enumerate().collect();
        parallel(&mut parts, threads, |(part, keys)| {
            for (at, place) in keys.iter_mut().enumerate() {
                *place = key(u32::try_from(*part * share + at).unwrap_or(NOBODY));
            }
        });
        of_node
    }

    /// Of all identifiers that lead to a customer.
    pub(super) fn indexed(rules: &Rules, nodes: &Nodes, leads: impl Fn(u32) -> bool + Sync, threads: usize) -> Self {
        let of_node = Keys::of(rules, nodes, &leads, threads);
        let mut index = HashIndex::default();
        index.reserve(of_node.len());
        for node in nodes.all().filter(|node| leads(*node)) {
            index.add(lower(of_node[node as usize]), node);
        }
        Keys { of_node, index }
    }

    /// What they take, in bytes, for each identifier.
    pub(super) const BYTES_OF_ONE: usize = KEY_BYTES + HashIndex::BYTES_OF_ONE;

    pub(super) fn find(&self, key: u128) -> Option<u32> {
        self.index.find(lower(key), |node| (self.of_node[node as usize] == key).then_some(node))
    }
}

impl Rules {
    /// What tells whether identifiers are hashed as before.
    pub fn hash_id(&self) -> String {
        Hash::of(self).id()
    }

    /// What stands for an identifier in the map of a publication: under a type, or under each that is declared.
    pub fn keys_of(&self, identifier_type: Option<&str>, text: &str) -> Vec<[u8; KEY_BYTES]> {
        let hash = Hash::of(self);
        let types = self.types.iter().map(|rule| rule.name.as_str()).filter(|name| identifier_type.is_none_or(|asked| asked == *name));
        types.map(|name| hash.key(name, text).to_be_bytes()).collect()
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a part of a hash is wanted")]
fn lower_half(key: u128) -> u64 {
    key as u64
}

fn lower(key: u128) -> u32 {
    engine::lower_half(lower_half(key))
}
