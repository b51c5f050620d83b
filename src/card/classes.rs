//! Names of classes that can be told apart in every table.

/// The class of rows about all classes in the table of `accuracy`.
pub(crate) const ALL_CLASSES: &str = "all";

/// What stands in a proposed card where the graph of the model does not tell.
pub(crate) const UNKNOWN: &str = "TODO";

/// Why names cannot be those of the classes of a model; `None` if they can.
pub(crate) fn class_mistake(classes: &[String]) -> Option<String> {
    if classes.iter().any(|class| class.trim().is_empty()) {
        return Some("a class has an empty name, which stands for an unknown class in tables: give it a name".into());
    }
    if classes.iter().any(|class| class == ALL_CLASSES) {
        return Some(format!(
            "a class is called `{ALL_CLASSES}`, as are the rows of `accuracy` about all classes: give it another name"
        ));
    }
    if classes.iter().any(|class| class == UNKNOWN) {
        return Some(format!("a class is called `{UNKNOWN}`: fill in what the graph of the model does not tell"));
    }
    let twice = (1..classes.len()).find(|i| classes[..*i].contains(&classes[*i]))?;
    Some(format!("two classes are called `{}`: give each its own name", classes[twice]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_empty_not_reserved_and_distinct() {
        let mistake = |classes: &[&str]| class_mistake(&classes.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(mistake(&["Disk, Face-on", "Disk, Edge-on", "All", " disk"]), None);
        assert!(mistake(&["disk", " "]).is_some_and(|why| why.contains("empty name")));
        assert!(mistake(&["disk", "all"]).is_some_and(|why| why.contains("called `all`")));
        assert!(mistake(&["disk", "star", "disk"]).is_some_and(|why| why.contains("two classes are called `disk`")));
    }
}
