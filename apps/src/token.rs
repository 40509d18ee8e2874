//! Tokens: plain values of a fixed size, and how they lie in 64-bit words.
//!
//! A token of s bytes takes max(1, ⌈s / 8⌉) words: its bytes in memory order, little-endian, the last word padded with
//! zeros. A word never holds parts of two tokens; who wants density makes the token an array.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// A token's bytes are its words as they are, so that most tokens are read and written in place.
const _: () = assert!(cfg!(target_endian = "little"), "tokens are little-endian, and so must the processor be");

/// A value that travels on a channel.
///
/// Integers, floats, and arrays of tokens are tokens. A type of one's own derives the traits of [`zerocopy`], which
/// prove that it has a fixed size, no padding and no pointers:
///
/// ```
/// use tidelock::prelude::*;
///
/// #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
/// #[repr(C)]
/// struct Pixel {
///     red: u8,
///     green: u8,
///     blue: u8,
/// }
/// impl Token for Pixel {}
///
/// let white = Pixel { red: 255, green: 255, blue: 255 };
/// assert_eq!(encode(&[white]), [0xff_ffff]);
/// ```
///
/// The derives need the crate `zerocopy` beside `tidelock`, or `#[zerocopy(crate = "tidelock::zerocopy")]` on the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a token",
    label = "not a token",
    note = "a token is plain data of one size on every processor: integers (not `usize`), floats, arrays of tokens",
    note = "for a type of your own: `#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)] #[repr(C)]`, and `impl Token for {Self} {{}}`"
)]
pub trait Token: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + Send + Sync + 'static {
    /// Brings the value to its one form in which it is sent: `f32` and `f64` make every NaN the same NaN, because its
    /// sign and payload differ between processors. A type of one's own that holds floats calls this for each of them.
    fn canonical(&mut self) {}
}

macro_rules! plain_tokens {
    ($($integer:ty)*) => {$(
        impl Token for $integer {}
    )*};
}

plain_tokens! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }

impl Token for f32 {
    fn canonical(&mut self) {
        if self.is_nan() {
            *self = Self::from_bits(0x7fc0_0000);
        }
    }
}

impl Token for f64 {
    fn canonical(&mut self) {
        if self.is_nan() {
            *self = Self::from_bits(0x7ff8_0000_0000_0000);
        }
    }
}

impl<T: Token, const N: usize> Token for [T; N] {
    fn canonical(&mut self) {
        self.iter_mut().for_each(T::canonical);
    }
}

/// Plain data that an actor may keep as its state: what the derives of [`zerocopy`] prove to be made of bytes alone.
///
/// Never implemented by hand. Floats in a state are kept to the bit: a state that may hold a NaN and must hash alike on
/// all processors makes it canonical itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of an actor, because it is not plain data",
    label = "not plain data",
    note = "state is owned, hashed and restored as bytes: arrays instead of `Vec`, `u8` instead of `bool`, and `#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)] #[repr(C)]` on a type of your own",
    note = "state that cannot be copied out must be asked for by name: `app.opaque(…)`"
)]
pub trait Plain: FromBytes + IntoBytes + Immutable + KnownLayout + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<S: FromBytes + IntoBytes + Immutable + KnownLayout + Send + Sync + 'static> Plain for S {}

/// Words of one token: max(1, ⌈bytes / 8⌉).
#[must_use]
pub const fn words_of<T: Token>() -> usize {
    let words = size_of::<T>().div_ceil(size_of::<u64>());
    if words == 0 { 1 } else { words }
}

/// The words of `tokens`, in order. Writing makes each [canonical](Token::canonical).
#[must_use]
pub fn encode<T: Token>(tokens: &[T]) -> Vec<u64> {
    let mut words = vec![0; tokens.len() * words_of::<T>()];
    for (token, words) in tokens.iter().zip(words.chunks_exact_mut(words_of::<T>())) {
        let mut token = *token;
        token.canonical();
        store(&token, words);
    }
    words
}

/// The tokens that `words` hold.
///
/// # Panics
/// If the last token is cut off.
#[must_use]
pub fn decode<T: Token>(words: &[u64]) -> Vec<T> {
    let size = words_of::<T>();
    assert!(words.len().is_multiple_of(size), "{} words are not whole tokens of {size} words", words.len());
    let token = |words: &[u64]| T::read_from_prefix(words.as_bytes()).expect("the words of a token hold its bytes").0;
    words.chunks_exact(size).map(token).collect()
}

/// Copies the bytes of `token` to the start of its `words`, whose padding is already zero.
pub(crate) fn store<T: Token>(token: &T, words: &mut [u64]) {
    words.as_mut_bytes()[..size_of::<T>()].copy_from_slice(token.as_bytes());
}

/// Overwrites `token` with the bytes at the start of its `words`.
pub(crate) fn load<T: Token>(token: &mut T, words: &[u64]) {
    token.as_mut_bytes().copy_from_slice(&words.as_bytes()[..size_of::<T>()]);
}

/// The words of a state, the last one padded with zeros; none for a state without size.
pub(crate) fn state_words<S: Plain>(state: &S) -> Vec<u64> {
    let mut words = vec![0_u64; size_of::<S>().div_ceil(size_of::<u64>())];
    words.as_mut_bytes()[..size_of::<S>()].copy_from_slice(state.as_bytes());
    words
}

/// Runs `change` on the state that `words` hold: in place, unless the type wants stricter alignment than a word.
pub(crate) fn change_state<S: Plain>(words: &mut [u64], change: impl FnOnce(&mut S)) {
    let bytes = &mut words.as_mut_bytes()[..size_of::<S>()];
    if align_of::<S>() <= align_of::<u64>() {
        change(S::mut_from_bytes(bytes).expect("words are aligned and hold the state"));
    } else {
        let mut state = Box::new(S::new_zeroed());
        state.as_mut_bytes().copy_from_slice(bytes);
        change(&mut state);
        bytes.copy_from_slice(state.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Token + PartialEq + std::fmt::Debug>(tokens: &[T], words: &[u64]) {
        assert_eq!(encode(tokens), words);
        assert_eq!(decode::<T>(words), tokens);
    }

    /// Every token starts a word, lies there little-endian, and is padded with zeros.
    #[test]
    fn tokens_fill_whole_words() {
        check(&[1_u8, 2], &[1, 2]);
        check(&[-1_i16], &[0xffff]);
        check(&[1.0_f32, -2.0], &[0x3f80_0000, 0xc000_0000]);
        check(&[[1_u8, 2, 3, 4, 5, 6, 7, 8, 9]], &[0x0807_0605_0403_0201, 9]);
        check(&[[1.0_f32, -2.0]], &[0xc000_0000_3f80_0000]);
        check(&[1_u128 << 64 | 7], &[7, 1]);
        check::<[u64; 0]>(&[[]], &[0]);
    }

    /// All NaNs are sent as one.
    #[test]
    fn nan_is_canonical_in_words() {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff] {
            assert_eq!(encode(&[[f32::from_bits(bits), 1.0]]), [0x3f80_0000_7fc0_0000]);
        }
        for bits in [0x7ff8_0000_0000_0000, 0xfff0_0000_0000_0001, u64::MAX] {
            assert_eq!(encode(&[f64::from_bits(bits)]), [0x7ff8_0000_0000_0000]);
        }
        assert_eq!(encode(&[f32::INFINITY, -0.0]), [0x7f80_0000, 0x8000_0000]);
    }

    /// A state is changed where its words are, whatever its size and alignment.
    #[test]
    fn states_change_in_their_words() {
        let mut words = state_words(&[1_u8, 2, 3]);
        change_state(&mut words, |state: &mut [u8; 3]| state[2] = 9);
        assert_eq!(words, [0x09_0201]);
        let mut words = state_words(&5_u128);
        change_state(&mut words, |state: &mut u128| *state += 1 << 64);
        assert_eq!(words, [5, 1]);
        assert!(state_words(&()).is_empty());
    }
}
