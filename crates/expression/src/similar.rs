//! Which of the names that there are was meant by one that there is not.

/// The name that is written most like another, if it is like enough to be meant.
pub(super) fn similar<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let far = (name.chars().count() / 3).min(2);
    let written = name.to_lowercase();
    known
        .map(|known| (distance(&written, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be changed, put in, taken out, or swapped with the next.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let width = other.len() + 1;
    let mut rows = vec![(0..width).collect::<Vec<usize>>()];
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let mut cost = (rows[row][column] + usize::from(letter != wanted))
                .min(rows[row][column + 1] + 1)
                .min(next[column] + 1);
            let is_swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(wanted)
                && other.get(column - 1) == Some(letter);
            if is_swapped {
                cost = cost.min(rows[row - 1][column - 1] + 1);
            }
            next.push(cost);
        }
        rows.push(next);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        let known = ["replicas", "image", "selector", "minReadySeconds"];
        for (name, meant) in [
            ("replcas", Some("replicas")),
            ("Replicas", Some("replicas")),
            ("erplicas", Some("replicas")),
            ("imgae", Some("image")),
            ("minreadyseconds", Some("minReadySeconds")),
            ("image", Some("image")),
            ("paused", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(similar(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(similar(&"x".repeat(100_000), known.into_iter()), None);
    }
}
