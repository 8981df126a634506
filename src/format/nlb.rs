//! Network Load Balancer access logs (TLS listeners only).
//!
//! `time` is the end of the connection; times carry no zone and are UTC. Durations are milliseconds.

use super::ColumnType::{Int32, Int64, PercentText, Text, Time};
use super::{Column, column};

/// The columns of `nlb_logs`.
pub static COLUMNS: &[Column] = &[
    column("type", "type", Text, 0, "tls."),
    column("version", "version", Text, 0, "2.0."),
    column("time", "time", Time, 0, "End of connection."),
    column("elb", "elb", Text, 0, "net/NAME/ID."),
    column("listener", "listener", Text, 0, "Listener id."),
    column("client_ip", "client_ip", Text, 0, "Client address."),
    column("client_port", "client_port", Int32, 0, "Client port (number only)."),
    column("destination_ip", "destination_ip", Text, 0, "Listener or endpoint address."),
    column("destination_port", "destination_port", Int32, 0, "Listener or endpoint port (number only)."),
    column("connection_time", "connection_time", Int64, 0, "Milliseconds."),
    column("tls_handshake_time", "tls_handshake_time", Int64, 0, "Milliseconds."),
    column("received_bytes", "received_bytes", Int64, 0, "From client."),
    column("sent_bytes", "sent_bytes", Int64, 0, "To client."),
    column("incoming_tls_alert", "incoming_tls_alert", Int32, 0, "Alert code."),
    column("chosen_cert_arn", "chosen_cert_arn", Text, 0, "Certificate."),
    column("chosen_cert_serial", "chosen_cert_serial", Text, 0, "Reserved."),
    column("tls_cipher", "tls_cipher", Text, 0, "Cipher."),
    column("tls_protocol_version", "tls_protocol_version", Text, 0, "tlsv10 .. tlsv13."),
    column("tls_keyexchange", "tls_keyexchange", Text, 0, "Key exchange."),
    column("domain_name", "domain_name", PercentText, 0, "SNI, URL-decoded."),
    column("alpn_fe_protocol", "alpn_fe_protocol", Text, 0, "Front-end protocol."),
    column("alpn_be_protocol", "alpn_be_protocol", Text, 0, "Back-end protocol."),
    column("alpn_client_preference_list", "alpn_client_preference_list", Text, 0, "As logged."),
    column("tls_connection_creation_time", "tls_connection_creation_time", Time, 0, "Start of connection."),
];
