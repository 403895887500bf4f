//! How many records are delivered together when deliveries keep failing: a record that nobody
//! can process is separated from those around it, until it is delivered alone.

use crate::run::Origin;

/// Deliveries below which nothing is held back.
const DELIVERIES_MIN: u16 = 2;

/// From this many deliveries on, fewer records are delivered together.
fn threshold(deliveries_max: u16) -> u16 {
    deliveries_max.div_ceil(2).max(DELIVERIES_MIN)
}

/// How many records with this many deliveries may be delivered together; none if there is no
/// limit.
pub(crate) fn together_max(deliveries: u16, deliveries_max: u16, origin: Origin) -> Option<i64> {
    if deliveries_max > DELIVERIES_MIN && deliveries + 1 == deliveries_max {
        return Some(1);
    }
    let over = deliveries.checked_sub(threshold(deliveries_max))?;
    Some(origin.len.checked_shr(u32::from(over) + 1).unwrap_or(0).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_fail_often_are_delivered_in_smaller_groups_and_at_last_alone() {
        let origin = Origin::of(100, 199);
        let together = |deliveries| together_max(deliveries, 6, origin);
        assert_eq!([together(0), together(2)], [None, None]);
        assert_eq!([together(3), together(4), together(5)], [Some(50), Some(25), Some(1)]);
        assert_eq!(together_max(1, 2, origin), None, "two deliveries are too few to hold back");
        assert_eq!(together_max(2, 5, Origin::of(7, 7)), None);
        assert_eq!(together_max(3, 5, Origin::of(7, 7)), Some(1));
    }
}
