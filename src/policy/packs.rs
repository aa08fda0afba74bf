//! The checks that ship, as TOML in the crate; the same form as a pack file of the user's.

/// Packs by name, with their TOML.
pub const PACKS: [(&str, &str); 7] = [
    ("risky-ports", include_str!("packs/risky-ports.toml")),
    ("databases", include_str!("packs/databases.toml")),
    ("admin", include_str!("packs/admin.toml")),
    ("all-open", include_str!("packs/all-open.toml")),
    ("private-side", include_str!("packs/private-side.toml")),
    ("best-practice", include_str!("packs/best-practice.toml")),
    ("cis", include_str!("packs/cis.toml")),
];

/// Sets of clauses that checks name.
pub const CLAUSES: &str = include_str!("packs/clauses.toml");

/// A pack's TOML.
pub fn text(name: &str) -> Option<&'static str> {
    PACKS
        .iter()
        .find(|(pack, _)| *pack == name)
        .map(|(_, text)| *text)
}

/// The names of all.
pub fn names() -> Vec<&'static str> {
    PACKS.iter().map(|(name, _)| *name).collect()
}
