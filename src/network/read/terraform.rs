//! Terraform: `terraform show -json` of a state or plan, and raw version 4 states (spec 6.9).
//!
//! A state says what was intended at the last apply, so its readings carry [`Origin::Terraform`] and never prove anything.
//! Values that are unknown until an apply become [`Remote::Unreadable`] or [`Traffic::Unreadable`], which may match.

use super::node::Node;
use super::terraform_awscc::in_words_of_aws;
use super::terraform_exclusive::exclusive;
use super::terraform_plan::{Gone, completed, not_followed};
use super::terraform_regroup::regrouped;
use super::{Context, Document, NetworkBuilder, PlanSide, ReadError, ReadOptions};
use crate::network::history::Origin;
use serde_json::Value;

/// A resource with its address, type and values.
pub(super) struct Resource<'a> {
    pub(super) address: String,
    pub(super) kind: String,
    pub(super) values: Node<'a>,
}

impl Resource<'_> {
    /// Its id, or its address while the id is unknown. A list that is adopted is named by the code.
    pub(super) fn id(&self) -> String {
        let adopted = || {
            let is_adopted = self.kind == "aws_default_network_acl";
            is_adopted.then(|| self.values.text("default_network_acl_id")).flatten()
        };
        self.values.text("id").or_else(adopted).unwrap_or_else(|| self.address.clone())
    }
}

impl NetworkBuilder {
    /// Reads the document if it is Terraform's.
    pub(super) fn terraform(
        &mut self,
        node: Node<'_>,
        context: &Context,
        options: &ReadOptions,
    ) -> Result<Option<Document>, ReadError> {
        let translated = in_words_of_aws(node.0);
        let node = translated.as_ref().map_or(node, Node);
        let is_plan = node.get("planned_values").is_some() || node.get("resource_changes").is_some();
        let is_state = node.get("values").is_some_and(|values| values.get("root_module").is_some());
        let is_raw = node.get("terraform_version").is_some() && node.get("resources").is_some();
        // States of Terraform 0.11 and older.
        let is_old = node.get("modules").is_some()
            && node.get("serial").is_some()
            && node.get("terraform_version").is_some();
        let refuse = |version: String| ReadError::TerraformVersion { file: context.file.clone(), version };
        if is_old {
            let version =
                node.integer("version").map_or("(missing)".to_owned(), |version| version.to_string());
            return Err(refuse(format!("{version} of a state")));
        }
        if !is_plan && !is_state && !is_raw {
            return Ok(None);
        }
        let proposed = is_plan && options.compared && options.plan_side == PlanSide::Planned;
        if proposed && node.flag("errored") == Some(true) {
            return Err(ReadError::BrokenPlan { file: context.file.clone() });
        }
        let whole = proposed.then(|| completed(node.0));
        let node = whole.as_ref().map_or(node, Node);
        let mut resources = Vec::new();
        let document = if is_raw {
            match node.integer("version") {
                Some(4) => {}
                other => {
                    return Err(refuse(other.map_or("(missing)".to_string(), |version| version.to_string())));
                }
            }
            raw_resources(node, &mut resources);
            Document::TerraformRawState
        } else {
            let version = node.text("format_version").unwrap_or_default();
            // Plans of Terraform 0.12 to 1.0 wrote 0.x with the same layout.
            if !matches!(version.split('.').next(), Some("0" | "1")) {
                return Err(refuse(version));
            }
            let prior = root(node.get("prior_state").and_then(|state| state.get("values")));
            let planned = root(node.get("planned_values"));
            let (side, other, change) = match options.plan_side {
                PlanSide::Prior => (prior, planned, "before"),
                PlanSide::Planned => (planned, prior, "after"),
            };
            match (is_plan, side) {
                (false, _) => {
                    root(node.get("values"))
                        .into_iter()
                        .for_each(|root| module_resources(root, 0, &mut resources));
                }
                (true, Some(root)) => module_resources(root, 0, &mut resources),
                // A plan may have been cut down to what changes.
                (true, None) if options.compared || other.is_none() => {
                    changed_resources(node, change, &mut resources);
                }
                (true, None) => other.into_iter().for_each(|root| module_resources(root, 0, &mut resources)),
            }
            if is_plan { Document::TerraformPlan } else { Document::TerraformState }
        };
        let context = Context { origin: Some(Origin::Terraform), ..context.clone() };
        let gone = if proposed { NetworkBuilder::gone(node, &context) } else { Gone::default() };
        if proposed {
            self.not_followed.extend(not_followed(node));
            self.exclusive.extend(exclusive(node));
            self.regrouped.extend(regrouped(node));
        }
        self.terraform_resources(&resources, &context, options.compared, &gone);
        Ok(Some(document))
    }
}

fn root(values: Option<Node<'_>>) -> Option<Node<'_>> {
    values.and_then(|values| values.get("root_module"))
}

/// Modules nest as deep as the configuration; anything deeper than this is not written by Terraform.
pub(super) const DEEPEST_MODULE: usize = 64;

fn module_resources<'a>(module: Node<'a>, depth: usize, into: &mut Vec<Resource<'a>>) {
    for resource in module.list("resources") {
        if resource.text("mode").as_deref() != Some("managed") {
            continue;
        }
        if let (Some(kind), Some(values)) = (resource.text("type"), resource.get("values")) {
            into.push(Resource { address: resource.text("address").unwrap_or_default(), kind, values });
        }
    }
    if depth < DEEPEST_MODULE {
        module.list("child_modules").for_each(|child| module_resources(child, depth + 1, into));
    }
}

/// The resources of `resource_changes`, as they are before or after.
fn changed_resources<'a>(node: Node<'a>, side: &str, into: &mut Vec<Resource<'a>>) {
    for resource in node.list("resource_changes") {
        if resource.text("mode").as_deref() != Some("managed") {
            continue;
        }
        let values = resource.get("change").and_then(|change| change.get(side));
        if let (Some(kind), Some(values)) = (resource.text("type"), values) {
            into.push(Resource { address: resource.text("address").unwrap_or_default(), kind, values });
        }
    }
}

fn raw_resources<'a>(node: Node<'a>, into: &mut Vec<Resource<'a>>) {
    for resource in node.list("resources") {
        if resource.text("mode").as_deref() != Some("managed") {
            continue;
        }
        let Some(kind) = resource.text("type") else { continue };
        let name = resource.text("name").unwrap_or_default();
        let module = resource.text("module").map(|module| format!("{module}.")).unwrap_or_default();
        for instance in resource.list("instances") {
            let index = match instance.get("index_key").map(|key| key.0) {
                Some(Value::String(key)) => format!("[\"{key}\"]"),
                Some(Value::Number(key)) => format!("[{key}]"),
                _ => String::new(),
            };
            if let Some(values) = instance.get("attributes") {
                into.push(Resource {
                    address: format!("{module}{kind}.{name}{index}"),
                    kind: kind.clone(),
                    values,
                });
            }
        }
    }
}
