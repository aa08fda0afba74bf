//! The checks that ship, as TOML in the crate; the same form as `[[policy.check]]`.

/// Packs by name, with their TOML.
pub const PACKS: [(&str, &str); 1] = [("risky-ports", include_str!("packs/risky-ports.toml"))];

/// Packs that the contract names and that are not built yet: refused by that name.
pub const NOT_BUILT: [&str; 5] = ["databases", "admin", "all-open", "best-practice", "cis"];

/// A pack's TOML.
pub fn text(name: &str) -> Option<&'static str> {
    PACKS
        .iter()
        .find(|(pack, _)| *pack == name)
        .map(|(_, text)| *text)
}
