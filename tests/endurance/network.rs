//! The network that the tests have for themselves, where the kernel can be told to lose packets.

use std::process::Command;

/// Fails where the network is not ours: rules that lose packets have no place elsewhere.
pub fn is_ours() {
    let ours = std::env::var_os("OWN_NETWORK").is_some();
    assert!(ours, "this test changes the network: run it by `.ci/endurance`, which gives it one of its own");
    nft("add table inet endurance");
    nft("add chain inet endurance in { type filter hook input priority 0; }");
}

/// From now on this rule holds for what comes in.
pub fn rule(rule: &str) {
    nft(&format!("add rule inet endurance in {rule}"));
}

/// No rule holds any more.
pub fn clear() {
    nft("flush chain inet endurance in");
}

fn nft(words: &str) {
    let ran = Command::new("nft").args(words.split(' ')).output().expect("nftables is installed");
    assert!(ran.status.success(), "{words}: {}", String::from_utf8_lossy(&ran.stderr));
}
