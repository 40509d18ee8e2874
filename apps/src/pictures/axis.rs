//! Tick marks at round numbers, and how numbers are written.

/// Round positions from 0 to at most `end`: multiples of 1, 2 or 5 times a power of ten, at most `most` (> 1) intervals.
pub(crate) fn round_ticks(end: i64, most: usize) -> Vec<i64> {
    let mut power = 1_i64;
    let step = loop {
        let steps = [1, 2, 5].map(|factor| power.saturating_mul(factor));
        match steps.into_iter().find(|step| end / step <= most as i64) {
            Some(step) => break step,
            None => power = power.saturating_mul(10),
        }
    };
    (0..=end / step).map(|i| i * step).collect()
}

/// A count with thin spaces between groups of three digits; four digits stay together.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    if value < 0 {
        out.push('−');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && digits.len() > 4 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun in the right number.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// A share in per cent: whole numbers, but neither 0 for something nor 100 for less than all.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 1.0 => "<1 %".to_owned(),
        p if p > 99.0 && p < 100.0 => "99 %".to_owned(),
        p => format!("{p:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_few_and_span_the_axis() {
        for end in [1, 2, 7, 8, 9, 10, 99, 147, 1_000, 4_711, 1 << 20, 5_000_000_000, i64::MAX / 4] {
            for most in [2, 5, 8, 10] {
                let ticks = round_ticks(end, most);
                assert!(ticks.len() <= most + 1, "{end} {most}: {ticks:?}");
                assert!(ticks.len() > most / 3 || ticks.len() as i64 == end + 1, "{end} {most}: {ticks:?}");
                assert_eq!(ticks[0], 0);
                assert!(*ticks.last().unwrap() <= end);
            }
        }
        assert_eq!(round_ticks(8, 8), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(round_ticks(1_000, 10), [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(1_000), "1000");
        assert_eq!(grouped(5_000_000_000), "5\u{2009}000\u{2009}000\u{2009}000");
        assert_eq!(grouped(-12_345), "−12\u{2009}345");
        assert_eq!(counted(1, "page"), "1 page");
        assert_eq!(counted(0, "page"), "0 pages");
        assert_eq!([0.0, 0.001, 0.5, 0.996, 1.0].map(percent), ["0 %", "<1 %", "50 %", "99 %", "100 %"]);
    }
}
