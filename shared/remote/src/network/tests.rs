//! Every spelling of the addresses that must not be reached.

use super::*;

fn permits(allowed: &[&str], target: Target, address: &str) -> bool {
    let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
    Reach::new(allowed).permits(address.parse().unwrap(), target)
}

#[test]
fn metadata_link_local_and_multicast_are_never_reached_whoever_lists_them() {
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::",
        "fe80::1",
        "fd00:ec2::254",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "ff02::1",
        "100.100.100.200",
        "::ffff:0.0.0.0",
    ] {
        assert!(!permits(&["0.0.0.0/0", "::/0"], Target::OwnHost, address), "{address}");
    }
}

#[test]
fn inside_addresses_need_the_operator_or_the_services_own_host() {
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fd12::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::10.0.0.1",
    ] {
        assert!(!permits(&[], Target::Elsewhere, address), "{address}");
        assert!(permits(&[], Target::OwnHost, address), "{address}");
        assert!(permits(&["0.0.0.0/0", "::/0"], Target::Elsewhere, address), "{address}");
    }
    assert!(permits(&["10.0.0.0/8"], Target::Elsewhere, "::ffff:10.0.0.1"));
    assert!(
        !permits(&["10.0.0.0/8"], Target::Elsewhere, "11.0.0.1")
            || permits(&[], Target::Elsewhere, "11.0.0.1")
    );
    assert!(!permits(&["10.0.0.0/8"], Target::Elsewhere, "192.168.0.1"));
}

#[test]
fn public_addresses_are_reached() {
    for address in ["203.0.113.7", "8.8.8.8", "172.32.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"] {
        assert!(permits(&[], Target::Elsewhere, address), "{address}");
    }
}

#[test]
fn networks_are_read_as_they_are_written() {
    for text in ["10.0.0.0/8", "fd12::/16", "0.0.0.0/0", "127.0.0.1/32"] {
        assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
    }
    assert_eq!("10.1.2.3".parse::<Network>().unwrap().to_string(), "10.1.2.3/32");
    for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/-1", "10.0.0.0/8/8"] {
        assert!(bad.parse::<Network>().unwrap_err().contains("is not a network"), "{bad}");
    }
}
