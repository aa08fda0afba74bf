//! Which groups of a listing are meant.

use super::Request;
use crate::model::SecurityGroup;

/// Whether a group is in scope by its id, name and tags; `exclude_groups` is not looked at here.
pub(super) fn is_meant(request: &Request, group: &SecurityGroup) -> bool {
    let by_id = request
        .groups
        .as_ref()
        .is_none_or(|groups| groups.iter().any(|id| id.as_str() == group.id));
    let by_name = request.names.is_empty()
        || request
            .names
            .iter()
            .any(|pattern| glob(pattern, &group.name));
    let by_tags = request.tags.iter().all(|tag| group.tags.contains(tag));
    by_id && by_name && by_tags
}

/// Whether `text` matches `pattern`, in which `*` stands for any text and all else for itself.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = match rest.rsplit_once('*') {
        Some((middle, tail)) => (middle, tail),
        None => ("", rest),
    };
    for piece in middle.split('*') {
        let Some(at) = text.find(piece) else {
            return false;
        };
        let Some(after) = text.get(at + piece.len()..) else {
            return false;
        };
        text = after;
    }
    text.len() >= tail.len() && text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs() {
        for (pattern, text, meant) in [
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-*", "xweb-1", false),
            ("*", "", true),
            ("*a*b", "xaxb", true),
            ("*a*b", "xbxa", false),
            ("a*a", "a", false),
            ("a*b*c", "abc", true),
            ("a**c", "abc", true),
            ("web", "web", true),
            ("w?b", "web", false),
            ("入*", "入口", true),
        ] {
            assert_eq!(glob(pattern, text), meant, "{pattern} {text}");
        }
    }
}
