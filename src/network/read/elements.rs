//! List members: one that is missing where AWS always writes it, or that is no list, is not an empty one. What it would hold is not
//! known then, and whoever asks for it has to say so in the object.

use super::node::Node;
use super::terraform_plan;
use super::{Context, NetworkBuilder};

/// Whether AWS always writes a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It is written where it is empty, too.
    Required,
    /// Where it is empty it may be left out.
    Optional,
}

impl NetworkBuilder {
    /// A list member's elements; `None`, and a problem, where they cannot be known.
    pub(super) fn elements<'a>(
        &mut self,
        node: Node<'a>,
        key: &str,
        need: Need,
        object: &str,
        context: &Context,
    ) -> Option<Vec<Node<'a>>> {
        let problem = match node.get(key) {
            Some(found) if found.0.is_array() => return Some(node.list(key).collect()),
            None if need == Need::Optional => return Some(Vec::new()),
            None => "is missing",
            // What a plan knows only after the apply is nothing to mend; what depends on it is said where it matters.
            Some(found) if terraform_plan::is_unknown(found) => return None,
            Some(_) => "is no list",
        };
        self.problem(context, object, format!("{key} {problem}; what it would hold is not known"));
        None
    }

    /// A list member's elements, none where it is left out or cannot be read, which is then a problem.
    pub(super) fn optional<'a>(
        &mut self,
        node: Node<'a>,
        key: &str,
        object: &str,
        context: &Context,
    ) -> Vec<Node<'a>> {
        self.elements(node, key, Need::Optional, object, context).unwrap_or_default()
    }

    /// A list member's texts, and whether these are all: not where it is no list, or an element is no text (in a plan one that
    /// is known only after the apply).
    pub(super) fn members(
        &mut self,
        node: Node<'_>,
        key: &str,
        object: &str,
        context: &Context,
    ) -> (Vec<String>, bool) {
        let Some(listed) = self.elements(node, key, Need::Optional, object, context) else {
            return (Vec::new(), false);
        };
        let (count, unknown) =
            (listed.len(), listed.iter().filter(|one| terraform_plan::is_unknown(**one)).count());
        let texts: Vec<String> = listed.into_iter().filter_map(Node::as_text).collect();
        let all = texts.len() == count;
        if texts.len().saturating_add(unknown) < count {
            self.problem(
                context,
                object,
                format!("an element of {key} cannot be read; what it would be is not known"),
            );
        }
        (texts, all)
    }
}
