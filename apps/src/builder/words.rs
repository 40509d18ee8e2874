//! The words of one port during one firing, seen as an array of tokens: in place where the layouts agree, else copied.

#![expect(clippy::large_enum_variant, reason = "small copies stay on the stack, so that a firing does not allocate")]

use crate::token::{Token, load, store, words_of};
use zerocopy::{FromBytes, IntoBytes};

/// Whether `N` tokens lie in words as they lie in an array: without padding between them, no stricter aligned than words.
const fn in_place<T, const N: usize>() -> bool {
    let dense = size_of::<T>() > 0 && size_of::<T>().is_multiple_of(size_of::<u64>());
    align_of::<T>() <= align_of::<u64>() && (N == 1 || dense)
}

/// Tokens that a firing reads.
pub enum Reading<'a, T, const N: usize> {
    InPlace(&'a [T; N]),
    Copied(Copied<T, N>),
}

impl<'a, T: Token, const N: usize> Reading<'a, T, N> {
    /// `words` are those of `N` tokens.
    pub(super) fn new(words: &'a [u64]) -> Self {
        if const { in_place::<T, N>() } {
            let (tokens, _padding) = <[T; N]>::ref_from_prefix(words.as_bytes()).expect("the layouts agree");
            return Self::InPlace(tokens);
        }
        let mut copied = Copied::zeroed();
        for (token, words) in copied.tokens_mut().iter_mut().zip(words.chunks_exact(words_of::<T>())) {
            load(token, words);
        }
        Self::Copied(copied)
    }

    pub(super) fn tokens(&self) -> &[T; N] {
        match self {
            Self::InPlace(tokens) => tokens,
            Self::Copied(copied) => copied.tokens(),
        }
    }
}

/// Tokens that a firing writes. All bytes are zero at first: what a firing leaves out must not depend on the machine.
pub enum Writing<'a, T, const N: usize> {
    InPlace(&'a mut [T; N]),
    Copied { words: &'a mut [u64], tokens: Copied<T, N> },
}

impl<'a, T: Token, const N: usize> Writing<'a, T, N> {
    /// `words` are those of `N` tokens.
    pub(super) fn new(words: &'a mut [u64]) -> Self {
        words.fill(0);
        if const { in_place::<T, N>() } {
            let (tokens, _padding) = <[T; N]>::mut_from_prefix(words.as_mut_bytes()).expect("the layouts agree");
            return Self::InPlace(tokens);
        }
        Self::Copied { words, tokens: Copied::zeroed() }
    }

    pub(super) fn tokens(&mut self) -> &mut [T; N] {
        match self {
            Self::InPlace(tokens) => tokens,
            Self::Copied { tokens, .. } => tokens.tokens_mut(),
        }
    }

    pub(super) fn finish(mut self) {
        self.tokens().iter_mut().for_each(T::canonical);
        if let Self::Copied { words, tokens } = self {
            for (token, words) in tokens.tokens().iter().zip(words.chunks_exact_mut(words_of::<T>())) {
                store(token, words);
            }
        }
    }
}

/// Copies above this size live on the heap: firings run on threads with small stacks, and ports may be large.
const INLINE_WORDS: usize = 32;

/// An array of tokens outside of the words of a channel.
pub enum Copied<T, const N: usize> {
    Inline([u64; INLINE_WORDS]),
    Heap(Box<[T; N]>),
}

impl<T: Token, const N: usize> Copied<T, N> {
    fn zeroed() -> Self {
        let fits = size_of::<[T; N]>() <= size_of::<[u64; INLINE_WORDS]>() && align_of::<T>() <= align_of::<u64>();
        if fits {
            return Self::Inline([0; INLINE_WORDS]);
        }
        // Through a vector, because `Box::new` would build the array on the stack first.
        let tokens = vec![T::new_zeroed(); N].into_boxed_slice();
        Self::Heap(tokens.try_into().ok().expect("the slice has N tokens"))
    }

    fn tokens(&self) -> &[T; N] {
        match self {
            Self::Inline(words) => <[T; N]>::ref_from_prefix(words.as_bytes()).expect("the tokens fit").0,
            Self::Heap(tokens) => tokens,
        }
    }

    fn tokens_mut(&mut self) -> &mut [T; N] {
        match self {
            Self::Inline(words) => <[T; N]>::mut_from_prefix(words.as_mut_bytes()).expect("the tokens fit").0,
            Self::Heap(tokens) => tokens,
        }
    }
}
