//! What each program is asked to do, and how flowq is asked.

/// A question about the logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Ingest,
    Raw,
    RawTable,
    Table,
    Store,
    Address,
    Window,
    Network,
    Subnet,
}

/// What some tasks look for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// An address with about one row in four thousand.
    pub address: String,
    /// The Unix second with which ten minutes begin.
    pub from: i64,
}

const TOP: &str = "SELECT srcaddr, count(*) AS n FROM flow_logs WHERE action = 'REJECT' \
                   GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10";

/// One scan, three answers: each row says of which it is.
const TABLE: [&str; 4] = [
    "CREATE TABLE t AS SELECT srcaddr, dstport, bytes, action FROM flow_logs",
    "SELECT 'rows' AS k, count(*) AS a, count(*) - count(srcaddr) AS b FROM t",
    "SELECT 'top' AS k, srcaddr AS a, count(*) AS b FROM t WHERE action = 'REJECT' GROUP BY srcaddr \
     ORDER BY b DESC, a LIMIT 10",
    "SELECT 'port' AS k, dstport AS a, sum(bytes) AS b FROM t WHERE dstport IS NOT NULL GROUP BY dstport",
];

const COLUMNS: &str = "SELECT version, account_id, interface_id, srcaddr, dstaddr, srcport, dstport, protocol, packets, \
                       bytes, to_unixtime(start) AS s, to_unixtime(\"end\") AS e, action, log_status FROM flow_logs";

/// How many rows there are, and how many bytes they say.
pub const COUNT: &str = "SELECT count(*), sum(bytes) FROM flow_logs";

/// [`Wanted`], of a store.
pub const WANTED: &str = "SELECT srcaddr, (SELECT to_unixtime(min(start)) + (to_unixtime(max(start)) - to_unixtime(min(start))) / 2 FROM flow_logs) \
     FROM flow_logs WHERE srcaddr IS NOT NULL GROUP BY srcaddr \
     ORDER BY abs(count(*) * 4000 - (SELECT count(*) FROM flow_logs)), srcaddr LIMIT 1";

impl Task {
    pub const ALL: [Task; 9] = [
        Task::Ingest,
        Task::Raw,
        Task::RawTable,
        Task::Table,
        Task::Store,
        Task::Address,
        Task::Window,
        Task::Network,
        Task::Subnet,
    ];

    /// Those over the store.
    pub const STORED: [Task; 6] =
        [Task::Table, Task::Store, Task::Address, Task::Window, Task::Network, Task::Subnet];

    pub fn name(self) -> &'static str {
        match self {
            Task::Ingest => "ingest",
            Task::Raw => "raw",
            Task::RawTable => "raw-table",
            Task::Table => "table",
            Task::Store => "store",
            Task::Address => "address",
            Task::Window => "window",
            Task::Network => "network",
            Task::Subnet => "subnet",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Task::Ingest => "gz to typed Parquet, zstd",
            Task::Raw => "top 10 REJECT sources straight from gz",
            Task::RawTable => "counts, top 10 REJECT sources, bytes by port, from gz through a table",
            Task::Table => "counts, top 10 REJECT sources, bytes by port",
            Task::Store => "top 10 REJECT sources",
            Task::Address => "all rows of one address",
            Task::Window => "the same within ten minutes",
            Task::Network => "bytes by source in a /16",
            Task::Subnet => "bytes by source in a /19",
        }
    }

    /// Whether it reads what the ingest has written.
    pub fn is_over_store(self) -> bool {
        Task::STORED.contains(&self)
    }

    /// Whether it looks for something that has to be chosen first.
    pub fn wants(self) -> bool {
        matches!(self, Task::Address | Task::Window)
    }

    /// The statements, in flowq's SQL.
    pub fn statements(self, wanted: &Wanted) -> Vec<String> {
        let network = |cidr: &str| {
            format!(
                "SELECT srcaddr, sum(bytes) AS n FROM flow_logs WHERE cidr_contains('{cidr}', srcaddr) GROUP BY srcaddr"
            )
        };
        let address = format!("{COLUMNS} WHERE srcaddr = '{}'", wanted.address);
        match self {
            Task::Ingest => vec![COUNT.to_owned()],
            Task::Raw | Task::Store => vec![TOP.to_owned()],
            Task::RawTable | Task::Table => TABLE.map(str::to_owned).to_vec(),
            Task::Address => vec![address],
            Task::Window => {
                let (from, until) = (wanted.from, wanted.from + 600);
                vec![format!(
                    "{address} AND start >= to_timestamp_seconds({from}) AND start < to_timestamp_seconds({until})"
                )]
            }
            Task::Network => vec![network("10.12.0.0/16")],
            Task::Subnet => vec![network("10.12.32.0/19")],
        }
    }
}
