//! Suggestions for names that do not exist.

/// Names longer than this are not compared: a suggestion is for slips of the keyboard, and must stay cheap.
const LONGEST: usize = 64;

/// The candidate nearest to `name`, if it is near enough to be what was meant: at most a third of `name` is wrong (swapped neighbours are one mistake).
///
/// Of equally near candidates the first is taken. O(candidates · length²).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(LONGEST + 1).collect();
    let allowed = (name.len() / 3).max(1);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.chars().take(LONGEST + 1).collect();
        if name.len().max(other.len()) > LONGEST || name.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let distance = edit_distance(&name, &other);
        // Names that share nothing are no suggestion, however short they are.
        if distance <= allowed && distance < name.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `from` into `to` (optimal string alignment).
fn edit_distance(from: &[char], to: &[char]) -> usize {
    // least[i][j]: edits between the first i and the first j characters.
    let mut least = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            least[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = least[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
                let swap = if swapped { least[i - 2][j - 2] + 1 } else { usize::MAX };
                replaced.min(swap).min(least[i - 1][j] + 1).min(least[i][j - 1] + 1)
            };
        }
    }
    least[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(name, candidates.iter().copied()), expected, "{name} among {candidates:?}");
    }

    #[test]
    fn suggests_what_was_meant() {
        check("fir", &["fft", "fir0", "fit"], Some("fir0"));
        check("fir_0", &["fft", "fir0", "fir1"], Some("fir0"));
        check("A", &["a", "b"], None);
        check("n12", &["n1", "n2", "n3"], Some("n1"));
        check("decimate", &["decoder", "demux"], None);
        check("", &["a"], None);
        check("x", &[], None);
        check(&"a".repeat(100), &[&"a".repeat(100)], None);
        check("größe", &["grösse", "größen"], Some("größen"));
    }

    #[test]
    fn distances() {
        let distance = |a: &str, b: &str| edit_distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("fri1", "fir1"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
