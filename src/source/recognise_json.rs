//! Which JSON a content is, by the member names in its beginning.

use super::json::{JsonScanner, Token};
use super::recognise::{JsonKind, Recognition};
use super::vended;

/// How many names are looked at.
const NAMES: usize = 400;

/// Member names in the first document: of itself, and below.
#[derive(Default)]
struct Survey {
    depth: usize,
    array_at_top: bool,
    documents: usize,
    top: Vec<String>,
    inner: Vec<String>,
}

impl Survey {
    fn token(&mut self, token: Token<'_>) {
        match token {
            Token::BeginArray if self.depth == 0 => self.array_at_top = true,
            Token::EndArray if self.depth == 0 => {}
            Token::BeginObject | Token::BeginArray => {
                self.documents += usize::from(self.depth == 0);
                self.depth += 1;
            }
            Token::EndObject | Token::EndArray => self.depth = self.depth.saturating_sub(1),
            Token::Key(key) if self.documents == 1 => {
                let names = if self.depth == 1 { &mut self.top } else { &mut self.inner };
                if names.len() < NAMES {
                    names.push(String::from_utf8_lossy(key).into_owned());
                }
            }
            _ => {}
        }
    }
}

/// Names the JSON that `sniff` begins with; `None` where it is none.
pub(crate) fn recognise_json(sniff: &[u8]) -> Option<Recognition> {
    let mut survey = Survey::default();
    let mut scanner = JsonScanner::new();
    let sound = scanner.push(sniff, |token| survey.token(token)).is_ok();
    if survey.top.is_empty() {
        // An empty array or object is a page without events.
        return (sound && (survey.documents > 0 || survey.array_at_top)).then_some(Recognition::Empty);
    }
    let top = |name: &str| survey.top.iter().any(|known| known == name);
    let inner = |name: &str| survey.inner.iter().any(|known| known == name);
    if top("logEvents") || (top("messageType") && top("logGroup")) {
        return Some(Recognition::Json(JsonKind::Subscription));
    }
    if top("events")
        && (top("searchedLogStreams")
            || top("nextForwardToken")
            || inner("message")
            || survey.inner.is_empty())
    {
        return Some(Recognition::Json(JsonKind::FilterLogEvents));
    }
    if top("message") {
        return Some(Recognition::Json(JsonKind::Message));
    }
    let names: Vec<String> = survey.top.iter().map(|name| vended::normal_name(name)).collect();
    if let Some(kind) = vended::kind_of(&names) {
        return Some(Recognition::Json(JsonKind::Vended(kind)));
    }
    let any = |name: &str| top(name) || inner(name);
    let what = if any("eventSource") && any("eventVersion")
        || top("CloudTrailEvent")
        || inner("CloudTrailEvent")
    {
        "CloudTrail log"
    } else if top("digestStartTime") {
        "CloudTrail digest"
    } else if any("webaclId") {
        "WAF log"
    } else if top("query_name") || top("query_timestamp") {
        "Route 53 resolver query log"
    } else if top("firewall_name") {
        "Network Firewall log"
    } else if any("configurationItems") || any("configurationItem") {
        "AWS Config snapshot (see `flowq config import`)"
    } else if top("terraform_version") {
        "Terraform state (see `flowq config import`)"
    } else if [
        "SecurityGroups",
        "NetworkAcls",
        "NetworkInterfaces",
        "Subnets",
        "Vpcs",
        "PrefixLists",
        "RouteTables",
    ]
    .iter()
    .any(|name| top(name))
    {
        "network configuration (see `flowq config import`)"
    } else if top("detail-type") && top("detail") {
        "EventBridge event"
    } else if top("schemaVersion") && top("service") {
        "GuardDuty finding"
    } else if any("class_uid") {
        "Security Lake (OCSF) record"
    } else if any("kinesis") && any("data") {
        "Kinesis event of a Lambda function (decode its data first)"
    } else if top("results") && top("statistics") && inner("field") {
        "answer of a CloudWatch Logs Insights query (fetch the events as they are: aws logs filter-log-events)"
    } else if top("FlowLogs") {
        "output of describe-flow-logs (its LogFormat fits --log-format)"
    } else {
        "JSON of no known kind"
    };
    Some(Recognition::Other { what: what.to_owned() })
}
