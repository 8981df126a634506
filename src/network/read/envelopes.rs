//! What lies around a configuration: the envelope that `flowq config pull` writes, notifications and events that carry an item of
//! AWS Config, recordings of calls, and lists of objects that were taken out of an answer.

use super::node::Node;
use super::{Context, Document, NetworkBuilder, ReadError, ReadOptions, unknown};
use serde_json::{Map, Value};

/// Envelopes lie in one another (a message of a queue, of a topic, of AWS Config); these are more than there are.
const DEEPEST: usize = 8;

/// Elements by which a list, or a single object, is known to be of one kind: members that AWS always writes, and that together no
/// other kind has. The keys are those of the answers that hold them.
const BARE: &[(&str, &[&str])] = &[
    ("SecurityGroupRules", &["SecurityGroupRuleId", "GroupId", "IsEgress", "IpProtocol"]),
    ("SecurityGroups", &["GroupId", "GroupName", "IpPermissions", "IpPermissionsEgress"]),
    ("NetworkAcls", &["NetworkAclId", "Entries", "Associations"]),
    // Those within instances lack the last, and are a reduced form (spec 6.6).
    ("NetworkInterfaces", &["NetworkInterfaceId", "Groups", "PrivateIpAddresses", "RequesterManaged"]),
    ("Subnets", &["SubnetId", "VpcId", "CidrBlock", "AvailabilityZone"]),
    ("Vpcs", &["VpcId", "CidrBlock", "IsDefault"]),
    ("PrefixLists", &["PrefixListId", "PrefixListName"]),
    ("Reservations", &["ReservationId", "Instances"]),
    (INSTANCES, &["InstanceId", "InstanceType", "NetworkInterfaces"]),
    ("RouteTables", &["RouteTableId", "Routes", "Associations"]),
    ("VpcPeeringConnections", &["VpcPeeringConnectionId", "RequesterVpcInfo", "AccepterVpcInfo"]),
    (
        "TransitGatewayVpcAttachments",
        &["TransitGatewayAttachmentId", "TransitGatewayId", "VpcId", "SubnetIds"],
    ),
    ("TransitGatewayAttachments", &["TransitGatewayAttachmentId", "TransitGatewayId", "ResourceType"]),
    ("TransitGateways", &["TransitGatewayId", "TransitGatewayArn", "Options"]),
    ("LoadBalancers", &["LoadBalancerArn", "LoadBalancerName", "Type"]),
    ("LoadBalancerDescriptions", &["LoadBalancerName", "ListenerDescriptions"]),
    ("TargetGroups", &["TargetGroupArn", "TargetGroupName", "TargetType"]),
    ("Listeners", &["ListenerArn", "LoadBalancerArn", "Port"]),
    ("VpcBlockPublicAccessExclusions", &["ExclusionId", "ResourceArn", "InternetGatewayExclusionMode"]),
];

/// Instances out of their reservations, which an answer does not hold so.
const INSTANCES: &str = "Instances";

/// The kind of an object by its members.
fn bare_kind(value: &Value) -> Option<&'static str> {
    let object = value.as_object()?;
    let fits = |members: &[&str]| members.iter().all(|member| object.contains_key(*member));
    BARE.iter().find(|(_, members)| fits(members)).map(|(kind, _)| *kind)
}

/// The answer that held these elements.
fn answer_of(kind: &str, elements: Vec<Value>) -> Value {
    let one = |key: &str, value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    match kind {
        INSTANCES => one("Reservations", Value::Array(vec![one(kind, Value::Array(elements))])),
        _ => one(kind, Value::Array(elements)),
    }
}

impl NetworkBuilder {
    /// Reads a document, whatever lies around it.
    pub(super) fn document(
        &mut self,
        value: &Value,
        context: Context,
        options: &ReadOptions,
        depth: usize,
    ) -> Result<Document, ReadError> {
        let node = Node(value);
        if depth > DEEPEST {
            return Err(unknown(value, &context));
        }
        let deeper = depth.saturating_add(1);
        if let Some(list) = value.as_array() {
            return self.bare_list(value, list, context, options, deeper);
        }
        if let Some(output) = node.get("output") {
            return self.pulled(node, output, context, options, deeper);
        }
        if let Some(data) = recorded(node, &context)? {
            return self.document(data.0, context, options, deeper);
        }
        if let Some(inner) = notified(node, &context)? {
            let mut found = None;
            for value in &inner {
                let document = self.document(value, context.clone(), options, deeper)?;
                found.get_or_insert(document);
            }
            return found.ok_or_else(|| unknown(value, &context));
        }
        if node.get("configurationItems").is_some() || node.get("baseConfigurationItems").is_some() {
            self.config_items(node, &context);
            return Ok(Document::AwsConfig);
        }
        // What a notification carries, or `jq` picked out of a history.
        let item = node.get("configurationItem").unwrap_or(node);
        if item.get("configurationItemCaptureTime").is_some() && item.get("resourceType").is_some() {
            self.config_item(item, &context);
            return Ok(Document::AwsConfig);
        }
        if let Some(found) = self.terraform(node, &context, options)? {
            return Ok(found);
        }
        match bare_kind(value) {
            Some(kind) => self.picked(kind, vec![value.clone()], context),
            None => self.aws_cli(node, &context),
        }
    }

    /// An answer with what `flowq config pull` notes beside it.
    fn pulled(
        &mut self,
        node: Node<'_>,
        output: Node<'_>,
        mut context: Context,
        options: &ReadOptions,
        depth: usize,
    ) -> Result<Document, ReadError> {
        let told = node.time("captured_at");
        if told.is_none() && node.get("captured_at").is_some() {
            self.problem(&context, "-", "captured_at of the envelope is no time; it was passed over");
        }
        context.at = told.or(context.at);
        context.sequence = node.millis("captured_at");
        context.account = node.text("account");
        context.region = node.text("region");
        context.command = match node.get("command").map(|command| command.0) {
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Some(Value::String(command)) => command.clone(),
            _ => String::new(),
        };
        match output.0 {
            Value::String(text) => {
                let what = ("the envelope's output", "store the command's JSON output unchanged");
                let inner = inner_json(text, what, &context)?;
                self.document(&inner, context, options, depth)
            }
            output => self.document(output, context, options, depth),
        }
    }

    /// A list without a key: elements of one kind, or documents one after the other.
    fn bare_list(
        &mut self,
        value: &Value,
        list: &[Value],
        context: Context,
        options: &ReadOptions,
        depth: usize,
    ) -> Result<Document, ReadError> {
        let kind = list.first().and_then(bare_kind);
        if let Some(kind) = kind.filter(|kind| list.iter().all(|one| bare_kind(one) == Some(*kind))) {
            return self.picked(kind, list.to_vec(), context);
        }
        let mut found = None;
        for one in list {
            // Told of the list, which is what can be mended.
            let document =
                self.document(one, context.clone(), options, depth).map_err(|error| match error {
                    ReadError::Unknown { .. } => unknown(value, &context),
                    other => other,
                })?;
            found.get_or_insert(document);
        }
        found.ok_or_else(|| unknown(value, &context))
    }

    /// Elements that something took out of an answer: it may have left others.
    fn picked(&mut self, kind: &str, elements: Vec<Value>, context: Context) -> Result<Document, ReadError> {
        let context = Context { picked: true, ..context };
        self.aws_cli(Node(&answer_of(kind, elements)), &context)
    }
}

/// The answer in a recording of a call (`status_code` and `data`, as placebo and moto's tests keep them).
fn recorded<'a>(node: Node<'a>, context: &Context) -> Result<Option<Node<'a>>, ReadError> {
    let (Some(status), Some(data)) = (node.integer("status_code"), node.get("data")) else { return Ok(None) };
    if status != 200 {
        let file = context.file.clone();
        return Err(ReadError::FailedCall { file, status });
    }
    Ok(Some(data))
}

/// What a notification carries: of a topic (SNS), a queue (SQS), or an event (EventBridge).
fn notified(node: Node<'_>, context: &Context) -> Result<Option<Vec<Value>>, ReadError> {
    let what = ("the notification's message", "store notifications unchanged");
    let carried = |text: &str| inner_json(text, what, context);
    if let (Some(message), true) =
        (node.get("Message").and_then(|one| one.0.as_str()), node.get("TopicArn").is_some())
    {
        return carried(message).map(|inner| Some(vec![inner]));
    }
    // `aws sqs receive-message`, and the records that functions get of queues and topics.
    let messages: Vec<Node<'_>> = node.list("Messages").chain(node.list("Records")).collect();
    if !messages.is_empty() {
        let bodies = messages.iter().filter_map(|one| match one.get("Sns") {
            Some(topic) => topic.get("Message")?.0.as_str(),
            None => one.get("Body")?.0.as_str(),
        });
        let bodies: Vec<&str> = bodies.collect();
        if bodies.len() == messages.len() {
            return bodies.into_iter().map(carried).collect::<Result<_, _>>().map(Some);
        }
    }
    if let (Some(detail), true) = (node.get("detail"), node.get("detail-type").is_some()) {
        return Ok(Some(vec![detail.0.clone()]));
    }
    let Some(kind) = node.text("messageType").filter(|_| node.get("configurationItem").is_none()) else {
        return Ok(None);
    };
    // Those of AWS Config that carry no item (documented).
    let object = node.get("s3DeliverySummary").and_then(|told| told.text("s3BucketLocation"));
    let object = object.or_else(|| node.text("s3ObjectKey"));
    let file = context.file.clone();
    match (kind.as_str(), object) {
        (_, Some(object)) => Err(ReadError::Elsewhere { file, kind, object }),
        (
            "ComplianceChangeNotification"
            | "ConfigRulesEvaluationStarted"
            | "ConfigurationSnapshotDeliveryStarted",
            _,
        ) => Err(ReadError::NotNeeded { file, key: format!("AWS Config's {kind}") }),
        _ => Ok(None),
    }
}

/// JSON that is kept as text.
fn inner_json(
    text: &str,
    (detail, hint): (&str, &'static str),
    context: &Context,
) -> Result<Value, ReadError> {
    serde_json::from_str(text).map_err(|error| ReadError::Json {
        file: context.file.clone(),
        line: error.line(),
        column: error.column(),
        detail: detail.to_owned(),
        hint,
    })
}
