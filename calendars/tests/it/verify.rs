//! Laws of the verifier: it agrees with a simulation, and it names the entry that was broken.

use crate::brute::simulate;
use crate::cases::{Case, Dice, good_case};
use crate::mutants::{Lost, Mutant, mutants};
use crate::written;
use calendars::verify::EntryRef;
use calendars::{CalendarSet, Circular, ComputeEntry, FrameEntry, Rotation, Violation, verify};
use proptest::prelude::*;
use sim_core::ids::ActorId;
use std::collections::BTreeSet;

pub(crate) fn settings() -> ProptestConfig {
    let cases = std::env::var("TIDELOCK_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    /// Good calendars have no violation, and the oracle finds no fault either.
    #[test]
    fn good_calendars_pass(seed: u64) {
        let case = good_case(seed);
        let simulated = simulate(&case);
        prop_assert!(simulated.errors.is_empty(), "{:?} {case:#?}", simulated.errors);
        let verdict = verify(&case.app, &case.machine, &case.calendars);
        prop_assert!(verdict.is_ok(), "{:?} {case:#?}", verdict);
        // Both know what every gather entry carries.
        let verified = verdict.unwrap();
        for link in case.machine.links().ids() {
            for (word, index) in verified.frames.row(link).iter().zip(0..) {
                let sent = simulated.sent[&EntryRef::Gather(link, index)];
                prop_assert_eq!((word.channel, word.token as u64, word.word), sent);
            }
        }
    }

    /// A calendar with one thing changed is either still right, as the oracle confirms, or the changed entry is named.
    #[test]
    fn the_broken_entry_is_named(seed: u64) {
        let case = good_case(seed);
        let all = mutants(&case);
        let mut dice = Dice(seed);
        for _ in 0..10.min(all.len()) {
            let mutant = &all[dice.roll(all.len() as u64) as usize];
            check_mutant(&case, mutant).map_err(|text| TestCaseError::fail(format!("{text}\n{case:#?}")))?;
        }
    }
}

proptest! {
    #![proptest_config(settings())]

    /// Numbers that make no sense are violations; nothing panics, and nothing runs away.
    #[test]
    fn absurd_numbers_are_violations(seed: u64) {
        let mut case = good_case(seed);
        let mut dice = Dice(seed);
        for _ in 0..=dice.roll(3) {
            make_absurd(&mut case.calendars, &mut dice);
        }
        let _ = verify(&case.app, &case.machine, &case.calendars);
    }
}

/// A circular buffer that starts at the last of all addresses is outside of memory, wherever in it a firing begins.
#[test]
fn circular_buffers_at_the_last_address_are_outside() {
    let mut tried = 0;
    for mut case in (0..200).map(good_case) {
        let units = case.calendars.nodes.values_mut().flat_map(|node| node.compute.iter_mut());
        let mut circular = units.flat_map(|entry| entry.inputs.iter_mut()).filter(|operand| operand.circular.is_some());
        let Some(operand) = circular.next() else { continue };
        operand.address.base = u32::MAX;
        let circular = operand.circular.as_mut().expect("it was looked for");
        (circular.start, circular.size) = (1, circular.size.max(operand.words + 1));
        assert!(verify(&case.app, &case.machine, &case.calendars).is_err());
        tried += 1;
    }
    assert!(tried > 0, "no case has a circular buffer");
}

/// Sets one number somewhere to an extreme.
fn make_absurd(set: &mut CalendarSet, dice: &mut Dice) {
    match dice.roll(6) {
        0 => set.metacycle = long(dice),
        1 => set.unroll = wide(dice),
        2..4 => {
            let links = set.links.values_mut().map(|link| &mut **link);
            let frames = links.flat_map(|link| link.gather.iter_mut().chain(&mut link.scatter));
            if let Some(entry) = any_of(frames.collect(), dice) {
                match dice.roll(5) {
                    0 => entry.slot = long(dice),
                    1 => entry.length = wide(dice),
                    2 => entry.first = wide(dice),
                    3 => entry.place = wide(dice),
                    _ => make_address_absurd(&mut entry.address, dice),
                }
            }
        }
        _ => {
            if let Some(entry) = any_of(set.nodes.values_mut().flat_map(|node| &mut node.compute).collect(), dice) {
                make_firing_absurd(entry, dice);
            }
        }
    }
}

fn make_firing_absurd(entry: &mut ComputeEntry, dice: &mut Dice) {
    match dice.roll(12) {
        9 => entry.repeat.firings = wide(dice),
        10 => entry.repeat.slots = long(dice),
        11 => entry.repeat.indices = wide(dice),
        0 => entry.slot = long(dice),
        1 => entry.exec = long(dice),
        2 => entry.first = wide(dice),
        3 => entry.place = wide(dice),
        4 => entry.index = wide(dice),
        5 => entry.actor = ActorId(wide(dice)),
        6 => entry.core = wide(dice),
        _ => {
            if let Some(operand) = any_of(entry.inputs.iter_mut().chain(entry.outputs.iter_mut()).collect(), dice) {
                match dice.roll(4) {
                    0 => operand.words = wide(dice),
                    1 => {
                        let (start, advance, size) = (wide(dice), wide(dice), wide(dice));
                        operand.circular = Some(Circular { start, advance, size });
                    }
                    _ => make_address_absurd(&mut operand.address, dice),
                }
            }
        }
    }
}

fn make_address_absurd(address: &mut Rotation, dice: &mut Dice) {
    match dice.roll(4) {
        0 => address.base = wide(dice),
        1 => address.stride = wide(dice),
        2 => address.count = wide(dice),
        _ => address.phase = wide(dice),
    }
}

fn wide(dice: &mut Dice) -> u32 {
    [0, 1, 7, 1 << 14, 1 << 31, u32::MAX - 1, u32::MAX][dice.roll(7) as usize]
}

fn long(dice: &mut Dice) -> i64 {
    [i64::MIN, -1, 0, 1, 1 << 32, i64::MAX / 1000, i64::MAX / 4, i64::MAX][dice.roll(8) as usize]
}

fn any_of<'a, T>(mut items: Vec<&'a mut T>, dice: &mut Dice) -> Option<&'a mut T> {
    let index = dice.roll(items.len().max(1) as u64) as usize;
    (index < items.len()).then(|| items.swap_remove(index))
}

proptest! {
    #![proptest_config(settings())]

    /// Two changes of one kind may make up for each other, such as a frame that is sent and stored later: then, and only
    /// then, the calendars pass.
    #[test]
    fn two_changes_are_judged_together(seed: u64) {
        let good = good_case(seed);
        let mut dice = Dice(seed);
        let first = mutants(&good);
        for _ in 0..3.min(first.len()) {
            let once = &first[dice.roll(first.len() as u64) as usize];
            let case = Case { calendars: once.calendars.clone(), ..good.clone() };
            let kind = |mutant: &Mutant| mutant.name.split_once(": ").map(|(_, kind)| kind.to_owned());
            let second: Vec<Mutant> = mutants(&case).into_iter().filter(|mutant| kind(mutant) == kind(once)).collect();
            for _ in 0..4.min(second.len()) {
                let twice = &second[dice.roll(second.len() as u64) as usize];
                let case = Case { calendars: twice.calendars.clone(), ..good.clone() };
                judge(&case).map_err(|text| TestCaseError::fail(format!("{}, {}: {text}", once.name, twice.name)))?;
            }
        }
    }
}

/// Every entry of the written calendars, broken in every way. The oracle confirms that what passes is still right: stride and
/// phase of an address that does not rotate mean nothing, and a firing may move where nobody waits for it.
#[test]
fn every_broken_entry_of_the_written_calendars_is_named() {
    let equivalent = |case: Case| -> Vec<String> {
        assert_eq!(simulate(&case).errors, Vec::<String>::new());
        assert!(verify(&case.app, &case.machine, &case.calendars).is_ok());
        let all = mutants(&case).into_iter();
        let passing = all.filter(|mutant| !check_mutant(&case, mutant).unwrap()).map(|mutant| mutant.name);
        passing.filter(|name| !name.ends_with("stride + 1") && !name.ends_with("phase + 1")).collect()
    };
    assert_eq!(equivalent(written::relay()), ["node#2 compute entry 0: slot + 1"]);
    let own_chain = ["0: slot + 1", "0: first + 1", "1: slot + 1", "1: slot - 1", "1: first + 1"];
    assert_eq!(equivalent(written::feedback()), own_chain.map(|name| format!("node#0 compute entry {name}")));
    // The run of `a` ends with its buffer.
    let runs = ["0: slots - 1", "0: output 0 size + 1", "1: slot + 1", "1: slots + 1"];
    assert_eq!(equivalent(written::runs()), runs.map(|name| format!("node#0 compute entry {name}")));
    assert_eq!(equivalent(written::multicast()), ["node#0 compute entry 1: slot + 1"]);
    // Every address rotates here.
    let rotating = written::feedback();
    let address = |mutant: &Mutant| mutant.name.contains("stride") || mutant.name.contains("phase");
    assert!(
        mutants(&rotating)
            .iter()
            .filter(|mutant| address(mutant))
            .all(|mutant| check_mutant(&rotating, mutant) == Ok(true))
    );
}

/// The generated calendars use everything that calendars can do.
#[test]
fn good_cases_are_varied() {
    let cases: Vec<Case> = (0..300).map(good_case).collect();
    let some = |feature: fn(&Case) -> bool| cases.iter().filter(|case| feature(case)).count();
    let frames = |case: &Case| -> Vec<FrameEntry> {
        case.calendars.links.values().flat_map(|link| link.gather.iter().copied()).collect()
    };
    assert!(cases.iter().filter(|case| !frames(case).is_empty()).count() >= 60);
    assert!(cases.iter().filter(|case| frames(case).iter().any(|e| e.length > 1)).count() >= 30);
    assert!(cases.iter().filter(|case| frames(case).iter().any(|e| e.address.count > 1)).count() >= 30);
    assert!(cases.iter().filter(|case| frames(case).iter().any(|e| e.first > 0 && e.place > 0)).count() >= 10);
    assert!(some(|case| case.machine.nodes().values().any(|node| node.cores == 0)) >= 30);
    assert!(some(|case| case.app.channels().values().any(|c| c.tokens.initial.count > 0)) >= 100);
    assert!(some(|case| case.app.channels().values().any(|c| c.source == c.target)) >= 60);
    assert!(some(|case| case.app.actors().values().any(sim_core::Actor::has_state)) >= 60);
    assert!(
        some(|case| case.app.actors().ids().any(|a| case.app.outputs(a).len() > case.app.output_ports(a).count()))
            >= 20
    );
    let firings = |case: &Case| -> Vec<ComputeEntry> {
        case.calendars.nodes.values().flat_map(|node| node.compute.clone()).collect()
    };
    assert!(cases.iter().filter(|case| firings(case).iter().any(|e| e.repeat.firings > 1)).count() >= 35);
    let circular = |e: &ComputeEntry| e.inputs.iter().chain(&e.outputs).any(|o| o.circular.is_some());
    assert!(cases.iter().filter(|case| firings(case).iter().any(circular)).count() >= 15);
    let wraps = |case: &Case| {
        let firings = case.calendars.nodes.values().flat_map(|node| &node.compute);
        firings.into_iter().any(|e| e.slot + e.exec > case.calendars.metacycle)
    };
    assert!(cases.iter().filter(|case| wraps(case)).count() >= 30);
}

/// The violations, if the verifier and the oracle agree.
fn judge(case: &Case) -> Result<Vec<Violation>, String> {
    let simulated = simulate(case).errors;
    let Err(violations) = verify(&case.app, &case.machine, &case.calendars) else {
        return if simulated.is_empty() { Ok(Vec::new()) } else { Err(format!("missed {simulated:?}")) };
    };
    // The simulation does not mind that one address rotates in two ways, if both happen to fit.
    let harmless = |violation: &Violation| matches!(violation, Violation::MixedRotations { .. });
    if simulated.is_empty() && !violations.iter().all(harmless) {
        return Err(format!("simulated well, but {violations:?}"));
    }
    Ok(violations)
}

/// Whether a mutant is broken; then the verifier must blame the right entry.
fn check_mutant(good: &Case, mutant: &Mutant) -> Result<bool, String> {
    let case = Case { calendars: mutant.calendars.clone(), ..good.clone() };
    let violations = judge(&case).map_err(|text| format!("{}: {text}", mutant.name))?;
    if violations.is_empty() {
        return Ok(false);
    }
    let mut expected: BTreeSet<EntryRef> = mutant.changed.iter().copied().collect();
    if let Some(lost) = mutant.lost {
        let (Lost::Entry(loser) | Lost::Part(loser)) = lost;
        let partners = simulate(good).partners;
        let of_loser = partners.iter().filter_map(|&(a, b)| match (a == loser, b == loser) {
            (true, false) => Some(b),
            (false, true) => Some(a),
            _ => None,
        });
        expected
            .extend(of_loser.map(|entry| if lost == Lost::Entry(loser) { renumbered(entry, loser) } else { entry }));
    }
    let named = violations.iter().any(|violation| {
        let fewer = |lost| matches!(lost, Lost::Entry(EntryRef::Compute(..)) | Lost::Part(EntryRef::Compute(..)));
        let gone = mutant.lost.is_some_and(fewer);
        let missing = gone && matches!(violation, Violation::NeverFired { .. });
        missing || violation.entries().iter().any(|entry| expected.contains(entry))
    });
    if named { Ok(true) } else { Err(format!("{}: {violations:#?} do not name {expected:?}", mutant.name)) }
}

/// The number of `entry` after `removed` has gone.
fn renumbered(entry: EntryRef, removed: EntryRef) -> EntryRef {
    match (entry, removed) {
        (EntryRef::Gather(a, i), EntryRef::Gather(b, j)) if a == b && i > j => EntryRef::Gather(a, i - 1),
        (EntryRef::Scatter(a, i), EntryRef::Scatter(b, j)) if a == b && i > j => EntryRef::Scatter(a, i - 1),
        (EntryRef::Compute(a, i), EntryRef::Compute(b, j)) if a == b && i > j => EntryRef::Compute(a, i - 1),
        _ => entry,
    }
}
