//! Texts with gaps, `<<name>>`.

/// Fills the gaps of `template`. What is put in is not looked at again.
///
/// # Panics
/// If a gap has no value: templates are part of the program.
pub(super) fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("<<") {
        let (name, after) = behind.split_once(">>").expect("a gap ends");
        let (_, value) = values.iter().find(|(known, _)| *known == name).expect("every gap has a value");
        text += before;
        text += value;
        rest = after;
    }
    text + rest
}
