//! Memory for the bytes of undecided traces: chains of blocks of one size, which are reused.
//!
//! An allocation for each trace would have to grow with it, and half of the time that taking spans
//! takes would be the allocator's. A chain grows by a block, and is given back as a whole.

/// The bytes of a block: the number of the next one, and what is written into it.
const BLOCK: usize = 512;
const LINK: usize = size_of::<u32>();
const ROOM: usize = BLOCK - LINK;

/// The blocks that are allocated together.
const SLAB: usize = if cfg!(test) { 4 } else { 512 };

/// No block.
const NONE: u32 = u32::MAX;

/// Blocks by number.
#[derive(Debug)]
pub(super) struct Blocks {
    slabs: Vec<Box<[u8]>>,
    /// The first of the blocks that were given back, each of which names the next.
    free: u32,
    /// Blocks that were never used.
    fresh: u32,
    used: usize,
}

/// Bytes in blocks.
#[derive(Debug)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    blocks: u32,
    /// The bytes that are written into the last block.
    filled: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, blocks: 0, filled: ROOM as u32 }
    }
}

impl Chain {
    /// Returns the bytes that its blocks take.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks as usize * BLOCK
    }

    fn len(&self) -> usize {
        (self.blocks as usize * ROOM + self.filled as usize).saturating_sub(ROOM)
    }
}

impl Default for Blocks {
    fn default() -> Self {
        Self { slabs: Vec::new(), free: NONE, fresh: 0, used: 0 }
    }
}

impl Blocks {
    fn block(&self, number: u32) -> &[u8] {
        &self.slabs[number as usize / SLAB][number as usize % SLAB * BLOCK..][..BLOCK]
    }

    fn block_mut(&mut self, number: u32) -> &mut [u8] {
        &mut self.slabs[number as usize / SLAB][number as usize % SLAB * BLOCK..][..BLOCK]
    }

    fn next(&self, number: u32) -> u32 {
        u32::from_le_bytes(*self.block(number).first_chunk().expect("a block has its link"))
    }

    fn set_next(&mut self, number: u32, next: u32) {
        self.block_mut(number)[..LINK].copy_from_slice(&next.to_le_bytes());
    }

    /// Returns a block that nobody has.
    fn take(&mut self) -> u32 {
        self.used += 1;
        if self.free != NONE {
            let number = self.free;
            self.free = self.next(number);
            return number;
        }
        if self.fresh as usize == self.slabs.len() * SLAB {
            // Zeroed memory comes from the system without being written.
            self.slabs.push(vec![0; SLAB * BLOCK].into());
        }
        self.fresh += 1;
        self.fresh - 1
    }

    /// Appends bytes to a chain. O(bytes), with an allocation for each 256 KiB that were never used
    /// before.
    pub(super) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = chain.filled as usize;
            if filled == ROOM {
                let number = self.take();
                match chain.last {
                    NONE => chain.first = number,
                    last => self.set_next(last, number),
                }
                (chain.last, chain.filled) = (number, 0);
                chain.blocks += 1;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(ROOM - filled));
            self.block_mut(chain.last)[LINK + filled..][..now.len()].copy_from_slice(now);
            chain.filled += now.len() as u32;
            bytes = later;
        }
    }

    /// Appends a few bytes, which most often fit into the last block.
    pub(super) fn append_few<const N: usize>(&mut self, chain: &mut Chain, bytes: [u8; N]) {
        let filled = chain.filled as usize;
        if filled + N > ROOM {
            return self.append(chain, &bytes);
        }
        self.block_mut(chain.last)[LINK + filled..][..N].copy_from_slice(&bytes);
        chain.filled += N as u32;
    }

    /// Copies the bytes of a chain. O(bytes), with one allocation.
    pub(super) fn copy(&self, chain: &Chain) -> Vec<u8> {
        let mut left = chain.len();
        let mut bytes = Vec::with_capacity(left);
        let mut number = chain.first;
        while left > 0 {
            let part = left.min(ROOM);
            bytes.extend_from_slice(&self.block(number)[LINK..][..part]);
            left -= part;
            if left > 0 {
                number = self.next(number);
            }
        }
        bytes
    }

    /// Gives the blocks of a chain back. O(1).
    pub(super) fn give_back(&mut self, chain: Chain) {
        if chain.last == NONE {
            return;
        }
        self.used -= chain.blocks as usize;
        if self.used == 0 {
            // Nothing is in use: what a flood has taken is given back to the system.
            self.slabs.truncate(1);
            (self.free, self.fresh) = (NONE, 0);
            return;
        }
        self.set_next(chain.last, self.free);
        self.free = chain.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_keep_their_bytes_and_blocks_are_reused() {
        let mut blocks = Blocks::default();
        let text = |seed: usize, length: usize| -> Vec<u8> {
            (0..length).map(|at| (at * 7 + seed * 31) as u8).collect()
        };
        let lengths = [0, 1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 5 * ROOM + 7];
        for round in 0..3 {
            let mut chains: Vec<(Chain, Vec<u8>)> = Vec::new();
            for (seed, &length) in lengths.iter().enumerate() {
                // Two chains grow by turns.
                let (mut one, mut other) = (Chain::default(), Chain::default());
                let (of_one, of_other) = (text(seed, length), text(seed + round, 2 * length));
                for part in 0..10 {
                    let piece = |all: &[u8]| {
                        all[all.len() * part / 10..all.len() * (part + 1) / 10].to_vec()
                    };
                    blocks.append(&mut one, &piece(&of_one));
                    blocks.append(&mut other, &piece(&of_other));
                }
                chains.extend([(one, of_one), (other, of_other)]);
            }
            for (chain, bytes) in &chains {
                assert_eq!(blocks.copy(chain), *bytes);
                let needed = bytes.len().div_ceil(ROOM) * BLOCK;
                assert_eq!(chain.heap_bytes(), needed);
            }
            let used: usize = chains.iter().map(|(chain, _)| chain.blocks as usize).sum();
            assert_eq!(blocks.used, used);
            let made = blocks.slabs.len();
            // One stays, so that the others' blocks are used again and not freed.
            let mut kept = chains.split_off(chains.len() - 1);
            chains.into_iter().for_each(|(chain, _)| blocks.give_back(chain));
            let (mut again, other) = (Chain::default(), text(99, 4 * ROOM));
            blocks.append(&mut again, &other);
            assert_eq!((blocks.copy(&again), blocks.slabs.len()), (other, made));
            let (chain, bytes) = kept.remove(0);
            assert_eq!(blocks.copy(&chain), bytes);
            blocks.give_back(again);
            blocks.give_back(chain);
            assert_eq!((blocks.used, blocks.slabs.len()), (0, 1));
        }
        let mut few = Chain::default();
        (0..ROOM as u64).for_each(|number| blocks.append_few(&mut few, number.to_le_bytes()));
        let wanted: Vec<u8> = (0..ROOM as u64).flat_map(u64::to_le_bytes).collect();
        assert_eq!(blocks.copy(&few), wanted);
        let (mut wide, bytes) = (Chain::default(), text(1, (SLAB + 1) * ROOM));
        blocks.append(&mut wide, &bytes);
        assert_eq!(blocks.copy(&wide), bytes);
    }
}
