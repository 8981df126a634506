-- title: Unusual protocols
-- purpose: Who uses IP protocols other than ICMP, TCP and UDP: tunnels, routing protocols, and what should not be there.
-- needs: flow_logs(srcaddr, dstaddr, protocol, action, bytes, packets, start)
-- param: usual int[] = 1,6,17,58 "protocol numbers that are not worth a look"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select protocol, protocol_name(protocol) as name, srcaddr, dstaddr, action, count(*) as flows, sum(packets) as packets,
  sum(bytes) as bytes
from flow_logs
where protocol is not null and not array_has($usual::bigint[], protocol::bigint) and ($from is null or start >= $from) and ($to is null or start < $to)
group by protocol, srcaddr, dstaddr, action
order by flows desc, protocol, srcaddr, dstaddr, action
limit $limit
