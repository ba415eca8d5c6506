//! What holds of the list.

use super::*;

#[test]
fn each_rule_has_a_name_of_its_own() {
    let mut names: Vec<&str> = RULES.iter().map(|line| (line.name)()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

#[test]
fn watches_and_pools_do_not_count_towards_limits() {
    let names = RULES.iter().map(|line| (line.name)());
    let others: Vec<&str> = names.filter(|name| !counts(name)).collect();
    assert_eq!(others, ["watches", "pool-ran-dry"]);
}
