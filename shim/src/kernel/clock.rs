//! Clocks, sleeping, alarms, and descriptors that tell the time.

use super::{Attempt, Caller, Description, DescriptionId, Flow, Kernel, Object, Outcome};
use crate::time::Nanos;
use nix::errno::Errno;

/// A timer behind a descriptor (`timerfd`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timer {
    clock: i32,
    /// When it rings next.
    next: Option<Nanos>,
    /// The span after which it rings again; 0 if it does not.
    interval: Nanos,
    /// How often it has rung and been noted.
    rung: u64,
    /// How often it has rung and not been read.
    pub(super) unread: u64,
}

impl Timer {
    /// Takes in that it is `now`.
    fn advance(&mut self, now: Nanos) -> bool {
        let Some(next) = self.next.filter(|&next| next <= now) else { return false };
        let times = match self.interval.0 {
            0 => 1,
            interval => 1 + now.since(next).0 / interval,
        };
        self.next = (self.interval.0 > 0).then(|| next.after(Nanos(self.interval.0 * times)));
        self.rung += 1;
        self.unread += times;
        true
    }

    /// Changes whenever it has rung.
    pub(super) fn edge(self) -> u64 {
        self.rung
    }
}

impl Kernel {
    /// A `struct timespec`.
    pub(super) fn timespec(&self, caller: Caller, address: u64) -> Result<Nanos, Errno> {
        let [seconds, nanoseconds] = self.memory(caller.pid).words(address)?;
        if seconds as i64 >= 0 && nanoseconds < Nanos::SECOND {
            Ok(Nanos(seconds.saturating_mul(Nanos::SECOND).saturating_add(nanoseconds)))
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// A `struct timeval`.
    pub(super) fn timeval(&self, caller: Caller, address: u64) -> Result<Nanos, Errno> {
        let [seconds, microseconds] = self.memory(caller.pid).words(address)?;
        if seconds as i64 >= 0 && microseconds < 1_000_000 {
            Ok(Nanos(seconds.saturating_mul(Nanos::SECOND).saturating_add(microseconds * 1000)))
        } else {
            Err(Errno::EINVAL)
        }
    }

    pub(super) fn put_timespec(&self, caller: Caller, address: u64, time: Nanos) -> Result<(), Errno> {
        self.memory(caller.pid).put_words(address, &[time.seconds(), time.subsecond()])
    }

    pub(super) fn put_timeval(&self, caller: Caller, address: u64, time: Nanos) -> Result<(), Errno> {
        self.memory(caller.pid).put_words(address, &[time.seconds(), time.subsecond() / 1000])
    }

    /// Time that the program has computed: a microsecond for every call, which is a count and so the same in every run.
    pub(super) fn computed(&self) -> Nanos {
        Nanos(self.calls * 1000)
    }

    fn clock(&self, clock: i32) -> Result<Nanos, Errno> {
        let times = self.times();
        match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI | libc::CLOCK_REALTIME_ALARM => {
                Ok(times.real)
            }
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME
            | libc::CLOCK_BOOTTIME_ALARM => Ok(times.monotonic),
            libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => Ok(self.computed()),
            // Clocks of named processes and threads have negative numbers.
            other if other < 0 => Ok(self.computed()),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn clock_gettime(&self, caller: Caller, clock: i32, address: u64) -> Outcome {
        let time = self.clock(clock)?;
        self.put_timespec(caller, address, time)?;
        Ok(Flow::Return(0))
    }

    pub(super) fn clock_getres(&self, caller: Caller, clock: i32, address: u64) -> Outcome {
        self.clock(clock)?;
        if address != 0 {
            self.put_timespec(caller, address, Nanos(1))?;
        }
        Ok(Flow::Return(0))
    }

    pub(super) fn gettimeofday(&self, caller: Caller, time: u64, zone: u64) -> Outcome {
        if time != 0 {
            self.put_timeval(caller, time, self.times().real)?;
        }
        if zone != 0 {
            self.memory(caller.pid).put_words(zone, &[0])?;
        }
        Ok(Flow::Return(0))
    }

    pub(super) fn time(&self, caller: Caller, address: u64) -> Outcome {
        let seconds = self.times().real.seconds();
        if address != 0 {
            self.memory(caller.pid).put_words(address, &[seconds])?;
        }
        Ok(Flow::Return(seconds as i64))
    }

    /// `nanosleep` and `clock_nanosleep`.
    pub(super) fn sleep(
        &self,
        caller: Caller,
        (clock, absolute): (i32, bool),
        address: u64,
        attempt: &mut Attempt,
    ) -> Outcome {
        if !attempt.again {
            self.clock(clock)?;
            let time = self.timespec(caller, address)?;
            let deadline = if absolute { self.absolute(clock, time) } else { self.now.after(time) };
            attempt.deadline = Some(deadline);
            // A sleep of no length still lets others run.
            if deadline <= self.now {
                return Ok(Flow::Yield);
            }
        }
        Ok(if attempt.expired { Flow::Return(0) } else { Flow::Block })
    }

    /// `times`: in hundredths of a second.
    pub(super) fn process_times(&self, caller: Caller, address: u64) -> Outcome {
        const HUNDREDTH: u64 = Nanos::SECOND / 100;
        if address != 0 {
            self.memory(caller.pid).put_words(address, &[self.computed().0 / HUNDREDTH, 0, 0, 0])?;
        }
        Ok(Flow::Return((self.times().monotonic.0 / HUNDREDTH) as i64))
    }

    /// `getrusage`: the time computed, and nothing else.
    pub(super) fn usage(&self, caller: Caller, address: u64) -> Outcome {
        let mut words = [0; 18];
        let computed = self.computed();
        (words[0], words[1]) = (computed.seconds(), computed.subsecond() / 1000);
        self.memory(caller.pid).put_words(address, &words)?;
        Ok(Flow::Return(0))
    }

    /// `setitimer` of real time, and `alarm`: the old alarm comes back.
    pub(super) fn set_alarm(&mut self, caller: Caller, alarm: Option<(Nanos, Nanos)>) -> Option<(Nanos, Nanos)> {
        let now = self.now;
        let alarm = alarm.filter(|(after, _)| after.0 > 0).map(|(after, interval)| (now.after(after), interval));
        let old = std::mem::replace(&mut self.process(caller.pid).alarm, alarm);
        old.map(|(at, interval)| (at.since(now), interval))
    }

    pub(super) fn setitimer(&mut self, caller: Caller, which: u64, new: u64, old: u64) -> Outcome {
        if which != 0 {
            // Alarms of computed time never ring: time is not computed, only counted.
            return Ok(Flow::Return(0));
        }
        let alarm = match new {
            0 => None,
            new => Some((self.timeval(caller, new + 16)?, self.timeval(caller, new)?)),
        };
        let before = self.set_alarm(caller, alarm);
        if old != 0 {
            let (after, interval) = before.unwrap_or_default();
            self.put_timeval(caller, old, interval)?;
            self.put_timeval(caller, old + 16, after)?;
        }
        Ok(Flow::Return(0))
    }

    pub(super) fn getitimer(&self, caller: Caller, which: u64, address: u64) -> Outcome {
        let alarm = self.processes[&caller.pid].alarm.filter(|_| which == 0);
        let (after, interval) = alarm.map_or_else(Default::default, |(at, interval)| (at.since(self.now), interval));
        self.put_timeval(caller, address, interval)?;
        self.put_timeval(caller, address + 16, after)?;
        Ok(Flow::Return(0))
    }

    /// The processes whose alarm rings now.
    pub(crate) fn ring_alarms(&mut self) -> Vec<super::Pid> {
        let now = self.now;
        let mut rung = Vec::new();
        for (&pid, process) in &mut self.processes {
            if let Some((at, interval)) = process.alarm.filter(|&(at, _)| at <= now) {
                process.alarm = (interval.0 > 0).then(|| (at.after(interval).max(now.after(Nanos(1))), interval));
                rung.push(pid);
            }
        }
        rung
    }

    pub(super) fn next_alarm(&self) -> Option<Nanos> {
        self.processes.values().filter_map(|process| process.alarm.map(|(at, _)| at)).min()
    }

    pub(super) fn timerfd_create(&mut self, clock: i32, flags: i32) -> Outcome {
        self.clock(clock)?;
        let timer = Timer { clock, ..Timer::default() };
        Ok(self.install(Object::Timer(timer), flags & libc::TFD_NONBLOCK, flags & libc::TFD_CLOEXEC != 0))
    }

    fn timer(&mut self, caller: Caller, fd: i32) -> Result<&mut Timer, Errno> {
        let id = self.description_id(caller, fd)?;
        match &mut self.description_mut(id).object {
            Object::Timer(timer) => Ok(timer),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn timerfd_settime(&mut self, caller: Caller, fd: i32, flags: i32, new: u64, old: u64) -> Outcome {
        let (interval, value) = (self.timespec(caller, new)?, self.timespec(caller, new + 16)?);
        let now = self.now;
        let clock = self.timer(caller, fd)?.clock;
        let absolute = flags & libc::TFD_TIMER_ABSTIME != 0;
        let at = if absolute { self.absolute(clock, value) } else { now.after(value) };
        let timer = self.timer(caller, fd)?;
        let before = *timer;
        (timer.next, timer.interval, timer.unread) = ((value.0 > 0).then_some(at), interval, 0);
        timer.advance(now);
        if old != 0 {
            self.put_timer(caller, old, before)?;
        }
        self.touch();
        Ok(Flow::Return(0))
    }

    pub(super) fn timerfd_gettime(&mut self, caller: Caller, fd: i32, address: u64) -> Outcome {
        let timer = *self.timer(caller, fd)?;
        self.put_timer(caller, address, timer)?;
        Ok(Flow::Return(0))
    }

    fn put_timer(&self, caller: Caller, address: u64, timer: Timer) -> Result<(), Errno> {
        self.put_timespec(caller, address, timer.interval)?;
        let left = timer.next.map_or(Nanos(0), |next| next.since(self.now));
        self.put_timespec(caller, address + 16, left)
    }

    fn timers(&self) -> impl Iterator<Item = (DescriptionId, &Timer)> {
        self.descriptions.iter().filter_map(|(id, description)| match &description.object {
            Object::Timer(timer) => Some((id, timer)),
            _ => None,
        })
    }

    /// When the next timer rings.
    pub(super) fn next_timer(&self) -> Option<Nanos> {
        self.timers().filter_map(|(_, timer)| timer.next).min()
    }

    /// Lets time pass until `now`.
    pub(crate) fn advance_to(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        let now = self.now;
        let due: Vec<_> =
            self.timers().filter(|(_, t)| t.next.is_some_and(|next| next <= now)).map(|(id, _)| id).collect();
        for id in due {
            if let Description { object: Object::Timer(timer), .. } = self.description_mut(id) {
                timer.advance(now);
            }
            self.touch();
        }
    }
}
