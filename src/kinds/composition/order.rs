//! In which order the resources of a definition are made: each after those that it refers to.

use std::collections::BTreeSet;

/// The places of the resources in the order in which they are made: the one that the definition has, but for what has to
/// wait. `depends_on` has, for each, the places of those that it refers to.
///
/// # Errors
/// A circle: each refers to the next, the last to the first.
pub(super) fn order(depends_on: &[BTreeSet<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(depends_on.len());
    let mut placed = BTreeSet::new();
    while order.len() < depends_on.len() {
        let next = (0..depends_on.len()).find(|place| {
            !placed.contains(place) && depends_on[*place].iter().all(|one| placed.contains(one))
        });
        match next {
            Some(next) => {
                placed.insert(next);
                order.push(next);
            }
            None => return Err(circle(depends_on, &placed)),
        }
    }
    Ok(order)
}

/// A circle among those that could not be placed: following unplaced nodes ends in a cycle.
fn circle(depends_on: &[BTreeSet<usize>], placed: &BTreeSet<usize>) -> Vec<usize> {
    let mut way: Vec<usize> = Vec::new();
    let mut next = (0..depends_on.len()).find(|place| !placed.contains(place));
    while let Some(place) = next {
        if let Some(start) = way.iter().position(|seen| *seen == place) {
            return way.split_off(start);
        }
        way.push(place);
        next = depends_on[place].iter().copied().find(|one| !placed.contains(one));
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<const N: usize>(depends_on: [&[usize]; N]) -> Vec<BTreeSet<usize>> {
        depends_on.into_iter().map(|places| places.iter().copied().collect()).collect()
    }

    #[test]
    fn what_others_refer_to_comes_first_and_the_rest_keeps_its_order() {
        assert_eq!(order(&places([&[2], &[], &[1]])), Ok(vec![1, 2, 0]));
        assert_eq!(order(&places([&[], &[], &[]])), Ok(vec![0, 1, 2]));
        assert_eq!(order(&places([])), Ok(vec![]));
    }

    #[test]
    fn a_circle_is_told_without_what_only_leads_to_it() {
        assert_eq!(order(&places([&[1], &[2], &[3], &[1]])), Err(vec![1, 2, 3]));
        assert_eq!(order(&places([&[], &[1]])), Err(vec![1]));
    }
}
