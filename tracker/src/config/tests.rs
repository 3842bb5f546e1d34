use super::*;
use proptest::prelude::*;

const HASH: &str = "713a203b7e89753a8893f7d452e8bcc19de65024595f50ddf7899f1da9d95fff";

fn error_of(json: &str) -> String {
    Config::parse(json.as_bytes()).expect_err(json).to_string()
}

#[test]
fn all_fields() {
    let json = format!(
        r#"{{"port": 8888, "ban-private": true, "allowedhashes": ["{HASH}"], "good-ips": ["127.0.0.1"],
            "own-address-only": true}}"#
    );
    let config = Config::parse(json.as_bytes()).unwrap();
    let expected = Config {
        port: 8888,
        ban_private: true,
        allowed: vec![HASH.parse().unwrap()],
        good: vec![Ipv4Addr::LOCALHOST],
        own_address_only: true,
        ..Config::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn three_fields_may_be_absent() {
    let config = Config::parse(br#"{"port": 1, "allowedhashes": []}"#).unwrap();
    let (allowed, good) = (vec![], vec![]);
    assert_eq!(
        config,
        Config { port: 1, ban_private: false, allowed, good, own_address_only: false, ..Config::default() }
    );
    assert_eq!(error_of(r#"{"allowedhashes": []}"#), "field \"port\" is missing");
    assert_eq!(error_of(r#"{"port": 1}"#), "field \"allowedhashes\" is missing");
}

#[test]
fn a_wrong_field_is_named() {
    let cases = [
        (
            r#"{"port": 65536, "allowedhashes": []}"#,
            "\"port\" must be a whole number from 0 to 65535, not 65536",
        ),
        (
            r#"{"port": "1", "allowedhashes": []}"#,
            "\"port\" must be a whole number from 0 to 65535, not \"1\"",
        ),
        (r#"{"port": -1, "allowedhashes": []}"#, "\"port\" must be"),
        (r#"{"port": 1, "allowedhashes": {}}"#, "\"allowedhashes\" must be a list of hashes, not {}"),
        (
            r#"{"port": 1, "allowedhashes": [], "ban-private": 0}"#,
            "\"ban-private\" must be true or false, not 0",
        ),
        (
            r#"{"port": 1, "allowedhashes": [], "good-ips": "x"}"#,
            "\"good-ips\" must be a list of IPv4 addresses",
        ),
        (
            r#"{"port": 1, "allowedhashes": [], "own-address-only": "yes"}"#,
            "\"own-address-only\" must be true or false, not \"yes\"",
        ),
        (
            r#"{"port": 1, "allowed-hashes": []}"#,
            "unknown field \"allowed-hashes\": is \"allowedhashes\" meant?",
        ),
    ];
    for (json, expected) in cases {
        let error = error_of(json);
        assert!(error.contains(expected), "{json}: {error:?} has no {expected:?}");
    }
}

#[test]
fn a_wrong_element_is_named_by_its_index() {
    let hashes = |bad: &str| format!(r#"{{"port": 1, "allowedhashes": ["{HASH}", {bad}]}}"#);
    assert_eq!(
        error_of(&hashes("\"12\"")),
        "allowedhashes[1]: a hash has 64 hex digits, this has 2 characters"
    );
    assert_eq!(error_of(&hashes("7")), "allowedhashes[1] must be a hash of 64 hex digits, not 7");
    let bad_digit = format!("\"x{}\"", &HASH[1..]);
    assert_eq!(error_of(&hashes(&bad_digit)), "allowedhashes[1]: 'x' is not a hex digit");
    let ips = r#"{"port": 1, "allowedhashes": [], "good-ips": ["1.2.3.4", "1.2.3", "::1"]}"#;
    let more = "; and one more fault, which `tracker check` names";
    assert_eq!(error_of(ips), format!("good-ips[1] must be an IPv4 address, not \"1.2.3\"{more}"));
}

#[test]
fn networks_are_sites_of_networks() {
    let with = |rest: &str| format!(r#"{{"port": 1, "allowedhashes": [], "networks": {rest}}}"#);
    let json = with(r#"[["10.1.0.0/16", "2001:db8:1::/48"], [], ["10.2.0.0/16"]]"#);
    let config = Config::parse(json.as_bytes()).unwrap();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Prefix>>();
    let expected = [networks(&["10.1.0.0/16", "2001:db8:1::/48"]), networks(&[]), networks(&["10.2.0.0/16"])];
    assert_eq!((config.networks, config.prefer_near), (expected.into(), None));
    for (wrong, expected) in [
        ("7", "field \"networks\" must be a list of sites, each a list of networks, not 7"),
        (
            r#"["10.1.0.0/16"]"#,
            "networks[0] must be a site: a list of networks, such as [\"10.1.0.0/16\"], not",
        ),
        (r#"[[], [7]]"#, "networks[1][0]: a network is an address and a length"),
        (r#"[["10.1.0.0/16", "10.2.0.0"]]"#, "networks[0][1]: a network is an address and a length"),
        (r#"[["10.1.2.0/16"]]"#, "networks[0][0]: its address has bits beyond its length: write 10.1.0.0/16"),
        (r#"[["10.1.0.0/16"], ["10.1.0.0/16"]]"#, "networks[1][0]: 10.1.0.0/16 is there already"),
    ] {
        let error = error_of(&with(wrong));
        assert!(error.starts_with(expected), "{wrong}: {error:?}");
    }
    let many = |count: usize| {
        let networks: Vec<_> = (0..count).map(|n| format!("\"10.{}.{}.0/24\"", n / 256, n % 256)).collect();
        Config::parse(with(&format!("[[{}]]", networks.join(","))).as_bytes())
    };
    assert!(many(MAX_NETWORKS).is_ok());
    assert_eq!(
        many(MAX_NETWORKS + 1),
        Err(ConfigFaults { told: vec![ConfigError::TooManyNetworks], more: 0 })
    );
}

#[test]
fn what_is_no_json_object_is_refused() {
    assert!(error_of("{\"port\": 8888,").starts_with("not valid JSON: "));
    assert_eq!(error_of("[]"), "a configuration is a JSON object, {...}");
    // Deep nesting must not exhaust the stack.
    assert!(error_of(&"[".repeat(1 << 20)).starts_with("not valid JSON: "));
    let long = format!(r#"{{"port": "{}", "allowedhashes": []}}"#, "y".repeat(100_000));
    assert!(error_of(&long).len() < 200);
}

#[test]
fn a_file_is_read_up_to_its_bound() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    io::Write::write_all(&mut file, br#"{"port": 7, "allowedhashes": []}"#).unwrap();
    assert_eq!(Config::read(file.path()).unwrap().port, 7);
    file.as_file().set_len(MAX_CONFIG_LEN + 1).unwrap();
    assert!(matches!(Config::read(file.path()), Err(ConfigFileError::TooLong)));
    let missing = Config::read(Path::new("/no/such/config.json"));
    assert!(matches!(missing, Err(ConfigFileError::Read(_))));
}

proptest! {
    #[test]
    fn parse_is_total(bytes: Vec<u8>) {
        let _ = Config::parse(&bytes);
    }
}

#[test]
fn every_fault_is_told() {
    let json = format!(
        r#"{{"prot": 1, "allowedhashes": ["{HASH}", "ab", 7], "good-ips": ["1.2.3", "::1"], "web": 7, "xyzzy": 1,
            "networks": [["10.1.0.0/16", "10.1.0.0/16"], 7, ["10.1.2.3/8", 9]], "log-level": "loud"}}"#
    );
    let faults = Config::parse(json.as_bytes()).unwrap_err();
    let told: Vec<String> = faults.told.iter().map(ToString::to_string).collect();
    let expected = [
        "unknown field \"prot\": is \"port\" meant?",
        "unknown field \"xyzzy\": the fields are port, ban-private, ",
        "field \"port\" is missing",
        "allowedhashes[1]: ",
        "allowedhashes[2] must be",
        "good-ips[0] must be",
        "good-ips[1] must be",
        "field \"web\" must be",
        "field \"log-level\" must be",
        "networks[1] must be a site",
        "networks[0][1]: 10.1.0.0/16 is there already",
        "networks[2][0]: its address has bits",
        "networks[2][1]: a network is",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told:?} is not {expected:?}");
    }
    assert_eq!(
        faults.to_string(),
        "unknown field \"prot\": is \"port\" meant?; and 12 more faults, which `tracker check` names"
    );
    // What is wrong a million times is told a hundred times.
    let many = format!(r#"{{"port": 1, "allowedhashes": [{}1]}}"#, "1,".repeat(999_999));
    let many = Config::parse(many.as_bytes()).unwrap_err();
    assert_eq!((many.told.len(), many.more), (MAX_FAULTS, 1_000_000 - MAX_FAULTS));
}

#[test]
fn an_unknown_field_is_compared_with_all() {
    for (name, expected) in [
        ("goodips", Some("good-ips")),
        ("Good_IPs", Some("good-ips")),
        ("allowed", Some("allow")),
        ("allowed_hashes", Some("allowedhashes")),
        ("wbe", Some("web")),
        ("prefer-nears", Some("prefer-near")),
        ("network", Some("networks")),
        ("statevery", Some("state-every")),
        ("completely-different", None),
    ] {
        assert_eq!(fields::nearest(name), expected, "{name}");
    }
}
