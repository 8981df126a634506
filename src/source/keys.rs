//! AWS's object key grammars: what a path says about the log that lies there.
//!
//! A key is a hint only: dumps get copied anywhere, so every part is optional, a path keeps whatever of it matches, and
//! what a file *is* is decided by its content (`recognise`). The grammars are AWS documentation's and observed file
//! names (flow logs "S3 path", ELB "access log files", CloudWatch Logs export, Firehose "object name").
//! Event times never come from here: folders carry the delivery date.

/// Which log a key looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// VPC or Transit Gateway flow logs, which share their keys.
    FlowLog,
    /// Application Load Balancer access log.
    Alb,
    /// Application Load Balancer connection log.
    AlbConnection,
    /// Application Load Balancer health check log.
    AlbHealthCheck,
    /// Classic Load Balancer access log.
    Clb,
    /// Network Load Balancer access log.
    Nlb,
    /// What a load balancer writes once to test its permission; not a log.
    ElbTestObject,
    /// A CloudWatch Logs export task's object.
    CloudWatchExport,
    /// What an export task writes to test its permission; not a log.
    ExportTestObject,
    /// Delivered by Amazon Data Firehose.
    Firehose,
}

/// The day, and in hourly layouts the hour, of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDate {
    /// Year, four digits.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23, in hourly layouts.
    pub hour: Option<u8>,
}

impl KeyDate {
    /// The beginning of the day or hour, in Unix seconds.
    pub fn unix_seconds(self) -> i64 {
        let days = days_from_civil(i64::from(self.year), i64::from(self.month), i64::from(self.day));
        days * 86_400 + i64::from(self.hour.unwrap_or(0)) * 3600
    }
}

/// What a path says; each part only where it matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectKey {
    /// The twelve-digit account.
    pub account: Option<String>,
    /// The region code, in all partitions.
    pub region: Option<String>,
    /// The service element: `vpcflowlogs`, `elasticloadbalancing`, `CloudTrail`, …
    pub service: Option<String>,
    /// Which log it looks like.
    pub kind: Option<KeyKind>,
    /// `fl-…`.
    pub flow_log_id: Option<String>,
    /// The load balancer as the log writes it: `app/NAME/ID`, `net/NAME/ID`, or a classic one's name.
    pub load_balancer: Option<String>,
    /// The load balancer node, without the zero padding of AWS's examples.
    pub node_ip: Option<String>,
    /// The log stream of an export, or the delivery stream of Firehose.
    pub stream: Option<String>,
    /// The time in the file name, in Unix seconds: the end of the interval for load balancers; for flow logs its
    /// meaning has changed between documentation generations, so never prune closer than 15 minutes.
    pub stamp: Option<i64>,
    /// The date of the folder.
    pub date: Option<KeyDate>,
}

impl ObjectKey {
    /// How far from the time in a flow log object's name its records may begin or end, seconds: see [`ObjectKey::may_hold`].
    pub const MARGIN: i64 = 15 * 60;

    /// Reads a key or path, with or without anything in front of it.
    pub fn parse(path: &str) -> ObjectKey {
        let mut key = ObjectKey::default();
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        key.read_folders(folders);
        key.read_name(name, folders);
        key
    }

    /// The best known time for ordering: the stamp, or else the folder's date, in Unix seconds.
    pub fn order_time(&self) -> Option<i64> {
        self.stamp.or_else(|| self.date.map(KeyDate::unix_seconds))
    }

    /// Whether the object may hold flow log records that begin or end between two times (Unix seconds, both included).
    /// True wherever the key does not tell. The name's time has meant both the five minutes before and those after it,
    /// and a record may begin ten minutes before its end, hence a margin of fifteen minutes on both sides.
    pub fn may_hold(&self, from: i64, to: i64) -> bool {
        match (self.kind, self.stamp) {
            (Some(KeyKind::FlowLog), Some(stamp)) => {
                from <= stamp.saturating_add(ObjectKey::MARGIN)
                    && to >= stamp.saturating_sub(ObjectKey::MARGIN)
            }
            _ => true,
        }
    }

    fn read_folders(&mut self, folders: &str) {
        let mut hive = Hive::default();
        let mut before = "";
        let mut parts = folders.split('/').peekable();
        while let Some(part) = parts.next() {
            let next = parts.peek().copied().unwrap_or("");
            if let Some((name, value)) = part.split_once('=') {
                self.read_hive(name, value, &mut hive);
            } else if is_account(part)
                && (before == "AWSLogs" || before.starts_with("o-") || is_service(next))
            {
                self.account = Some(part.to_owned());
            } else if is_service(part) || (is_account(before) && self.account.is_some() && !is_region(part)) {
                if self.service.is_none() || is_service(part) {
                    self.service = Some(part.to_owned());
                }
            } else if is_region(part) && (is_year(next) || self.service.as_deref() == Some(before)) {
                // A folder such as my-app-1 has the shape of a region too, so the place decides.
                self.region = Some(part.to_owned());
            } else if let Some(year) = digits(part, 4).filter(|_| is_year(part)) {
                let mut rest = parts.clone();
                let month = rest.next().and_then(|month| digits(month, 2));
                let day = rest.next().and_then(|day| digits(day, 2));
                let hour = rest.next().and_then(|hour| digits(hour, 2)).filter(|hour| *hour < 24);
                if let (Some(month), Some(day)) = (month, day) {
                    self.date = date(year, month, day, hour).or(self.date);
                }
            }
            before = part;
        }
        if let (Some(year), Some(month), Some(day)) = (hive.year, hive.month, hive.day) {
            self.date = date(year, month, day, hive.hour).or(self.date);
        }
    }

    fn read_hive(&mut self, name: &str, value: &str, hive: &mut Hive) {
        match name {
            "aws-account-id" if is_account(value) => self.account = Some(value.to_owned()),
            // The Transit Gateway page leaves out the `aws-`; vended deliveries do so for the region.
            "aws-service" | "service" => self.service = Some(value.to_owned()),
            "aws-region" | "region" if is_region(value) => self.region = Some(value.to_owned()),
            "year" => hive.year = digits(value, 4),
            "month" => hive.month = digits(value, 2),
            "day" => hive.day = digits(value, 2),
            "hour" => hive.hour = digits(value, 2).filter(|hour| *hour < 24),
            _ => {}
        }
    }

    fn read_name(&mut self, name: &str, folders: &str) {
        match name {
            "ELBAccessLogTestFile" | "ELBConnectionLogTestFile" | "ELBHealthCheckLogTestFile" => {
                self.kind = Some(KeyKind::ElbTestObject);
            }
            "aws-logs-write-test" => self.kind = Some(KeyKind::ExportTestObject),
            _ => {
                if !self.read_vended(name) && !self.read_export(name, folders) {
                    self.read_firehose(name);
                }
            }
        }
    }

    /// `[conn_log_|health_check_log_]A_SERVICE_R_…_STAMP_….log[.gz|.parquet]`.
    fn read_vended(&mut self, name: &str) -> bool {
        const PREFIXES: [(&str, KeyKind); 4] = [
            ("conn_log_", KeyKind::AlbConnection),
            ("conn_log.", KeyKind::AlbConnection),
            ("health_check_log_", KeyKind::AlbHealthCheck),
            ("health_check_log.", KeyKind::AlbHealthCheck),
        ];
        let prefixed =
            PREFIXES.iter().find_map(|(prefix, kind)| Some((name.strip_prefix(prefix)?, Some(*kind))));
        let (rest, prefix_kind) = prefixed.unwrap_or((name, None));
        let mut parts = rest.split('_');
        let (Some(account), Some(service)) = (parts.next(), parts.next()) else { return false };
        if !is_account(account) || service.is_empty() {
            return false;
        }
        let Some(region) = parts.next().filter(|region| is_region(region)) else { return false };
        self.account = Some(account.to_owned());
        self.service = Some(service.to_owned());
        self.region = Some(region.to_owned());
        let parts: Vec<&str> = parts.collect();
        let stamp_at = parts.iter().position(|part| stamp(part.split('.').next().unwrap_or("")).is_some());
        if let Some(at) = stamp_at {
            self.stamp = parts.get(at).and_then(|part| stamp(part.split('.').next().unwrap_or("")));
        }
        match service {
            "vpcflowlogs" => {
                self.kind = Some(KeyKind::FlowLog);
                self.flow_log_id = parts.iter().find(|part| is_flow_log_id(part)).map(|id| (*id).to_owned());
            }
            "elasticloadbalancing" => {
                let name =
                    stamp_at.and_then(|at| parts.get(..at)).map(|parts| parts.join("_")).unwrap_or_default();
                self.kind = Some(prefix_kind.unwrap_or(match name.split_once('.').map(|(kind, _)| kind) {
                    Some("app") => KeyKind::Alb,
                    Some("net") => KeyKind::Nlb,
                    _ => KeyKind::Clb,
                }));
                if !name.is_empty() {
                    self.load_balancer = Some(load_balancer(&name));
                }
                self.node_ip = stamp_at.and_then(|at| parts.get(at + 1)).and_then(|part| node_ip(part));
            }
            _ => {}
        }
        true
    }

    /// `PREFIX/TASK_ID/LOG_STREAM/NNNNNN.gz`.
    fn read_export(&mut self, name: &str, folders: &str) -> bool {
        let number = name.strip_suffix(".gz").unwrap_or(name);
        if digits(number, 6).is_none() {
            return false;
        }
        let mut above = folders.rsplit('/');
        let stream = above.next().unwrap_or("");
        if !stream.starts_with("eni-") && !above.next().is_some_and(is_uuid) {
            return false;
        }
        self.kind = Some(KeyKind::CloudWatchExport);
        self.stream = Some(stream.to_owned());
        true
    }

    /// `STREAM-VERSION-YYYY-MM-dd-HH-mm-SS-UUID[EXT]`; the time is UTC unless the stream is configured otherwise.
    fn read_firehose(&mut self, name: &str) {
        let ends = std::iter::once(name.len()).chain(name.rmatch_indices('.').map(|(at, _)| at));
        for end in ends {
            let Some(base) = name.get(..end) else { continue };
            let Some(at) = base.len().checked_sub(36) else { continue };
            let (Some(front), Some(uuid)) = (base.get(..at), base.get(at..)) else { continue };
            let Some(front) = front.strip_suffix('-').filter(|_| is_uuid(uuid)) else { continue };
            let mut parts = front.rsplitn(8, '-');
            let mut number = |width| parts.next().and_then(|part| digits(part, width));
            let time = (number(2), number(2), number(2), number(2), number(2), number(4));
            let (Some(second), Some(minute), Some(hour), Some(day), Some(month), Some(year)) = time else {
                continue;
            };
            let version = parts.next().unwrap_or("");
            let Some(stream) = parts.next().filter(|stream| !stream.is_empty()) else { continue };
            let Some(date) = date(year, month, day, Some(hour)) else { continue };
            if version.is_empty()
                || !version.bytes().all(|byte| byte.is_ascii_digit())
                || minute > 59
                || second > 60
            {
                continue;
            }
            self.kind = Some(KeyKind::Firehose);
            self.stream = Some(stream.to_owned());
            self.stamp = Some(date.unix_seconds() + i64::from(minute) * 60 + i64::from(second));
            return;
        }
    }
}

#[derive(Default)]
struct Hive {
    year: Option<u16>,
    month: Option<u16>,
    day: Option<u16>,
    hour: Option<u16>,
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_service(text: &str) -> bool {
    matches!(text, "vpcflowlogs" | "elasticloadbalancing")
}

/// The flow log that an object's name tells, whatever folder it lies in.
pub fn flow_log_of(path: &str) -> Option<&str> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.split('_').find(|part| is_flow_log_id(part))
}

/// Whether this is the identifier of a flow log: `fl-…`.
fn is_flow_log_id(text: &str) -> bool {
    text.strip_prefix("fl-").is_some_and(|id| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
    })
}

/// `[a-z]{2,4}(-[a-z]+)+-[0-9]+`: two letters and one word do not cover `us-gov-west-1` and `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let Some((front, number)) = text.rsplit_once('-') else { return false };
    let Some((first, words)) = front.split_once('-') else { return false };
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && (2..=4).contains(&first.len())
        && letters(first)
        && words.split('-').all(letters)
}

fn is_year(text: &str) -> bool {
    digits(text, 4).is_some_and(|year| (2000..2200).contains(&year))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The number in a text of exactly `width` digits (at most six are ever asked for; more than `u16` saturates).
fn digits(text: &str, width: usize) -> Option<u16> {
    if text.len() != width {
        return None;
    }
    text.bytes().try_fold(0u16, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

fn date(year: u16, month: u16, day: u16, hour: Option<u16>) -> Option<KeyDate> {
    let month = u8::try_from(month).ok().filter(|month| (1..=12).contains(month))?;
    let day = u8::try_from(day).ok().filter(|day| (1..=31).contains(day))?;
    let hour = match hour {
        Some(hour) => Some(u8::try_from(hour).ok().filter(|hour| *hour < 24)?),
        None => None,
    };
    Some(KeyDate { year, month, day, hour })
}

/// `YYYYMMDDTHHmmZ` as Unix seconds.
fn stamp(text: &str) -> Option<i64> {
    if text.len() != 14 || text.as_bytes().get(8) != Some(&b'T') || !text.ends_with('Z') {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to).and_then(|part| digits(part, to - from));
    let minute = number(11, 13).filter(|minute| *minute < 60)?;
    let date = date(number(0, 4)?, number(4, 6)?, number(6, 8)?, Some(number(9, 11)?))?;
    Some(date.unix_seconds() + i64::from(minute) * 60)
}

/// `app.NAME.ID` is written `app/NAME/ID` in the log; names hold no dots.
fn load_balancer(name: &str) -> String {
    if name.starts_with("app.") || name.starts_with("net.") {
        return name.replace('.', "/");
    }
    name.to_owned()
}

fn node_ip(text: &str) -> Option<String> {
    if text.contains(':') {
        return text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.')
            .then(|| text.to_owned());
    }
    let octets: Vec<u8> = text
        .split('.')
        .map(|octet| octet.parse::<u8>().ok().filter(|_| octet.len() <= 3 && !octet.starts_with('+')))
        .collect::<Option<_>>()?;
    match octets.as_slice() {
        [a, b, c, d] => Some(format!("{a}.{b}.{c}.{d}")),
        _ => None,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
