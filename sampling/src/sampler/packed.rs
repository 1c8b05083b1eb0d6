//! The spans of an undecided trace, as bytes.

use super::blocks::{Blocks, Chain};
use slipring::{Source, Span};
use std::ops::Range;

/// The bytes before each span: the number of its source, and its length.
pub(super) const HEADER: usize = 8;

/// Spans that were copied out of their requests: their bytes, and what they share. They are
/// [given back](Blocks::give_back) when they leave.
#[derive(Debug, Default)]
pub(super) struct Packed {
    chain: Chain,
    sources: Vec<Source>,
    count: u32,
}

impl Packed {
    /// Returns the number of spans.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Returns the bytes that they take, with what an allocator adds.
    pub(super) fn heap_bytes(&self) -> usize {
        self.chain.heap_bytes() + self.sources.capacity() * size_of::<Source>()
    }

    /// Returns the sources, in the order in which they came. One may stand there more than once.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Copies a span, whose length has to fit into 32 bits, and returns the number of its source.
    pub(super) fn push(&mut self, span: &Span, blocks: &mut Blocks) -> u32 {
        let (own, source) = (span.bytes(), span.source());
        let number = self.number_of(source);
        let header = u64::from(number) | (own.len() as u64) << 32;
        blocks.append_few(&mut self.chain, header.to_le_bytes());
        blocks.append(&mut self.chain, own);
        self.count += 1;
        number
    }

    /// Returns the number of a source, which is added if it is not among the last ones.
    fn number_of(&mut self, source: &Source) -> u32 {
        /// Spans of few sources alternate. A look further back costs more than it saves.
        const BACK: usize = 8;
        let from = self.sources.len().saturating_sub(BACK);
        let known = self.sources[from..].iter().rposition(|known| known.ptr_eq(source));
        let number = known.map_or(self.sources.len(), |place| from + place);
        if known.is_none() {
            if self.sources.len() == self.sources.capacity() {
                self.sources.reserve_exact((self.sources.len() / 2).max(4));
            }
            self.sources.push(source.clone());
        }
        number as u32
    }

    /// Makes records of the spans, in a body that only they share. `places` is room that is reused.
    pub(super) fn spans(
        &self,
        blocks: &Blocks,
        places: &mut Vec<(usize, Range<usize>)>,
    ) -> Vec<Span> {
        let bytes = blocks.copy(&self.chain);
        places.clear();
        let mut at = 0;
        while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let header = u64::from_le_bytes(*header);
            let start = at + HEADER;
            at = start + (header >> 32) as usize;
            places.push((header as u32 as usize, start..at));
        }
        Span::of_body(bytes, self.sources.clone(), places)
    }

    /// Takes the chain out, to give it back.
    pub(super) fn into_chain(self) -> Chain {
        self.chain
    }
}
