//! What is known of files: sizes and kinds are the host's, but device, inode and time stamps are the same in every run.

use super::{After, Caller, Flow, Kernel, Object, Outcome, Pid};
use crate::time::REAL_BASE_SECONDS;
use nix::errno::Errno;

// Places in `struct stat` of x86-64.
const STAT_BYTES: usize = 144;
const DEVICE: usize = 0;
const INODE: usize = 8;
const LINKS: usize = 16;
const MODE: usize = 24;
const SIZE: usize = 48;
const BLOCK_BYTES: usize = 56;
const BLOCKS: usize = 64;
const TIMES: [usize; 3] = [72, 88, 104];

// Places in `struct statx`.
const X_BYTES: usize = 256;
const X_MODE: usize = 28;
const X_INODE: usize = 32;
const X_SIZE: usize = 40;
const X_BLOCKS: usize = 48;
const X_BLOCK_BYTES: usize = 4;
const X_TIMES: [usize; 4] = [64, 80, 96, 112];
const X_DEVICE: usize = 136;
/// Identifier of the mount.
const X_MOUNT: usize = 144;

// Places in `struct statfs`.
const FS_BYTES: usize = 120;
const FS_KIND: usize = 0;
const FS_BLOCK_BYTES: usize = 8;
const FS_BLOCKS: usize = 16;
const FS_BLOCKS_FREE: [usize; 2] = [24, 32];
const FS_FILES: usize = 40;
const FS_FILES_FREE: usize = 48;
const FS_NAME_BYTES: usize = 64;
const FS_FRAGMENT_BYTES: usize = 72;

/// The only device there is.
const OUR_DEVICE: u64 = 1;

impl Kernel {
    /// `fstat`, also of what is no file of the host.
    pub(super) fn fstat(&mut self, caller: Caller, fd: i32, address: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let kind = match &self.description(id).object {
            Object::File | Object::Directory(_) => return Ok(Flow::Native(After::Status { address, extended: false })),
            Object::Random | Object::Zero => libc::S_IFCHR,
            Object::PipeReader(_) | Object::PipeWriter(_) => libc::S_IFIFO,
            Object::Datagram(_) | Object::Stream(_) => libc::S_IFSOCK,
            Object::Event(_) | Object::Timer(_) | Object::Epoll(_) => 0,
        };
        let mut status = [0; STAT_BYTES];
        let mut put = |at: usize, value: u64| status[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(DEVICE, OUR_DEVICE);
        put(LINKS, 1);
        put(MODE, u64::from(kind | 0o666));
        put(BLOCK_BYTES, 4096);
        self.memory(caller.pid).write(address, &status)?;
        Ok(Flow::Return(0))
    }

    /// `fstatfs`, also of what is no file of the host.
    pub(super) fn fstatfs(&mut self, caller: Caller, fd: i32, address: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        if let Object::File | Object::Directory(_) = &self.description(id).object {
            return Ok(Flow::Native(After::FileSystem { address }));
        }
        self.memory(caller.pid).write(address, &file_system())?;
        Ok(Flow::Return(0))
    }

    /// Makes what the host has said of a file system the same for every file, machine and run.
    pub(crate) fn plain_file_system(&mut self, pid: Pid, address: u64) -> Result<(), Errno> {
        match self.config.switches.plain_files {
            true => self.memory(pid).write(address, &file_system()),
            false => Ok(()),
        }
    }

    /// Makes what the host has said of a file the same in every run.
    pub(crate) fn plain_status(&mut self, pid: Pid, address: u64, extended: bool) -> Result<(), Errno> {
        if !self.config.switches.plain_files {
            return Ok(());
        }
        if extended { self.plain_extended(pid, address) } else { self.plain_simple(pid, address) }
    }

    fn plain_simple(&mut self, pid: Pid, address: u64) -> Result<(), Errno> {
        let memory = self.memory(pid);
        let mut status: [u8; STAT_BYTES] = memory.array(address)?;
        let word = |at: usize| u64::from_le_bytes(status[at..at + 8].try_into().expect("eight bytes"));
        let (device, inode, size) = (word(DEVICE), word(INODE), word(SIZE));
        let directory = status[MODE + 1] & 0xF0 == 0x40;
        let number = self.identities.number(device, inode);
        // Sizes of directories depend on the host's file system.
        let size = if directory { 4096 } else { size };
        let mut put = |at: usize, value: u64| status[at..at + 8].copy_from_slice(&value.to_le_bytes());
        for (at, value) in
            [(DEVICE, OUR_DEVICE), (INODE, number), (SIZE, size), (BLOCK_BYTES, 4096), (BLOCKS, size.div_ceil(512))]
        {
            put(at, value);
        }
        if directory {
            put(LINKS, 1);
        }
        for at in TIMES {
            put(at, REAL_BASE_SECONDS);
            put(at + 8, 0);
        }
        memory.write(address, &status)
    }

    fn plain_extended(&mut self, pid: Pid, address: u64) -> Result<(), Errno> {
        let memory = self.memory(pid);
        let mut status: [u8; X_BYTES] = memory.array(address)?;
        let word = |at: usize| u64::from_le_bytes(status[at..at + 8].try_into().expect("eight bytes"));
        let (device, inode) = (word(X_DEVICE), word(X_INODE));
        let directory = status[X_MODE + 1] & 0xF0 == 0x40;
        let size = if directory { 4096 } else { word(X_SIZE) };
        let number = self.identities.number(libc_device(device), inode);
        let mut put = |at: usize, value: u64| status[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(X_INODE, number);
        put(X_SIZE, size);
        put(X_BLOCKS, size.div_ceil(512));
        for at in X_TIMES {
            put(at, REAL_BASE_SECONDS);
            put(at + 8, 0);
        }
        put(X_DEVICE, OUR_DEVICE << 32);
        put(X_MOUNT, 1);
        status[X_BLOCK_BYTES..X_BLOCK_BYTES + 4].copy_from_slice(&4096_u32.to_le_bytes());
        memory.write(address, &status)
    }
}

/// The only file system there is: 4 GiB, half of which is free however much is written.
fn file_system() -> [u8; FS_BYTES] {
    let (blocks, files) = (1 << 20, 1 << 20);
    let mut status = [0; FS_BYTES];
    let mut put = |at: usize, value: u64| status[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(FS_KIND, libc::EXT4_SUPER_MAGIC as u64);
    put(FS_BLOCK_BYTES, 4096);
    put(FS_BLOCKS, blocks);
    FS_BLOCKS_FREE.into_iter().for_each(|at| put(at, blocks / 2));
    put(FS_FILES, files);
    put(FS_FILES_FREE, files / 2);
    put(FS_NAME_BYTES, 255);
    put(FS_FRAGMENT_BYTES, 4096);
    status
}

/// A device as `stat` names it, from how `statx` does: major number in the low half, minor in the high one.
fn libc_device(device: u64) -> u64 {
    libc::makedev(device as u32, (device >> 32) as u32)
}
