//! `epoll`: sets of descriptors that a program waits for, by level or by edge.

use super::poll::{ERR, HUP};
use super::{Attempt, Caller, DescriptionId, Flow, Kernel, Object, Outcome};
use crate::random::host_random;
use crate::time::Nanos;
use nix::errno::Errno;

const EDGE: u32 = libc::EPOLLET as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;
const FLAGS: u32 = EDGE | ONCE | libc::EPOLLEXCLUSIVE as u32 | libc::EPOLLWAKEUP as u32;

/// A set of interests, in order of registration.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    interests: Vec<Interest>,
    /// Interest at which the next search starts, so that everyone's turn comes.
    next: usize,
}

/// What is wanted of a description.
#[derive(Clone, Copy, Debug)]
struct Interest {
    fd: i32,
    description: DescriptionId,
    events: u32,
    data: u64,
    /// Arrivals and departures that were told of; `None` if all that is ready is news.
    seen: Option<(u64, u64)>,
    /// Told once, and not asked for again.
    spent: bool,
}

impl Kernel {
    pub(super) fn epoll_create(&mut self, flags: i32) -> Outcome {
        if flags & !libc::EPOLL_CLOEXEC != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(self.install(Object::Epoll(Epoll::default()), libc::O_RDWR, flags & libc::EPOLL_CLOEXEC != 0))
    }

    fn epoll(&mut self, caller: Caller, fd: i32) -> Result<&mut Epoll, Errno> {
        let id = self.description_id(caller, fd)?;
        match &mut self.description_mut(id).object {
            Object::Epoll(epoll) => Ok(epoll),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn epoll_ctl(&mut self, caller: Caller, fd: i32, operation: i32, target: i32, event: u64) -> Outcome {
        let description = self.description_id(caller, target)?;
        if description == self.description_id(caller, fd)? {
            return Err(Errno::EINVAL);
        }
        if matches!(self.description(description).object, Object::File | Object::Directory(_)) {
            return Err(Errno::EPERM);
        }
        let (events, data) = match operation {
            libc::EPOLL_CTL_DEL => (0, 0),
            _ => {
                let memory = self.memory(caller.pid);
                (memory.u32(event)?, memory.u64(event + 4)?)
            }
        };
        let epoll = self.epoll(caller, fd)?;
        let at = epoll.interests.iter().position(|i| i.fd == target && i.description == description);
        let interest = Interest { fd: target, description, events, data, seen: None, spent: false };
        match (operation, at) {
            (libc::EPOLL_CTL_ADD, None) => epoll.interests.push(interest),
            (libc::EPOLL_CTL_ADD, Some(_)) => return Err(Errno::EEXIST),
            (libc::EPOLL_CTL_MOD, Some(at)) => epoll.interests[at] = interest,
            (libc::EPOLL_CTL_DEL, Some(at)) => {
                epoll.interests.remove(at);
            }
            (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, None) => return Err(Errno::ENOENT),
            _ => return Err(Errno::EINVAL),
        }
        self.touch();
        Ok(Flow::Return(0))
    }

    /// What is to be told of an interest now.
    fn news(&self, interest: &Interest) -> u32 {
        if interest.spent {
            return 0;
        }
        let ready = self.readiness(interest.description) & (interest.events & !FLAGS | ERR | HUP);
        if interest.events & EDGE == 0 {
            return ready;
        }
        let Some((arrivals, departures)) = interest.seen else { return ready };
        let (now_arrivals, now_departures) = self.edges(interest.description);
        let reading = interest.events & (super::poll::IN | super::poll::RDHUP) != 0;
        let arrived = now_arrivals != arrivals && (reading || ready & (ERR | HUP) != 0);
        let departed = now_departures != departures && interest.events & super::poll::OUT != 0;
        if arrived || departed { ready } else { 0 }
    }

    /// Whether a set has something to tell.
    pub(super) fn has_event(&self, epoll: &Epoll) -> bool {
        epoll.interests.iter().any(|interest| self.news(interest) != 0)
    }

    /// A number that changes whenever something arrives at a member of a set.
    pub(super) fn edges_within(&self, epoll: &Epoll) -> u64 {
        let edges = epoll.interests.iter().map(|interest| self.edges(interest.description));
        edges.fold(0, |sum: u64, (arrivals, departures)| sum.wrapping_add(arrivals).wrapping_add(departures))
    }

    pub(super) fn epoll_wait(
        &mut self,
        caller: Caller,
        fd: i32,
        (address, room): (u64, i32),
        timeout: Option<Nanos>,
        attempt: &mut Attempt,
    ) -> Outcome {
        let room = usize::try_from(room).ok().filter(|&room| room > 0).ok_or(Errno::EINVAL)?;
        let id = self.description_id(caller, fd)?;
        let Object::Epoll(epoll) = &self.description(id).object else { return Err(Errno::EINVAL) };
        let (count, start) = (epoll.interests.len(), epoll.next);
        let mut told = Vec::new();
        for at in (0..count).map(|step| (start + step) % count) {
            let interest = epoll.interests[at];
            let events = self.news(&interest);
            if events != 0 && told.len() < room {
                told.push((at, events, interest.data, self.edges(interest.description)));
            }
        }
        if told.is_empty() {
            if attempt.expired || timeout == Some(Nanos(0)) {
                return Ok(Flow::Return(0));
            }
            if !attempt.again {
                attempt.deadline = timeout.map(|timeout| self.now.after(timeout));
            }
            return Ok(Flow::Block);
        }
        if !self.config.switches.event_order {
            told.sort_by_cached_key(|_| host_random());
        }
        let mut bytes = Vec::new();
        for &(_, events, data, _) in &told {
            bytes.extend(events.to_le_bytes());
            bytes.extend(data.to_le_bytes());
        }
        self.memory(caller.pid).write(address, &bytes)?;
        let full = told.len() == room;
        let Object::Epoll(epoll) = &mut self.description_mut(id).object else { return Err(Errno::EINVAL) };
        // If not all fitted, those left out come first next time; otherwise the order is that of registration.
        epoll.next = if full && told.len() < count { (told[told.len() - 1].0 + 1) % count } else { 0 };
        for &(at, _, _, edges) in &told {
            let interest = &mut epoll.interests[at];
            interest.seen = Some(edges);
            interest.spent = interest.events & ONCE != 0;
        }
        Ok(Flow::Return(told.len() as i64))
    }

    /// Takes a description that is closed out of all sets.
    pub(super) fn forget_interest(&mut self, description: DescriptionId) {
        let sets: Vec<DescriptionId> = self
            .descriptions
            .iter()
            .filter(|(_, other)| matches!(other.object, Object::Epoll(_)))
            .map(|(id, _)| id)
            .collect();
        for id in sets {
            if let Object::Epoll(epoll) = &mut self.description_mut(id).object {
                epoll.interests.retain(|interest| interest.description != description);
                epoll.next = 0;
            }
        }
    }
}
