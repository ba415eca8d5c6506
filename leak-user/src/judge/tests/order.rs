//! Claims on the order in which rules speak.

use super::*;
use crate::judge::evidence::{round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::judge::rules::{Gathered, Rule};

/// Finds a leak in everything.
#[derive(Default)]
struct Accuser;

impl Rule for Accuser {
    fn name() -> &'static str {
        "accuser"
    }

    fn weigh(&self, _: &Site<'_>, opinion: &mut Opinion) {
        opinion.worsen(Self::name(), Verdict::Leak, "");
        opinion.support(2.0, 10.0, "it looks like one".to_owned());
    }
}

/// Knows better about what the accuser has found by then.
#[derive(Default)]
struct Defender;

impl Rule for Defender {
    fn name() -> &'static str {
        "defender"
    }

    fn weigh(&self, _: &Site<'_>, opinion: &mut Opinion) {
        if opinion.rule == Accuser::name() {
            opinion.verdict = Verdict::Steady;
            opinion.evidence.push("it is a pool".to_owned());
        }
    }
}

#[test]
fn a_rule_can_veto_those_before_it_and_no_others() {
    let ledger = ledger(false);
    let judge = Judge::new(Config::default());
    let round = Round::new(&judge, SECOND, 0, &ledger);
    let site = round.site(SiteKey::Unknown(PROCESS, Kind::File));
    let opinion = |rules| Gathered::of(rules).opinion(&site);
    let vetoed = opinion(vec![Box::new(Accuser), Box::new(Defender)]);
    assert_eq!(vetoed.verdict, Verdict::Steady);
    assert_eq!(vetoed.evidence, ["it looks like one", "it is a pool"]);
    let spoke_too_soon = opinion(vec![Box::new(Defender), Box::new(Accuser)]);
    assert_eq!(
        (spoke_too_soon.verdict, spoke_too_soon.rule),
        (Verdict::Leak, "accuser")
    );
}
