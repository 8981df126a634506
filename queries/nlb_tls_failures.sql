-- title: Failed TLS handshakes
-- purpose: Which clients did not get a TLS connection to a network load balancer: no protocol was agreed on, or the
--   client sent an alert (its code: 40 handshake failure, 42 bad certificate, 48 unknown authority, 70 old version).
-- needs: nlb_logs(time, elb, listener, client_ip, incoming_tls_alert, tls_protocol_version)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select elb, listener, client_ip, incoming_tls_alert, domain_name, count(*) as connections, min(time) as first_seen,
  max(time) as last_seen
from nlb_logs
where (tls_protocol_version is null or incoming_tls_alert is not null) and ($from is null or time >= $from) and ($to is null or time < $to)
group by elb, listener, client_ip, incoming_tls_alert, domain_name
order by connections desc, elb, listener, client_ip, incoming_tls_alert, domain_name
limit $limit
