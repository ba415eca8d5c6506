//! Pools of connections that run dry, and those that rest.

use harness::{Tracer, Victim, beside_others};

use super::real_programs::python;

#[test]
fn who_does_not_give_connections_back_is_found_when_the_pool_is_dry() {
    let _turn = beside_others();
    if !tells_who_sends() {
        eprintln!("skipped: this kernel does not tell who sends");
        return;
    }
    let (Some(mut keeps), Some(mut gives)) = (python("pool.py"), python("pool.py")) else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    let mut keeps = Victim::spawn(keeps.arg("keeps"));
    let mut gives = Victim::spawn(gives.arg("gives"));
    keeps.expect("ready");
    gives.expect("ready");
    let twin = gives.pid().to_string();
    let tracer = Tracer::of(keeps.pid(), &["-p", &twin]);
    keeps.tell();
    gives.tell();
    keeps.expect("quiet");
    gives.expect("quiet");
    let report = tracer.stop();
    let named = |frames: &[harness::report::Frame], name: &str| {
        frames.iter().any(|frame| frame.symbol.contains(name))
    };
    let mut of_victim = report.findings.iter().filter(|f| f.pid == keeps.pid());
    let opened = of_victim.find(|found| named(&found.stack, "open_pool"));
    let opened = opened.unwrap_or_else(|| panic!("{}", report.excerpt(keeps.pid())));
    assert_eq!(opened.verdict, "leak", "{}", report.excerpt(keeps.pid()));
    assert!(named(&opened.last_user, "export_report"), "{opened:?}");
    let says = |words: &str| opened.evidence.iter().any(|line| line.contains(words));
    assert!(
        says("stopped being used, one after the other"),
        "{opened:?}"
    );
    assert!(says("does not give them back"), "{opened:?}");
    for found in report.findings.iter().filter(|f| f.pid == gives.pid()) {
        assert_eq!(found.verdict, "steady", "{}", report.excerpt(gives.pid()));
        assert!(found.last_user.is_empty(), "{found:?}");
    }
}

/// Whether the running kernel tells of sends on sockets (since 6.3).
fn tells_who_sends() -> bool {
    let types = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let name = b"btf_trace_sock_send_length";
    types.windows(name.len()).any(|bytes| bytes == name)
}
