//! The promises of `kit/promises.rs` over rules as text, good and odd: what `fuzz/` does by the
//! million, a thousand times on every build. What the fuzzer finds becomes a case here.

use crate::kit::promises::hold;
use proptest::prelude::*;

/// A value as it stands in the answer, and what else could stand there.
fn value(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(words).prop_map(|word| format!("\"{word}\"")),
        1 => prop::sample::select(&["null", "1", "-1", "true", "[]", "{}", "\"\"", "\"x\"", "1e3"][..])
            .prop_map(str::to_owned),
    ]
}

/// A key with its value; sometimes none.
fn field(
    key: &'static str,
    weight: u32,
    words: &'static [&'static str],
) -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        weight => value(words).prop_map(move |value| Some(format!("\"{key}\":{value}"))),
        1 => Just(None),
    ]
}

/// One that is rarely there.
fn rare(
    key: &'static str,
    words: &'static [&'static str],
) -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => value(words).prop_map(move |value| Some(format!("\"{key}\":{value}"))),
        9 => Just(None),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let source = prop_oneof![
        8 => field("SourceCidrIp", 20, &["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "47.96.0.0/11", "10.0.0.0/8", "47.96.1.2"]),
        4 => field("Ipv6SourceCidrIp", 20, &["::/0", "2000::/3", "2400::/12", "fe80::/10"]),
        2 => field("SourcePrefixListId", 20, &["pl-a", "pl-b", "pl-c", "pl-d", "pl-e", "pl-f"]),
        1 => field("SourceGroupId", 20, &["sg-1", "sg-2"]),
    ];
    (
        field(
            "SecurityGroupRuleId",
            20,
            &["sgr-1", "sgr-2", "sgr-3", "sgr-4", "sgr-5"],
        ),
        field(
            "Direction",
            40,
            &["ingress", "ingress", "ingress", "egress"],
        ),
        field("Policy", 40, &["Accept", "Accept", "Drop"]),
        field("Priority", 40, &["1", "2", "3", "100", "110"]),
        field(
            "IpProtocol",
            40,
            &[
                "TCP", "TCP", "UDP", "ALL", "ICMP", "ICMPv6", "GRE", "6", "50",
            ],
        ),
        field(
            "PortRange",
            20,
            &[
                "22/22",
                "20/25",
                "1/65535",
                "-1/-1",
                "3389/3389",
                "23/3388",
                "1/21",
            ],
        ),
        source,
        rare("PortRangeListId", &["prl-a", "prl-b", "prl-c"]),
        rare("SourcePortRange", &["1/65535", "1024/2048"]),
        rare("DestCidrIp", &["0.0.0.0/0", "10.0.0.5"]),
        rare("NicType", &["internet", "intranet"]),
        rare("SomethingNew", &["on"]),
    )
        .prop_map(|of| {
            let (a, b, c, d, e, f, g, h, i, j, k, l) = of;
            let fields: Vec<String> = [a, b, c, d, e, f, g, h, i, j, k, l]
                .into_iter()
                .flatten()
                .collect();
            format!("{{{}}}", fields.join(","))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hold_whatever_the_rules_say(rules in prop::collection::vec(rule(), 0..9)) {
        hold(rules.join(",").as_bytes());
    }

    #[test]
    fn hold_whatever_the_bytes_are(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        hold(&bytes);
    }
}
