//! The memory of a program, read and written from outside.

use nix::errno::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The memory of one process image. Addresses are the program's; what is not mapped is [`Errno::EFAULT`].
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
}

/// An address in a program.
pub(crate) type Address = u64;

impl Memory {
    /// The memory of process `pid`, which the calling thread traces.
    pub(crate) fn of(pid: i32) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        Ok(Self { file })
    }

    /// Fills `bytes` from `address` on.
    pub(crate) fn read(&self, address: Address, bytes: &mut [u8]) -> Result<(), Errno> {
        self.file.read_exact_at(bytes, address).map_err(|_| Errno::EFAULT)
    }

    /// Writes `bytes` from `address` on, also where the program itself may only read.
    pub(crate) fn write(&self, address: Address, bytes: &[u8]) -> Result<(), Errno> {
        self.file.write_all_at(bytes, address).map_err(|_| Errno::EFAULT)
    }

    /// `length` bytes, of which there may be no more than [`LONGEST`].
    pub(crate) fn bytes(&self, address: Address, length: u64) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length.min(LONGEST) as usize];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// A plain array of `N` bytes.
    pub(crate) fn array<const N: usize>(&self, address: Address) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&self, address: Address) -> Result<u32, Errno> {
        self.array(address).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&self, address: Address) -> Result<u64, Errno> {
        self.array(address).map(u64::from_le_bytes)
    }

    /// `N` words in a row.
    pub(crate) fn words<const N: usize>(&self, address: Address) -> Result<[u64; N], Errno> {
        let mut words = [0; N];
        for (word, at) in words.iter_mut().zip((address..).step_by(8)) {
            *word = self.u64(at)?;
        }
        Ok(words)
    }

    pub(crate) fn put_u32(&self, address: Address, value: u32) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }

    /// Words in a row.
    pub(crate) fn put_words(&self, address: Address, words: &[u64]) -> Result<(), Errno> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write(address, &bytes)
    }

    /// A text that ends in a zero byte, without it; at most a path's length.
    pub(crate) fn text(&self, address: Address) -> Result<Vec<u8>, Errno> {
        const PAGE: u64 = 4096;
        let mut text = Vec::new();
        while text.len() < libc::PATH_MAX as usize {
            // The next page may not be there although the text is.
            let at = address + text.len() as u64;
            let part = self.bytes(at, PAGE - at % PAGE)?;
            if let Some(end) = part.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&part[..end]);
                return Ok(text);
            }
            text.extend(part);
        }
        Err(Errno::ENAMETOOLONG)
    }
}

/// Bytes that one call moves at most; the kernel's own limit for pipes and most files is not far from it.
pub(crate) const LONGEST: u64 = 1 << 20;
