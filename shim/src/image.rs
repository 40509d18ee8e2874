//! What is changed in a fresh program image before its first instruction: the auxiliary vector's random bytes, and the
//! functions that read the clock without asking the kernel (the vDSO).

use crate::memory::{Address, Memory};
use crate::spec::Switches;
use crate::sys::stub;
use crate::time::Times;
use nix::errno::Errno;

/// Why an image cannot be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The program's memory cannot be reached.
    #[error("the memory of the program cannot be reached ({0})")]
    Memory(Errno),
    /// The vDSO has no room for the code that replaces it.
    #[error("`{function}` of this kernel's vDSO has {found} bytes, its replacement takes {needed}")]
    NoRoom {
        /// The function.
        function: &'static str,
        /// Bytes there are.
        found: u64,
        /// Bytes needed.
        needed: u64,
    },
}

impl From<Errno> for ImageError {
    fn from(errno: Errno) -> Self {
        Self::Memory(errno)
    }
}

/// Where a program image keeps the times that its clock reads return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimePage(Address);

impl TimePage {
    /// Sets the clock of the image.
    pub(crate) fn set(self, memory: &Memory, times: Times) -> Result<(), Errno> {
        let Times { monotonic, real } = times;
        memory.put_words(
            self.0,
            &[monotonic.seconds(), monotonic.subsecond(), real.seconds(), real.subsecond(), real.subsecond() / 1000],
        )
    }
}

/// Prepares the image of process `pid`, which is stopped at its `exec`.
pub(crate) fn prepare(
    pid: i32,
    memory: &Memory,
    random: [u8; 16],
    switches: &Switches,
) -> Result<Option<TimePage>, ImageError> {
    let auxiliary = std::fs::read(format!("/proc/{pid}/auxv"))
        .map_err(|error| ImageError::Memory(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
    let entry = |wanted: u64| {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("chunks have this size"));
        let mut entries = auxiliary.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..])));
        entries.find(|&(kind, _)| kind == wanted).map(|(_, value)| value)
    };
    if switches.auxiliary_random
        && let Some(address) = entry(libc::AT_RANDOM)
    {
        memory.write(address, &random)?;
    }
    match entry(libc::AT_SYSINFO_EHDR) {
        Some(base) if switches.time_page => replace_vdso(memory, base).map(Some),
        _ => Ok(None),
    }
}

/// Puts the stub over the largest function that it replaces, and jumps to it over the others.
fn replace_vdso(memory: &Memory, base: Address) -> Result<TimePage, ImageError> {
    let symbols = symbols(memory, base)?;
    let code = stub::code();
    let mut places = Vec::new();
    for (name, entry) in stub::entries() {
        places.extend(symbols.iter().filter(|symbol| symbol.name == name.as_bytes()).map(|symbol| (symbol, entry)));
    }
    let Some(&(home, _)) = places.iter().max_by_key(|(symbol, _)| symbol.size) else {
        return Err(ImageError::NoRoom { function: "clock_gettime", found: 0, needed: code.len() as u64 });
    };
    // Behind the jump at the function's entry; aligned, so that a clock read can never see half of a word.
    let start = (home.address + JUMP as u64).next_multiple_of(8);
    let room = (home.address + home.size).saturating_sub(start);
    if room < code.len() as u64 {
        return Err(ImageError::NoRoom { function: "clock_gettime", found: room, needed: code.len() as u64 });
    }
    memory.write(start, code)?;
    for (symbol, entry) in places {
        memory.write(symbol.address, &jump(symbol.address, start + entry as u64))?;
    }
    Ok(TimePage(start + stub::times() as u64))
}

/// Bytes of a jump.
const JUMP: usize = 5;

/// A jump over at most 2 GiB.
fn jump(from: Address, to: Address) -> [u8; JUMP] {
    let distance = (to as i64 - (from as i64 + JUMP as i64)) as i32;
    let [a, b, c, d] = distance.to_le_bytes();
    [0xE9, a, b, c, d]
}

struct Symbol {
    name: Vec<u8>,
    address: Address,
    size: u64,
}

/// The symbols of the shared object at `base`. Source: System V ABI, "Object Files" and "Dynamic Linking".
fn symbols(memory: &Memory, base: Address) -> Result<Vec<Symbol>, Errno> {
    const DYNAMIC: u32 = 2;
    const STRINGS: u64 = 5;
    const TABLE: u64 = 6;
    const ENTRY_BYTES: u64 = 24;
    let headers = base + memory.u64(base + 32)?;
    let count = u64::from(u16::from_le_bytes(memory.array(base + 56)?));
    let mut dynamic = None;
    for header in (0..count).map(|at| headers + at * 56) {
        if memory.u32(header)? == DYNAMIC {
            dynamic = Some(base + memory.u64(header + 16)?);
        }
    }
    let mut entry = dynamic.ok_or(Errno::ENOEXEC)?;
    let (mut strings, mut table) = (0, 0);
    loop {
        match memory.words(entry)? {
            [0, _] => break,
            [STRINGS, value] => strings = base + value,
            [TABLE, value] => table = base + value,
            _ => {}
        }
        entry += 16;
    }
    // The linker puts the strings right behind the table.
    let entries = strings.saturating_sub(table).min(64 * ENTRY_BYTES) / ENTRY_BYTES;
    let symbol = |at: Address| {
        let [value, size] = memory.words(at + 8)?;
        let name = memory.text(strings + u64::from(memory.u32(at)?))?;
        Ok(Symbol { name, address: base + value, size })
    };
    (0..entries).map(|at| symbol(table + at * ENTRY_BYTES)).collect()
}
