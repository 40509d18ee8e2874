//! Lists of what is in directories, in order of names.

use super::{After, Caller, Flow, Kernel, Object, Outcome, Pid};
use crate::sys::process::{descriptor_of, directory_entries};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// What is in a directory, and how far it has been read.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    entries: Option<Vec<Entry>>,
    position: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    inode: u64,
    kind: u8,
    name: Vec<u8>,
}

/// Bytes of `struct linux_dirent64` before the name.
const HEAD: usize = 19;

impl Listing {
    pub(super) fn seek(&mut self, offset: i64, whence: i32) -> Outcome {
        let position = match whence {
            libc::SEEK_SET => offset,
            libc::SEEK_CUR => self.position as i64 + offset,
            _ => return Err(Errno::EINVAL),
        };
        self.position = usize::try_from(position).map_err(|_| Errno::EINVAL)?;
        if self.position == 0 {
            self.entries = None;
        }
        Ok(Flow::Return(position))
    }
}

impl Kernel {
    pub(super) fn getdents(&mut self, caller: Caller, fd: i32, address: u64, length: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        if !matches!(self.description(id).object, Object::Directory(_)) {
            return Err(Errno::ENOTDIR);
        }
        if !self.config.switches.sorted_directories {
            return Ok(Flow::Native(After::Nothing));
        }
        let Object::Directory(listing) = &self.description(id).object else { return Err(Errno::ENOTDIR) };
        if listing.entries.is_none() {
            let entries = self.list(caller.pid, fd)?;
            let Object::Directory(listing) = &mut self.description_mut(id).object else { return Err(Errno::ENOTDIR) };
            listing.entries = Some(entries);
        }
        let Object::Directory(listing) = &mut self.description_mut(id).object else { return Err(Errno::ENOTDIR) };
        let entries = listing.entries.as_deref().unwrap_or_default();
        let mut bytes = Vec::new();
        let start = listing.position.min(entries.len());
        for entry in &entries[start..] {
            let size = (HEAD + entry.name.len() + 1).next_multiple_of(8);
            if bytes.len() + size > length as usize {
                break;
            }
            listing.position += 1;
            bytes.extend(entry.inode.to_le_bytes());
            bytes.extend((listing.position as u64).to_le_bytes());
            bytes.extend((size as u16).to_le_bytes());
            bytes.push(entry.kind);
            bytes.extend(&entry.name);
            bytes.resize(bytes.len() + size - HEAD - entry.name.len(), 0);
        }
        if bytes.is_empty() && start < entries.len() {
            return Err(Errno::EINVAL);
        }
        self.memory(caller.pid).write(address, &bytes)?;
        Ok(Flow::Return(bytes.len() as i64))
    }

    /// All entries of the directory that `fd` is, by name.
    fn list(&mut self, pid: Pid, fd: i32) -> Result<Vec<Entry>, Errno> {
        let directory = descriptor_of(pid.0, fd)?;
        lseek(&directory, 0, Whence::SeekSet)?;
        let device = std::fs::metadata(format!("/proc/{}/fd/{fd}", pid.0))
            .map_or(0, |of| std::os::unix::fs::MetadataExt::dev(&of));
        let mut entries = Vec::new();
        let mut buffer = vec![0; 32_768];
        loop {
            let length = directory_entries(&directory, &mut buffer)?;
            if length == 0 {
                break;
            }
            let mut rest = &buffer[..length];
            while rest.len() >= HEAD {
                let inode = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes"));
                let size = usize::from(u16::from_le_bytes(rest[16..18].try_into().expect("two bytes")));
                let name = rest[HEAD..size].split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
                entries.push(Entry { inode, kind: rest[18], name });
                rest = &rest[size..];
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in &mut entries {
            entry.inode = self.identities.number(device, entry.inode);
        }
        Ok(entries)
    }
}
