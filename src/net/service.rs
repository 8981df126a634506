//! Names of the services behind well-known ports: what an operator expects on that port, not a claim about the traffic.

use super::protocol::{TCP, UDP};

/// The usual service on a destination port. Protocols other than TCP and UDP have none.
pub fn service_name(port: u16, protocol: u8) -> Option<&'static str> {
    let over = match protocol {
        TCP => Over::Tcp,
        UDP => Over::Udp,
        _ => return None,
    };
    let from = SERVICES.partition_point(|(known, _, _)| *known < port);
    SERVICES
        .iter()
        .skip(from)
        .take_while(|(known, _, _)| *known == port)
        .find(|(_, carried, _)| *carried == over || *carried == Over::Both)
        .map(|(_, _, name)| *name)
}

/// The port that a service name stands for; the lowest where several do.
pub fn service_port(name: &str) -> Option<u16> {
    let name = name.trim().to_ascii_lowercase();
    SERVICES.iter().find(|(_, _, known)| *known == name).map(|(port, _, _)| *port)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Tcp,
    Udp,
    Both,
}
use Over::{Both, Tcp, Udp};

/// Sorted by port.
#[rustfmt::skip]
const SERVICES: &[(u16, Over, &str)] = &[
    (7, Both, "echo"), (9, Both, "discard"), (13, Both, "daytime"), (17, Both, "qotd"), (19, Both, "chargen"),
    (20, Tcp, "ftp-data"), (21, Tcp, "ftp"), (22, Tcp, "ssh"), (23, Tcp, "telnet"), (25, Tcp, "smtp"),
    (37, Both, "time"), (43, Tcp, "whois"), (49, Both, "tacacs"), (53, Both, "dns"), (67, Udp, "dhcp-server"),
    (68, Udp, "dhcp-client"), (69, Udp, "tftp"), (70, Tcp, "gopher"), (79, Tcp, "finger"), (80, Tcp, "http"),
    (80, Udp, "http"), (88, Both, "kerberos"), (102, Tcp, "iso-tsap"), (110, Tcp, "pop3"), (111, Both, "rpcbind"),
    (113, Tcp, "ident"), (119, Tcp, "nntp"), (123, Udp, "ntp"), (135, Both, "msrpc"), (137, Both, "netbios-ns"),
    (138, Both, "netbios-dgm"), (139, Both, "netbios-ssn"), (143, Tcp, "imap"), (161, Both, "snmp"),
    (162, Both, "snmp-trap"), (177, Udp, "xdmcp"), (179, Tcp, "bgp"), (194, Tcp, "irc"), (264, Tcp, "bgmp"),
    (318, Tcp, "pkix-tsp"), (389, Tcp, "ldap"), (389, Udp, "cldap"), (427, Both, "svrloc"), (443, Tcp, "https"),
    (443, Udp, "quic"), (445, Tcp, "smb"), (464, Both, "kpasswd"), (465, Tcp, "smtps"), (500, Udp, "isakmp"),
    (502, Tcp, "modbus"), (512, Tcp, "rexec"), (513, Tcp, "rlogin"), (514, Tcp, "rsh"), (514, Udp, "syslog"),
    (515, Tcp, "printer"), (520, Udp, "rip"), (546, Udp, "dhcpv6-client"), (547, Udp, "dhcpv6-server"),
    (548, Tcp, "afp"), (554, Both, "rtsp"), (587, Tcp, "submission"), (593, Tcp, "rpc-over-http"),
    (623, Udp, "ipmi"), (631, Both, "ipp"), (636, Tcp, "ldaps"), (646, Both, "ldp"), (666, Tcp, "doom"),
    (853, Tcp, "dns-over-tls"), (853, Udp, "dns-over-quic"), (860, Tcp, "iscsi"), (873, Tcp, "rsync"), (902, Both, "vmware"),
    (989, Tcp, "ftps-data"), (990, Tcp, "ftps"), (993, Tcp, "imaps"), (995, Tcp, "pop3s"), (1080, Tcp, "socks"),
    (1194, Both, "openvpn"), (1433, Tcp, "mssql"), (1434, Udp, "mssql-browser"), (1521, Tcp, "oracle"),
    (1604, Udp, "citrix"), (1645, Udp, "radius-old"), (1701, Udp, "l2tp"), (1723, Tcp, "pptp"),
    (1812, Udp, "radius"), (1813, Udp, "radius-acct"), (1883, Tcp, "mqtt"), (1900, Udp, "ssdp"),
    (2000, Tcp, "cisco-sccp"), (2049, Both, "nfs"), (2082, Tcp, "cpanel"), (2083, Tcp, "cpanel-ssl"),
    (2086, Tcp, "whm"), (2087, Tcp, "whm-ssl"), (2181, Tcp, "zookeeper"), (2222, Tcp, "ssh-alt"),
    (2375, Tcp, "docker"), (2376, Tcp, "docker-tls"), (2377, Tcp, "docker-swarm"), (2379, Tcp, "etcd"),
    (2380, Tcp, "etcd-peer"), (2404, Tcp, "iec-104"), (2483, Tcp, "oracle-tcp"), (2484, Tcp, "oracle-tls"),
    (3000, Tcp, "grafana"), (3128, Tcp, "squid"), (3260, Tcp, "iscsi-target"), (3268, Tcp, "ldap-gc"),
    (3269, Tcp, "ldaps-gc"), (3306, Tcp, "mysql"), (3389, Both, "rdp"), (3478, Both, "stun"),
    (3690, Tcp, "svn"), (3702, Udp, "ws-discovery"), (4222, Tcp, "nats"), (4333, Tcp, "msql"),
    (4369, Tcp, "epmd"), (4444, Tcp, "metasploit"), (4500, Udp, "ipsec-nat-t"), (4505, Tcp, "salt-publish"),
    (4506, Tcp, "salt-return"), (4789, Udp, "vxlan"), (5000, Tcp, "upnp-http"), (5004, Udp, "rtp"),
    (5060, Both, "sip"), (5061, Tcp, "sips"), (5222, Tcp, "xmpp-client"), (5269, Tcp, "xmpp-server"),
    (5353, Udp, "mdns"), (5355, Both, "llmnr"), (5432, Tcp, "postgresql"), (5439, Tcp, "redshift"),
    (5555, Tcp, "adb"), (5601, Tcp, "kibana"), (5666, Tcp, "nrpe"), (5671, Tcp, "amqps"), (5672, Tcp, "amqp"),
    (5683, Udp, "coap"), (5900, Tcp, "vnc"), (5901, Tcp, "vnc-1"), (5938, Both, "teamviewer"),
    (5984, Tcp, "couchdb"), (5985, Tcp, "winrm"), (5986, Tcp, "winrm-https"), (6000, Tcp, "x11"),
    (6081, Udp, "geneve"), (6379, Tcp, "redis"), (6443, Tcp, "kubernetes-api"), (6514, Tcp, "syslog-tls"),
    (6667, Tcp, "irc-alt"), (6881, Both, "bittorrent"), (7000, Tcp, "cassandra-internode"),
    (7001, Tcp, "weblogic"), (7077, Tcp, "spark"), (7199, Tcp, "cassandra-jmx"), (7474, Tcp, "neo4j"),
    (7687, Tcp, "neo4j-bolt"), (7946, Both, "docker-gossip"), (8000, Tcp, "http-alt-8000"),
    (8008, Tcp, "http-alt-8008"), (8020, Tcp, "hdfs"), (8080, Tcp, "http-alt"), (8081, Tcp, "http-alt-8081"),
    (8086, Tcp, "influxdb"), (8088, Tcp, "yarn"), (8089, Tcp, "splunkd"), (8125, Udp, "statsd"),
    (8200, Tcp, "vault"), (8291, Tcp, "winbox"), (8301, Both, "consul-serf"), (8333, Tcp, "bitcoin"),
    (8443, Tcp, "https-alt"), (8472, Udp, "vxlan-linux"), (8500, Tcp, "consul"), (8529, Tcp, "arangodb"),
    (8883, Tcp, "mqtts"), (8888, Tcp, "jupyter"), (9000, Tcp, "minio"), (9042, Tcp, "cassandra"),
    (9090, Tcp, "prometheus"), (9092, Tcp, "kafka"), (9093, Tcp, "alertmanager"), (9094, Tcp, "kafka-tls"),
    (9096, Tcp, "kafka-sasl"), (9098, Tcp, "kafka-iam"), (9100, Tcp, "node-exporter"),
    (9200, Tcp, "elasticsearch"), (9300, Tcp, "elasticsearch-node"), (9418, Tcp, "git"), (9999, Tcp, "abyss"),
    (10000, Tcp, "webmin"), (10050, Tcp, "zabbix-agent"), (10051, Tcp, "zabbix-trapper"),
    (10250, Tcp, "kubelet"), (11211, Both, "memcached"), (15672, Tcp, "rabbitmq-admin"),
    (19132, Udp, "minecraft-bedrock"), (25565, Tcp, "minecraft"), (26257, Tcp, "cockroachdb"),
    (27017, Tcp, "mongodb"), (27018, Tcp, "mongodb-shard"), (27019, Tcp, "mongodb-config"),
    (28015, Tcp, "rethinkdb"), (31337, Tcp, "back-orifice"), (32400, Tcp, "plex"), (44818, Both, "ethernet-ip"),
    (47808, Udp, "bacnet"), (50000, Tcp, "db2"), (50070, Tcp, "hdfs-web"), (51820, Udp, "wireguard"),
    (61616, Tcp, "activemq"), (61617, Tcp, "activemq-tls"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(SERVICES.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn ports_have_their_services() {
        let cases = [
            (22, TCP, Some("ssh")),
            (53, UDP, Some("dns")),
            (53, TCP, Some("dns")),
            (443, TCP, Some("https")),
            (443, UDP, Some("quic")),
            (514, UDP, Some("syslog")),
            (514, TCP, Some("rsh")),
            (853, TCP, Some("dns-over-tls")),
            (853, UDP, Some("dns-over-quic")),
            (22, UDP, None),
            (5432, TCP, Some("postgresql")),
            (443, 1, None),
            (51111, TCP, None),
            (65535, TCP, None),
            (0, TCP, None),
        ];
        for (port, protocol, name) in cases {
            assert_eq!(service_name(port, protocol), name, "{port}/{protocol}");
        }
        assert_eq!(service_port("HTTPS"), Some(443));
        assert_eq!(service_port("nosuch"), None);
    }
}
